"""The proof before a file leaves: if the books do not hold together, no money moves.

Each control is one statement, so it sees one position of a live system.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, text

from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.steps import close_day
from settlement.steps.pay_merchants import posting_name
from settlement.steps.sessions import read_apart, with_room
from switch.ledger.chart import LOT_ACCOUNT, Account
from switch.ledger.journal import Source

_LOTS = f"({', '.join(str(int(account)) for account in LOT_ACCOUNT.values())})"

# The entries that are there and, of those that have left with their days, the sums.
_MOVED = """(
        SELECT programme_no, bucket, wallet_id, business_date, source, debit, credit, lot_no, won, funder_no
        FROM entry
        UNION ALL
        SELECT programme_no, bucket, wallet_id, NULL, source, debit, credit, lot_no, won, funder_no
        FROM opening_entry)"""
_HERE = "bucket BETWEEN :first_bucket AND :last_bucket"

_PAYOUTS = text(f"""
    SELECT merchant_no, p.won AS paid, h.won AS booked FROM
        (SELECT merchant_no, won FROM payout
         WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle AND attempt = 1) p
    FULL JOIN
        (SELECT merchant_no, sum(won)::bigint AS won FROM house_entry
         WHERE programme_no = :programme_no AND posting = :posting AND business_date > :day
           AND credit = {Account.PAYOUT_SENT:d} GROUP BY merchant_no) h USING (merchant_no)
    WHERE p.won IS DISTINCT FROM h.won ORDER BY merchant_no LIMIT 5
""")  # noqa: S608 (numbers of our own enumerations)
_NETTED = text("""
    SELECT merchant_no, n.paid, p.won FROM
        (SELECT merchant_no, paid FROM merchant_net
         WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle AND paid > 0) n
    FULL JOIN
        (SELECT merchant_no, won FROM payout
         WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle AND attempt = 1) p
    USING (merchant_no) WHERE n.paid IS DISTINCT FROM p.won ORDER BY merchant_no LIMIT 5
""")
# A later cycle has no sales: the date's entries were netted by the first.
_SALES = text(f"""
    SELECT merchant_no, n.net, e.net AS booked FROM
        (SELECT merchant_no, sales - refunds AS net FROM merchant_net
         WHERE programme_no = :programme_no AND business_date = :day AND cycle = :cycle
           AND (sales <> 0 OR refunds <> 0)) n
    FULL JOIN
        (SELECT merchant_no,
                sum(CASE WHEN credit = {Account.MERCHANT_PAYABLE:d} THEN won ELSE -won END)::bigint AS net
         FROM entry
         WHERE programme_no = :programme_no AND business_date = :day AND :cycle = 1
           AND source IN ({Source.PAYMENT:d}, {Source.ACT:d})
           AND (debit = {Account.MERCHANT_PAYABLE:d} OR credit = {Account.MERCHANT_PAYABLE:d})
         GROUP BY merchant_no) e USING (merchant_no)
    WHERE n.net IS DISTINCT FROM e.net ORDER BY merchant_no LIMIT 5
""")  # noqa: S608
_LOT_BALANCES = text(f"""
    SELECT wallet_id, lot_no, l.balance, e.won FROM
        (SELECT l.bucket, l.wallet_id, l.lot_no, l.balance FROM lot l JOIN wallet w USING (bucket, wallet_id)
         WHERE w.programme_no = :programme_no AND l.{_HERE} AND w.{_HERE}) l
    FULL JOIN
        (SELECT bucket, wallet_id, lot_no,
                sum(CASE WHEN credit IN {_LOTS} THEN won ELSE -won END)::bigint AS won
         FROM {_MOVED} m
         WHERE programme_no = :programme_no AND (debit IN {_LOTS} OR credit IN {_LOTS}) AND {_HERE}
         GROUP BY bucket, wallet_id, lot_no) e USING (bucket, wallet_id, lot_no)
    WHERE coalesce(l.balance, 0) <> coalesce(e.won, 0) ORDER BY wallet_id, lot_no LIMIT 5
""")  # noqa: S608
# What was accrued through the date that a bucket is credited to has been credited to the last won, but for
# what waits until its funder's prepayment covers it. Summed first, judged then: marks and stops are few.
_ACCRUED = text(f"""
    SELECT coalesce(sum(e.won), 0)::bigint
    FROM (SELECT programme_no, bucket, business_date, source, funder_no,
                 sum(CASE WHEN credit = {Account.CASHBACK_ACCRUED:d} THEN won ELSE -won END)::bigint AS won
          FROM {_MOVED} m
          WHERE programme_no = :programme_no AND {_HERE}
            AND (debit = {Account.CASHBACK_ACCRUED:d} OR credit = {Account.CASHBACK_ACCRUED:d})
            AND source IN ({Source.CREDIT:d}, {Source.PAYMENT:d})
          GROUP BY programme_no, bucket, business_date, source, funder_no) e
    JOIN credit_mark m USING (programme_no, bucket)
    WHERE source = {Source.CREDIT:d}
       OR ((business_date IS NULL OR business_date <= m.credited_through)
           AND NOT EXISTS (
               SELECT FROM funding_stop s
               WHERE s.programme_no = e.programme_no AND s.business_date = e.business_date
                 AND s.funder_no = e.funder_no
                 AND (s.credited_by IS NULL OR s.credited_by > m.credited_through)))
""")  # noqa: S608


def prove(frame: Frame) -> None:
    """Hold the books against themselves, in a transaction. Raises ControlMismatchError that names the first
    differences."""
    connection = frame.connection
    run = {**frame.of_day(), "cycle": frame.key.cycle}
    with_room(connection)
    for what, statement, parameters in (
        ("payouts against what was booked to them", _PAYOUTS, {**run, "posting": posting_name(frame)}),
        ("payouts against the netting", _NETTED, run),
        ("netting against the date's entries", _SALES, run),
    ):
        _same(frame, what, connection.execute(statement, parameters).all())
    left = 0
    for rows, accrued in read_apart(connection, close_day.entries(frame), partial(_wallets, frame)):
        _same(frame, "lots against their entries", rows)
        left += accrued
    if left:
        raise ControlMismatchError(
            f"no file for {frame.day}: {left:,} won of cashback due were not credited: run dure-switch proof"
        )


def _wallets(frame: Frame, session: Connection, first: int, last: int) -> tuple[Sequence[Row[Any]], int]:
    """Of the wallets of some buckets: lots that differ; won accrued that should have been credited."""
    here = {"programme_no": frame.key.programme_no, "first_bucket": first, "last_bucket": last}
    return session.execute(_LOT_BALANCES, here).all(), session.execute(_ACCRUED, here).scalar_one()


def _same(frame: Frame, what: str, rows: Sequence[Row[Any]]) -> None:
    if rows:
        shown = "; ".join(" / ".join(str(value) for value in row) for row in rows)
        raise ControlMismatchError(f"no file for {frame.day}: {what}: {shown}: run dure-switch proof")
