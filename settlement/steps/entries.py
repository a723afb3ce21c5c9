"""Books what entries of a statement were matched to: money, states and events, in one transaction."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

import msgspec

from settlement.domain.matching import Booking, Entry, Match, Means
from settlement.domain.payouts import PayoutEvent, PayoutState
from settlement.frame import Frame
from settlement.store import bank
from settlement.store.bank import Moved
from settlement.store.house import book_each
from switch.ledger import journal
from switch.ledger.chart import Account

_A = Account


class Placed(msgspec.Struct, frozen=True):
    """An entry with its place and what it was matched to."""

    account: str
    statement_id: str
    entry: Entry
    match: Match

    @property
    def posting(self) -> str:
        """The name of its posting."""
        return f"reconcile:{self.account}:{self.statement_id}:{self.entry.entry_no}"


def carry_out(
    frame: Frame, placed: Sequence[Placed], account: Account, funder_no: int, inbound_no: int
) -> None:
    """Book entries on the ledger's `account`; those without a match against suspense."""
    postings = {
        one.posting: [
            *(
                money(booking, account, funder_no, frame.facts.funder_no)
                for booking in one.match.bookings
                if booking.means is not Means.COLLECTION
            ),
            *([] if one.match.bookings else [suspend(account, funder_no, one.entry.won)]),
        ]
        for one in placed
    }
    book_each(frame.connection, frame.key.programme_no, frame.open_date(), postings)
    settle(
        frame,
        [(one.entry.booked_on, booking) for one in placed for booking in one.match.bookings],
        inbound_no,
    )


def rebook(frame: Frame, one: Placed, account: Account, funder_no: int, inbound_no: int) -> None:
    """Take an entry out of suspense and book it as what it is."""
    entries = [release(account, funder_no, one.entry.won)]
    entries += [
        money(booking, account, funder_no, frame.facts.funder_no)
        for booking in one.match.bookings
        if booking.means is not Means.COLLECTION
    ]
    book_each(
        frame.connection, frame.key.programme_no, frame.open_date(), {f"{one.posting}:matched": entries}
    )
    settle(frame, [(one.entry.booked_on, booking) for booking in one.match.bookings], inbound_no)


def suspend(account: Account, funder_no: int, won: int) -> journal.Entry:
    """An entry that nobody can name yet: `won` above 0 came in."""
    if won > 0:
        return journal.entry(account, _A.SUSPENSE, won, funder_no=funder_no)
    return journal.entry(_A.SUSPENSE, account, -won, funder_no=funder_no)


def release(account: Account, funder_no: int, won: int) -> journal.Entry:
    """The same the other way round."""
    if won > 0:
        return journal.entry(_A.SUSPENSE, account, won, funder_no=funder_no)
    return journal.entry(account, _A.SUSPENSE, -won, funder_no=funder_no)


def money(booking: Booking, account: Account, funder_no: int, funders: dict[str, int]) -> journal.Entry:
    """What a booking moves on the ledger's account. Raises ValueError for a collection: it moves nothing."""
    won = booking.won
    merchant = booking.item.merchant_no if booking.item else 0
    announced = booking.item is not None and booking.item.announced
    match booking.means:
        case Means.PAYOUT:
            return journal.entry(_A.PAYOUT_SENT, account, won, merchant_no=merchant)
        case Means.RETURN if announced:
            return journal.entry(account, _A.BANK_CLEARING, won)
        case Means.RETURN:
            return journal.entry(account, _A.PAYOUT_RETURNED, won, merchant_no=merchant)
        case Means.OUT:
            return journal.entry(_A.BANK_CLEARING, account, won, funder_no=funder_no)
        case Means.IN:
            return journal.entry(account, _A.BANK_CLEARING, won, funder_no=funder_no)
        case Means.PREPAYMENT:
            return journal.entry(account, _A.FUNDER_PREPAID, won, funder_no=funder_no)
        case Means.CLAIM:
            return journal.entry(account, _A.FUNDER_DUE, won, funder_no=funders[booking.name])
        case _:
            raise ValueError(f"{booking.means} moves no money of the house")


def settle(frame: Frame, bookings: Sequence[tuple[date, Booking]], inbound_no: int) -> None:
    """Move what was booked to its state and note it; `bookings` with the bank's day."""
    connection, number, at = frame.connection, frame.key.programme_no, frame.now()
    by_day: dict[tuple[date, Means], list[Moved]] = defaultdict(list)
    for on, booking in bookings:
        if booking.item is not None:
            by_day[on, booking.means].append(Moved(booking.item, booking.reason))
    for (on, means), moved in sorted(by_day.items(), key=lambda one: (one[0][1] in _SECOND, one[0][0])):
        if means in (Means.PAYOUT, Means.OUT):
            bank.move(connection, number, moved, PayoutState.BOOKED, booked_on=on)
            bank.note(connection, number, PayoutEvent.BOOKED, at, inbound_no, moved)
        elif means is Means.RETURN:
            bank.move(connection, number, moved, PayoutState.RETURNED, returned_on=on)
            bank.note(connection, number, PayoutEvent.RETURNED, at, inbound_no, moved)
        else:
            bank.received(connection, number, moved, on)


_SECOND = frozenset({Means.RETURN, Means.IN})
"""A payment may go out and come back in one statement."""
