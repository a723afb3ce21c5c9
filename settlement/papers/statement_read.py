"""Reads merchants' statements from the database, many at a time: memory does not grow with their number."""

from array import array
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from settlement.errors import ControlMismatchError, UsageError
from settlement.papers.period import Period
from settlement.papers.statement import Merchant, NetLine, PayoutLine, Statement, prove
from switch.ledger.chart import Account
from switch.ledger.journal import Source

CHUNK_MERCHANTS = 500
PAYMENT_CHUNK_ROWS = 2_000

_MERCHANT = """
    SELECT m.merchant_no, m.merchant_id, m.name, m.business_no, p.programme_no, p.name AS programme
    FROM merchant m JOIN programme p USING (programme_no)
"""
_ONE = text(f"{_MERCHANT} WHERE m.merchant_id = :merchant_id")
_MANY = text(f"{_MERCHANT} WHERE m.merchant_no = ANY(:merchants) ORDER BY m.merchant_no")
_WITH_LINES = text("""
    SELECT DISTINCT merchant_no FROM merchant_net
    WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :last ORDER BY merchant_no
""")
_LINES = text(f"""
    SELECT merchant_no, {", ".join(NetLine.__struct_fields__)} FROM merchant_net
    WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :last
      AND merchant_no = ANY(:merchants)
    ORDER BY merchant_no, business_date, cycle
""")  # noqa: S608 (names of our own fields)
# A merchant that carries has a line in every run until it is paid: the run before the period knows them all.
_BEFORE = text("""
    SELECT merchant_no, carried_out FROM merchant_net
    WHERE programme_no = :programme_no AND merchant_no = ANY(:merchants) AND carried_out <> 0
      AND (business_date, cycle) = (
        SELECT business_date, cycle FROM settlement_step
        WHERE programme_no = :programme_no AND business_date < :first
          AND step = 'pay_merchants' AND state = 'done'
        ORDER BY business_date DESC, cycle DESC LIMIT 1)
""")
_PAYOUTS = text(f"""
    SELECT merchant_no, {", ".join(PayoutLine.__struct_fields__)} FROM payout
    WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :last
      AND merchant_no = ANY(:merchants)
    ORDER BY merchant_no, business_date, cycle, attempt
""")  # noqa: S608
_SETTLED = text("""
    SELECT max(business_date) FROM settlement_step
    WHERE programme_no = :programme_no AND business_date BETWEEN :first AND :last
      AND step = 'pay_merchants' AND state = 'done'
""")
_PAYABLE = int(Account.MERCHANT_PAYABLE)
_OF_MERCHANT = f"""
    FROM entry e LEFT JOIN payment p ON p.bucket = e.bucket AND p.wallet_id = e.wallet_id AND p.seq = e.seq
        AND p.local_day BETWEEN CAST(:first AS date) - 366 AND CAST(:last AS date) + 2
    WHERE e.programme_no = :programme_no AND e.business_date BETWEEN :first AND :last
      AND e.merchant_no = :merchant AND {_PAYABLE} IN (e.debit, e.credit)
      AND e.source IN ({Source.PAYMENT:d}, {Source.ACT:d})
"""
_SUMS = text(f"""
    SELECT e.business_date, sum(CASE WHEN e.credit = {_PAYABLE} THEN e.won ELSE 0 END)::bigint,
           sum(CASE WHEN e.debit = {_PAYABLE} THEN e.won ELSE 0 END)::bigint
    {_OF_MERCHANT} GROUP BY e.business_date ORDER BY e.business_date
""")
_PAYMENTS = text(f"""
    SELECT e.business_date, p.local_day, p.local_time, p.terminal_id, p.approval,
           sum(CASE WHEN e.credit = {_PAYABLE} THEN e.won ELSE 0 END)::bigint AS sale,
           sum(CASE WHEN e.debit = {_PAYABLE} THEN e.won ELSE 0 END)::bigint AS refund
    {_OF_MERCHANT}
    GROUP BY e.business_date, p.local_day, p.local_time, p.terminal_id, p.approval, e.bucket, e.wallet_id,
             e.seq
    ORDER BY e.business_date, p.local_day, p.local_time, p.terminal_id, p.approval, e.wallet_id, e.seq
""")


class PaymentLine(msgspec.Struct, frozen=True):
    """One payment or refund behind a date. `local_time` is hhmmss; an operator's act has no terminal."""

    business_date: date
    local_day: date | None
    local_time: int | None
    terminal: str
    approval: str
    sale: int
    refund: int


def merchant_named(connection: Connection, merchant_id: str) -> Merchant:
    """The merchant of an id. Raises UsageError."""
    row = connection.execute(_ONE, {"merchant_id": merchant_id}).first()
    if row is None:
        raise UsageError(f"there is no merchant {merchant_id!r}: see dure-switch admin inspect")
    return Merchant(*row)


def merchants_with_lines(connection: Connection, programme_no: int, period: Period) -> "array[int]":
    """The numbers of the merchants that have a line in the period, ascending."""
    return array("i", connection.execute(_WITH_LINES, _at(programme_no, period)).scalars())


def all_statements(
    connection: Connection, programme_no: int, period: Period, numbers: "array[int]", refused: list[str]
) -> Iterator[Statement]:
    """The statements of these merchants of a programme, one at a time.

    One that does not add up is left out and said in `refused`: it keeps nobody else's back.
    """
    for start in range(0, len(numbers), CHUNK_MERCHANTS):
        chunk = {"merchants": list(numbers[start : start + CHUNK_MERCHANTS])}
        merchants = [Merchant(*row) for row in connection.execute(_MANY, chunk)]
        yield from statements(connection, merchants, period, refused)


def statements(
    connection: Connection,
    merchants: Sequence[Merchant],
    period: Period,
    refused: list[str] | None = None,
) -> Iterator[Statement]:
    """The statements of these merchants of one programme, each proven.

    Raises ControlMismatchError for one that does not add up; with `refused` it is said there instead.
    """
    if not merchants:
        return
    numbers = [one.merchant_no for one in merchants]
    at = {**_at(merchants[0].programme_no, period), "merchants": numbers}
    settled = connection.execute(_SETTLED, _at(merchants[0].programme_no, period)).scalar()
    before = {number: won for number, won in connection.execute(_BEFORE, at)}  # noqa: C416 (rows)
    lines = _by_merchant(connection, _LINES, at, NetLine)
    payouts = _by_merchant(connection, _PAYOUTS, at, PayoutLine)
    for one in merchants:
        own = lines.get(one.merchant_no, ())
        opening = before.get(one.merchant_no, 0)
        closing = own[-1].carried_out if own else opening
        paid = payouts.get(one.merchant_no, ())
        try:
            proven = prove(Statement(one, period, settled, opening, closing, own, paid))
        except ControlMismatchError as error:
            if refused is None:
                raise
            refused.append(str(error))
            continue
        yield proven


def payments_of(connection: Connection, statement: Statement) -> Iterator[PaymentLine]:
    """The payments behind a statement's lines, as a stream, in the order of time.

    Their sums are held against the lines first. Raises ControlMismatchError where they differ: entries that
    have been archived are no longer there to be listed.
    """
    at = {
        **_at(statement.merchant.programme_no, statement.period),
        "merchant": statement.merchant.merchant_no,
        "last": statement.settled_through or statement.period.last,
    }
    if statement.settled_through is None:
        return
    booked = {day: (sale, refund) for day, sale, refund in connection.execute(_SUMS, at)}
    lined = {one.business_date: (one.sales, one.refunds) for one in statement.lines if one.cycle == 1}
    for day in sorted(booked.keys() | lined.keys()):
        if booked.get(day, (0, 0)) != lined.get(day, (0, 0)):
            raise ControlMismatchError(
                f"the payments of merchant {statement.merchant.merchant_id} on {day} do not come to its line:"
                " if the date has been archived, ask without --payments"
            )
    rows = connection.execute(_PAYMENTS, at, execution_options={"yield_per": PAYMENT_CHUNK_ROWS})
    for part in rows.partitions(PAYMENT_CHUNK_ROWS):
        for row in part:
            day, local_day, local_time, terminal, approval, sale, refund = row
            yield PaymentLine(day, local_day, local_time, terminal or "", approval or "", sale, refund)


def _by_merchant(connection: Connection, query: Any, at: dict[str, Any], kind: Any) -> dict[int, Any]:
    found: dict[int, list[Any]] = {}
    for number, *values in connection.execute(query, at):
        found.setdefault(number, []).append(kind(*values))
    return {number: tuple(rows) for number, rows in found.items()}


def _at(programme_no: int, period: Period) -> dict[str, Any]:
    return {"programme_no": programme_no, "first": period.first, "last": period.last}
