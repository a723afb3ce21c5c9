"""One payout, or one transfer between own accounts, on its way through the bank: what may follow what.

    ordered ─▶ sent ─▶ accepted ─▶ booked ─▶ returned
                 │         │
                 └────┬────┴──────▶ rejected

`booked` is the bank's statement, which outranks every earlier answer: it may come without any. A rejected
or returned payout is over; the money is paid again, if at all, by a new attempt with an identity of its own.
The same answer again changes nothing; one that contradicts the statement is a conflict for a person.
"""

from enum import StrEnum


class PayoutState(StrEnum):
    """How a payout stands. The names are stored; never rename."""

    ORDERED = "ordered"  # frozen; perhaps in a file, which has not left
    SENT = "sent"  # its file is at the bank
    ACCEPTED = "accepted"
    REJECTED = "rejected"  # never left the debtor's account
    BOOKED = "booked"  # left it, says the statement
    RETURNED = "returned"  # left it and came back


class PayoutEvent(StrEnum):
    """What is noted of a payout beside its state. The names are stored; never rename."""

    MOVED = "moved"  # to another bank day, before its file left
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    BOOKED = "booked"
    ANNOUNCED = "announced"  # a return that the bank tells ahead of its statement
    RETURNED = "returned"
    CONFIRMED = "confirmed"  # it failed, and a person says that its account is right all the same
    REPRESENTED = "represented"  # by a new attempt
    CONFLICT = "conflict"  # an answer that cannot be true beside what is known


_S = PayoutState
NEXT: dict[PayoutState, frozenset[PayoutState]] = {
    _S.ORDERED: frozenset({_S.SENT}),
    _S.SENT: frozenset({_S.ACCEPTED, _S.REJECTED, _S.BOOKED}),
    _S.ACCEPTED: frozenset({_S.REJECTED, _S.BOOKED}),
    _S.REJECTED: frozenset(),
    _S.BOOKED: frozenset({_S.RETURNED}),
    _S.RETURNED: frozenset(),
}

FINAL = frozenset({_S.REJECTED, _S.BOOKED, _S.RETURNED})
"""The bank owes no further word about these."""


class Change(StrEnum):
    """What an answer means for a payout."""

    MOVE = "move"
    NOTHING = "nothing"  # told before, or overtaken by a later word: harmless
    CONFLICT = "conflict"


def judge(state: PayoutState, told: PayoutState) -> Change:
    """What to do when the bank says `told` of a payout in `state`."""
    if told in NEXT[state]:
        return Change.MOVE
    overtaken = told is _S.ACCEPTED and state in FINAL | {_S.ACCEPTED}
    if told is state or overtaken or (told is _S.BOOKED and state is _S.RETURNED):
        return Change.NOTHING
    return Change.CONFLICT
