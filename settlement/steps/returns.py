"""Applies announcements of returns (camt.054, pacs.004): the money is on its way back, the merchant unpaid.

The statement brings it home; where it has done so already the announcement is late and changes nothing.
"""

from typing import BinaryIO

from settlement.domain.matching import Item
from settlement.domain.payouts import PayoutEvent, PayoutState
from settlement.domain.statement import StatementError
from settlement.files import camt, pacs004
from settlement.files.camt import Notice, Returned
from settlement.frame import Frame
from settlement.people.audit import note as note_audit
from settlement.steps.accounts import find_account
from settlement.steps.taken import THEIRS, Applied
from settlement.store import bank, inbound
from settlement.store.bank import Moved
from settlement.store.house import book_each
from settlement.store.runs import open_for_booking
from switch.ledger.chart import Account
from switch.ledger.journal import entry

CAMT, PACS = "camt.054", "pacs.004"

_GONE = frozenset({PayoutState.SENT, PayoutState.ACCEPTED, PayoutState.BOOKED})


def apply_camt(frame: Frame, file: inbound.Inbound, source: BinaryIO) -> Applied:
    """Apply a camt.054; what it tells beside returns comes again on the statement. Raises StatementError."""
    notice = camt.read_notice(source)
    with frame.connection.begin():
        there = bank.programme_ids(frame.connection)
    own = find_account(frame.settings, there, notice.account, notice.bank)
    return _apply(frame, file, CAMT, notice, own.programme_id)


def apply_pacs(frame: Frame, file: inbound.Inbound, source: BinaryIO) -> Applied:
    """Apply a pacs.004. Raises StatementError where it names no payment of ours."""
    notice = pacs004.read(source)
    with frame.connection.begin():
        programme = bank.programme_of(frame.connection, [one.end_to_end_id for one in notice.returned])
    if programme is None:
        raise StatementError("names no payment of ours: ask the bank for whom it is")
    return _apply(frame, file, PACS, notice, programme)


def _apply(frame: Frame, file: inbound.Inbound, kind: str, notice: Notice, programme: str) -> Applied:
    connection, number = frame.connection, frame.key.programme_no
    with connection.begin():
        whose = bank.programme_no_of(connection, programme)
        inbound.identify(connection, file.inbound_no, kind, notice.message_id, whose)
        if whose != number:
            return Applied("is another programme's", THEIRS)
        open_for_booking(connection, number, frame.open_date())
        items = bank.items_named(connection, number, [one.end_to_end_id for one in notice.returned])
        coming: dict[str, Moved] = {}
        against: list[Moved] = []
        unknown: list[str] = []
        for one in notice.returned:
            item = items.get(one.end_to_end_id)
            if item is None:
                unknown.append(f"{one.end_to_end_id}: comes back, says the bank, and is no payment of ours")
                continue
            why = _why_not(item, one)
            if why:
                against.append(Moved(item, one.reason, why))
            elif not item.announced and item.state is not PayoutState.RETURNED:
                coming[item.end_to_end_id] = Moved(item, one.reason)
        moved = list(coming.values())
        postings = {
            f"return:{one.item.end_to_end_id}": [
                entry(
                    Account.BANK_CLEARING,
                    Account.PAYOUT_RETURNED,
                    one.item.won,
                    merchant_no=one.item.merchant_no,
                )
            ]
            for one in moved
        }
        book_each(connection, number, frame.open_date(), postings)
        at = frame.now()
        bank.note(connection, number, PayoutEvent.ANNOUNCED, at, file.inbound_no, moved)
        bank.note(connection, number, PayoutEvent.CONFLICT, at, file.inbound_no, against)
        inbound.settle(connection, file.inbound_no, inbound.APPLIED)
        detail: dict[str, object] = {"sha256": file.sha256, "returns": len(moved), "conflicts": len(against)}
        note_audit(connection, at, frame.actor, "returns announced", file.name, detail)
        frame.observer.reached("inbox:applying")
    lines = (*unknown, *(f"{one.item.end_to_end_id}: {one.told}" for one in against))
    return Applied(f"announces {len(moved):,} returns", conflicts=lines)


def _why_not(item: Item, one: Returned) -> str:
    if item.merchant_no == 0:
        return "a transfer between own accounts comes back, says the bank: ask it why"
    if item.won != one.won:
        return f"{one.won:,} won come back, says the bank, paid were {item.won:,}: see to it by hand"
    if item.state is not PayoutState.RETURNED and item.state not in _GONE:
        return f"comes back, says the bank; it is {item.state.value}: ask the bank which is true"
    return ""
