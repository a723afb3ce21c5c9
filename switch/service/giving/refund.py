"""Charged money paid back to the member: unused within some days, or once most of a purchase lot is spent.

Each lot is judged by the policy version that was in force on its opening day (domain.acts). What the member
owes of clawed-back cashback is kept from the money that goes out. A lot that goes back whole within its month
makes room again in the month's top-ups and in the bound on issuance.
"""

from datetime import datetime, time

import msgspec
from sqlalchemy import Connection, Engine, text

from switch.domain.acts import ActKind, Refundable, refundable
from switch.domain.budget import ISSUANCE, Line
from switch.domain.calendar import SEOUL, date_of_day
from switch.domain.payment import Kind
from switch.domain.programme import NoPolicy
from switch.domain.wallet import Lot, LotKind, Wallet
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, entry
from switch.service.admin import NotFoundError, RefusedError, WalletKey, find_wallet
from switch.service.giving.finding import open_days, programme_of
from switch.store.acts import Act, ActBatch
from switch.store.budget_pool import give, lines_of
from switch.store.funding import hold_open_date
from switch.store.reference_write import ProgrammeAt

_GIVEN = text("""
    SELECT lot_no FROM act WHERE bucket = :bucket AND wallet_id = :wallet_id AND kind = :received
""")
_PAID_BACK = text("""
    SELECT lot_no, sum(won)::bigint AS won FROM act
    WHERE bucket = :bucket AND wallet_id = :wallet_id AND kind = :refund GROUP BY lot_no
""")
_TOPUPS = text("""
    SELECT (p.detail::jsonb ->> 'lot_no')::int AS lot_no, p.usage_month,
           coalesce(e.budget_no, 0) AS budget_no
    FROM payment p LEFT JOIN entry e ON e.bucket = p.bucket AND e.wallet_id = p.wallet_id AND e.seq = p.seq
         AND e.business_date = p.business_date AND e.debit = 101
    WHERE p.bucket = :bucket AND p.wallet_id = :wallet_id AND p.kind = :topup AND p.approved > p.returned
""")
_BY_REFERENCE = text("""
    SELECT (p.detail::jsonb ->> 'lot_no')::int FROM topup_reference r
    JOIN payment p ON p.bucket = r.bucket AND p.wallet_id = r.wallet_id AND p.seq = r.seq
                  AND p.local_day = r.local_day
    WHERE r.programme_no = :programme_no AND r.reference = :reference
      AND r.bucket = :bucket AND r.wallet_id = :wallet_id
""")


class LotRefund(msgspec.Struct, frozen=True):
    """One lot: won paid back, or 0 and why not."""

    lot_no: int
    opened: int
    granted: int
    balance: int
    won: int
    why: str
    until: int
    to_spend: int


class RefundReport(msgspec.Struct, frozen=True):
    """What is paid back, in won: `won` out of lots, `kept` of it for what the member owed, `paid` out."""

    member: str
    won: int
    kept: int
    paid: int
    lots: list[LotRefund]
    booked: bool


class _Origin(msgspec.Struct, frozen=True):
    """Where a lot comes from: the month and bound that its top-up counts in."""

    usage_month: int
    budget_no: int


def refund(
    engine: Engine,
    programme_id: str,
    member_id: str,
    *,
    actor: str,
    now: datetime,
    lot_no: int = 0,
    topup: str = "",
    dry_run: bool = False,
) -> RefundReport:
    """Pay back one lot (by its number, or by the outside reference of its top-up), or all that may be.

    Raises NotFoundError; RefusedError with the reasons where nothing may be paid back (but in a dry run).
    """
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        where = find_wallet(connection, programme_id, member_id)
        if topup:
            lot_no = _lot_of(connection, where, topup)
        line = lines_of(connection, at).get((ISSUANCE, ""))
    day = open_days(engine, at, now)
    with engine.begin() as connection:
        booked_on = hold_open_date(connection, at.programme_no, day)
        batch = ActBatch(connection, at.programme_no, booked_on, actor, now)
        wallet = batch.lock([(where.bucket, where.wallet_id)], empty_lots=bool(lot_no))[
            where.bucket, where.wallet_id
        ]
        lots = [lot for lot in wallet.lots.values() if _asked(lot, lot_no)]
        if lot_no and not lots:
            raise NotFoundError(f"{member_id} has no lot {lot_no}: `dure-switch wallet show` lists them")
        judged = _judge(connection, batch, wallet, at, lots)
        won = sum(verdict.won for _, verdict in judged)
        kept = min(won, wallet.receivable)
        report = RefundReport(
            member_id, won, kept, won - kept, [_shown(lot, verdict) for lot, verdict in judged], not dry_run
        )
        if dry_run:
            return report
        if not won:
            raise RefusedError(_why_not(member_id, judged))
        _book(connection, batch, wallet, [lot for lot, verdict in judged if verdict.won], line)
    return report


def _asked(lot: Lot, lot_no: int) -> bool:
    return lot.lot_no == lot_no if lot_no else lot.kind == LotKind.CHARGED


def _lot_of(connection: Connection, where: WalletKey, topup: str) -> int:
    key = {"bucket": where.bucket, "wallet_id": where.wallet_id}
    at = {**key, "programme_no": where.programme_no, "reference": topup}
    found = connection.execute(_BY_REFERENCE, at).scalar()
    if found is None:
        raise NotFoundError(f'the member has no top-up "{topup}": `dure-switch payment list` shows them')
    return int(found)


def _judge(
    connection: Connection, batch: ActBatch, wallet: Wallet, at: ProgrammeAt, lots: list[Lot]
) -> list[tuple[Lot, Refundable]]:
    key = {"bucket": wallet.bucket, "wallet_id": wallet.wallet_id}
    received = {"received": int(ActKind.GIFT_RECEIVED)}
    given = set(connection.execute(_GIVEN, {**key, **received}).scalars())
    refunded = connection.execute(_PAID_BACK, {**key, "refund": int(ActKind.REFUND)})
    paid_back = {row.lot_no: row.won for row in refunded}
    held = batch.held(wallet)
    found: list[tuple[Lot, Refundable]] = []
    for lot in lots:
        end_of_day = datetime.combine(date_of_day(lot.opened), time.max, SEOUL)
        try:
            policy = at.programme.policy_at(end_of_day)
        except NoPolicy:
            policy = at.programme.policies[0]
        # Each top-up is a lot of its own; the acts that received a gift name theirs.
        verdict = refundable(
            lot,
            held.get(lot.lot_no, 0),
            policy,
            batch.today,
            given=lot.lot_no in given,
            paid_back=paid_back.get(lot.lot_no, 0),
        )
        found.append((lot, verdict))
    return found


def _shown(lot: Lot, verdict: Refundable) -> LotRefund:
    return LotRefund(
        *(lot.lot_no, lot.opened, lot.granted, lot.balance),
        *(verdict.won, verdict.why, verdict.until, verdict.to_spend),
    )


def _why_not(member_id: str, judged: list[tuple[Lot, Refundable]]) -> str:
    reasons = [f"lot {lot.lot_no} {verdict.why}" for lot, verdict in judged]
    return f"{member_id}: nothing can be paid back: " + ("; ".join(reasons) or "there is no charged money")


def _book(
    connection: Connection, batch: ActBatch, wallet: Wallet, lots: list[Lot], line: Line | None
) -> None:
    key = {"bucket": wallet.bucket, "wallet_id": wallet.wallet_id}
    origins = {
        row.lot_no: _Origin(row.usage_month, row.budget_no)
        for row in connection.execute(_TOPUPS, {**key, "topup": int(Kind.TOPUP)})
    }
    back: list[tuple[int, int]] = []
    for lot in lots:
        whole = lot.balance == lot.granted
        origin = origins.get(lot.lot_no) if whole else None
        if origin is not None and origin.usage_month != batch.today // 100:
            origin = None  # what a past month has counted stays counted
        bounded = line is not None and origin is not None and origin.budget_no == line.budget_no
        if origin is not None and bounded:
            back.append((origin.usage_month, lot.balance))
        batch.add(
            Act(
                f"refund:{wallet.wallet_id}:{lot.lot_no}:{wallet.seq + 1}",
                ActKind.REFUND,
                wallet,
                _entries(lot, wallet.receivable, line.budget_no if line and bounded else 0),
                lot_no=lot.lot_no,
                budget_month=line.key(origin.usage_month)[1] if line and origin and bounded else 0,
                usage_month=origin.usage_month if origin else 0,
                topup=-lot.balance if origin else 0,
            )
        )
    if line is not None:
        for month, won in back:
            give(connection, line, month, won)
    batch.write()


def _entries(lot: Lot, owed: int, budget_no: int) -> tuple[Entry, ...]:
    """What the member owes is paid first, the rest goes out; both leave the bound on top-ups."""
    kept = min(owed, lot.balance)
    found: list[Entry] = []
    if kept:
        found.append(
            entry(Account.CARD_MONEY, Account.CASHBACK_ACCRUED, kept, lot_no=lot.lot_no, budget_no=budget_no)
        )
        found.append(entry(Account.CASHBACK_ACCRUED, Account.MEMBER_RECEIVABLE, kept))
    if lot.balance > kept:
        out = lot.balance - kept
        found.append(
            entry(Account.CARD_MONEY, Account.SAFEGUARDED, out, lot_no=lot.lot_no, budget_no=budget_no)
        )
    return tuple(found)
