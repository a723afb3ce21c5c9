"""The tables of what operators decide about merchants' money: holds, reserves, subsidies, rebates."""

from sqlalchemy import Column, Date, Index, PrimaryKeyConstraint, SmallInteger, Table, Text, text

from settlement.store.schema import instant, label, metadata, number, won

merchant_hold = Table(
    "merchant_hold",
    metadata,
    number("programme_no", SmallInteger),
    number("hold_no"),
    number("merchant_no"),
    label("kind"),  # hold: nothing is paid; reserve: a part of each payout is kept back
    number("rate_ppm", default="0"),  # of a reserve
    won("max_won", "0"),  # of a reserve: the most that is kept
    label("reason"),
    label("placed_by"),
    instant("placed_at"),
    Column("released_by", Text),
    instant("released_at", nullable=True),
    PrimaryKeyConstraint("programme_no", "hold_no"),
    Index(
        "merchant_hold_live",  # at most one of a kind
        *("programme_no", "merchant_no", "kind"),
        unique=True,
        postgresql_where=text("released_at IS NULL"),
    ),
)

merchant_subsidy = Table(
    "merchant_subsidy",  # a funder's gift to a merchant, paid with its next net
    metadata,
    number("programme_no", SmallInteger),
    label("reference"),
    number("merchant_no"),
    number("funder_no", SmallInteger),
    won("won"),
    label("about"),
    label("proposed_by"),
    instant("proposed_at"),
    Column("approved_by", Text),
    instant("approved_at", nullable=True),
    Column("taken_date", Date),  # the run that paid it
    Column("taken_cycle", SmallInteger),
    PrimaryKeyConstraint("programme_no", "reference"),
    Index("merchant_subsidy_taken", "programme_no", "taken_date", "taken_cycle"),
)

fee_rebate = Table(
    "fee_rebate",  # of one date's fee, after the merchant was found to be in a lower class
    metadata,
    number("programme_no", SmallInteger),
    number("merchant_no"),
    Column("business_date", Date, nullable=False),
    number("cycle", SmallInteger),
    number("rebate_no", SmallInteger),
    won("net"),  # the date's net that the fee was taken of
    number("charged_ppm"),
    number("due_ppm"),
    won("won"),  # below 0 on a date of a negative net, when too much had been given back
    won("vat"),
    label("proposed_by"),
    instant("proposed_at"),
    Column("approved_by", Text),
    instant("approved_at", nullable=True),
    Column("taken_date", Date),
    Column("taken_cycle", SmallInteger),
    PrimaryKeyConstraint("programme_no", "merchant_no", "business_date", "cycle", "rebate_no"),
    Index("fee_rebate_taken", "programme_no", "taken_date", "taken_cycle"),
)
