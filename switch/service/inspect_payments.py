"""What operators look at of payments and their entries. Read only; cards are shown masked."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, select

from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Entry
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.service.admin import find_wallet
from switch.store.schema import card, entry, funder, member, merchant, payment, programme

PAYMENTS_MAX = 1_000
ROWS_AT_A_TIME = 2_000
ENTRIES_MAX = 10_000


class PaymentView(msgspec.Struct, frozen=True):
    """A stored payment, in the field's words. Amounts in won; `cashback` is negative when taken back."""

    programme: str
    member: str
    card: str
    kind: str
    local_day: str
    local_time: str
    business_date: str
    merchant: str
    terminal: str
    stan: str
    rrn: str
    amount: int
    approved: int
    outcome: str
    reason: str
    code: str
    approval: str
    cashback: int
    cashback_by_funder: dict[str, int]
    basis: int
    usage_before: int
    returned: int
    balance_after: int
    channel: str
    entry: str
    batch: int
    seq: int
    detail: dict[str, Any]


class EntryView(msgspec.Struct, frozen=True):
    """One entry: `won` moved from the credit account to the debit account."""

    business_date: str
    seq: int
    line: int
    source: str
    debit: str
    credit: str
    won: int
    lot_no: int
    merchant: str
    funder: str


def payment_list(
    engine: Engine,
    *,
    programme_id: str | None = None,
    member_id: str | None = None,
    terminal_id: str | None = None,
    local_day: date | None = None,
    last: int = 50,
) -> list[PaymentView]:
    """The last payments, newest last, of a member, a terminal or a local day. Raises NotFoundError."""
    with engine.connect() as connection:
        wanted = _wanted(connection, programme_id, member_id, terminal_id, local_day)
        return payments_where(connection, wanted, last)


def every_payment(
    engine: Engine,
    *,
    programme_id: str | None = None,
    member_id: str | None = None,
    terminal_id: str | None = None,
    local_day: date | None = None,
) -> Iterator[PaymentView]:
    """As payment_list, but all of them, in the same order, and never more than a few in memory at once."""
    with engine.connect() as connection:
        wanted = _wanted(connection, programme_id, member_id, terminal_id, local_day)
        funders = _funders(connection)
        query = _payment_query(wanted).order_by(*_PAYMENT_ORDER)
        for row in connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(query):
            yield _payment(row, funders)


def _wanted(
    connection: Connection,
    programme_id: str | None,
    member_id: str | None,
    terminal_id: str | None,
    local_day: date | None,
) -> ColumnElement[bool]:
    wanted: list[ColumnElement[bool]] = []
    if member_id is not None:
        key = find_wallet(connection, programme_id or "", member_id)
        wanted += [payment.c.bucket == key.bucket, payment.c.wallet_id == key.wallet_id]
    elif programme_id is not None:
        wanted.append(programme.c.programme_id == programme_id)
    if terminal_id is not None:
        wanted.append(payment.c.terminal_id == terminal_id)
    if local_day is not None:
        wanted.append(payment.c.local_day == local_day)
    return and_(*wanted)


def entry_list(
    engine: Engine, programme_id: str, member_id: str, business_date: date | None = None
) -> list[EntryView]:
    """The entries of a member's wallet in the order booked (at most ENTRIES_MAX). Raises NotFoundError."""
    with engine.connect() as connection:
        key = find_wallet(connection, programme_id, member_id)
        query: Select[Any] = (
            select(entry, merchant.c.merchant_id, funder.c.funder_id)
            .outerjoin(merchant, merchant.c.merchant_no == entry.c.merchant_no)
            .outerjoin(funder, funder.c.funder_no == entry.c.funder_no)
            .where(entry.c.bucket == key.bucket, entry.c.wallet_id == key.wallet_id)
            .order_by(entry.c.seq, entry.c.line)
            .limit(ENTRIES_MAX)
        )
        if business_date is not None:
            query = query.where(entry.c.business_date == business_date)
        return [
            EntryView(
                *(row.business_date.isoformat(), row.seq, row.line, Source(row.source).name.lower()),
                *(Account(row.debit).name, Account(row.credit).name, row.won, row.lot_no),
                *(row.merchant_id or "", row.funder_id or ""),
            )
            for row in connection.execute(query)
        ]


_NO_CARD_READ = (Kind.REFUND, Kind.REVERSAL, Kind.VOID)
_PAYMENT_ORDER = (
    payment.c.local_day,
    payment.c.local_time,
    payment.c.wallet_id,
    payment.c.seq,
    payment.c.stan,
)


def payments_where(connection: Connection, wanted: ColumnElement[bool], last: int) -> list[PaymentView]:
    """The last payments (at most PAYMENTS_MAX) that a condition holds for, newest last."""
    funders = _funders(connection)
    newest = [column.desc() for column in _PAYMENT_ORDER]
    query = _payment_query(wanted).order_by(*newest).limit(min(last, PAYMENTS_MAX))
    return [_payment(row, funders) for row in reversed(connection.execute(query).all())]


def _funders(connection: Connection) -> dict[int, str]:
    return {row[0]: row[1] for row in connection.execute(select(funder.c.funder_no, funder.c.funder_id))}


def _payment_query(wanted: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            payment,
            programme.c.programme_id,
            member.c.member_id,
            merchant.c.merchant_id,
            card.c.masked,
        )
        .outerjoin(programme, programme.c.programme_no == payment.c.programme_no)
        .outerjoin(member, member.c.wallet_id == payment.c.wallet_id)
        .outerjoin(merchant, merchant.c.merchant_no == payment.c.merchant_no)
        .outerjoin(
            card,
            (card.c.bucket == payment.c.bucket)
            & (card.c.wallet_id == payment.c.wallet_id)
            & (card.c.card_no == payment.c.card_no),
        )
        .where(wanted)
    )


def _payment(row: Any, funders: dict[int, str]) -> PaymentView:
    detail: dict[str, Any] = json.loads(row.detail) if row.detail else {}
    reason = BY_NUMBER.get(row.reason)
    return PaymentView(
        programme=row.programme_id or "",
        member=row.member_id or "",
        card=row.masked or "",
        kind=Kind(row.kind).name.lower(),
        local_day=row.local_day.isoformat(),
        local_time=f"{row.local_time:06d}",
        business_date=row.business_date.isoformat(),
        merchant=row.merchant_id or "",
        terminal=row.terminal_id,
        stan=f"{row.stan:06d}",
        rrn=row.rrn,
        amount=row.amount,
        approved=row.approved,
        outcome=Outcome(row.outcome).name.lower(),
        reason=reason.name if reason else str(row.reason),
        code=reason.code if reason else "",
        approval=row.approval,
        cashback=row.cashback,
        cashback_by_funder=_by_funder(detail, funders),
        basis=row.basis,
        usage_before=row.usage_before,
        returned=row.returned,
        balance_after=row.ledger_after,
        channel=row.channel,
        entry="" if row.kind in _NO_CARD_READ else Entry(detail.get("entry", Entry.KEYED)).name.lower(),
        batch=row.batch_no,
        seq=row.seq,
        detail=detail,
    )


def _by_funder(detail: dict[str, Any], funders: dict[int, str]) -> dict[str, int]:
    """Won that each funder granted, or got back: over all its budgets."""
    found: dict[str, int] = {}
    for number, *_, won in detail.get("grants", []) or detail.get("funders", []):
        name = funders.get(number, str(number))
        found[name] = found.get(name, 0) + won
    return found
