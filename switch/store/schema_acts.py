"""Tables of operators' acts: what was booked on wallets by command, budgets adjusted, what has expired."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from switch.store.schema import metadata

act = Table(
    "act",  # one posting of one wallet, exactly once by its reference; a gift has a leg for each wallet
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("leg", SmallInteger, nullable=False, server_default="0"),
    Column("kind", SmallInteger, nullable=False),  # switch.domain.acts.ActKind
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),  # the wallet's posting number
    Column("lot_no", Integer, nullable=False, server_default="0"),  # the lot that it is about; 0 several
    Column("won", BigInteger, nullable=False),  # what its entries move (switch.domain.acts.moved)
    Column("campaign_no", Integer, nullable=False, server_default="0"),
    Column("budget_month", Integer, nullable=False, server_default="0"),  # of the entries' budgets
    Column("usage_month", Integer, nullable=False, server_default="0"),  # yyyymm in which `topup` counts
    Column("topup", BigInteger, nullable=False, server_default="0"),  # change of the month's top-ups
    Column("note", Text, nullable=False),
    Column("actor", Text, nullable=False),  # the operator's login
    Column("booked_on", Date, nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("programme_no", "reference", "leg"),
    Index("act_wallet", "bucket", "wallet_id", "seq"),
    Index("act_campaign", "campaign_no", "wallet_id"),
)

budget_change = Table(
    "budget_change",  # a budget's month made larger or smaller by command; only ever added to
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("budget_no", SmallInteger, nullable=False),
    Column("month", Integer, nullable=False),  # yyyymm; 0: a pot for good
    Column("won", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),  # after the change
    Column("note", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("programme_no", "reference"),
)

expiry = Table(
    "expiry",  # what the night of a business date took from expired lots, by kind and by whom it goes to
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # switch.domain.wallet.LotKind
    Column("funder_no", SmallInteger, nullable=False),
    Column("campaign_no", Integer, nullable=False, server_default="0"),
    Column("lots", BigInteger, nullable=False),
    Column("won", BigInteger, nullable=False),
    PrimaryKeyConstraint("programme_no", "business_date", "kind", "funder_no", "campaign_no"),
)

expiry_mark = Table(
    "expiry_mark",  # lots whose last valid day is this one or earlier have been emptied
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("expired_through", Date, nullable=False),
    PrimaryKeyConstraint("programme_no"),
)
