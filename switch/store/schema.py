"""The books as tables (SQLAlchemy Core), for every path that is not the lane's.

Wallet-side tables have `bucket` as the first column of every key, so that they can be spread over machines;
reference tables are small and copied everywhere. The migrations build exactly this: a test compares them.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()


def _won(name: str, *, default: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0" if default else None)


control = Table(
    "control",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("reference_epoch", BigInteger, nullable=False),  # raised by every change of reference data
    Column("simulation", Boolean, nullable=False),  # only such a database takes the simulated clock
    Column("vault_version", SmallInteger, nullable=False, server_default="0"),  # older key files add no card
    CheckConstraint("id = 1", name="control_one_row"),
)

programme = Table(
    "programme",
    metadata,
    Column("programme_no", SmallInteger, primary_key=True, autoincrement=False),
    Column("programme_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON of the whole programme
    Column("sha256", Text, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
    Column("closed_through", Date),  # every business date up to this one is closed
)

policy = Table(
    "policy",
    metadata,
    Column("policy_no", Integer, primary_key=True, autoincrement=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("effective_from", DateTime(timezone=True), nullable=False),
    Column("document", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    UniqueConstraint("programme_no", "version"),
)

funder = Table(
    "funder",
    metadata,
    Column("funder_no", SmallInteger, primary_key=True, autoincrement=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("funder_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("programme_no", "funder_id"),
)

merchant = Table(
    "merchant",
    metadata,
    Column("merchant_no", Integer, primary_key=True, autoincrement=False),
    Column("merchant_id", Text, nullable=False, unique=True),  # DE42
    Column("programme_no", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("head_region", Text, nullable=False),
    Column("size", Text, nullable=False),
    Column("channels", ARRAY(Text), nullable=False),
    Column("opened", Date, nullable=False),
    Column("closed", Date),
    Column("business_no", Text, nullable=False),
    Column("bank_code", Text, nullable=False),  # clearing member id of the payee's bank
    Column("account_no", Text, nullable=False),
    Column("account_holder", Text, nullable=False),
    Column("payout_days", SmallInteger),  # T+n; the policy's where empty
)

merchant_sales = Table(
    "merchant_sales",
    metadata,
    Column("merchant_no", Integer, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("annual_sales", BigInteger, nullable=False),
    PrimaryKeyConstraint("merchant_no", "valid_from"),
)

merchant_group = Table(
    "merchant_group",
    metadata,
    Column("merchant_no", Integer, nullable=False),
    Column("group_code", Text, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),  # exclusive
    PrimaryKeyConstraint("merchant_no", "group_code", "valid_from"),
)

terminal = Table(
    "terminal",
    metadata,
    Column("terminal_id", Text, primary_key=True),  # DE41
    Column("merchant_no", Integer, nullable=False),
    Column("state", Text, nullable=False),  # active | stopped
    Column("tmk", Text, nullable=False),  # under the LMK
    Column("tmk_kcv", Text, nullable=False),
    Column("tpk", Text),  # session PIN key under the LMK
    Column("tak", Text),  # session MAC key under the LMK
    Column("keys_at", DateTime(timezone=True)),
    Column("signed_on_at", DateTime(timezone=True)),  # empty: signed off
    Column("tmk_at", DateTime(timezone=True)),  # when the master key was loaded; empty: before that was noted
    Column("key_mode", Text, nullable=False, server_default="session"),  # session | dukpt_tdes | dukpt_aes
    Column("key_form", Text, nullable=False, server_default="block"),  # of session keys: block (TR-31) | x917
    Column("keys_until", DateTime(timezone=True)),  # end of the session keys; empty: none was set
    Column("keys_seen", Boolean, nullable=False, server_default="false"),  # the terminal has used them
    Column("tpk_old", Text),  # the set before, while the terminal may still use it
    Column("tak_old", Text),
    Column("old_until", DateTime(timezone=True)),
    Column("bdk", Text),  # base derivation key under the LMK (type 009)
    Column("ksn_id", Text),  # initial key serial number, counter zero: 20 hex digits TDES, 24 AES
    Column("ksn_counter", BigInteger, nullable=False, server_default="-1"),  # the last one taken
    Column("batch_closed", Integer, nullable=False, server_default="0"),  # number of the last closed batch
    Column("notify", Boolean, nullable=False, server_default="false"),  # tells of payments aloud (soundbox)
    CheckConstraint("key_mode IN ('session', 'dukpt_tdes', 'dukpt_aes')", name="terminal_key_mode"),
    CheckConstraint("key_form IN ('block', 'x917')", name="terminal_key_form"),
    CheckConstraint(
        "key_mode = 'session' OR (bdk IS NOT NULL AND ksn_id IS NOT NULL)", name="terminal_derived_key"
    ),
    Index("terminal_keys_until", "keys_until"),
)

key_audit = Table(
    "key_audit",  # every act on a key: who, what, on which key; only ever added to
    metadata,
    Column("audit_no", BigInteger, Identity(always=True), primary_key=True),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),  # the operator's login, or "switch"
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),  # a terminal, or what else was acted on
    Column("detail", Text, nullable=False),  # check values and figures; never a key
)

wallet = Table(
    "wallet",
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, server_default="1"),  # 1 active, 2 stopped
    Column("points_on", Boolean, nullable=False),
    Column("seq", Integer, nullable=False, server_default="0"),  # postings so far: gapless
    Column("lot_seq", Integer, nullable=False, server_default="0"),
    _won("receivable"),
    Column("month", Integer, nullable=False, server_default="0"),  # yyyymm of the counters that follow
    _won("month_spent"),
    _won("month_basis"),
    _won("month_topup"),
    Column("day", Integer, nullable=False, server_default="0"),  # yyyymmdd of the counter that follows
    _won("day_spent"),
    Column("holds", SmallInteger, nullable=False, server_default="0"),  # rows in `hold`
    Column("tags", Integer, nullable=False, server_default="0"),  # a bit for each of Programme.member_tags
    Column("holder", SmallInteger, nullable=False, server_default="1"),  # switch.domain.wallet.Holder
    Column("stopped_until", Integer, nullable=False, server_default="0"),  # by the watch; yyyymmdd
    PrimaryKeyConstraint("bucket", "wallet_id"),
    CheckConstraint("receivable >= 0", name="wallet_receivable"),
)

member = Table(
    "member",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("member_id", Text, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False, unique=True),
    PrimaryKeyConstraint("programme_no", "member_id"),
)

usage_month = Table(
    "usage_month",  # months that the wallet's own counters have left behind
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("month", Integer, nullable=False),
    _won("spent"),
    _won("basis"),
    _won("topup"),
    PrimaryKeyConstraint("bucket", "wallet_id", "month"),
)

lot = Table(
    "lot",
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("lot_no", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # switch.domain.wallet.LotKind
    Column("funder_no", SmallInteger, nullable=False, server_default="0"),
    _won("balance", default=False),
    _won("granted", default=False),
    Column("opened", Integer, nullable=False),  # yyyymmdd
    Column("expires", Integer, nullable=False, server_default="0"),  # last valid day, yyyymmdd; 0 never
    Column("campaign_no", Integer, nullable=False, server_default="0"),  # where grants and coupons come from
    PrimaryKeyConstraint("bucket", "wallet_id", "lot_no"),
    CheckConstraint("balance >= 0", name="lot_balance"),
)

hold = Table(
    "hold",  # money that an open pre-authorisation keeps, by the posting number of its 0100
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("local_day", Date, nullable=False),
    Column("expires", Integer, nullable=False),  # last valid day, yyyymmdd
    _won("won", default=False),
    Column("uses", Text, nullable=False),  # JSON [[lot_no, kind, won], …] in spending order
    PrimaryKeyConstraint("bucket", "wallet_id", "seq"),
    CheckConstraint("won > 0", name="hold_won"),
)

card = Table(
    "card",
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("card_no", SmallInteger, nullable=False),
    Column("pan_hmac", LargeBinary, nullable=False),
    Column("pan_box", LargeBinary, nullable=False),  # AES-GCM, the row's id as associated data
    Column("key_version", SmallInteger, nullable=False),
    Column("masked", Text, nullable=False),  # BIN and last four
    Column("expiry", Integer, nullable=False),  # yymm
    Column("state", Text, nullable=False),  # active | blocked | lost | stolen
    Column("pvki", Text, nullable=False, server_default=""),
    Column("pvv", Text, nullable=False, server_default=""),
    Column("pin_tries", SmallInteger, nullable=False, server_default="0"),
    Column("form", Text, nullable=False, server_default="card"),  # card | qr | mobile
    Column("atc", Integer, nullable=False, server_default="0"),  # the highest seen (EMV tag 9F36)
    Column("tap_count", SmallInteger, nullable=False, server_default="0"),  # contactless since the last PIN
    _won("tap_won"),
    Column("cvv_tries", SmallInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("bucket", "wallet_id", "card_no"),
)

card_index = Table(
    "card_index",
    metadata,
    Column("pan_hmac", LargeBinary, primary_key=True),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("card_no", SmallInteger, nullable=False),
)

payment = Table(
    "payment",
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("local_day", Date, nullable=False),
    Column("local_time", Integer, nullable=False),  # hhmmss
    Column("terminal_id", Text, nullable=False),
    Column("stan", Integer, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),  # the wallet's posting number
    Column("card_no", SmallInteger, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("policy_no", Integer, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("transmission", Text, nullable=False),  # DE7
    Column("content", BigInteger, nullable=False),  # hash of what a repeat may not change
    _won("amount", default=False),
    _won("approved", default=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("reason", SmallInteger, nullable=False),
    Column("approval", Text, nullable=False),  # DE38, empty when declined
    Column("rrn", Text, nullable=False),
    Column("channel", Text, nullable=False),
    _won("basis", default=False),  # part that cashback was rated on
    Column("usage_month", Integer, nullable=False),
    _won("usage_before", default=False),
    _won("cashback", default=False),  # granted; negative when taken back
    _won("ledger_after", default=False),
    _won("available_after", default=False),
    _won("returned", default=False),
    Column("original_seq", Integer, nullable=False),  # of a refund or reversal; 0 none
    Column("detail", Text, nullable=False),  # JSON: the explanation
    Column("batch_no", Integer, nullable=False, server_default="0"),  # the terminal's; 0 none
    PrimaryKeyConstraint("bucket", "local_day", "local_time", "terminal_id", "stan", "kind"),
    Index("payment_wallet", "bucket", "wallet_id", "seq"),
    Index("payment_terminal", "terminal_id", "local_time", "stan"),
    Index("payment_business_date", "business_date", postgresql_using="brin"),
    CheckConstraint("returned >= 0 AND returned <= approved", name="payment_returned"),
    postgresql_partition_by="RANGE (local_day)",
)

entry = Table(
    "entry",
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("line", SmallInteger, nullable=False),
    Column("programme_no", SmallInteger, nullable=False),
    Column("source", SmallInteger, nullable=False),  # switch.ledger.journal.Source
    Column("debit", SmallInteger, nullable=False),
    Column("credit", SmallInteger, nullable=False),
    _won("won", default=False),
    Column("lot_no", Integer, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("funder_no", SmallInteger, nullable=False),
    Column("budget_no", SmallInteger, nullable=False, server_default="0"),  # that cashback was taken from
    PrimaryKeyConstraint("bucket", "business_date", "wallet_id", "seq", "line"),
    CheckConstraint("won > 0 AND debit <> credit", name="entry_balanced"),
    postgresql_partition_by="RANGE (business_date)",
)

house_entry = Table(
    "house_entry",  # postings that touch no wallet: fees and payouts of merchants
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),  # the open date on which it was booked
    Column("posting", Text, nullable=False),  # what booked it, e.g. pay_merchants:2026-11-20:1
    Column("line", Integer, nullable=False),
    Column("debit", SmallInteger, nullable=False),
    Column("credit", SmallInteger, nullable=False),
    _won("won", default=False),
    Column("merchant_no", Integer, nullable=False),
    Column("funder_no", SmallInteger, nullable=False),
    PrimaryKeyConstraint("programme_no", "business_date", "posting", "line"),
    CheckConstraint("won > 0 AND debit <> credit", name="house_entry_balanced"),
)

tombstone = Table(
    "tombstone",  # a reversal came before its original: the original is refused when it comes
    metadata,
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("terminal_id", Text, nullable=False),
    Column("stan", Integer, nullable=False),
    Column("transmission", Text, nullable=False),
    Column("noted_on", Date, nullable=False),
    PrimaryKeyConstraint("bucket", "wallet_id", "terminal_id", "stan", "transmission"),
)

funding = Table(
    "funding",  # money that came in by operator's file: exactly once by its reference
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("wallet_id", BigInteger, nullable=False),
    Column("lot_no", Integer, nullable=False),
    _won("won", default=False),
    PrimaryKeyConstraint("programme_no", "reference"),
)

business_day = Table(
    "business_day",  # a closed business date: its frozen row set, chained to the day before
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("closed_at", DateTime(timezone=True), nullable=False),
    Column("payments", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    _won("won", default=False),
    Column("previous_sha256", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    PrimaryKeyConstraint("programme_no", "business_date"),
)

credit_mark = Table(
    "credit_mark",  # how far the nightly credit has come in a bucket
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("bucket", SmallInteger, nullable=False),
    Column("credited_through", Date, nullable=False),
    PrimaryKeyConstraint("programme_no", "bucket"),
)
