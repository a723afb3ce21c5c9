"""Holds every terminal's journal against what the switch has: each line, its answer, and what is left of it.

What the switch refused at the door (a wrong MAC, an unknown card) it keeps no payment of; that is no
difference. Money that the switch holds and the terminal does not know of is one, whoever is to blame.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from terminal_sim.journal import REVERSAL, Line, read_journal
from terminal_sim.processes import Finished, ProgramError
from terminal_sim.sandbox import Installation
from terminal_sim.terminal import KOREA, Terminal

DIFFERENCES_SHOWN: Final = 20
EXIT_DIFFERENCES: Final = 3
_NO_MONEY: Final = ("inquiry", REVERSAL, "preauth")  # what is left of them is no sum of their own

Key = tuple[str, str, str, str, str]
"""Terminal, day (MMDD), time (hhmmss), STAN, kind."""


class HostPayment(msgspec.Struct, frozen=True, gc=False):
    """A payment as `dure-switch payment list --json` tells it, as far as a terminal can know it; won."""

    terminal: str
    stan: str
    kind: str
    local_day: str
    local_time: str
    amount: int
    approved: int
    returned: int
    code: str

    @property
    def key(self) -> Key:
        day, time = self.local_day[5:].replace("-", ""), self.local_time.replace(":", "")
        return (self.terminal.rstrip(), day, time, self.stan, self.kind)


class Comparison(msgspec.Struct, frozen=True):
    """How many lines were compared, and the differences, in words."""

    compared: int
    differences: list[str]

    def shown(self) -> list[str]:
        """The differences, the first of them when there are many."""
        more = len(self.differences) - DIFFERENCES_SHOWN
        first = self.differences[:DIFFERENCES_SHOWN]
        return first if more <= 0 else [*first, f"… and {more:,} more of that kind"]


def compare(journals: Mapping[str, Sequence[Line]], host: Iterable[HostPayment]) -> Comparison:
    """Every line of the terminals (journals by terminal id) against the switch's payments from them."""
    known = {one.key: one for one in host if one.terminal.rstrip() in journals}
    found: list[str] = []
    compared = 0
    for terminal_id, lines in journals.items():
        for line in lines:
            stored = known.pop((terminal_id, line.day, line.time, line.stan, line.kind), None)
            compared += 1
            problem = _difference(line, stored)
            if problem:
                found.append(f"{terminal_id}: {line.kind} {line.stan} of {line.won:,} won {problem}")
    found += [
        f"{key[0]}: the switch has {key[4]} {key[3]} of {stored.amount:,} won, its terminal knows of none"
        for key, stored in known.items()
    ]
    return Comparison(compared, found)


def _difference(line: Line, stored: HostPayment | None) -> str:
    if stored is None:
        # A reversal whose payment never came leaves nothing but a mark.
        missing = line.told_yes and line.left > 0 and line.kind not in _NO_MONEY
        return "was approved, the switch has none" if missing else ""
    if line.code and stored.code != line.code:
        return f"was answered {line.code}, the switch has {stored.code}"
    if line.won and stored.amount != line.won:
        return f"stands at the switch with {stored.amount:,} won"
    if line.kind in _NO_MONEY:
        return ""
    left = stored.approved - stored.returned
    if not line.code and not line.reversed and left > 0:
        return f"got no answer, and the switch holds {left:,} won for it"
    expected = 0 if line.reversed and not line.code else line.left
    return f"leaves {expected:,} won, at the switch {left:,}" if left != expected else ""


def journals_of(terminals: Iterable[Terminal]) -> dict[str, list[Line]]:
    """The journals of these terminals, by terminal id without its blanks. Raises ValueError when one is full:
    what was pushed out cannot be compared."""
    found: dict[str, list[Line]] = {}
    for terminal in terminals:
        if terminal.journal_full:
            raise ValueError(f"terminal {terminal.terminal_id}: its journal is full; play fewer payments")
        lines = read_journal(terminal.journal, terminal.codec.decode)
        found.setdefault(terminal.terminal_id.rstrip(), []).extend(lines)
    return found


async def host_payments(installation: Installation, days: Iterable[date]) -> list[HostPayment]:
    """What the switch has of these local days. Raises ProgramError when its command fails."""
    found: list[HostPayment] = []
    for day in sorted(set(days)):
        told = await installation.switch("payment", "list", "--date", day.isoformat(), "--all", "--json")
        found += await asyncio.to_thread(_decoded, told.check())
    return found


async def keys_of_days(installation: Installation) -> frozenset[Key]:
    """What is in the books of yesterday, today and tomorrow before a run begins: an earlier run's."""
    today = datetime.now(KOREA).date()
    days = [today + timedelta(days=offset) for offset in (-1, 0, 1)]
    return frozenset(one.key for one in await host_payments(installation, days))


def _decoded(told: Finished) -> list[HostPayment]:
    try:
        return msgspec.json.decode(told.output, type=list[HostPayment])
    except msgspec.DecodeError as error:
        raise ProgramError(f"{told.command}: printed something else than payments ({error})") from None


async def compare_with_host(
    installation: Installation,
    terminals: Iterable[Terminal],
    days: Iterable[date],
    *,
    before: frozenset[Key] = frozenset(),
) -> Comparison:
    """The journals against the books of these local days; payments in `before` are of an earlier run."""
    journals = journals_of(terminals)
    host = [one for one in await host_payments(installation, days) if one.key not in before]
    return compare(journals, host)
