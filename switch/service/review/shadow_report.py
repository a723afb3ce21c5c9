"""What a shadow has found so far."""

from typing import Any

import msgspec
from sqlalchemy import Engine, func, select, text

from switch.domain.payment import Kind
from switch.service.review.shadow import Shadow
from switch.service.review.simulate_report import member_ids, reason_name, told
from switch.store.schema_shadow import shadow_day, shadow_pool, shadow_result


class ShadowDay(msgspec.Struct, frozen=True):
    """A business date: payments asked for, refused live and by the shadow; won of cashback."""

    day: str
    payments: int
    live_declined: int
    declined: int
    live_cashback: int
    cashback: int


class ShadowFlip(msgspec.Struct, frozen=True):
    """Payments whose answer differs in one way."""

    live: str
    shadow: str
    payments: int
    won: int


class ShadowBudget(msgspec.Struct, frozen=True):
    """What the shadow has taken of a budget, and when it first fell short."""

    code: str
    funder: str
    month: int
    taken: int
    missed: int
    ended: str


class ShadowPayment(msgspec.Struct, frozen=True):
    """One payment that differs."""

    when: str
    member: str
    kind: str
    amount: int
    live: str
    shadow: str
    live_approved: int
    approved: int
    live_cashback: int
    cashback: int


class ShadowReport(msgspec.Struct, frozen=True):
    """A shadow, its days, and how it differs; `behind` wallets have postings that it has not judged."""

    shadow: Shadow
    behind: int
    days: tuple[ShadowDay, ...]
    flips: tuple[ShadowFlip, ...]
    rated_otherwise: int
    budgets: tuple[ShadowBudget, ...]
    last: tuple[ShadowPayment, ...]


_BEHIND = text("""
    SELECT count(*) FROM wallet w LEFT JOIN shadow_mark m
        ON m.bucket = w.bucket AND m.wallet_id = w.wallet_id AND m.shadow_no = :shadow_no
    WHERE w.programme_no = :programme_no AND w.seq > coalesce(m.seq, 0)
""")


def _budget(row: Any) -> ShadowBudget:
    return ShadowBudget(row.code, row.funder, row.month, row.taken, row.missed, told(row.ended))


def report(engine: Engine, one: Shadow, last: int) -> ShadowReport:
    """What a shadow has found, with the `last` payments that differ, the newest first."""
    of = shadow_result.c
    own = of.shadow_no == one.shadow_no
    with engine.connect() as connection:
        days = connection.execute(
            select(shadow_day)
            .where(shadow_day.c.shadow_no == one.shadow_no)
            .order_by(shadow_day.c.business_date)
        ).all()
        flips = connection.execute(
            select(of.live_reason, of.reason, func.count(), func.sum(of.amount))
            .where(own, (of.live_approved > 0) != (of.approved > 0))
            .group_by(of.live_reason, of.reason)
            .order_by(func.count().desc(), of.live_reason, of.reason)
        ).all()
        rated = connection.scalar(
            select(func.count())
            .select_from(shadow_result)
            .where(
                own, of.live_approved > 0, of.live_approved == of.approved, of.cashback != of.live_cashback
            )
        )
        pools = connection.execute(
            select(shadow_pool)
            .where(shadow_pool.c.shadow_no == one.shadow_no)
            .order_by(shadow_pool.c.code, shadow_pool.c.funder, shadow_pool.c.month)
        ).all()
        newest = connection.execute(
            select(shadow_result)
            .where(own)
            .order_by(of.local_day.desc(), of.local_time.desc(), of.wallet_id, of.seq)
            .limit(last)
        ).all()
        members = member_ids(connection, {row.wallet_id for row in newest})
        known = {"shadow_no": one.shadow_no, "programme_no": one.programme_no}
        behind = connection.scalar(_BEHIND, known)
    return ShadowReport(
        one,
        behind or 0,
        tuple([ShadowDay(row.business_date.isoformat(), *row[2:]) for row in days]),
        tuple([ShadowFlip(reason_name(row[0]), reason_name(row[1]), row[2], int(row[3])) for row in flips]),
        rated or 0,
        tuple([_budget(row) for row in pools]),
        tuple(
            [
                ShadowPayment(
                    told(int(row.local_day.strftime("%Y%m%d")) * 1_000_000 + row.local_time),
                    members.get(row.wallet_id, ""),
                    Kind(row.kind).name.lower(),
                    row.amount,
                    *(reason_name(row.live_reason), reason_name(row.reason)),
                    *(row.live_approved, row.approved, row.live_cashback, row.cashback),
                )
                for row in newest
            ]
        ),
    )
