"""An installation with a running switch, and what tests ask of it."""

import csv
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from hsm_sim.crypto.pinblock import account_part
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes, odd_parity
from switch.service.import_members import import_cards, import_members
from switch.service.vault import Vault
from switch.store.engine import stop_embedded
from terminal_sim.keys import tmk
from terminal_sim.terminal import Terminal
from tests.support.stage import BIN, PIN, PVK, ROOT, SEED, Program, Stage, pan, start_switch
from tests.support.wire_client import Line

NOON = "2026-11-18T12:00:00+09:00"
WON = 500_000
PEOPLE = 320
SHOPS = 200


class House:
    """Members with WON each, shops with two terminals each, and a switch at `port`."""

    def __init__(self, directory: Path, hsm_port: int, *, people: int = PEOPLE, shops: int = SHOPS) -> None:
        self.stage = Stage(directory)
        self.stage.set_clock(NOON)
        self.stage.programme()
        self.stage.people(people, WON)
        self.stage.shops(shops, terminals_each=2)
        self.hsm_port = hsm_port
        self.switch = start_switch(self.configure())
        self._more = 0
        self._people = iter(range(people))
        self._shops = iter(range(shops))

    def close(self) -> None:
        """Stop everything that this object started."""
        if self.switch.process.poll() is None:
            self.switch.stop()
        self.stage.engine.dispose()
        stop_embedded(self.stage.url)

    def configure(self, name: str = "switch", changes: Sequence[tuple[str, str]] = ()) -> Path:
        """Write a configuration with some lines replaced or added to."""
        plain = self.stage.config(self.hsm_port)
        content = plain.read_text()
        for old, new in changes:
            assert old in content
            content = content.replace(old, new)
        path = plain.with_name(f"{name}.toml")
        path.write_text(content)
        return path

    @contextmanager
    def other_switch(self, name: str, *listener: str, limits: str = "") -> Iterator[Program]:
        """A second switch on the same books, with its own listener settings."""
        lines = "\n".join(listener)
        more = [("in_flight_max = 4096", lines)]
        if limits:
            more.append(("[lanes]", f"[limits]\n{limits}\n[lanes]"))
        program = start_switch(self.configure(name, more))
        try:
            yield program
        finally:
            program.stop()

    def restart(self) -> int:
        """Stop the switch as an operator does and start it again; returns its exit code."""
        code = self.switch.stop()
        self.switch = start_switch(self.configure())
        return code

    @property
    def now(self) -> datetime:
        return self.stage.now()

    @contextmanager
    def at(self, instant: str) -> Iterator[None]:
        """Another time of the installation for a while."""
        before = self.now
        self.stage.set_clock(instant)
        try:
            yield
        finally:
            self.stage.set_clock(before.isoformat())

    def card_act(self, act: str, card: str) -> None:
        """Block, unblock, lose a member's first card, as an operator does."""
        which = ("--programme", "seoro", "--member", self.member(card), "--card-no", "1")
        self.command("card", act, *which)

    def command(self, *arguments: str) -> Any:
        """What an operator's command prints, read as JSON. It must end well."""
        config = str(self.stage.directory / "switch.toml")
        done = subprocess.run(
            [str(BIN / "dure-switch"), "--config", config, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if "--json" in arguments else None

    def line(self, port: int | None = None) -> Line:
        return Line(port or self.switch.port)

    def card(self) -> str:
        """A card that no other test uses."""
        return pan(next(self._people))

    def member(self, card: str) -> str:
        return f"M{int(card[6:15]):07d}"

    def till(self, line: Line | None = None, *, extra: int = 0) -> Terminal:
        """A terminal that no other test uses; signed on and with keys when a line is given.

        `extra` 1 gives the second terminal of the shop taken last.
        """
        if not extra:
            self._shop = next(self._shops)
        terminal = Terminal(
            f"T{self._shop:04d}{extra:03d}",
            f"SHOP{self._shop:06d}",
            tmk(SEED, f"T{self._shop:04d}{extra:03d}"),
        )
        if line is not None:
            self.ready(line, terminal)
        return terminal

    def ready(self, line: Line, terminal: Terminal) -> Terminal:
        """Sign on and exchange keys."""
        assert line.exchange(terminal, terminal.sign_on(self.now)).code == "00"
        assert line.exchange(terminal, terminal.key_exchange(self.now)).code == "00"
        return terminal

    def special_card(
        self, number: int, *, expiry: str = "3112", state: str = "active", programme: str = "seoro"
    ) -> str:
        """A card made for one test: another expiry, state or programme."""
        card = pan(number)
        if programme != "seoro":
            self.stage.programme(ROOT / f"config/programmes/{programme}.toml")
            card = with_check_digit(f"941062{number:09d}")
        self._import("members", ("member_id", "programme", "points_on"), (f"X{number}", programme, "no"))
        key = Tdes(odd_parity(PVK))
        import_cards(
            self.stage.engine,
            self._write(
                "special",
                ("programme", "member_id", "pan", "expiry", "pvki", "pvv", "state"),
                (
                    programme,
                    f"X{number}",
                    card,
                    expiry,
                    "1",
                    pin_verification_value(key, account_part(card), "1", PIN),
                    state,
                ),
            ),
            Vault.load(self.stage.vault_file),
        )
        return card

    def second_card(self, card: str) -> str:
        """Another card of the member who holds `card`."""
        self._more += 1
        more = with_check_digit(f"941061{800_000_000 + self._more:09d}")
        key = Tdes(odd_parity(PVK))
        value = pin_verification_value(key, account_part(more), "1", PIN)
        header = ("programme", "member_id", "pan", "expiry", "pvki", "pvv", "state")
        row = ("seoro", self.member(card), more, "3112", "1", value, "active")
        import_cards(self.stage.engine, self._write("second", header, row), Vault.load(self.stage.vault_file))
        return more

    def _import(self, name: str, header: Sequence[str], row: Sequence[str]) -> None:
        import_members(self.stage.engine, self._write(name + "_special", header, row))

    def _write(self, name: str, header: Sequence[str], row: Sequence[str]) -> Path:
        path = self.stage.directory / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((header, row))
        return path

    # What the books say

    def payments(self, terminal: Terminal) -> list[dict[str, object]]:
        """The payments of a terminal as stored, in the order of their STAN."""
        with self.stage.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT * FROM payment WHERE terminal_id = :t ORDER BY stan, kind"),
                {"t": terminal.terminal_id},
            )
            return [dict(row._mapping) for row in rows]

    def count(self, table: str = "payment") -> int:
        with self.stage.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    def balance(self, card: str) -> int:
        """The won in all lots of a card's wallet."""
        return self._of_wallet(card, "SELECT coalesce(sum(balance), 0) FROM lot")

    def tries(self, card: str) -> int:
        """The wrong PIN tries that a card's row has counted."""
        return self._of_wallet(card, "SELECT pin_tries FROM card")

    def _of_wallet(self, card: str, query: str) -> int:
        with self.stage.engine.connect() as connection:
            found = connection.execute(
                text(f"{query} WHERE wallet_id = (SELECT wallet_id FROM member WHERE member_id = :m)"),
                {"m": self.member(card)},
            )
            return int(found.scalar_one())


def with_check_digit(body: str) -> str:
    """A card number of 15 digits and its Luhn digit."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled - 9 if doubled > 9 else doubled
    return body + str(-total % 10)
