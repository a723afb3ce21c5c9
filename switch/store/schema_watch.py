"""Tables of the watch for illegal discounting: flags, the payments that speak for them, stops, marks."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
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

flag = Table(
    "watch_flag",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("flag_no", Integer, nullable=False),  # from 1 in each programme
    Column("detector", Text, nullable=False),  # the code of the [[watch]]
    Column("rule", Text, nullable=False),  # canonical JSON of the rule that found it first
    Column("rule_sha256", Text, nullable=False),
    Column("subject", SmallInteger, nullable=False),  # switch.domain.programme_watch.Subject
    Column("bucket", SmallInteger, nullable=False),  # of the wallet; 0 of a shop
    Column("wallet_id", BigInteger, nullable=False),  # 0 of a shop
    Column("merchant_no", Integer, nullable=False),  # 0 of a member
    Column("first_at", BigInteger, nullable=False),  # yyyymmddhhmmss of the first payment meant
    Column("last_at", BigInteger, nullable=False),
    Column("figures", Text, nullable=False),  # JSON: the rule's figures at their highest
    Column("state", Text, nullable=False, server_default="open"),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    Column("judged_by", Text),
    Column("judged_at", DateTime(timezone=True)),
    Column("note", Text),
    PrimaryKeyConstraint("programme_no", "flag_no"),
    CheckConstraint("state IN ('open', 'cleared', 'confirmed')", name="watch_flag_state"),
    CheckConstraint(
        "(subject = 1 AND wallet_id > 0) OR (subject = 2 AND merchant_no > 0)", name="watch_flag_subject"
    ),
    Index("watch_flag_subject_at", "programme_no", "detector", "wallet_id", "merchant_no", "last_at"),
)

evidence = Table(
    "watch_evidence",  # payments by key; only ever added to
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("flag_no", Integer, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("local_day", Date, nullable=False),
    Column("local_time", Integer, nullable=False),
    Column("terminal_id", Text, nullable=False),
    Column("stan", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    PrimaryKeyConstraint(
        "programme_no", "flag_no", "bucket", "local_day", "local_time", "terminal_id", "stan", "kind"
    ),
)

stop = Table(
    "watch_stop",  # what a flag declines meanwhile
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("flag_no", Integer, nullable=False),
    Column("subject", SmallInteger, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("until_day", Integer, nullable=False),  # last day (yyyymmdd) on which payments are declined
    Column("lifted_at", DateTime(timezone=True)),  # the flag was cleared
    PrimaryKeyConstraint("programme_no", "flag_no"),
    Index("watch_stop_wallet", "bucket", "wallet_id"),
)

mark = Table(
    "watch_mark",  # every payment of business dates up to this one has been seen
    metadata,
    Column("programme_no", SmallInteger, nullable=False, primary_key=True, autoincrement=False),
    Column("settled_through", Date, nullable=False),
)
