"""Tables of terminals beyond the terminal itself: their batches.

A terminal closes a batch by telling its totals (ISO 8583 0500). Both sides' totals are kept, and where they
differ the details that the terminal uploaded (0320), and each difference.
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
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from switch.store.schema import metadata


def _totals(side: str) -> list[Column[int]]:
    """Counts and won of one side: credits, credits reversed, debits, debits reversed."""
    columns: list[Column[int]] = []
    for name in ("credit", "debit"):
        for counted, won in ((f"{name}s", f"{name}_won"), (f"{name}s_reversed", f"{name}_reversed_won")):
            columns.append(Column(f"{side}{counted}", BigInteger, nullable=False))
            columns.append(Column(f"{side}{won}", BigInteger, nullable=False))
    return columns


terminal_batch = Table(
    "terminal_batch",
    metadata,
    Column("terminal_id", Text, nullable=False),
    Column("batch_no", Integer, nullable=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("state", Text, nullable=False),  # open_differs | closed | closed_differs
    Column("business_date", Date, nullable=False),  # of the last 0500 that changed it
    Column("reported_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("details", Integer, nullable=False, server_default="0"),  # uploaded so far
    Column("uploaded", Boolean, nullable=False, server_default="false"),  # the last detail has come
    *_totals(""),  # as the terminal told them
    *_totals("host_"),  # as the books had them then
    Column("differences", Integer, nullable=False, server_default="0"),
    PrimaryKeyConstraint("terminal_id", "batch_no"),
    CheckConstraint("state IN ('open_differs', 'closed', 'closed_differs')", name="terminal_batch_state"),
    CheckConstraint("(closed_at IS NULL) = (state = 'open_differs')", name="terminal_batch_closed"),
    Index("terminal_batch_date", "business_date"),
)

terminal_batch_detail = Table(
    "terminal_batch_detail",  # one record of a batch as the terminal has it: 0320
    metadata,
    Column("terminal_id", Text, nullable=False),
    Column("batch_no", Integer, nullable=False),
    Column("mti", Text, nullable=False),  # of the original, from DE90, as are STAN and DE7
    Column("stan", Integer, nullable=False),
    Column("transmission", Text, nullable=False),
    Column("processing", Text, nullable=False),  # DE3
    Column("local_mmdd", Integer, nullable=False),
    Column("local_time", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("rrn", Text, nullable=False),  # "" where not given, as the approval
    Column("approval", Text, nullable=False),
    PrimaryKeyConstraint("terminal_id", "batch_no", "mti", "stan", "transmission"),
)

terminal_batch_difference = Table(
    "terminal_batch_difference",  # an exception of a batch: one record on which the two sides differ
    metadata,
    Column("terminal_id", Text, nullable=False),
    Column("batch_no", Integer, nullable=False),
    Column("line", Integer, nullable=False),
    Column("what", Text, nullable=False),  # host_lacks | terminal_lacks | amount_differs
    Column("processing", Text, nullable=False),
    Column("stan", Integer, nullable=False),
    Column("transmission", Text, nullable=False),
    Column("host_won", BigInteger, nullable=False),
    Column("terminal_won", BigInteger, nullable=False),
    PrimaryKeyConstraint("terminal_id", "batch_no", "line"),
)
