"""Messages to terminals as tables: the outbox, what is known of each terminal, and the hot list."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

from switch.store.schema import metadata

_NOW = text("now()")

outbox = Table(
    "outbox",  # what a terminal has not acknowledged yet; written with the payment, gone with the ack
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("event_id", Text, nullable=False),  # of the payment, the same in every transmission
    Column("terminal_id", Text, nullable=False),  # whom to tell
    Column("kind", SmallInteger, nullable=False),  # switch.domain.notice.MessageKind
    Column("body", Text, nullable=False),  # JSON
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=_NOW),  # infinity: parked
    PrimaryKeyConstraint("bucket", "event_id", "terminal_id"),
    Index("outbox_due", "due_at", "created_at", "event_id"),
    Index("outbox_terminal", "terminal_id", "created_at", "event_id"),
)

terminal_state = Table(
    "terminal_state",  # what a terminal told of itself, and when it was heard of
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("up", Boolean, nullable=False),
    Column("session", BigInteger, nullable=False),  # a last will counts only for the session that it names
    Column("first_seen", DateTime(timezone=True), nullable=False),
    Column("last_seen", DateTime(timezone=True), nullable=False),
    Column("config_version", Integer, nullable=False, server_default="0"),  # that it says it has
    Column("hotlist_version", BigInteger, nullable=False, server_default="0"),
    Column("tele", Text, nullable=False, server_default="{}"),  # JSON: its last readings, numbers only
)

terminal_config = Table(
    "terminal_config",  # the configuration that a terminal is to have
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

key_warning = Table(
    "key_warning",  # a terminal is warned once of each end of its keys
    metadata,
    Column("terminal_id", Text, primary_key=True),
    Column("keys_until", DateTime(timezone=True), nullable=False),
)

hotlist = Table(
    "hotlist",  # one row an act; the last one on a card says whether it is on the list
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("card_no", SmallInteger, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("noted_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    Index("hotlist_card", "bucket", "wallet_id", "card_no"),
)
