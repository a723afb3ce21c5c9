"""The tables between the books and the bank: files, approvals, deliveries, answers, statements."""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from settlement.store.schema import instant, label, metadata, number, won

house_transfer = Table(
    "house_transfer",  # between own accounts: funders' money for cashback, the operator's fees
    metadata,
    number("programme_no", SmallInteger),
    Column("business_date", Date, nullable=False),
    number("cycle", SmallInteger),
    label("purpose"),  # funding | fees
    number("funder_no", SmallInteger),  # 0 where the purpose has none
    number("attempt", SmallInteger),
    Column("pay_on", Date, nullable=False),
    won("won"),
    label("end_to_end_id"),
    label("debtor"),  # safeguarded | funder:ID | operator
    label("payee"),  # likewise
    label("bank_code"),
    label("account_no"),
    label("account_holder"),
    label("state", "ordered"),  # settlement.domain.payouts.PayoutState
    label("reason", ""),
    Column("booked_on", Date),  # on the debtor account's statement
    Column("received_on", Date),  # on the payee account's statement
    PrimaryKeyConstraint("programme_no", "business_date", "cycle", "purpose", "funder_no", "attempt"),
    UniqueConstraint("end_to_end_id"),
)

bank_file = Table(
    "bank_file",
    metadata,
    number("programme_no", SmallInteger),
    number("file_no"),  # gapless from 1
    Column("business_date", Date, nullable=False),  # of the run that made it
    number("cycle", SmallInteger),
    label("profile"),  # settlement.settings: files.profile
    label("debtor"),
    label("debtor_name"),
    label("debtor_account"),
    label("debtor_bank"),
    Column("pay_on", Date, nullable=False),
    label("message_id"),
    label("payment_information_id"),
    label("name"),
    label("remittance"),
    instant("created_at"),
    label("made_by"),
    number("payments"),
    won("won"),
    Column("sha256", Text),  # once the file is written; never changed
    label("state"),  # settlement.domain.bankfiles.FileState
    PrimaryKeyConstraint("programme_no", "file_no"),
    UniqueConstraint("message_id"),
    UniqueConstraint("payment_information_id"),
    UniqueConstraint("name"),
    UniqueConstraint("programme_no", "file_no", "sha256", "made_by"),
)

bank_file_line = Table(
    "bank_file_line",
    metadata,
    number("programme_no", SmallInteger),
    number("file_no"),
    number("line"),
    label("end_to_end_id"),
    PrimaryKeyConstraint("programme_no", "file_no", "line"),
    UniqueConstraint("programme_no", "file_no", "end_to_end_id"),
    Index("bank_file_line_item", "end_to_end_id"),
)

file_approval = Table(
    "file_approval",  # of one hash by somebody who did not make the file
    metadata,
    number("programme_no", SmallInteger),
    number("file_no"),
    number("approval_no", SmallInteger),
    label("sha256"),
    label("made_by"),
    label("approved_by"),
    instant("approved_at"),
    instant("voided_at", nullable=True),
    label("void_reason", ""),
    PrimaryKeyConstraint("programme_no", "file_no", "approval_no"),
    ForeignKeyConstraint(
        ["programme_no", "file_no", "sha256", "made_by"],
        ["bank_file.programme_no", "bank_file.file_no", "bank_file.sha256", "bank_file.made_by"],
    ),
)

file_delivery = Table(
    "file_delivery",  # a try: begun before a byte leaves, ended when its outcome is known
    metadata,
    number("programme_no", SmallInteger),
    number("file_no"),
    number("try_no", SmallInteger),
    label("channel"),
    label("by"),
    instant("started_at"),
    instant("ended_at", nullable=True),
    label("outcome"),  # settlement.delivery.tries.Outcome
    label("told", ""),
    PrimaryKeyConstraint("programme_no", "file_no", "try_no"),
)

inbound_file = Table(
    "inbound_file",  # archived raw before anything is read in it
    metadata,
    Column("inbound_no", Integer, nullable=False, autoincrement=False),
    number("programme_no", SmallInteger, "0"),  # 0 until it is known
    label("name"),
    label("sha256"),
    won("size"),  # bytes
    label("kind", ""),  # pain.002 | camt.053 | camt.054 | pacs.004
    label("message_id", ""),
    instant("received_at"),
    label("archived"),  # path below the archive
    label("state"),  # archived | applied | refused
    label("problem", ""),
    PrimaryKeyConstraint("inbound_no"),
    UniqueConstraint("sha256"),
)

payout_event = Table(
    "payout_event",  # what happened to one payout or transfer, in order
    metadata,
    number("programme_no", SmallInteger),
    label("end_to_end_id"),
    number("event_no", SmallInteger),
    label("event"),  # settlement.domain.payouts.PayoutEvent
    instant("at"),
    number("inbound_no", default="0"),
    label("reason", ""),
    label("told", ""),
    PrimaryKeyConstraint("programme_no", "end_to_end_id", "event_no"),
)

bank_statement = Table(
    "bank_statement",
    metadata,
    number("programme_no", SmallInteger),
    label("account"),  # safeguarded | funder:ID | operator
    label("statement_id"),
    Column("sequence", Integer),
    Column("first", Date, nullable=False),
    Column("last", Date, nullable=False),
    won("opening"),
    won("closing"),
    number("entries"),
    number("inbound_no"),
    PrimaryKeyConstraint("programme_no", "account", "statement_id"),
)

bank_entry = Table(
    "bank_entry",
    metadata,
    number("programme_no", SmallInteger),
    label("account"),
    label("statement_id"),
    number("entry_no"),
    Column("booked_on", Date, nullable=False),
    won("won"),  # above 0: came in; below: went out
    label("reference", ""),  # the bank's own
    label("end_to_end_id", ""),
    label("payment_information_id", ""),
    label("message_id", ""),
    label("remittance", ""),
    label("return_reason", ""),
    label("state"),  # matched | suspense | resolved
    label("kind", ""),  # payout | batch | return | collection | prepayment | transfer | charge | claim
    label(
        "carrier", ""
    ),  # what named it: end_to_end_id | payment_information_id | message_id | remittance | …
    label("matched_to", ""),
    label("resolved_by", ""),
    instant("resolved_at", nullable=True),
    PrimaryKeyConstraint("programme_no", "account", "statement_id", "entry_no"),
)

funding_stop = Table(
    "funding_stop",  # cashback of a date that a funder's prepayment did not cover
    metadata,
    number("programme_no", SmallInteger),
    Column("business_date", Date, nullable=False),
    number("funder_no", SmallInteger),
    won("won"),  # the date's net of the funder
    instant("stopped_at"),
    Column("credited_by", Date),  # the business date of the run that credited it after all
    PrimaryKeyConstraint("programme_no", "business_date", "funder_no"),
)

funding_night = Table(
    "funding_night",  # what was decided about a date's cashback, before any of it was credited
    metadata,
    number("programme_no", SmallInteger),
    Column("business_date", Date, nullable=False),
    number("funder_no", SmallInteger),  # 0: the decision itself, whether or not a funder pays in ahead
    won("prepaid"),  # what the funder had paid in and not used
    won("net"),  # granted less taken back on the date
    Column("covered", Boolean, nullable=False),
    PrimaryKeyConstraint("programme_no", "business_date", "funder_no"),
)

funder_prepayment = Table(
    "funder_prepayment",  # noted by a person, where the bank sends no statements of the funder's account
    metadata,
    number("programme_no", SmallInteger),
    label("reference"),
    number("funder_no", SmallInteger),
    won("won"),
    label("noted_by"),
    instant("noted_at"),
    PrimaryKeyConstraint("programme_no", "reference"),
)
