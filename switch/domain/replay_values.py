"""What a replay works on: payments as the books have them, a wallet on its way, and what is found of each."""

from typing import Protocol

import msgspec

from switch.domain.budget import Grants, Pools
from switch.domain.decision import Detail
from switch.domain.granting import first_grants, total
from switch.domain.money import WON_MAX
from switch.domain.payment import Kind
from switch.domain.request import Stored, Terms
from switch.domain.wallet import Wallet

RETURNS = frozenset({Kind.REFUND, Kind.VOID, Kind.REVERSAL})
AS_BOOKED = -1
"""In Verdict.rated: what was taken of a purchase is fixed, as the books have it."""


class Rules(Protocol):
    """Where the terms of a payment come from."""

    def terms(self, programme_no: int, merchant_no: int, day: int, time: int, channel: str) -> Terms:
        """What holds at a payment's own local day (yyyymmdd) and time (hhmmss). Raises NoPolicy."""

    def terms_of(self, policy_no: int, merchant_no: int, day: int, channel: str) -> Terms:
        """What held for a payment under a given policy version."""


class Past(msgspec.Struct, gc=False):
    """A payment as the books have it."""

    stored: Stored
    detail: Detail


class Booked(msgspec.Struct, frozen=True, gc=False):
    """A posting that is no payment: what it moved into (won > 0) or out of lots."""

    seq: int
    business_day: int
    moves: tuple[tuple[int, int], ...]


class Verdict(msgspec.Struct, gc=False):
    """What a payment comes to under the replayed rules, beside what it came to.

    `judged`: decided anew, else as booked. `fell_away`: it follows a payment that no longer happens. `due`:
    cashback as rated, won by (funder_no, budget_no). Of what takes back or gives back: `of` is the posting
    number of the purchase, `rated` and `due` what it rates before and after; `again` says that it stands
    again.
    """

    past: Past
    approved: int
    reason: int
    judged: bool = True
    fell_away: bool = False
    due: Grants = ()
    of: int = 0
    rated: int = 0
    again: bool = False
    detail: Detail | None = None

    @property
    def cashback(self) -> int:
        """Won of cashback that a purchase is due, bounded by no budget."""
        return 0 if self.of else total(self.due)


class Boundless(Pools):
    """Budgets that never end: what a payment is due is granted whole."""

    __slots__ = ()

    def room(self, budget_no: int, month: int) -> int:
        """As much as anybody asks for."""
        return WON_MAX

    def room_again(self, budget_no: int, month: int, won: int) -> int:
        """All of it."""
        return won

    def take(self, budget_no: int, month: int, won: int) -> None:
        """Nothing gets less."""

    def give(self, budget_no: int, month: int, won: int) -> None:
        """Nothing gets more."""

    def take_again(self, budget_no: int, month: int, won: int) -> None:
        """Nothing gets less."""

    def miss(self, budget_no: int, month: int, won: int) -> None:
        """Never."""


BOUNDLESS = Boundless({})


class State(msgspec.Struct):
    """A wallet on its way through its history.

    `payments` are those met so far, by posting number, as they now stand; `dropped` what no longer happens;
    `rerated` won of cashback by business day that were rated otherwise and that no credit has settled.
    `first_month` (yyyymm): payments dated before it were judged by usage that the replay does not know.
    """

    wallet: Wallet
    first_month: int
    payments: dict[int, Stored] = {}
    completed: dict[int, int] = {}
    dropped: set[int] = set()
    rerated: dict[int, int] = {}


def taken_of(past: Past) -> Grants:
    """What a return took of a purchase's cashback; negative won where it was granted again."""
    if past.detail.grants and past.stored.cashback > 0:
        return tuple([(funder, budget, -won) for funder, budget, won in past.detail.grants])
    return first_grants(past.detail)
