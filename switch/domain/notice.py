"""What a merchant's soundbox is told of a payment: a pure function of the decision.

A notice tells of money that has come to the merchant or gone from it, whatever message moved it, and names
neither card nor member. Its id follows from the payment's key: the same in every transmission.
"""

from enum import IntEnum
from hashlib import blake2b

import msgspec

from switch.domain.decision import Decision
from switch.domain.payment import BUCKETS, Kind, Outcome, PaymentKey

_ID_BYTES = 12  # 96 bits: no two payments of a lifetime share an id


class MessageKind(IntEnum):
    """What an outbox row is. The numbers are stored; never renumber."""

    NOTICE = 1
    COMMAND = 2
    CONFIG = 3


class Notice(msgspec.Struct, frozen=True, gc=False):
    """`won` > 0 always; `type` says which way it went. `at` is yyyymmddhhmmss as the terminal printed it."""

    type: str  # payment | refund | void | cancel | refund_cancel
    won: int
    at: str
    terminal_id: str
    stan: int
    rrn: str


def notice_of(decision: Decision) -> Notice | None:
    """The notice of a decision, or None when no money of the merchant moved."""
    stored = decision.stored
    if stored.outcome != Outcome.APPROVED:
        return None
    came = sum([won for _, _, won in decision.spent])
    gone = sum([won for _, _, won in decision.restored]) + sum([won for _, won in decision.treasury])
    won = came - gone
    if not won:
        return None
    key = stored.key
    if key.kind == Kind.REVERSAL:
        word = "cancel" if won < 0 else "refund_cancel"
    else:
        word = _WORDS.get(key.kind, "payment" if won > 0 else "refund")
    return Notice(
        word, abs(won), f"{key.local_day}{key.local_time:06d}", key.terminal_id, key.stan, stored.rrn
    )


_WORDS: dict[int, str] = {Kind.PURCHASE: "payment", Kind.REFUND: "refund", Kind.VOID: "void"}


def event_id(key: PaymentKey) -> str:
    """The id of a payment's notice: 27 hex digits, of which the first three are the payment's bucket."""
    named = f"{key.local_day}:{key.local_time}:{key.terminal_id}:{key.stan}:{key.kind}"
    return f"{key.bucket:03x}{_hash(named)}"


def message_id(terminal_id: str, what: str) -> str:
    """The id of a message that no payment caused: the same for the same terminal and cause."""
    digest = _hash(f"{terminal_id}:{what}")
    return f"{int(digest[:4], 16) % BUCKETS:03x}{digest}"


def bucket_of_id(message: str) -> int:
    """The bucket (0..1023) that an id names. Raises ValueError when it is no id."""
    bucket = int(message[:3], 16)
    if len(message) != 3 + 2 * _ID_BYTES or not 0 <= bucket < BUCKETS:
        raise ValueError("no message id")
    return bucket


def _hash(content: str) -> str:
    return blake2b(content.encode("ascii"), digest_size=_ID_BYTES).hexdigest()
