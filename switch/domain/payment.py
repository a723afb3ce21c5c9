"""Payments: their kinds, outcomes and identity."""

from enum import IntEnum

import msgspec


class Kind(IntEnum):
    """What a message asks for. The numbers are stored; never renumber."""

    PURCHASE = 1
    REFUND = 2
    TOPUP = 3
    INQUIRY = 4
    REVERSAL = 5
    PREAUTH = 6
    VOID = 7


class Outcome(IntEnum):
    """How a stored payment stands. The numbers are stored; never renumber.

    Life cycle (a payment moves only along these lines):

        (new) ─▶ DECLINED                                  nothing was booked, for good
        (new) ─▶ APPROVED ─▶ RETURNED_PARTLY ─▶ RETURNED   refunds and reversals take it back
                     ▲────────────┴───────────────┘        … and the reversal of a refund gives it again
        (new) ─▶ ACKNOWLEDGED                              a reversal that moved no money
        (new) ─▶ EXCEPTION                                 acknowledged, but a person must look at it
    """

    APPROVED = 1
    DECLINED = 2
    RETURNED_PARTLY = 3
    RETURNED = 4
    ACKNOWLEDGED = 5
    EXCEPTION = 6


NEXT: dict[Outcome, frozenset[Outcome]] = {
    Outcome.APPROVED: frozenset({Outcome.RETURNED_PARTLY, Outcome.RETURNED}),
    Outcome.RETURNED_PARTLY: frozenset({Outcome.APPROVED, Outcome.RETURNED_PARTLY, Outcome.RETURNED}),
    Outcome.RETURNED: frozenset({Outcome.APPROVED, Outcome.RETURNED_PARTLY}),
    Outcome.DECLINED: frozenset(),
    Outcome.ACKNOWLEDGED: frozenset(),
    Outcome.EXCEPTION: frozenset(),
}


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
