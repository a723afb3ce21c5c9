"""Tables of donations and prize draws.

A case is shared by all who give to it: what it has been given stands in its row, locked only by batches with
a gift. What a member gave is a row on the wallet's side.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from switch.store.schema import metadata


def _won(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


donation_case = Table(
    "donation_case",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("kind", Text, nullable=False),  # the operator's own word: medical, tuition, …
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("target", BigInteger, nullable=False),
    _won("given"),  # what stands of all gifts
    Column("deadline", Date, nullable=False),  # the last day
    Column("merchant_no", Integer, nullable=False),  # who gets the money
    Column("state", Text, nullable=False, server_default="open"),  # open | closed
    Column("opened_by", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("closed_by", Text),
    Column("closed_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("programme_no", "code"),
    CheckConstraint("given >= 0 AND given <= target AND target > 0", name="donation_case_given"),
    CheckConstraint("state IN ('open', 'closed')", name="donation_case_state"),
)

gift = Table(
    "gift",  # one gift, by the posting number of its payment or act
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("case_code", Text, nullable=False),
    Column("business_date", Date, nullable=False),
    _won("points"),
    _won("charged"),
    Column("returned", Boolean, nullable=False, server_default="false"),  # its reversal took it back, whole
    PrimaryKeyConstraint("bucket", "wallet_id", "seq"),
    CheckConstraint("points >= 0 AND charged >= 0 AND points + charged > 0", name="gift_won"),
    Index("gift_day", "programme_no", "business_date"),
)

donation_receipt = Table(
    "donation_receipt",  # numbers 1, 2, 3 … of a programme's year
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    PrimaryKeyConstraint("programme_no", "year", "number"),
    UniqueConstraint("bucket", "wallet_id", "seq"),
)

prize_draw = Table(
    "prize_draw",
    metadata,
    Column("draw_no", Integer, primary_key=True, autoincrement=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("starts", Date, nullable=False),  # first and last local day of the payments
    Column("ends", Date, nullable=False),
    Column("prizes", Integer, nullable=False),
    _won("per_won"),  # a ticket for each so many won; 0: one for each payment
    _won("min_won"),  # what must stand of a payment at least
    Column("once", Boolean, nullable=False, server_default="true"),  # a member wins one prize at most
    Column("commitment", Text, nullable=False),
    Column("announced_by", Text, nullable=False),
    Column("announced_at", DateTime(timezone=True), nullable=False),
    Column("member_key", LargeBinary),  # of the members' anonymous ids in the list
    _won("tickets"),
    Column("list_sha256", Text),
    Column("closed_by", Text),
    Column("closed_at", DateTime(timezone=True)),
    Column("seed", Text),  # not before the draw
    Column("run_by", Text),
    Column("run_at", DateTime(timezone=True)),
    UniqueConstraint("programme_no", "name"),
    CheckConstraint(
        "ends >= starts AND prizes > 0 AND per_won >= 0 AND min_won >= 0", name="prize_draw_rules"
    ),
)

draw_ticket = Table(
    "draw_ticket",
    metadata,
    Column("draw_no", Integer, nullable=False),
    Column("first_ticket", BigInteger, nullable=False),
    Column("tickets", Integer, nullable=False),
    Column("local_day", Date, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    PrimaryKeyConstraint("draw_no", "first_ticket"),
)

draw_result = Table(
    "draw_result",  # tickets in the order drawn
    metadata,
    Column("draw_no", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("ticket", BigInteger, nullable=False),
    Column("cancelled", Boolean, nullable=False),  # the payment had lost it between close and draw
    Column("prize", Integer, nullable=False),  # 1 … prizes; 0 where cancelled
    Column("member", Text, nullable=False),  # anonymous, as in the list
    Column("card", Text, nullable=False),  # masked
    PrimaryKeyConstraint("draw_no", "place"),
)
