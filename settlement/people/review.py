"""What an approver is shown of a file: what it orders, and what in it differs from what is usual.

Account numbers show their last four digits only.
"""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text

from settlement.domain.bankfiles import FileState
from settlement.files.orders import masked
from settlement.store.schema_bank import bank_file
from switch.domain.calendar import SEOUL

LARGEST_SHOWN = 5
ODD_SHOWN_MAX = 20
USUAL_OF = 10  # earlier payouts that make the usual one
MANY_TIMES = 10

# Earlier is what was ordered before: an earlier run, or an earlier try of the same payout.
_PAYOUTS = text(f"""
    WITH line AS MATERIALIZED (
        SELECT p.merchant_no, p.business_date, p.cycle, p.attempt, p.won, p.bank_code, p.account_no,
               p.account_holder
        FROM bank_file_line l JOIN payout p USING (programme_no, end_to_end_id)
        WHERE l.programme_no = :programme_no AND l.file_no = :file_no
    ), earlier AS (
        SELECT p.merchant_no, p.won, p.bank_code, p.account_no,
               row_number() OVER (PARTITION BY p.merchant_no, line.business_date, line.cycle, line.attempt
                                  ORDER BY p.business_date DESC, p.cycle DESC, p.attempt DESC) AS nth,
               line.business_date, line.cycle, line.attempt
        FROM line JOIN payout p USING (merchant_no)
        WHERE p.programme_no = :programme_no
          AND (p.business_date, p.cycle, p.attempt) < (line.business_date, line.cycle, line.attempt)
    ), usual AS (
        SELECT merchant_no, business_date, cycle, attempt, sum(won) / count(*) AS won,
               max(bank_code) FILTER (WHERE nth = 1) AS bank_code,
               max(account_no) FILTER (WHERE nth = 1) AS account_no
        FROM earlier WHERE nth <= {USUAL_OF} GROUP BY merchant_no, business_date, cycle, attempt
    ), judged AS (
        SELECT m.merchant_id, line.account_holder, line.won, line.bank_code, line.account_no,
               usual.won::bigint AS usual_won, usual.bank_code AS last_bank, usual.account_no AS last_account,
               usual.merchant_no IS NULL AS first,
               (usual.bank_code, usual.account_no) <> (line.bank_code, line.account_no) AS account_changed,
               line.won >= {MANY_TIMES} * usual.won AS far_more
        FROM line JOIN merchant m USING (merchant_no)
        LEFT JOIN usual USING (merchant_no, business_date, cycle, attempt)
    )
    SELECT *, coalesce(account_changed, false) OR coalesce(far_more, false) OR first AS odd,
           row_number() OVER (ORDER BY won DESC, merchant_id) AS size,
           count(*) OVER (PARTITION BY coalesce(account_changed, false) OR coalesce(far_more, false) OR first)
           AS of_kind
    FROM judged
""")  # noqa: S608 (numbers of our own)


_BETWEEN = text(f"""
    SELECT t.purpose, t.account_holder, t.bank_code, t.account_no, t.won
    FROM bank_file_line l JOIN house_transfer t USING (programme_no, end_to_end_id)
    WHERE l.programme_no = :programme_no AND l.file_no = :file_no ORDER BY l.line LIMIT {LARGEST_SHOWN}
""")  # noqa: S608 (a number of our own)


class PayoutLine(msgspec.Struct, frozen=True):
    """One payout, or a transfer between own accounts (`merchant` is then its purpose).

    `odd`: what differs from the merchant's usual payouts.
    """

    merchant: str
    holder: str
    bank: str
    account: str
    won: int
    odd: tuple[str, ...] = ()


class Review(msgspec.Struct, frozen=True):
    """One file that waits for approval. `problem`: why it cannot be approved as it lies on the disk."""

    name: str
    programme_no: int
    business_date: date
    cycle: int
    debtor: str
    debtor_name: str
    debtor_account: str
    pay_on: date
    days_ahead: int
    payments: int
    won: int
    sha256: str
    made_by: str
    largest: tuple[PayoutLine, ...] = ()
    odd: tuple[PayoutLine, ...] = ()
    odd_payouts: int = 0
    problem: str = ""


def waiting(
    connection: Connection, names: Collection[str] = (), day: date | None = None, programme_no: int = 0
) -> list[Any]:
    """Rows of the files that wait for approval: those named, those of a business date, or all."""
    table = bank_file.c
    query = select(bank_file).where(table.state == FileState.EMITTED.value, table.sha256.is_not(None))
    if names:
        query = query.where(table.name.in_(names))
    if day is not None:
        query = query.where(table.business_date == day)
    if programme_no:
        query = query.where(table.programme_no == programme_no)
    return list(connection.execute(query.order_by(table.programme_no, table.file_no)))


def review(connection: Connection, file: Any, now: datetime, problem: str) -> Review:
    """What there is to see of one file."""
    where = {"programme_no": file.programme_no, "file_no": file.file_no}
    chosen = text(
        f"SELECT * FROM ({_PAYOUTS.text}) judged WHERE size <= {LARGEST_SHOWN} OR odd"  # noqa: S608
        f" ORDER BY odd AND NOT first DESC, won DESC, merchant_id LIMIT {LARGEST_SHOWN + ODD_SHOWN_MAX}"
    )
    rows = connection.execute(chosen, where).all()
    odd = [row for row in rows if row.odd]
    between = [
        PayoutLine(row.purpose, row.account_holder, row.bank_code, masked(row.account_no), row.won)
        for row in connection.execute(_BETWEEN, where)
    ]
    largest = [_line(row) for row in sorted(rows, key=lambda row: row.size) if row.size <= LARGEST_SHOWN]
    return Review(
        file.name,
        file.programme_no,
        file.business_date,
        file.cycle,
        file.debtor,
        file.debtor_name,
        masked(file.debtor_account),
        file.pay_on,
        (file.pay_on - now.astimezone(SEOUL).date()).days,
        file.payments,
        file.won,
        file.sha256,
        file.made_by,
        (*between, *largest),
        tuple(_line(row) for row in odd[:ODD_SHOWN_MAX]),
        odd[0].of_kind if odd else 0,
        problem,
    )


def _line(row: Any) -> PayoutLine:
    odd: list[str] = []
    if row.account_changed:
        odd.append(f"account changed since its last payout, from {row.last_bank} {masked(row.last_account)}")
    if row.far_more:
        odd.append(f"{row.won // max(row.usual_won, 1)} times its usual {row.usual_won:,}")
    if row.first:
        odd.append("first payout")
    return PayoutLine(
        row.merchant_id, row.account_holder, row.bank_code, masked(row.account_no), row.won, tuple(odd)
    )
