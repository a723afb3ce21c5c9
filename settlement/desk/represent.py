"""Payouts that the bank rejected or sent back, paid again to the account that the merchant has now.

Nothing is paid again to the account where it failed: somebody corrects the account first, or says that it is
right (`dure-settlement account`), unless the bank rejected it for a reason that no account is at fault for.
The new attempt has an identity of its own; the old one stays as it ended.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, text

from settlement.domain.answers import OURS
from settlement.domain.payouts import PayoutEvent, PayoutState
from settlement.files.naming import end_to_end_id
from settlement.frame import Frame
from settlement.store.events import note_event
from settlement.store.house import book
from settlement.store.schema import payout
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, entry

ATTEMPT_MAX = 99
"""The identity of a payout has two digits for its attempt."""

# The last attempt of each payout, if it failed; the same account under the same holder would fail again.
_FAILED = """
    SELECT p.business_date, p.cycle, p.merchant_no, p.attempt, p.won, p.end_to_end_id, p.state, p.reason,
           m.merchant_id, m.name, m.bank_code,
           m.account_no, m.account_holder,
           EXISTS (SELECT FROM merchant_hold h WHERE h.programme_no = p.programme_no AND h.kind = 'hold'
                   AND h.merchant_no = p.merchant_no AND h.released_at IS NULL) AS on_hold,
           m.bank_code <> '' AND m.account_no <> '' AND (
               (m.bank_code, m.account_no, coalesce(nullif(m.account_holder, ''), m.name))
                   <> (p.bank_code, p.account_no, p.account_holder)
               OR (p.state = 'rejected' AND p.reason = ANY(:ours))
               OR EXISTS (SELECT FROM payout_event e WHERE e.programme_no = p.programme_no
                          AND e.end_to_end_id = p.end_to_end_id AND e.event = 'confirmed')) AS corrected
    FROM payout p JOIN merchant m USING (merchant_no)
    WHERE p.programme_no = :programme_no AND p.state IN ('rejected', 'returned')
      AND NOT EXISTS (SELECT FROM payout l WHERE l.programme_no = p.programme_no
                      AND l.business_date = p.business_date AND l.cycle = p.cycle
                      AND l.merchant_no = p.merchant_no AND l.attempt > p.attempt)
    ORDER BY p.business_date, p.cycle, p.merchant_no
"""
_ALL = text(_FAILED)
_DUE = text(
    f"SELECT f.* FROM ({_FAILED}) f"  # noqa: S608 (our own text)
    f" WHERE f.corrected AND NOT f.on_hold AND f.attempt < {ATTEMPT_MAX}"
)
_DOUBTED = text(
    f"SELECT f.end_to_end_id FROM ({_FAILED}) f"  # noqa: S608 (our own text)
    " WHERE f.merchant_no = :merchant_no AND NOT f.corrected"
)


class Failed(msgspec.Struct, frozen=True):
    """A payout that failed and has not been paid again; `corrected`: the next run does so."""

    merchant: str
    name: str
    business_date: date
    end_to_end_id: str
    won: int
    state: str
    reason: str
    corrected: bool
    on_hold: bool


class Represented(msgspec.Struct, frozen=True):
    """What one run has paid again."""

    payouts: int = 0
    won: int = 0
    pay_on: date | None = None


def failed(connection: Connection, programme_no: int) -> list[Failed]:
    """All payouts that failed and stand so, oldest first."""
    rows = connection.execute(_ALL, _of(programme_no))
    return [
        Failed(
            row.merchant_id,
            row.name,
            row.business_date,
            row.end_to_end_id,
            row.won,
            row.state,
            row.reason,
            row.corrected,
            row.on_hold,
        )
        for row in rows
    ]


def due(connection: Connection, programme_no: int) -> Sequence[Row[Any]]:
    """The failed payouts that the next run pays again: their accounts are right by now, and none is held."""
    return connection.execute(_DUE, _of(programme_no)).all()


def confirm(connection: Connection, programme_no: int, merchant_no: int, at: datetime) -> int:
    """Note that the account where a merchant's payouts failed is right, in the caller's transaction.

    How many of its failed payouts the next run pays again for that. The caller holds the merchant's row.
    """
    doubted = connection.execute(_DOUBTED, {**_of(programme_no), "merchant_no": merchant_no}).scalars().all()
    for name in doubted:
        note_event(connection, programme_no, name, PayoutEvent.CONFIRMED, at)
    return len(doubted)


def _of(programme_no: int) -> dict[str, object]:
    return {"programme_no": programme_no, "ours": sorted(OURS)}


def would(frame: Frame) -> Represented:
    """What `represent` would pay again now."""
    rows = due(frame.connection, frame.key.programme_no)
    return Represented(len(rows), sum(row.won for row in rows), _pay_on(frame) if rows else None)


def represent(frame: Frame, booked_on: date) -> Represented:
    """Order the failed payouts that are due again, in the caller's transaction, on an open business date.

    A payout keeps its date and cycle and gets the next attempt. Paid on the bank day after the run's.
    """
    rows = due(frame.connection, frame.key.programme_no)
    on = _pay_on(frame)
    for row in rows:
        _again(frame, row, on, booked_on)
    return Represented(len(rows), sum(row.won for row in rows), on if rows else None)


def _pay_on(frame: Frame) -> date:
    return frame.run.facts.calendar().add_open_days(frame.ordered_on, 1)


def _again(frame: Frame, row: Row[Any], on: date, booked_on: date) -> None:
    connection, number = frame.connection, frame.key.programme_no
    attempt = row.attempt + 1
    name = end_to_end_id(number, row.business_date, row.cycle, row.merchant_no, attempt)
    entries: list[Entry] = []
    payable = Account.MERCHANT_PAYABLE
    if row.state == PayoutState.RETURNED:
        entries.append(entry(Account.PAYOUT_RETURNED, payable, row.won, merchant_no=row.merchant_no))
    entries.append(entry(payable, Account.PAYOUT_SENT, row.won, merchant_no=row.merchant_no))
    book(connection, number, booked_on, f"represent:{name}", entries)
    connection.execute(
        insert(payout).values(
            programme_no=number,
            business_date=row.business_date,
            cycle=row.cycle,
            merchant_no=row.merchant_no,
            attempt=attempt,
            pay_on=on,
            won=row.won,
            end_to_end_id=name,
            bank_code=row.bank_code,
            account_no=row.account_no,
            account_holder=row.account_holder or row.name,
        )
    )
    note_event(connection, number, row.end_to_end_id, PayoutEvent.REPRESENTED, frame.now(), told=name)
