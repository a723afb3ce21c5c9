"""How a simulated bank behaves: one TOML file with its accounts and with everything that is to go wrong.

What it does follows from the file and from what it was sent, so that the same day plays the same again.
"""

import hashlib
import tomllib
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

import holidays
import msgspec

MILLION: Final = 1_000_000
Won = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Days = Annotated[int, msgspec.Meta(ge=0, le=60)]
Ppm = Annotated[int, msgspec.Meta(ge=0, le=MILLION)]
Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{4}$")]
Reference = Annotated[str, msgspec.Meta(min_length=1, max_length=140)]


class ScriptError(ValueError):
    """A script that cannot be played: says where and why."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Account(_Part, frozen=True, kw_only=True):
    """An account that gets statements: its number, its owner's name, won before the first day."""

    number: str
    name: str
    opening: Won = 0


class Credit(_Part, frozen=True, kw_only=True):
    """Money from outside: top-ups collected, a funder's prepayment. `remittance` says what it is."""

    account: str
    on: date
    won: Annotated[int, msgspec.Meta(gt=0, le=10**15)]
    remittance: Reference


class Charge(_Part, frozen=True, kw_only=True):
    """What the bank takes for itself, named by nobody."""

    account: str
    on: date
    won: Annotated[int, msgspec.Meta(gt=0, le=10**15)]
    about: Reference = "charges"


class PayeeRule(_Part, frozen=True, kw_only=True):
    """What becomes of payments to one account: rejected at once, or returned `days` bank days after."""

    account: str
    does: Literal["reject", "return"]
    code: Code
    days: Days = 1
    announce: bool = True  # a return by camt.054 too, ahead of the statement


class FileRule(_Part, frozen=True, kw_only=True):
    """What becomes of the answer (pain.002) to the `number`th file, counted from 1; 0 is every file.

    twice: the same message twice. again: once more under another MsgId. late: `days` bank days after.
    silent: not before somebody asks.
    """

    number: Annotated[int, msgspec.Meta(ge=0)]
    answer: Literal["at_once", "twice", "again", "late", "silent"]
    days: Days = 2


class StatementRule(_Part, frozen=True, kw_only=True):
    """A statement that is sent twice."""

    account: str
    on: date


class Chance(_Part, frozen=True, kw_only=True):
    """Payees for whom no rule stands, by millionth parts; who it is follows from seed and account number."""

    seed: int = 1
    reject_ppm: Ppm = 0
    return_ppm: Ppm = 0
    return_days: Days = 1


class Script(_Part, frozen=True, kw_only=True):
    """All of it. `code` is the bank's own clearing code; `booking` one entry a batch, or one a payment, or as
    the order asks; `batch_details` names the payments of a batch entry; `report` tells all payments in a
    pain.002, or only those that were refused.
    """

    code: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{3}$")]
    name: str = "Simulated Bank"
    first_day: date
    closed: tuple[date, ...] = ()
    booking: Literal["as_ordered", "batch", "single"] = "as_ordered"
    batch_details: bool = True
    report: Literal["all", "refused"] = "all"
    account: tuple[Account, ...]
    credit: tuple[Credit, ...] = ()
    charge: tuple[Charge, ...] = ()
    payee: tuple[PayeeRule, ...] = ()
    file: tuple[FileRule, ...] = ()
    statement_twice: tuple[StatementRule, ...] = ()
    chance: Chance = Chance()

    def is_open(self, day: date) -> bool:
        """Whether the bank works: no week-end, no public or bank holiday, no day that `closed` names."""
        return day.weekday() < 5 and day not in _holidays(day.year) and day not in self.closed

    def open_from(self, day: date) -> date:
        """The first bank day that is not before `day`."""
        while not self.is_open(day):
            day += timedelta(days=1)
        return day

    def later(self, day: date, days: int) -> date:
        """The bank day `days` bank days after `day`."""
        day = self.open_from(day)
        for _ in range(days):
            day = self.open_from(day + timedelta(days=1))
        return day

    def rules(self) -> dict[str, PayeeRule]:
        """What holds for a payee's account, by its number."""
        return {rule.account: rule for rule in self.payee}

    def by_chance(self, account: str) -> PayeeRule | None:
        """What chance has in store for an account that no rule names."""
        chance = self.chance
        digest = hashlib.sha256(f"{chance.seed}/{account}".encode()).digest()
        at = int.from_bytes(digest[:8]) % MILLION
        if at < chance.reject_ppm:
            return PayeeRule(account=account, does="reject", code="AC04")
        if at < chance.reject_ppm + chance.return_ppm:
            return PayeeRule(account=account, does="return", code="AC06", days=chance.return_days)
        return None

    def answer_to(self, number: int) -> FileRule:
        """How the `number`th file is answered: by the last rule that fits."""
        fitting = [rule for rule in self.file if rule.number in (0, number)]
        return fitting[-1] if fitting else FileRule(number=number, answer="at_once")


def load(path: Path) -> Script:
    """Read a script. Raises ScriptError: one line that says what to mend."""
    try:
        script = msgspec.convert(tomllib.loads(path.read_text("utf-8-sig")), Script)
    except OSError as error:
        raise ScriptError(f"{path}: cannot be read ({error.strerror}): name the bank's script") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScriptError(f"{path}: is no TOML in UTF-8: {error}") from None
    except msgspec.ValidationError as error:
        raise ScriptError(f"{path}: {error}: correct it there") from None
    known = {account.number for account in script.account}
    if len(known) != len(script.account):
        raise ScriptError(f"{path}: an account number stands there twice")
    moved: list[Credit | Charge | StatementRule] = [*script.credit, *script.charge, *script.statement_twice]
    named = [entry.account for entry in moved]
    unknown = sorted(set(named) - known)
    if unknown:
        raise ScriptError(f"{path}: account {unknown[0]} has a movement, but no [[account]] of its own")
    return script


@cache
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("KR", years=year, categories=("public", "bank")))
