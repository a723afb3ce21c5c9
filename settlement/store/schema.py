"""The night's tables (SQLAlchemy Core): runs, steps, nets, payouts (migrations 0002, 0013, 0014)."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()


def won(name: str, default: str | None = None) -> "Column[int]":
    """An amount of money."""
    return Column(name, BigInteger, nullable=False, server_default=default)


def label(name: str, default: str | None = None) -> "Column[str]":
    """A text that is always there."""
    return Column(name, Text, nullable=False, server_default=default)


def number(
    name: str, kind: "type[SmallInteger | Integer]" = Integer, default: str | None = None
) -> "Column[int]":
    """A number that is always there."""
    return Column(name, kind, nullable=False, server_default=default)


def instant(name: str, *, nullable: bool = False) -> "Column[datetime]":
    """A point in time."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


settlement_run = Table(
    "settlement_run",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),  # the creation time in every file
    Column("calendar", Text, nullable=False),  # JSON: CalendarFacts
    PrimaryKeyConstraint("programme_no", "business_date", "cycle"),
)

settlement_step = Table(
    "settlement_step",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("step", Text, nullable=False),
    Column("state", Text, nullable=False),  # settlement.domain.run.State
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("inputs_sha256", Text, nullable=False, server_default=""),
    Column("booked_on", Date),  # the open date of its postings, where one transaction books them all
    Column("outcome", Text, nullable=False, server_default="{}"),  # JSON
    PrimaryKeyConstraint("programme_no", "business_date", "cycle", "step"),
)

merchant_net = Table(
    "merchant_net",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("sales", BigInteger, nullable=False),
    Column("refunds", BigInteger, nullable=False),
    Column("fee_rate_ppm", Integer, nullable=False),
    Column("fee", BigInteger, nullable=False),
    won("carried_in"),
    won("paid"),
    won("carried_out"),
    won("vat", "0"),  # value added tax on the fee
    won("rebate", "0"),  # fees of earlier dates given back, and
    won("rebate_vat", "0"),  # their tax
    won("subsidy", "0"),
    won("reserved", "0"),  # kept back as a security
    won("released", "0"),  # of what had been kept back
    won("rounding", "0"),  # what a payout in whole units leaves over
    Column("carried_since", Date),  # since when something has been carried without a break
    label("held", ""),  # why nothing was paid: settlement.domain.netting.Held
    number("reserve_ppm", default="0"),  # the terms of the security that held for this run,
    won("reserve_max", "0"),
    won("reserve", "0"),  # and what stays kept back after it
    PrimaryKeyConstraint("programme_no", "business_date", "cycle", "merchant_no"),
)

payout = Table(
    "payout",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("pay_on", Date, nullable=False),
    Column("won", BigInteger, nullable=False),
    Column("end_to_end_id", Text, nullable=False),
    Column("bank_code", Text, nullable=False),
    Column("account_no", Text, nullable=False),
    Column("account_holder", Text, nullable=False),
    label("state", "ordered"),  # settlement.domain.payouts.PayoutState
    label("reason", ""),  # the bank's code, where it was rejected or returned
    Column("booked_on", Date),  # on the bank's statement
    Column("returned_on", Date),  # when it came back
    PrimaryKeyConstraint("programme_no", "business_date", "cycle", "merchant_no", "attempt"),
    UniqueConstraint("end_to_end_id"),
    Index(
        "payout_pending",
        *("programme_no", "state"),
        postgresql_where=text("state <> 'booked'"),
    ),
)
