"""The table of what merchants are, from a day on."""

from sqlalchemy import Column, Date, Integer, PrimaryKeyConstraint, Table, Text

from switch.store.schema import metadata

merchant_fact = Table(
    "merchant_fact",  # a change; what it began with stands in the merchant's own row
    metadata,
    Column("merchant_no", Integer, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("category", Text, nullable=False),
    Column("size", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("head_region", Text, nullable=False),
    PrimaryKeyConstraint("merchant_no", "valid_from"),
)
