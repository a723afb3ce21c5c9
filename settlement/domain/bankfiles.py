"""One file for the bank: what may follow what.

    emitted ─▶ approved ─▶ delivering ─▶ delivered ─▶ answered
       │   ◀─     │    ◀─           back: its approval ended; it is known not to have arrived
       └────┬─────┘
          voided

A file is made of frozen rows, so its bytes never change; what would change them voids it and makes another.
"""

from enum import StrEnum


class FileState(StrEnum):
    """How a file stands. The names are stored; never rename."""

    EMITTED = "emitted"
    APPROVED = "approved"
    DELIVERING = "delivering"  # a try has begun and its end is not known to us
    DELIVERED = "delivered"
    ANSWERED = "answered"  # by the bank, for the file as a whole or for each of its payments
    VOIDED = "voided"


_F = FileState
NEXT: dict[FileState, frozenset[FileState]] = {
    _F.EMITTED: frozenset({_F.APPROVED, _F.VOIDED}),
    _F.APPROVED: frozenset({_F.EMITTED, _F.DELIVERING, _F.VOIDED}),  # back: its approval was voided
    _F.DELIVERING: frozenset({_F.APPROVED, _F.DELIVERED}),  # back: it is known not to have arrived
    _F.DELIVERED: frozenset({_F.ANSWERED}),
    _F.ANSWERED: frozenset(),
    _F.VOIDED: frozenset(),
}


class FileStateError(ValueError):
    """A move that the table of states does not have."""


def move(state: FileState, to: FileState) -> FileState:
    """Return `to` if a file in `state` may go there; raises FileStateError."""
    if to not in NEXT[state]:
        raise FileStateError(f"a file that is {state.value} cannot become {to.value}")
    return to
