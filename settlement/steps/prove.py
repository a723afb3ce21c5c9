"""The proof before a file leaves: if the books do not hold together, no money moves.

Each control is one statement, so it sees one position of a live system.
"""

from sqlalchemy import text

from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.steps.pay_merchants import posting_name
from switch.ledger.chart import LOT_ACCOUNT, Account
from switch.ledger.journal import Source

_LOTS = f"({', '.join(str(int(account)) for account in LOT_ACCOUNT.values())})"

# The entries that are there and, of those that have left with their days, the sums.
_MOVED = """(
        SELECT programme_no, bucket, wallet_id, business_date, source, debit, credit, lot_no, won FROM entry
        UNION ALL
        SELECT programme_no, bucket, wallet_id, NULL, source, debit, credit, lot_no, won
        FROM opening_entry)"""

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
         WHERE w.programme_no = :programme_no) l
    FULL JOIN
        (SELECT bucket, wallet_id, lot_no,
                sum(CASE WHEN credit IN {_LOTS} THEN won ELSE -won END)::bigint AS won
         FROM {_MOVED} m WHERE programme_no = :programme_no AND (debit IN {_LOTS} OR credit IN {_LOTS})
         GROUP BY bucket, wallet_id, lot_no) e USING (bucket, wallet_id, lot_no)
    WHERE coalesce(l.balance, 0) <> coalesce(e.won, 0) ORDER BY wallet_id, lot_no LIMIT 5
""")  # noqa: S608
# What was accrued through the date that a bucket is credited to has been credited to the last won.
_ACCRUED = text(f"""
    SELECT coalesce(sum(CASE WHEN credit = {Account.CASHBACK_ACCRUED:d} THEN won ELSE -won END), 0)::bigint
    FROM {_MOVED} e JOIN credit_mark m USING (programme_no, bucket)
    WHERE programme_no = :programme_no
      AND (debit = {Account.CASHBACK_ACCRUED:d} OR credit = {Account.CASHBACK_ACCRUED:d})
      AND (source = {Source.CREDIT:d}
           OR (source = {Source.PAYMENT:d}
               AND (business_date IS NULL OR business_date <= m.credited_through)))
""")  # noqa: S608


def prove(frame: Frame) -> None:
    """Hold the books against themselves. Raises ControlMismatchError that names the first differences."""
    connection = frame.connection
    run = {**frame.of_day(), "cycle": frame.key.cycle}
    for what, statement, parameters in (
        ("payouts against what was booked to them", _PAYOUTS, {**run, "posting": posting_name(frame)}),
        ("payouts against the netting", _NETTED, run),
        ("netting against the date's entries", _SALES, run),
        ("lots against their entries", _LOT_BALANCES, {"programme_no": frame.key.programme_no}),
    ):
        rows = connection.execute(statement, parameters).all()
        if rows:
            shown = "; ".join(" / ".join(str(value) for value in row) for row in rows)
            raise ControlMismatchError(f"no file for {frame.day}: {what}: {shown}: run dure-switch proof")
    left = connection.execute(_ACCRUED, {"programme_no": frame.key.programme_no}).scalar_one()
    if left:
        raise ControlMismatchError(
            f"no file for {frame.day}: {left:,} won of cashback due were not credited: run dure-switch proof"
        )
