"""The tables of days that have left the database: what was written where, and the sums that stay."""

from sqlalchemy import BigInteger, Column, Date, Integer, PrimaryKeyConstraint, SmallInteger, Table

from settlement.store.schema import instant, label, metadata, number, won


def _count(name: str) -> "Column[int]":
    return Column(name, BigInteger, nullable=False)


archived_day = Table(
    "archived_day",  # one day's two files: payments by their local day, entries by their business date
    metadata,
    Column("day", Date, nullable=False),
    instant("archived_at"),
    label("archived_by"),
    label("payment_sha256"),
    _count("payments"),
    won("payments_won"),
    _count("payments_kept"),  # rows of the file that also stay in the database
    label("entry_sha256"),
    _count("entries"),
    won("entries_won"),
    _count("entries_kept"),
    PrimaryKeyConstraint("day"),
)

archived_date = Table(
    "archived_date",  # a closed date whose entries have left: what its digest was
    metadata,
    number("programme_no", SmallInteger),
    Column("business_date", Date, nullable=False),
    _count("payments"),
    _count("entries"),
    won("won"),
    label("content_sha256"),
    PrimaryKeyConstraint("programme_no", "business_date"),
)

opening_entry = Table(
    "opening_entry",
    metadata,
    number("bucket", SmallInteger),
    Column("wallet_id", BigInteger, nullable=False, autoincrement=False),
    number("programme_no", SmallInteger),
    number("source", SmallInteger),
    number("debit", SmallInteger),
    number("credit", SmallInteger),
    number("lot_no"),
    number("funder_no", SmallInteger),
    won("won"),
    PrimaryKeyConstraint("bucket", "wallet_id", "source", "debit", "credit", "lot_no", "funder_no"),
)

opening_wallet = Table(
    "opening_wallet",
    metadata,
    number("bucket", SmallInteger),
    Column("wallet_id", BigInteger, nullable=False, autoincrement=False),
    number("postings"),
    number("last_seq"),
    number("day"),  # YYYYMMDD, where the wallet's last day with a purchase has left; else 0
    won("day_spent"),
    PrimaryKeyConstraint("bucket", "wallet_id"),
)

opening_usage = Table(
    "opening_usage",
    metadata,
    number("bucket", SmallInteger),
    Column("wallet_id", BigInteger, nullable=False, autoincrement=False),
    number("month"),
    won("basis"),
    won("spent"),
    won("topup"),
    PrimaryKeyConstraint("bucket", "wallet_id", "month"),
)

opening_budget = Table(
    "opening_budget",
    metadata,
    number("budget_no", SmallInteger),
    Column("month", Integer, nullable=False),
    won("won"),
    PrimaryKeyConstraint("budget_no", "month"),
)
