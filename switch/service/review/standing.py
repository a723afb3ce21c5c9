"""How a member stands: what is left of limits and tiers, what the money may be spent on, lately declined."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select

from switch.domain.calendar import SEOUL, add_days, add_months, business_date, day_of_date, moment_of
from switch.domain.explain_facts import (
    HeldLot,
    LimitFact,
    PaymentFacts,
    RuleText,
    StandingFacts,
    TierFact,
)
from switch.domain.payment import Outcome
from switch.domain.programme import Limits, NoPolicy, Policy
from switch.domain.wallet import LOT_KIND_NAME, Holder
from switch.service.admin import RefusedError
from switch.service.review.finding import Member
from switch.service.review.names import Names
from switch.service.review.payment_facts import Reader
from switch.store.schema import card, hold, payment, usage_month, wallet
from switch.store.schema_review import correction_line

DECLINED_SHOWN = 5
_USES = msgspec.json.Decoder(tuple[tuple[int, int, int], ...])


class _Usage(msgspec.Struct, frozen=True):
    day_spent: int
    month_spent: int
    basis: int
    topup: int
    ledger: int


def standing_facts(connection: Connection, names: Names, who: Member, now: datetime) -> StandingFacts:
    """Read a member's standing at `now`, by the version then in force. Raises RefusedError before any."""
    try:
        policy = names.programme.policy_at(now)
    except NoPolicy as error:
        raise RefusedError(f"{error}: there is nothing to stand by yet") from None
    day = day_of_date(now.astimezone(SEOUL))
    today = day_of_date(business_date(now, names.programme.cutover))
    bucket, wallet_id = who.bucket, who.wallet_id
    row = connection.execute(
        select(wallet).where(wallet.c.bucket == bucket, wallet.c.wallet_id == wallet_id)
    ).one()
    reader = Reader(connection, names, bucket, wallet_id)
    holds = connection.execute(
        select(hold).where(hold.c.bucket == bucket, hold.c.wallet_id == wallet_id, hold.c.expires >= today)
    ).all()
    held: dict[int, int] = {}
    for one in holds:
        for lot_no, _, won in _USES.decode(one.uses):
            held[lot_no] = held.get(lot_no, 0) + won
    month = day // 100
    past = connection.execute(
        select(usage_month).where(
            usage_month.c.bucket == bucket,
            usage_month.c.wallet_id == wallet_id,
            usage_month.c.month == month,
        )
    ).first()
    current = row.month == month
    usage = _Usage(
        day_spent=(row.day_spent if row.day == day else 0)
        + sum(one.won for one in holds if day_of_date(one.local_day) == day),
        month_spent=(row.month_spent if current else past.spent if past else 0)
        + sum(one.won for one in holds if day_of_date(one.local_day) // 100 == month),
        basis=row.month_basis if current else past.basis if past else 0,
        topup=row.month_topup if current else past.topup if past else 0,
        ledger=sum(one.balance for one in reader.lots.values()),
    )
    company = row.holder == Holder.COMPANY
    return StandingFacts(
        programme=who.programme_id,
        member=who.member_id,
        cards=tuple(
            (one.masked, one.state)
            for one in connection.execute(
                select(card)
                .where(card.c.bucket == bucket, card.c.wallet_id == wallet_id)
                .order_by(card.c.card_no)
            )
        ),
        moment=moment_of(now),
        active=row.state == 1,
        points_on=row.points_on,
        company=company and not policy.company_cashback,
        version=policy.version,
        version_since=moment_of(policy.effective_from),
        limits=_limits(policy.company_limits if company else policy.limits, usage, day),
        lots=_lots(reader, policy, held, today),
        month=month,
        basis=usage.basis,
        cashback=_cashback(connection, who, month),
        corrected=_corrected(connection, who, month),
        tiers=tuple(
            TierFact(one.above, one.up_to, one.rate_ppm, one.up_to - max(usage.basis, one.above))
            for one in policy.tiers
            if usage.basis < one.up_to
        ),
        receivable=row.receivable,
        declined=_declined(connection, reader, who),
    )


def _limits(limits: Limits, usage: _Usage, day: int) -> tuple[LimitFact, ...]:
    tomorrow, next_month = add_days(day, 1), add_months(day // 100 * 100 + 1, 1)
    all_of_them = (
        LimitFact("payment", limits.payment_max, 0),
        LimitFact("day", limits.day_max, usage.day_spent, tomorrow),
        LimitFact("month", limits.month_max, usage.month_spent, next_month),
        LimitFact("topup_month", limits.topup_month_max, usage.topup, next_month),
        LimitFact("holding", limits.holding_max, usage.ledger),
    )
    return tuple(one for one in all_of_them if one.limit)


def _lots(reader: Reader, policy: Policy, held: dict[int, int], today: int) -> tuple[HeldLot, ...]:
    found = []
    for number, row in sorted(reader.lots.items()):
        if not row.balance or (row.expires and row.expires < today):
            continue
        kind = LOT_KIND_NAME.get(row.kind, "")
        barred = tuple(
            RuleText(one.code, one.reason_ko, one.reason_en)
            for one in policy.restrictions
            if kind in one.lot_kinds
        )
        found.append(HeldLot(reader.lot_fact(number, row.balance), held.get(number, 0), barred))
    return tuple(found)


def _cashback(connection: Connection, who: Member, month: int) -> int:
    """Won granted less won taken back for payments of a usage month."""
    return int(
        connection.scalar(
            select(func.coalesce(func.sum(payment.c.cashback), 0)).where(
                payment.c.bucket == who.bucket,
                payment.c.wallet_id == who.wallet_id,
                payment.c.usage_month == month,
            )
        )
        or 0
    )


def _corrected(connection: Connection, who: Member, month: int) -> int:
    booked = select(func.coalesce(func.sum(correction_line.c.booked), 0)).where(
        correction_line.c.bucket == who.bucket,
        correction_line.c.wallet_id == who.wallet_id,
        correction_line.c.month == month,
    )
    return int(connection.scalar(booked) or 0)


def _declined(connection: Connection, reader: Reader, who: Member) -> tuple[PaymentFacts, ...]:
    rows = connection.execute(
        select(payment)
        .where(
            payment.c.bucket == who.bucket,
            payment.c.wallet_id == who.wallet_id,
            payment.c.outcome == int(Outcome.DECLINED),
        )
        .order_by(payment.c.seq.desc())
        .limit(DECLINED_SHOWN)
    ).all()
    return tuple(reader.payment(row, brief=True) for row in rows)
