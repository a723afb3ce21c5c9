"""A whole installation for tests and benches: database, keys, programme, members, merchants, terminals.

Everything is made by the same functions as the operator's commands; the figures that a caller gives say how
much of it there is. Test card numbers are of the programme's own range with a right check digit.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.pinblock import account_part
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes, odd_parity
from switch.domain.calendar import SEOUL
from switch.service.import_funding import import_funding
from switch.service.import_members import import_cards, import_members
from switch.service.import_merchants import import_merchants
from switch.service.import_terminals import import_terminals
from switch.service.programmes import apply_programme
from switch.service.vault import Vault, new_key_file
from switch.store.engine import open_engine
from switch.store.migrate import mark, upgrade
from terminal_sim.keys import tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.load import LoadCard
from terminal_sim.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PVK = bytes.fromhex("B0B1B2B3B4B5B6B7C2C4C7C8CBCDCED0")
PIN = "4711"
SEED = 7


def pan(number: int) -> str:
    """The test card number of a member: BIN 941061, nine digits, check digit."""
    body = f"941061{number:09d}"
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled - 9 if doubled > 9 else doubled
    return body + str(-total % 10)


class Stage:
    """Where an installation is and what is in it."""

    def __init__(self, directory: Path, *, size: str = "small", simulation: bool = True) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.url = f"embedded:{directory / 'db'}"
        self.size = size
        self.simulation = simulation
        self.clock = directory / "clock"
        self.vault_file = directory / "vault.keys"
        self.members = 0
        self.terminals: list[tuple[str, str]] = []
        owner = open_engine(self.url, role=None, size=size)
        upgrade(owner)
        mark(owner, simulation=simulation)
        owner.dispose()
        if not self.vault_file.exists():
            new_key_file(self.vault_file)
        self.engine: Engine = open_engine(self.url, size=size)

    def now(self) -> datetime:
        """The installation's time."""
        if self.simulation:
            return datetime.fromisoformat(self.clock.read_text().strip())
        return datetime.now(SEOUL)

    def settlement_config(self) -> Path:
        """Write the night's settings, for the clock of this stage."""
        config = self.directory / "settlement.toml"
        config.write_text(
            f"""
[database]
url = "{self.url}"
[clock]
mode = "simulated"
file = "{self.clock}"
[files]
outbox = "{self.directory / "outbox"}"
[originator.seoro]
name = "인천광역시 서구"
account = "1005000000017"
bank = "020"
""",
            encoding="utf-8",
        )
        return config

    def set_clock(self, instant: str) -> None:
        """Set the simulated clock, e.g. 2026-11-18T12:00:00+09:00."""
        draft = self.clock.with_suffix(".new")
        draft.write_text(instant + "\n")
        draft.replace(self.clock)

    def programme(self, file: Path | None = None) -> None:
        """Apply a programme file; seoro by default."""
        apply_programme(self.engine, file or ROOT / "config/programmes/seoro.toml", self.now())

    def _csv(self, name: str, header: Sequence[str], rows: Iterator[Sequence[object]]) -> Path:
        path = self.directory / f"{name}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return path

    def people(self, count: int, won: int, *, pins: bool = True) -> None:
        """Members with one card and one lot of charged money each."""
        first, last = self.members, self.members + count
        self.members = last
        numbers = range(first, last)
        import_members(
            self.engine,
            self._csv(
                "members",
                ("member_id", "programme", "points_on"),
                ((f"M{n:07d}", "seoro", "yes" if n % 2 else "no") for n in numbers),
            ),
        )
        key = Tdes(odd_parity(PVK))
        pvv = [pin_verification_value(key, account_part(pan(n)), "1", PIN) if pins else "" for n in numbers]
        import_cards(
            self.engine,
            self._csv(
                "cards",
                ("programme", "member_id", "pan", "expiry", "pvki", "pvv", "state"),
                (
                    ("seoro", f"M{n:07d}", pan(n), "3112", "1" if pins else "", pvv[n - first], "active")
                    for n in numbers
                ),
            ),
            Vault.load(self.vault_file),
        )
        day = self.now().date().isoformat()
        import_funding(
            self.engine,
            self._csv(
                "funding",
                ("programme", "reference", "member_id", "kind", "won", "funder", "day"),
                (("seoro", f"open-{n}", f"M{n:07d}", "charged", won, "", day) for n in numbers),
            ),
            self.now(),
        )

    def shops(self, count: int, terminals_each: int = 1) -> None:
        """Merchants, every fifth of them in the market, with their terminals."""
        header = [
            "merchant_id",
            "programme",
            "name",
            "category",
            "region",
            "head_region",
            "size",
            "channels",
            "opened",
            "annual_sales",
            "sales_from",
            "business_no",
            "bank_code",
            "account_no",
            "account_holder",
            "payout_days",
            "groups",
        ]
        sales = (200_000_000, 450_000_000, 900_000_000, 2_500_000_000, 0)

        def row(n: int) -> Sequence[object]:
            group = "traditional_market:2025-01-01" if n % 5 == 0 else ""
            return (
                f"SHOP{n:06d}", "seoro", f"가게 {n}", "restaurant", "incheon_seo", "incheon_seo", "small",
                "pos", "2025-01-01", sales[n % 5] or 100_000_000, "2025-01-01", business_no(n), "004",
                f"{n:012d}", f"가게 {n}", "", group,
            )  # fmt: skip

        import_merchants(
            self.engine, self._csv("merchants", header, (row(n) for n in range(count))), self.now()
        )
        self.terminals = [
            (f"T{n:04d}{t:03d}", f"SHOP{n:06d}") for n in range(count) for t in range(terminals_each)
        ]
        import_terminals(
            self.engine,
            self._csv(
                "terminals",
                ("terminal_id", "merchant_id", "tmk", "kcv"),
                (
                    (t, m, tmk_under_lmk(tmk(SEED, t)), tmk_check_value(tmk(SEED, t)))
                    for t, m in self.terminals
                ),
            ),
            self.now(),
        )

    def cards(self) -> list[LoadCard]:
        """The cards, for a load."""
        return [LoadCard(pan(n), PIN) for n in range(self.members)]

    def make_terminals(self, count: int | None = None, journal_max: int = 0) -> list[Terminal]:
        """Fresh simulated terminals that know their master keys."""
        return [
            Terminal(t, m, tmk(SEED, t), journal_max=journal_max) for t, m in self.terminals[: count or None]
        ]

    def config(self, hsm_port: int, *, lanes: int = 2, batch_max: int = 256, port: int = 0) -> Path:
        """Write the switch's configuration; returns its path."""
        clock = f'mode = "simulated"\nfile = "{self.clock}"' if self.simulation else 'mode = "system"'
        path = self.directory / "switch.toml"
        path.write_text(
            f"""
[database]
url = "{self.url}"
size = "{self.size}"
[vault]
key_file = "{self.vault_file}"
[[listener]]
port = {port}
in_flight_max = 4096
[hsm]
port = {hsm_port}
timeout_s = 5.0
in_flight_max = 9000
[keys]
session_hours = 8760
pvk = "{TEST_LMK.encrypt("002", "U", odd_parity(PVK))}"
[lanes]
count = {lanes}
batch_max = {batch_max}
[clock]
{clock}
[log]
level = "warning"
"""
        )
        return path


class Program:
    """A child process that says where it listens in one JSON line."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [str(BIN / arguments[0]), *arguments[1:]], stdout=subprocess.PIPE, stderr=self._log, cwd=ROOT
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{arguments[0]} did not start: {log.read_text()[-2000:]}")
        self.told = json.loads(line)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.told["listening"][0]["port"] if "listening" in self.told else self.told["port"])

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20) -> int:
        """Signal it and wait; returns its exit code."""
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        code = self.process.wait(timeout_s)
        self._log.close()
        return code


@contextmanager
def hsm(directory: Path, port: int = 0) -> Iterator[Program]:
    """A running HSM simulator."""
    program = Program(["dure-hsm-sim", "serve", "--port", str(port)], directory / "hsm.log")
    try:
        yield program
    finally:
        program.stop()


def start_switch(config: Path) -> Program:
    """A running switch."""
    return Program(["dure-switch", "--config", str(config), "serve"], config.parent / "switch.log")


def business_no(n: int) -> str:
    """A Korean business registration number with a right check digit."""
    digits = [int(c) for c in f"{100_000_000 + n:09d}"]
    weights = (1, 3, 7, 1, 3, 7, 1, 3, 5)
    total = sum(d * w for d, w in zip(digits, weights, strict=True)) + digits[8] * 5 // 10
    return "".join(map(str, digits)) + str(-total % 10)


def wait_for(condition: object, timeout_s: float = 10.0) -> None:
    """Wait until a callable holds; raises TimeoutError."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition did not come true")
        time.sleep(0.02)
