"""Tables of shadow policies: rules that run beside the live ones and only record."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from switch.store.schema import metadata


def _won(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


shadow = Table(
    "shadow",
    metadata,
    Column("shadow_no", Integer, primary_key=True, autoincrement=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON of the whole programme
    Column("sha256", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("stopped_at", DateTime(timezone=True)),  # empty: it runs
    UniqueConstraint("programme_no", "name"),
)

shadow_mark = Table(
    "shadow_mark",  # how far a wallet's postings have been judged; they are gapless, so none is missed
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("shadow_no", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    PrimaryKeyConstraint("bucket", "wallet_id", "shadow_no"),
)

shadow_result = Table(
    "shadow_result",  # payments that the shadow would have answered or rated otherwise
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("shadow_no", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("local_day", Date, nullable=False),
    Column("local_time", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    _won("amount"),
    Column("live_reason", SmallInteger, nullable=False),
    Column("reason", SmallInteger, nullable=False),
    _won("live_approved"),
    _won("approved"),
    _won("live_cashback"),
    _won("cashback"),
    Column("grants", Text, nullable=False),  # JSON [[funder_no, budget_no, won], …] of the shadow
    PrimaryKeyConstraint("bucket", "wallet_id", "shadow_no", "seq"),
)

shadow_day = Table(
    "shadow_day",  # totals of a business date, whatever differed
    metadata,
    Column("shadow_no", Integer, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("payments", BigInteger, nullable=False),
    Column("live_declined", BigInteger, nullable=False),
    Column("declined", BigInteger, nullable=False),
    _won("live_cashback"),
    _won("cashback"),
    PrimaryKeyConstraint("shadow_no", "business_date"),
)

shadow_pool = Table(
    "shadow_pool",  # what the shadow's payments have taken of a budget
    metadata,
    Column("shadow_no", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("funder", Text, nullable=False),
    Column("month", Integer, nullable=False),  # yyyymm; 0: a pot for good
    _won("taken"),
    _won("missed"),
    Column("ended", BigInteger, nullable=False),  # yyyymmddhhmmss of the first payment short of it; 0 none
    PrimaryKeyConstraint("shadow_no", "code", "funder", "month"),
)
