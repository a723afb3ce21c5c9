"""Budgets in a replay: asked in order of time over all wallets, so that the last won falls where it would.

Wallets are replayed one by one; each payment leaves a short Step. All steps, sorted by moment, then go
through Till, which grants what a budget still has, keeps what remains after returns, and knows when a
budget ended.
"""

from typing import Final

import msgspec

from switch.domain.budget import Grants, Line, Pools
from switch.domain.granting import grant, grant_again, keep, minus, plus, total
from switch.domain.payment import Kind
from switch.domain.replay_values import AS_BOOKED, Verdict

GRANT: Final = 0
KEEP: Final = 1
AGAIN: Final = 2
FIXED: Final = 3

DAY: Final = 1_000_000
"""Moments are yyyymmddhhmmss: a day times this is its midnight."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """What a payment asks of the budgets.

    `form`: GRANT what is due, KEEP what the remainder is due, AGAIN (a return undone), FIXED as the books
    have it. `of` is the posting number of the purchase; `returns`: something will come back of it. `then` is
    the won of cashback that the payment came to, negative where they were taken back. Not `counted`: it only
    brings the budgets to where the replay begins.
    """

    moment: int
    wallet_id: int
    seq: int
    form: int
    merchant_no: int
    business_day: int
    month: int
    of: int
    rated: int
    then: int
    due: Grants
    returns: bool = False
    counted: bool = True


def moment_of_arrival(business_day: int, local_day: int, local_time: int) -> int:
    """When a payment asked for cashback (yyyymmddhhmmss): its own time, or the start of its business date if
    it came later. The books keep no finer order."""
    return max(local_day * DAY + local_time, business_day * DAY)


def step_of(verdict: Verdict, moment: int, *, returns: bool, counted: bool) -> Step | None:
    """The step of a verdict; None where no cashback is or was at stake."""
    stored = verdict.past.stored
    if not (verdict.due or verdict.of or stored.cashback):
        return None
    if not verdict.of:
        form = GRANT
    elif verdict.rated == AS_BOOKED:
        form = FIXED
    else:
        form = AGAIN if verdict.again else KEEP
    return Step(
        moment, stored.wallet_id, stored.seq, form, stored.merchant_no, stored.business_day,
        stored.usage_month, verdict.of, max(verdict.rated, 0), stored.cashback, verdict.due,
        returns and stored.key.kind == Kind.PURCHASE, counted,
    )  # fmt: skip


class Burn(msgspec.Struct):
    """What became of one budget's month: won granted (less what came back), won due and missed, the moment
    (yyyymmddhhmmss) at which it first fell short; 0 never."""

    granted: int = 0
    missed: int = 0
    ended: int = 0


class _Filled(Pools):
    """Budgets with the whole of each month until something asks for it."""

    __slots__ = ()

    def fill(self, budget_no: int, month: int) -> None:
        key = self.lines[budget_no].key(month)
        if key not in self.left:
            self.left[key] = self.lines[budget_no].budget.amount_of(key[1])

    def room(self, budget_no: int, month: int) -> int:
        self.fill(budget_no, month)
        return super().room(budget_no, month)

    def give(self, budget_no: int, month: int, won: int) -> None:
        self.fill(budget_no, month)
        super().give(budget_no, month, won)


class Till:
    """Takes steps in order of time and says what each comes to. `lines` are the budgets by number."""

    def __init__(self, lines: dict[int, Line]) -> None:
        self._pools = _Filled(lines)
        self._kept: dict[tuple[int, int], Grants] = {}
        self.burns: dict[tuple[int, int], Burn] = {}

    def have(self, left: dict[tuple[int, int], int]) -> None:
        """Begin with what is left of budgets that have been taken from before."""
        self._pools.left.update(left)

    def take(self, step: Step) -> Grants:
        """(funder_no, budget_no, won) of the step: negative won are taken back."""
        wanted = self._known(step.due)
        key = (step.wallet_id, step.of or step.seq)
        if step.form == GRANT:
            granted, missed = grant({(f, b): won for f, b, won in wanted}, self._pools, step.month)
            for _, budget, won in granted:
                if budget:
                    self._pools.take(budget, step.month, won)
                    self._burn(budget, step.month).granted += won
            self._miss(missed, step)
            if step.returns and granted:
                self._kept[key] = granted
            return granted
        before = self._kept.get(key, ())
        if step.form == AGAIN:
            more = tuple([part for part in minus(wanted, before) if part[2] > 0])
            again, missed = grant_again(more, self._pools, step.month)
            self._miss(missed, step)
            taken: Grants = tuple([(funder, budget, -won) for funder, budget, won in again])
        elif step.form == KEEP:
            taken = minus(before, keep(before, step.rated, {(f, b): won for f, b, won in wanted}))
        else:
            taken = wanted
        return self._take_back(key, before, taken, step.month)

    def _take_back(self, key: tuple[int, int], before: Grants, taken: Grants, month: int) -> Grants:
        booked: list[tuple[int, int, int]] = []
        for funder, budget, asked in taken:
            won = asked
            if budget and won > 0:
                self._pools.give(budget, month, won)
            elif budget:
                won = -min(-won, self._pools.room_again(budget, month, -won))
                self._pools.take_again(budget, month, -won)
            if budget:
                self._burn(budget, month).granted -= won
            if won:
                booked.append((funder, budget, -won))
        if before or booked:
            left = plus(before, tuple(booked))
            self._kept[key] = tuple([part for part in left if part[2] > 0])
        return tuple(booked)

    def _known(self, due: Grants) -> Grants:
        """A budget that the rules do not have (any more) bounds nothing."""
        lines = self._pools.lines
        if all(not budget or budget in lines for _, budget, _ in due):
            return due
        free: Grants = ()
        for funder, budget, won in due:
            free = plus(free, ((funder, budget if budget in lines else 0, won),))
        return free

    def _miss(self, missed: Grants, step: Step) -> None:
        for _, budget, won in missed:
            burn = self._burn(budget, step.month)
            burn.missed += won
            burn.ended = burn.ended or step.moment

    def _burn(self, budget_no: int, month: int) -> Burn:
        return self.burns.setdefault(self._pools.lines[budget_no].key(month), Burn())


class Found(msgspec.Struct):
    """Cashback of all counted steps under the replayed rules, in won.

    `now` by (business day, funder_no); `members` and `merchants` the difference to what it was, by wallet_id
    and merchant_no, where there is one.
    """

    now: dict[tuple[int, int], int] = {}
    members: dict[int, int] = {}
    merchants: dict[int, int] = {}

    def add(self, step: Step, grants: Grants) -> None:
        """Count what a step came to."""
        if not step.counted:
            return
        for funder, _, won in grants:
            key = (step.business_day, funder)
            self.now[key] = self.now.get(key, 0) + won
        more = total(grants) - step.then
        if more:
            self.members[step.wallet_id] = self.members.get(step.wallet_id, 0) + more
            self.merchants[step.merchant_no] = self.merchants.get(step.merchant_no, 0) + more
