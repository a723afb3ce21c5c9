"""Budgets: how much a funder gives in a month, and what a batch may take of it.

A budget line is one code of one funder. What is left of it lies in slices at the lanes and in a rest that all
share; a decision sees only the won that it may take right now (Pools), and says where they did not suffice,
so that whoever runs it can fetch more and ask again.
"""

from collections.abc import Mapping

import msgspec

from switch.domain.money import largest_remainder

CASHBACK = "cashback"
"""The code that tiers and bonuses charge unless they name another."""
ISSUANCE = "issuance"
"""The code of the programme's bound on top-ups; it has no funder."""
WHOLE = 0
"""Stands for the month of a pot that is not filled again each month."""

PoolKey = tuple[int, int]
"""(budget_no, yyyymm or WHOLE)."""
Grants = tuple[tuple[int, int, int], ...]
"""(funder_no, budget_no, won > 0); budget_no 0 where the funder has set no bound."""


class Budget(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One line: won a month, other won in named months (yyyymm), or one pot for good (`whole`).

    reopen: what cancelled payments give back may be granted again.
    """

    code: str
    funder: str
    monthly: int = 0
    months: tuple[tuple[int, int], ...] = ()
    whole: int = 0
    reopen: bool = True

    def amount_of(self, month: int) -> int:
        """Won of a month (yyyymm), or of the pot (WHOLE)."""
        if month == WHOLE:
            return self.whole
        return dict(self.months).get(month, self.monthly)


class Line(msgspec.Struct, frozen=True, gc=False):
    """A budget as reference data know it: its number and whose it is."""

    budget_no: int
    programme_no: int
    funder_no: int
    budget: Budget

    def key(self, month: int) -> PoolKey:
        """The pool that a payment of this usage month (yyyymm) takes from."""
        return self.budget_no, WHOLE if self.budget.whole else month


class Change(msgspec.Struct, gc=False):
    """What a batch did to one pool, in won: granted, given back, and given back for good."""

    granted: int = 0
    returned: int = 0
    retired: int = 0


class Pools:
    """What a batch may take, pool by pool. Decisions read it; whoever carries them out takes and gives.

    `lines` are budgets by number. A pool that is not in `left` has nothing. `changes` is what happened to
    each pool, `short` what was due and not there: of the bound on top-ups, which are booked whole, the least
    that one of them lacked.
    """

    __slots__ = ("changes", "left", "lines", "short")

    def __init__(self, lines: Mapping[int, Line], left: dict[PoolKey, int] | None = None) -> None:
        self.lines = lines
        self.left: dict[PoolKey, int] = left if left is not None else {}
        self.changes: dict[PoolKey, Change] = {}
        self.short: dict[PoolKey, int] = {}

    def room(self, budget_no: int, month: int) -> int:
        """Won that may be taken now."""
        return self.left.get(self.lines[budget_no].key(month), 0)

    def room_again(self, budget_no: int, month: int, won: int) -> int:
        """Of `won` that came back once: what may be taken again. Won that were retired are there for sure."""
        return self.room(budget_no, month) if self.lines[budget_no].budget.reopen else won

    def miss(self, budget_no: int, month: int, won: int) -> None:
        """Note that `won` more were due than there were."""
        line = self.lines[budget_no]
        key = line.key(month)
        before = self.short.get(key, 0)
        self.short[key] = min(before or won, won) if line.budget.code == ISSUANCE else before + won

    def take(self, budget_no: int, month: int, won: int) -> None:
        """Take won that room() has shown. Raises ValueError beyond it: a fault of the program."""
        key = self.lines[budget_no].key(month)
        left = self.left.get(key, 0) - won
        if left < 0:
            raise ValueError(f"budget {budget_no} has {left + won} won left, not {won}")
        self.left[key] = left
        self._change(key).granted += won

    def give(self, budget_no: int, month: int, won: int) -> None:
        """Give won back that were taken once; whether they can be taken again is the budget's rule."""
        line = self.lines[budget_no]
        key = line.key(month)
        change = self._change(key)
        change.returned += won
        if line.budget.reopen:
            self.left[key] = self.left.get(key, 0) + won
        else:
            change.retired += won

    def take_again(self, budget_no: int, month: int, won: int) -> None:
        """Take won that came back once, as room_again() has shown."""
        line = self.lines[budget_no]
        if line.budget.reopen:
            self.take(budget_no, month, won)
            return
        change = self._change(line.key(month))
        change.returned -= won
        change.retired -= won

    def _change(self, key: PoolKey) -> Change:
        return self.changes.setdefault(key, Change())


NO_POOLS = Pools({})
"""Of a programme without budgets."""


def pots_of(code: str, total: int, shares: tuple[tuple[str, int], ...]) -> tuple[Budget, ...]:
    """The pots of a campaign bounded to `total` won: each funder's part of it, by largest remainder.

    A part of 0 won is a bound too: a funder without a pot would pay without one.
    """
    parts = largest_remainder(total, [ppm for _, ppm in shares])
    return tuple(
        Budget(code=code, funder=funder, whole=won) for (funder, _), won in zip(shares, parts, strict=True)
    )
