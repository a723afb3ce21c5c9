"""A terminal's batch: what two sides count, and where they differ.

Debits are payments (at once, offline, completions), credits are refunds and voids, all by the approved
amount. Both are counted in full, and what reversals took back of them beside it. A payment that never got
its answer and was reversed stands in the books on both sides of that line and at the terminal on neither:
so two sides agree when counts and won less the reversed agree, for debits and for credits.

A pre-authorisation moves no merchant's money, nor does the void of one; top-ups and inquiries likewise.
"""

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec

from switch.domain.payment import Kind

DEBITS = frozenset({Kind.PURCHASE, Kind.GIFT})
CREDITS = frozenset({Kind.REFUND, Kind.VOID})
AHEAD_MAX = 1_000
"""By how much the number of a closed batch may lie above the last: a slip beyond it locks no number out."""
DIFFERENCES_KEPT = 1_000
"""Differences kept of one batch, at most; their number is always true."""


def last_closed(before: int, closed: int) -> int:
    """The number up to which a terminal's batches count as closed, once `closed` is (0: none before)."""
    return closed if not before or before < closed <= before + AHEAD_MAX else before


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and won of a batch (ISO 8583 DE74 to 77 and 86 to 89), none negative."""

    credits: int = 0
    credit_won: int = 0
    credits_reversed: int = 0
    credit_reversed_won: int = 0
    debits: int = 0
    debit_won: int = 0
    debits_reversed: int = 0
    debit_reversed_won: int = 0

    @property
    def net(self) -> int:
        """Credits less debits, won: what goes back to cards when positive (DE97, C), else what was paid."""
        return self.credit_won - self.credit_reversed_won - self.debit_won + self.debit_reversed_won

    def agrees_with(self, other: "Totals") -> bool:
        """Whether both sides have the same payments and refunds standing, by number and by won."""
        return self.standing == other.standing

    @property
    def standing(self) -> tuple[int, int, int, int]:
        """What reversals have left: credits, their won, debits, their won."""
        return (
            self.credits - self.credits_reversed,
            self.credit_won - self.credit_reversed_won,
            self.debits - self.debits_reversed,
            self.debit_won - self.debit_reversed_won,
        )


class Record(msgspec.Struct, frozen=True, gc=False):
    """One payment, refund or void of a batch: STAN and DE7 of its message, won approved and taken back."""

    kind: int
    stan: int
    transmission: str
    approved: int
    reversed_won: int = 0

    @property
    def standing(self) -> int:
        """Won that reversals have left of it."""
        return self.approved - self.reversed_won


class Difference(msgspec.Struct, frozen=True, gc=False):
    """One record on which two sides differ; `what` is host_lacks, terminal_lacks or amount_differs."""

    what: str
    kind: int
    stan: int
    transmission: str
    host_won: int
    terminal_won: int


def totals_of(records: Iterable[Record]) -> Totals:
    """The totals of a batch with these records. A payment taken back in several steps is one reversed."""
    counts = {True: [0, 0, 0, 0], False: [0, 0, 0, 0]}  # debits?: number, won, reversed, won reversed
    for record in records:
        sums = counts[record.kind in DEBITS]
        sums[0] += 1
        sums[1] += record.approved
        sums[2] += record.reversed_won > 0
        sums[3] += record.reversed_won
    debit, credit = counts[True], counts[False]
    return Totals(
        credits=credit[0],
        credit_won=credit[1],
        credits_reversed=credit[2],
        credit_reversed_won=credit[3],
        debits=debit[0],
        debit_won=debit[1],
        debits_reversed=debit[2],
        debit_reversed_won=debit[3],
    )


def differences(host: Iterable[Record], terminal: Iterable[Record]) -> list[Difference]:
    """Where two sides differ in what stands of a record; one of which nothing stands need not be there."""
    ours = {(one.kind, one.stan, one.transmission): one.standing for one in host}
    theirs = {(one.kind, one.stan, one.transmission): one.standing for one in terminal}
    found: list[Difference] = []
    for key in sorted(ours.keys() | theirs.keys(), key=lambda key: (key[2], key[1], key[0])):
        have, told = ours.get(key, 0), theirs.get(key, 0)
        if have == told:
            continue
        what = "amount_differs"
        if key not in ours:
            what = "host_lacks"
        elif key not in theirs:
            what = "terminal_lacks"
        found.append(Difference(what, *key, have, told))
    return found


class State(Enum):
    """How a batch stands.

    (new) ─▶ CLOSED                        both sides agree
    (new) ─▶ OPEN_DIFFERS ─▶ CLOSED        they differ, and the terminal's next totals or details do not
                          └▶ CLOSED_DIFFERS  its details do too: each difference is kept
    """

    OPEN_DIFFERS = "open_differs"
    CLOSED = "closed"
    CLOSED_DIFFERS = "closed_differs"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of which a terminal has told its totals: `told` by it, `host` in the books then.

    `business_day` (yyyymmdd) is that of the close which led to this. `uploaded`: all its details have come.
    """

    state: State
    told: Totals
    host: Totals
    business_day: int
    uploaded: bool = False
    differences: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is expected from the terminal."""
        return self.state is not State.OPEN_DIFFERS


class Closed(msgspec.Struct, frozen=True):
    """What a close comes to: the batch as it stands then, and what to keep of its differences.

    `differs`: the terminal closed it before, with other totals.
    """

    batch: Batch
    kept: tuple[Difference, ...] = ()
    differs: bool = False


def close(
    known: Batch | None,
    told: Totals,
    business_day: int,
    host: Sequence[Record],
    details: Sequence[Record],
) -> Closed:
    """Judge the totals that a terminal tells of a batch: `host` are the books' records, `details` its own.

    A closed batch stays as it is. Where the totals differ the terminal is to upload its details; when they
    are there (or it has none: its totals are nothing), the batch closes whatever they say, because a terminal
    that could never close would never trade again.
    """
    if known is not None and known.is_closed:
        return Closed(known, differs=known.told != told)
    ours = totals_of(host)
    batch = Batch(state=State.CLOSED, told=told, host=ours, business_day=business_day)
    if told.agrees_with(ours):
        return Closed(batch)
    if known is None or not (known.uploaded or told == Totals()):
        uploaded = known is not None and known.uploaded
        return Closed(msgspec.structs.replace(batch, state=State.OPEN_DIFFERS, uploaded=uploaded))
    found = differences(host, details)
    state = State.CLOSED_DIFFERS if found else State.CLOSED
    batch = msgspec.structs.replace(batch, state=state, uploaded=known.uploaded, differences=len(found))
    return Closed(batch, tuple(found[:DIFFERENCES_KEPT]))
