"""The books of one full business date, as the switch leaves them: what `tests.bench.settle` settles.

A member's day is one of `PATTERNS` sequences, each decided once by the domain itself (rules, lots, budgets,
explanations); SQL lays them over the wallets, in the order of time, so that a wallet's rows lie far apart.
Partitions get their indexes after they are filled, as loading goes; nothing is unlogged.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec.structs import astuple
from sqlalchemy import Connection, Engine, text

from switch.domain.budget import Pools
from switch.domain.calendar import SEOUL, add_months, day_of_date
from switch.domain.decide import decide
from switch.domain.decision import Decision, apply
from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.request import OriginalRef, PinCheck, Request, Stored
from switch.domain.wallet import Card, Holder, Lot, LotKind, Wallet
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.ledger.postings import entries_of
from switch.store.bulk import copy_rows
from switch.store.engine import open_engine
from switch.store.reference import Reference, load_reference
from tests.support.stage import ROOT, Stage

DAY = date(2026, 11, 20)
BEFORE = DAY - timedelta(days=1)
PATTERNS = 1_000
STEPS = 5
RETURNING = 150
"""Patterns whose last step is a refund: 15 % of the wallets, 3 % of the payments."""
CHARGED = 900_000
SEED = 20261120

_STRIDE = 1_000_003
"""A prime: visits every wallet once a round, in no order."""
_PAYMENT_COLUMNS = (
    *("pattern", "step", "kind", "policy_no", "amount", "approved", "outcome", "reason", "channel", "basis"),
    *("usage_month", "usage_before", "cashback", "ledger_after", "available_after", "returned"),
    *("original_seq", "detail"),
)
_ENTRY_COLUMNS = (
    *("pattern", "step", "line", "debit", "credit", "won", "lot_no", "at_merchant", "funder_no"),
    "budget_no",
)
_SCHEMA = """
    CREATE TABLE bench_wallet (wallet BIGINT, bucket SMALLINT, pattern INTEGER);
    CREATE TABLE bench_payment (
        pattern INTEGER, step INTEGER, kind SMALLINT, policy_no INTEGER, amount BIGINT, approved BIGINT,
        outcome SMALLINT, reason SMALLINT, channel TEXT, basis BIGINT, usage_month INTEGER,
        usage_before BIGINT, cashback BIGINT, ledger_after BIGINT, available_after BIGINT, returned BIGINT,
        original_seq INTEGER, detail TEXT);
    CREATE TABLE bench_entry (
        pattern INTEGER, step INTEGER, line SMALLINT, debit SMALLINT, credit SMALLINT, won BIGINT,
        lot_no INTEGER, at_merchant SMALLINT, funder_no SMALLINT, budget_no SMALLINT);
    CREATE TABLE bench_end (pattern INTEGER, balance BIGINT, spent BIGINT, basis BIGINT, of_day BIGINT);
"""
_MERCHANTS = """
    INSERT INTO merchant (merchant_no, merchant_id, programme_no, name, category, region, head_region, size,
        channels, opened, business_no, bank_code, account_no, account_holder, payout_days)
    SELECT n, 'SHOP' || lpad(n::text, 6, '0'), :programme_no, '가게 ' || n, 'restaurant', 'incheon_seo',
           'incheon_seo', 'small', '{pos,delivery}', '2025-01-01', lpad(n::text, 10, '0'), '088',
           '110' || lpad(n::text, 9, '0'), '가게 ' || n, NULL
    FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS n
"""
_MERCHANT_FACTS = """
    INSERT INTO merchant_sales (merchant_no, valid_from, annual_sales)
    SELECT n, '2025-01-01', (n % 40) * 50000000 + 1
    FROM generate_series(CAST(:first AS integer), CAST(:last AS integer)) AS n;
"""
_MERCHANT_GROUPS = """
    INSERT INTO merchant_group (merchant_no, group_code, valid_from)
    SELECT n, 'market', '2025-01-01'
    FROM generate_series(CAST(:first AS integer), CAST(:last AS integer), 5) AS n
"""
# The opening top-ups lie on the date before, which is settled before the measured one.
_OPENING = f"""
    INSERT INTO entry_{BEFORE:%Y%m%d} (bucket, business_date, wallet_id, seq, line, programme_no, source,
        debit, credit, won, lot_no, merchant_no, funder_no)
    SELECT bucket, '{BEFORE}', wallet, 1, 1, :programme_no, {Source.FUNDING:d}, {Account.SAFEGUARDED:d},
           {Account.CARD_MONEY:d}, {CHARGED}, 1, 0, 0
    FROM bench_wallet;
    INSERT INTO funding (programme_no, reference, bucket, wallet_id, lot_no, won)
    SELECT :programme_no, 'open-' || wallet, bucket, wallet, 1, {CHARGED} FROM bench_wallet;
"""
_WALLETS = f"""
    INSERT INTO wallet (bucket, wallet_id, programme_no, points_on, seq, lot_seq, month, month_spent,
        month_basis, day, day_spent)
    SELECT bucket, wallet, :programme_no, true, {STEPS + 1}, 1, {DAY:%Y%m}, e.spent, e.basis,
           {DAY:%Y%m%d}, e.of_day
    FROM bench_wallet JOIN bench_end e USING (pattern);
    INSERT INTO lot (bucket, wallet_id, lot_no, kind, balance, granted, opened, expires)
    SELECT bucket, wallet, 1, {LotKind.CHARGED:d}, e.balance, {CHARGED}, {BEFORE:%Y%m%d}, :expires
    FROM bench_wallet JOIN bench_end e USING (pattern);
"""
# Row n of the day is step n / wallets of a wallet that a stride finds; a refund goes to its purchase's shop.
_TICKET = """
    SELECT i, (i / :wallets)::int AS step, w.wallet, w.bucket, w.pattern
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i
    JOIN bench_wallet w ON w.wallet = (i * :stride) % :wallets + 1
"""
_SHOP = """((t.wallet * 104729 + (CASE WHEN p.kind = 2 THEN t.step - 1 ELSE t.step END) * 7907)
    % :merchants + 1)::int"""
_PAYMENTS = f"""
    INSERT INTO payment_{DAY:%Y%m%d} (bucket, local_day, local_time, terminal_id, stan, kind, wallet_id, seq,
        card_no, merchant_no, programme_no, policy_no, business_date, transmission, content, amount, approved,
        outcome, reason, approval, rrn, channel, basis, usage_month, usage_before, cashback, ledger_after,
        available_after, returned, original_seq, detail)
    SELECT t.bucket, '{DAY}', to_char(make_interval(secs => t.i * 86400.0 / :payments), 'HH24MISS')::int,
           'T' || lpad({_SHOP}::text, 7, '0'), (t.wallet * {STEPS} + t.step) % 1000000, p.kind, t.wallet,
           t.step + 2, 1, {_SHOP}, :programme_no, p.policy_no, '{DAY}', '1120000000', t.i, p.amount,
           p.approved, p.outcome, p.reason, lpad((t.i % 1000000)::text, 6, '0'), lpad(t.i::text, 12, '0'),
           p.channel, p.basis, p.usage_month, p.usage_before, p.cashback, p.ledger_after, p.available_after,
           p.returned, p.original_seq, p.detail
    FROM ({_TICKET}) t JOIN bench_payment p USING (pattern, step) ORDER BY t.i
"""
_ENTRIES = f"""
    INSERT INTO entry_{DAY:%Y%m%d} (bucket, business_date, wallet_id, seq, line, programme_no, source, debit,
        credit, won, lot_no, merchant_no, funder_no, budget_no)
    SELECT t.bucket, '{DAY}', t.wallet, t.step + 2, e.line, :programme_no, {Source.PAYMENT:d}, e.debit,
           e.credit, e.won, e.lot_no, CASE WHEN e.at_merchant = 1 THEN {_SHOP} ELSE 0 END, e.funder_no,
           e.budget_no
    FROM ({_TICKET}) t JOIN bench_payment p USING (pattern, step) JOIN bench_entry e USING (pattern, step)
    ORDER BY t.i, e.line
"""
CHUNK = 500_000


class Size(msgspec.Struct, frozen=True):
    """How large a day is."""

    payments: int
    merchants: int

    @property
    def wallets(self) -> int:
        return self.payments // STEPS


def build(stage: Stage, size: Size, told: "Teller") -> None:
    """Fill an empty installation with one date of payments, and the top-ups of the date before it."""
    stage.set_clock(datetime(*BEFORE.timetuple()[:3], 12, tzinfo=SEOUL).isoformat())
    stage.programme(_generous(stage.directory))
    owner = open_engine(stage.url, role=None, size=stage.size)
    try:
        with owner.begin() as connection:
            _merchants(connection, 1, min(size.merchants, 10))
        reference = load_reference(stage.engine)
        with owner.begin() as connection:
            if size.merchants > 10:
                _merchants(connection, 11, size.merchants)
            connection.execute(text(_SCHEMA))
            _patterns(connection, reference)
            copy_rows(connection, "bench_wallet", ("wallet", "bucket", "pattern"), _wallets(size.wallets))
        told("wallets, patterns")
        _load(owner, size, told)
        with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))
            connection.execute(text("CHECKPOINT"))
        told("vacuum, analyze, checkpoint")
    finally:
        owner.dispose()


class Teller:
    """Says on stderr what has been done, and how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._since = time.monotonic()

    def __call__(self, what: str) -> None:
        now = time.monotonic()
        self._say(f"  {what}: {now - self._since:.1f} s")
        self._since = now


def _generous(directory: Path) -> Path:
    """The programme of the demo, its monthly budgets wide enough for millions."""
    source = (ROOT / "config/programmes/seoro.toml").read_text(encoding="utf-8")
    wide = re.sub(r"(monthly = |\"2026-12\" = )[\d_]+", r"\g<1>900_000_000_000", source)
    path = directory / "seoro.toml"
    path.write_text(wide, encoding="utf-8")
    return path


def _merchants(connection: Connection, first: int, last: int) -> None:
    for statement in (_MERCHANTS, _MERCHANT_FACTS, _MERCHANT_GROUPS):
        connection.execute(text(statement), {"first": first, "last": last, "programme_no": 1})


def _wallets(count: int) -> Iterator[tuple[int, int, int]]:
    return ((number, bucket_of(number), number % PATTERNS) for number in range(1, count + 1))


def _patterns(connection: Connection, reference: Reference) -> None:
    """Decide every pattern's day, and keep what it stores, books and leaves in the wallet."""
    draw = random.Random(SEED)
    payments: list[tuple[object, ...]] = []
    entries: list[tuple[object, ...]] = []
    ends: list[tuple[object, ...]] = []
    for pattern in range(PATTERNS):
        wallet, decisions = _day(reference, draw, returning=pattern < RETURNING)
        for step, decision in enumerate(decisions):
            payments.append((pattern, step, *_columns(decision.stored)))
            for line, entry in enumerate(entries_of(decision), start=1):
                _, debit, credit, won, lot_no, merchant_no, funder_no, budget_no = _entry(entry)
                entries.append(
                    (
                        *(pattern, step, line, debit, credit, won, lot_no, int(merchant_no > 0)),
                        *(funder_no, budget_no),
                    )
                )
        ends.append(
            (pattern, wallet.lots[1].balance, wallet.month_spent, wallet.month_basis, wallet.day_spent)
        )
    copy_rows(connection, "bench_payment", _PAYMENT_COLUMNS, payments)
    copy_rows(connection, "bench_entry", _ENTRY_COLUMNS, entries)
    copy_rows(connection, "bench_end", ("pattern", "balance", "spent", "basis", "of_day"), ends)


def _entry(entry: object) -> tuple[int, ...]:
    return (0, *map(int, astuple(entry)))  # type: ignore[arg-type]


def _columns(stored: Stored) -> tuple[object, ...]:
    return (
        *(int(stored.key.kind), stored.policy_no, stored.amount, stored.approved, int(stored.outcome)),
        *(stored.reason, stored.channel, stored.basis, stored.usage_month, stored.usage_before),
        *(stored.cashback, stored.ledger_after, stored.available_after, stored.returned),
        *(stored.original_seq, stored.detail.decode()),
    )


def _day(reference: Reference, draw: random.Random, *, returning: bool) -> tuple[Wallet, list[Decision]]:
    day = day_of_date(DAY)
    lot = Lot(1, LotKind.CHARGED, 0, CHARGED, CHARGED, day_of_date(BEFORE), _expires())
    wallet = Wallet(
        bucket=bucket_of(1), wallet_id=1, programme_no=1, active=True, points_on=True, seq=1, lot_seq=1,
        receivable=0, month=0, month_spent=0, month_basis=0, month_topup=0, day=0, day_spent=0, holds=0,
        tags=0, holder=Holder.PERSON, lots={1: lot}, past={}, cards={1: Card(1, "active", 3112, 0)},
    )  # fmt: skip
    lines = reference.budgets.lines
    pools = Pools(lines, {line.key(day // 100): 10**12 for line in lines.values()})
    decisions: list[Decision] = []
    for step in range(STEPS):
        last = decisions[-1].stored if decisions else None
        back = returning and step == STEPS - 1 and last is not None
        channel = last.channel if back and last else draw.choice(("pos",) * 9 + ("delivery",))
        amount = draw.choice((4_500, 9_900, 12_300, 18_000, 27_500, 33_000, 64_000)) + draw.randrange(
            0, 3_000, 10
        )
        if back and last is not None:
            amount = draw.choice((last.amount, last.amount // 3))
        kind = Kind.REFUND if back else Kind.PURCHASE
        of = (
            OriginalRef(last.key.stan, last.transmission, (last.key.kind,), "T1", day)
            if back and last
            else None
        )
        request = Request(
            key=PaymentKey(wallet.bucket, day, 120_000 + step, "T1", step + 1, kind),
            wallet_id=1, card_no=1, programme_no=1, merchant_no=2, amount=amount, channel=channel,
            transmission=f"{day % 10_000:04d}{120_000 + step:06d}", rrn=f"{step:012d}",
            approval=f"{step:06d}", content=step, pin=PinCheck.NONE, expiry=None, original=of,
        )  # fmt: skip
        decision = decide(
            request, wallet, reference.terms(1, 2, day, 120_000 + step, channel), business_day=day,
            pin_tries_max=3, originals=[one.stored for one in decisions], tombstoned=False,
            original_tombstoned=False, credited_through=day_of_date(BEFORE), pools=pools, case=None,
        )  # fmt: skip
        apply(decision, wallet, pools)
        decisions.append(decision)
        assert decision.stored.approved == amount, decision.stored
    return wallet, decisions


def _expires() -> int:
    return add_months(day_of_date(BEFORE), 60)


def _load(owner: Engine, size: Size, told: Teller) -> None:
    at = {
        "programme_no": 1,
        "wallets": size.wallets,
        "merchants": size.merchants,
        "payments": size.payments,
        "stride": _STRIDE,
        "expires": _expires(),
    }
    for table, day in (("entry", BEFORE), ("entry", DAY), ("payment", BEFORE), ("payment", DAY)):
        _run(
            owner,
            f"CREATE TABLE {table}_{day:%Y%m%d} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        )
    _run(owner, "CREATE INDEX ON bench_wallet (wallet)", "ANALYZE bench_wallet, bench_payment, bench_entry")
    with owner.begin() as connection:
        for statement in (*_OPENING.split(";")[:2], *_WALLETS.split(";")[:2]):
            connection.execute(text(statement), at)
    told("top-ups, lots")
    for what, statement in (("payments", _PAYMENTS), ("entries", _ENTRIES)):
        for first in range(0, size.payments, CHUNK):
            with owner.begin() as connection:
                connection.execute(text("SET LOCAL work_mem = '256MB'"))
                last = min(first + CHUNK, size.payments) - 1
                connection.execute(text(statement), {**at, "first": first, "last": last})
        told(what)
    for table in ("entry", "payment"):
        for day in (BEFORE, DAY):
            bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
            partition = f"{table}_{day:%Y%m%d}"
            _run(
                owner,
                "SET maintenance_work_mem = '1GB'",
                f"ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES {bounds}",
            )
        told(f"indexes of {table}")
    _run(owner, "DROP TABLE bench_wallet, bench_payment, bench_entry, bench_end")


def _run(owner: Engine, *statements: str) -> None:
    with owner.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
