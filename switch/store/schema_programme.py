"""Tables of what a programme gives: campaigns, and budgets with what is left of them.

Of a month's budget the won lie in `budget_month.free`, which all share, and in `budget_slot` rows, one for
each lane that takes from it; the rest has been granted. Every won is in exactly one place in every committed
state, so a lane that dies leaves nothing to clean up: its slot is there for others to take from.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from switch.store.schema import metadata


def _won(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


campaign = Table(
    "campaign",
    metadata,
    Column("campaign_no", Integer, primary_key=True, autoincrement=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("sha256", Text, nullable=False),  # of its canonical JSON, which stands in the programme's document
    UniqueConstraint("programme_no", "code"),
)

budget = Table(
    "budget",
    metadata,
    Column("budget_no", SmallInteger, primary_key=True, autoincrement=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("funder_no", SmallInteger, nullable=False),  # 0: the bound on top-ups has none
    UniqueConstraint("programme_no", "code", "funder_no"),
)

budget_month = Table(
    "budget_month",
    metadata,
    Column("budget_no", SmallInteger, nullable=False),
    Column("month", Integer, nullable=False),  # yyyymm; 0: a pot for good
    Column("amount", BigInteger, nullable=False),
    Column("free", BigInteger, nullable=False),
    PrimaryKeyConstraint("budget_no", "month"),
    CheckConstraint("free >= 0", name="budget_month_free"),
)

budget_slot = Table(
    "budget_slot",
    metadata,
    Column("budget_no", SmallInteger, nullable=False),
    Column("month", Integer, nullable=False),
    Column("slot", SmallInteger, nullable=False),
    _won("won"),  # still to be granted
    _won("granted"),  # in all, whatever came back since
    _won("returned"),  # came back, in all
    _won("retired"),  # of it, not to be granted again
    PrimaryKeyConstraint("budget_no", "month", "slot"),
    CheckConstraint("won >= 0", name="budget_slot_won"),
)

campaign_use = Table(
    "campaign_use",  # won that a window of extra cashback with a bound per member has granted to one
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("campaign_no", Integer, nullable=False),
    _won("won"),
    PrimaryKeyConstraint("bucket", "wallet_id", "campaign_no"),
    CheckConstraint("won >= 0", name="campaign_use_won"),
)

topup_reference = Table(
    "topup_reference",  # an outside reference of a top-up: good for one top-up that stands
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("local_day", Date, nullable=False),
    PrimaryKeyConstraint("programme_no", "reference"),
)
