"""Builds the town of a scenario through the public commands: one CSV a kind, one command a file.

In a shared installation the names of a scenario get its tag, so that two scenarios do not meet by chance.
"""

import asyncio
import csv
import hashlib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from switch.wire.redact import luhn_valid
from terminal_sim import scenario as words
from terminal_sim.card import PVKI, SimCard
from terminal_sim.connection import LineSettings
from terminal_sim.dukpt import AES, TDES, AesStore, TdesStore, base_key, initial_serial
from terminal_sim.keys import base_key_under_lmk, tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.processes import ProgramError
from terminal_sim.sandbox import Installation
from terminal_sim.scenario import Scenario
from terminal_sim.scenario_programme import programme_toml
from terminal_sim.session import FORMAT_AES, FORMAT_PLAIN, DukptKeys
from terminal_sim.terminal import KOREA, Terminal

PROGRAMME_FOLDER: Final = Path("config/programmes")
OPENED: Final = "2020-01-01"
PAN_LENGTH: Final = 16
KEY_SEED: Final = 1
TPDU: Final = bytes.fromhex("6000010002")


class Names:
    """What the names of a scenario are called in the books. The same file always gives the same ones."""

    def __init__(self, tag: str, bin_digits: str) -> None:
        self.tag = tag
        self.bin_digits = bin_digits

    def _tagged(self, name: str) -> str:
        return f"{name}-{self.tag}" if self.tag else name

    def _digest(self, kind: str, name: str) -> str:
        return hashlib.sha256(f"{kind}/{self.tag}/{name}".encode()).hexdigest()

    def member(self, name: str) -> str:
        return self._tagged(name)

    def merchant(self, name: str) -> str:
        """DE42, at most 15 characters."""
        tagged = self._tagged(name)
        return tagged if len(tagged) <= 15 else f"M{self._digest('merchant', name)[:14]}"

    def terminal(self, name: str) -> str:
        """DE41, 8 characters."""
        return "T" + self._digest("terminal", name)[:7].upper()

    def case(self, code: str) -> str:
        """Of a donation case, at most 20 characters."""
        return f"{code[:12]}-{self._digest('case', code)[:7].upper()}" if self.tag else code

    def pan(self, name: str) -> str:
        """A test number in the programme's card range, with its Luhn digit."""
        count = PAN_LENGTH - 1 - len(self.bin_digits)
        body = self.bin_digits + f"{int(self._digest('card', name), 16) % 10**count:0{count}d}"
        return next(body + digit for digit in "0123456789" if luhn_valid(body + digit))


class Stage:
    """A built town: the terminals and cards to play with, and how the terminals' lines speak."""

    def __init__(
        self, scenario: Scenario, names: Names, programme_id: str, installation: Installation
    ) -> None:
        """Raises ProgramError when a line needs what this installation has not."""
        self.scenario = scenario
        self.names = names
        self.programme_id = programme_id
        self.cards = {
            name: SimCard(names.pan(name), card.expiry, card.pin, installation.issuer)
            for name, card in scenario.cards.items()
        }
        self.terminals = {name: self._terminal(name, given) for name, given in scenario.terminals.items()}
        self.line_of = {
            terminal.terminal_id: scenario.terminals[name].line for name, terminal in self.terminals.items()
        }
        self.line_settings = {
            name: LineSettings(
                dialect=line.dialect,
                inclusive=line.inclusive,
                tpdu=TPDU if line.tpdu else b"",
                tls=installation.tls() if line.tls else None,
            )
            for name, line in ((name, line or words.Line()) for name, line in scenario.lines.items())
        }

    def _terminal(self, name: str, given: words.Terminal) -> Terminal:
        terminal_id = self.names.terminal(name)
        line = self.scenario.lines.get(given.line) or words.Line()
        store: DukptKeys | None = None
        if given.keys in (TDES, AES):
            kind = TdesStore if given.keys == TDES else AesStore
            store = kind(base_key(KEY_SEED, given.keys), initial_serial(terminal_id, given.keys))
        pin_format = given.pin_format or (FORMAT_AES if given.keys == AES else FORMAT_PLAIN)
        terminal = Terminal(
            *(terminal_id, self.names.merchant(given.merchant), tmk(KEY_SEED, terminal_id)),
            dialect=line.dialect,
            pin_format=pin_format,
            dukpt=store,
        )
        terminal.takes_partial = given.partial
        terminal.batch_no = 1 if given.batches else 0
        return terminal


async def build_stage(
    scenario: Scenario,
    installation: Installation,
    work: Path,
    *,
    base: Path,
    tag: str = "",
    apart: bool = False,
) -> Stage:
    """Sets the clock, applies the programme and imports everybody; the CSV files are left in `work`.

    `base` is the folder of the scenario file, where a path of a programme starts from. With `apart`, rules of
    the scenario's own become a programme that no other file of this installation has. Raises ProgramError.
    """
    work.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once, before anything runs
    await installation.set_clock(scenario.start)
    programme = work / "programme.toml"
    if apart and isinstance(scenario.programme, words.Programme):
        scenario = msgspec.structs.replace(scenario, programme=_of_its_own(scenario.programme, tag))
    text = _programme_text(scenario, base)
    programme.write_text(text, "utf-8")
    (await installation.switch("programme", "apply", str(programme))).check()
    programme_id, bin_digits = _head(text)
    installation.pays_for(programme_id)
    stage = Stage(scenario, Names(tag, bin_digits), programme_id, installation)
    # What depends on what: cards and money on members, terminals on merchants.
    await asyncio.gather(
        _import_all(installation, work, [_members(stage), _cards(stage, installation), _lots(stage)]),
        _import_all(installation, work, [_merchants(stage), _terminals(stage)]),
    )
    return stage


Table = tuple[str, Sequence[str], list[Sequence[Any]]]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A file as `dure-switch import` reads it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


async def _import_all(installation: Installation, work: Path, tables: list[Table]) -> None:
    for kind, header, rows in tables:
        if rows:
            path = work / f"{kind}.csv"
            await asyncio.to_thread(write_csv, path, header, rows)
            (await installation.switch("import", kind, str(path))).check()


MEMBER_COLUMNS: Final = ("member_id", "programme", "points_on")
MEMBER_FACTS: Final = ("holder", "tags")
CARD_COLUMNS: Final = ("programme", "member_id", "pan", "expiry", "pvki", "pvv", "state")
MERCHANT_COLUMNS: Final = (
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
)
TERMINAL_COLUMNS: Final = ("terminal_id", "merchant_id", "tmk", "kcv")
TERMINAL_KEY_COLUMNS: Final = ("key_mode", "key_form", "bdk", "ksn_id")
FUNDING_COLUMNS: Final = ("programme", "reference", "member_id", "kind", "won", "funder", "day")


def _members(stage: Stage) -> Table:
    rows: list[Sequence[Any]] = []
    for name, given in stage.scenario.members.items():
        member = given or words.Member()
        points = "yes" if member.points else "no"
        holder = "company" if member.company else "person"
        rows.append((stage.names.member(name), stage.programme_id, points, holder, ",".join(member.tags)))
    return "members", (*MEMBER_COLUMNS, *MEMBER_FACTS), rows


def _cards(stage: Stage, installation: Installation) -> Table:
    rows: list[Sequence[Any]] = []
    for name, card in stage.scenario.cards.items():
        pan = stage.cards[name].pan
        member = stage.names.member(card.member)
        pvv = installation.pvv(pan, card.pin)
        rows.append((stage.programme_id, member, pan, card.expiry, PVKI, pvv, "", card.form))
    return "cards", (*CARD_COLUMNS, "form"), rows


def _merchants(stage: Stage) -> Table:
    rows: list[Sequence[Any]] = []
    for number, (name, given) in enumerate(stage.scenario.merchants.items(), 1):
        merchant = given or words.Merchant()
        groups = ";".join(f"{group}:{OPENED}" for group in merchant.groups)
        payout_days = "" if merchant.payout_days is None else merchant.payout_days
        rows.append(
            (
                stage.names.merchant(name),
                stage.programme_id,
                name,
                merchant.category,
                merchant.region,
                merchant.head_region,
                merchant.size,
                ";".join(merchant.channels),
                OPENED,
                merchant.annual_sales,
                OPENED,
                f"{100_00_00000 + number:010d}",
                "088",
                f"110{number:09d}",
                stage.names.merchant(name),
                payout_days,
                groups,
            )
        )
    return "merchants", MERCHANT_COLUMNS, rows


def _terminals(stage: Stage) -> Table:
    rows: list[Sequence[Any]] = []
    for name, terminal in stage.terminals.items():
        given, terminal_id = stage.scenario.terminals[name], terminal.terminal_id
        key = tmk(KEY_SEED, terminal_id)
        derived = ("", "")
        if terminal.dukpt:
            derived = (base_key_under_lmk(KEY_SEED, given.keys), initial_serial(terminal_id, given.keys))
        rows.append(
            (
                *(terminal_id, terminal.merchant_id, tmk_under_lmk(key), tmk_check_value(key)),
                *(given.keys, given.key_form, *derived),
            )
        )
    return "terminals", (*TERMINAL_COLUMNS, *TERMINAL_KEY_COLUMNS), rows


def _lots(stage: Stage) -> Table:
    day = stage.scenario.start.astimezone(KOREA).date().isoformat()
    rows: list[Sequence[Any]] = [
        (
            stage.programme_id,
            f"lot-{number}-{stage.names.tag}",
            stage.names.member(lot.member),
            lot.kind,
            lot.won,
            lot.funder,
            day,
        )
        for number, lot in enumerate(stage.scenario.lots, 1)
    ]
    return "funding", FUNDING_COLUMNS, rows


# Programmes


def _programme_text(scenario: Scenario, base: Path) -> str:
    """The programme file: one that exists, found by name or path, or one written from its rules."""
    if isinstance(scenario.programme, words.Programme):
        return programme_toml(scenario.programme)
    return programme_path(scenario.programme, base).read_text("utf-8-sig")


def _of_its_own(programme: words.Programme, tag: str) -> words.Programme:
    """The same rules under an id and a card range that only this tag gives."""
    number = int(hashlib.sha256(tag.encode()).hexdigest(), 16) % 10**6
    return msgspec.structs.replace(
        programme, id=f"{programme.id[:24]}_{number:06d}", bins=(f"95{number:06d}",)
    )


def programme_path(given: str, base: Path) -> Path:
    """The programme file of a name or path, seen from the scenario's folder. Raises ProgramError."""
    named = PROGRAMME_FOLDER / f"{given}.toml"
    for path in (base / given, named, Path(__file__).parent.parent / named):
        if path.is_file():
            return path
    raise ProgramError(f"there is no programme {given}: give a path, or a name in {PROGRAMME_FOLDER}")


def _head(text: str) -> tuple[str, str]:
    programme = tomllib.loads(text)["programme"]
    return programme["id"], programme["bins"][0]
