"""Tables of what is looked at again: corrections of cashback that a wrong rule gave.

A correction is proposed by one person and approved by another; the database holds them to it. Its lines say
what stood of each payment's cashback, what is due and what was booked, funder by funder.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from switch.store.schema import metadata


def _won(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


correction = Table(
    "correction",
    metadata,
    Column("correction_no", Integer, primary_key=True, autoincrement=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("policy_no", Integer, nullable=False),  # the version that says what is due
    Column("since", DateTime(timezone=True), nullable=False),  # payments' own time: from this instant …
    Column("until", DateTime(timezone=True), nullable=False),  # … to before this one
    Column("only_group", Text, nullable=False, server_default=""),
    Column("only_category", Text, nullable=False, server_default=""),
    _won("forgive_below"),  # members who got less than this too much keep it
    Column("owe", Boolean, nullable=False),  # what points do not cover is owed; else it is waived
    Column("payments", Integer, nullable=False),
    Column("members", Integer, nullable=False),
    Column("over", BigInteger, nullable=False),  # won that members got too much
    Column("under", BigInteger, nullable=False),  # and too little
    Column("sha256", Text, nullable=False),  # of all of the above and every line
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("approved_by", Text),
    Column("approved_at", DateTime(timezone=True)),
    Column("posted_at", DateTime(timezone=True)),
    CheckConstraint("lower(approved_by) <> lower(proposed_by)", name="correction_two_people"),
    CheckConstraint("posted_at IS NULL OR approved_by IS NOT NULL", name="correction_approved_first"),
    CheckConstraint("(approved_by IS NULL) = (approved_at IS NULL)", name="correction_approved"),
)

correction_line = Table(
    "correction_line",
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("correction_no", Integer, nullable=False),
    Column("seq", Integer, nullable=False),  # the payment's posting number
    Column("funder_no", SmallInteger, nullable=False),
    Column("budget_no", SmallInteger, nullable=False),  # 0 none
    Column("local_day", Date, nullable=False),  # the payment's
    Column("month", Integer, nullable=False),  # the payment's usage month, yyyymm
    Column("stood", BigInteger, nullable=False),  # won kept, and corrected before, at the proposal
    Column("due", BigInteger, nullable=False),
    _won("booked"),  # of due - stood, with its sign
    _won("waived"),  # likewise: not taken from the member, and never proposed again
    Column("state", SmallInteger, nullable=False, server_default="0"),  # store.corrections: OPEN, …
    PrimaryKeyConstraint("bucket", "wallet_id", "correction_no", "seq", "funder_no", "budget_no"),
    CheckConstraint("stood <> due AND due >= 0", name="correction_line_differs"),
)
