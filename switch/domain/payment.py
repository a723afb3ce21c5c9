"""Payments: their kinds, outcomes, life cycle and identity."""

from enum import IntEnum

import msgspec


class Kind(IntEnum):
    """What a message asks for. The numbers are stored; never renumber.

    A completion and an offline purchase are purchases that come as advices (0220): settlement, refunds, fees
    and cashback see purchases. A pre-authorisation (0100, its increments too) holds money and moves none. A
    gift is a payment to a donation case: no fee, no cashback, in no limit.
    """

    PURCHASE = 1
    REFUND = 2
    TOPUP = 3
    INQUIRY = 4
    REVERSAL = 5
    PREAUTH = 6
    VOID = 7
    GIFT = 8


class Outcome(IntEnum):
    """How a stored payment stands. The numbers are stored; never renumber. FIRST and NEXT say the rest."""

    APPROVED = 1
    DECLINED = 2
    RETURNED_PARTLY = 3
    RETURNED = 4
    ACKNOWLEDGED = 5  # an answer of 00 that moved no money
    EXCEPTION = 6  # the same, but a person must look at it
    COMPLETED = 7  # a pre-authorisation whose purchase has come


_P, _R, _T, _A, _V = Kind.PURCHASE, Kind.REFUND, Kind.TOPUP, Kind.PREAUTH, Kind.VOID
_G = Kind.GIFT

# The life cycle. A payment is born with one of the outcomes of its kind …
FIRST: dict[Kind, frozenset[Outcome]] = {
    # An advice (0220) is never declined but for its own reversal having come first.
    Kind.PURCHASE: frozenset({Outcome.APPROVED, Outcome.DECLINED, Outcome.ACKNOWLEDGED, Outcome.EXCEPTION}),
    Kind.REFUND: frozenset({Outcome.APPROVED, Outcome.DECLINED}),
    Kind.TOPUP: frozenset({Outcome.APPROVED, Outcome.DECLINED}),
    Kind.INQUIRY: frozenset({Outcome.APPROVED, Outcome.DECLINED}),
    Kind.REVERSAL: frozenset({Outcome.APPROVED, Outcome.ACKNOWLEDGED, Outcome.EXCEPTION}),
    Kind.PREAUTH: frozenset({Outcome.APPROVED, Outcome.DECLINED}),
    Kind.VOID: frozenset({Outcome.APPROVED, Outcome.DECLINED}),
    Kind.GIFT: frozenset({Outcome.APPROVED, Outcome.DECLINED}),
}

# … and moves only along these lines, each open to the kinds that it names.
NEXT: dict[Outcome, dict[Outcome, frozenset[Kind]]] = {
    Outcome.APPROVED: {
        Outcome.RETURNED_PARTLY: frozenset({_P, _A}),  # refund; partial reversal; part of a hold released
        Outcome.RETURNED: frozenset({_P, _A, _T, _R, _V, _G}),  # refund, void, reversal; the hold released
        Outcome.COMPLETED: frozenset({_A}),  # its completion came
    },
    Outcome.RETURNED_PARTLY: {
        Outcome.RETURNED_PARTLY: frozenset({_P, _A}),
        Outcome.RETURNED: frozenset({_P, _A}),
        Outcome.APPROVED: frozenset({_P}),  # the refund was reversed
        Outcome.COMPLETED: frozenset({_A}),
    },
    Outcome.RETURNED: {
        Outcome.RETURNED_PARTLY: frozenset({_P, _A}),  # the last of several returns was reversed
        Outcome.APPROVED: frozenset({_P, _A}),  # the refund or void was reversed
    },
    Outcome.DECLINED: {},  # nothing was booked, for good
    Outcome.ACKNOWLEDGED: {},
    Outcome.EXCEPTION: {},
    Outcome.COMPLETED: {},  # what comes back now comes back of its purchase
}

POSTED = frozenset({Outcome.APPROVED, Outcome.RETURNED_PARTLY, Outcome.RETURNED})
"""Outcomes of a payment that was booked, whatever has been taken back since."""


class PaymentKey(msgspec.Struct, frozen=True, gc=False):
    """The idempotency key: what makes two messages the same payment (ISO 8583 DE13, DE12, DE41, DE11).

    `local_day` is yyyymmdd, `local_time` hhmmss, both Asia/Seoul as the terminal printed them.
    """

    bucket: int
    local_day: int
    local_time: int
    terminal_id: str
    stan: int
    kind: int


BUCKETS = 1024


def bucket_of(wallet_id: int) -> int:
    """The shard bucket (0..1023) of a wallet: Fibonacci hashing, so that neighbours spread out."""
    return ((wallet_id * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF_FFFF) >> 54
