"""A town with budgets: one policy for many years, so that each month is a budget of its own."""

from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Engine, text

from switch.domain.budget import Budget
from switch.domain.calendar import SEOUL
from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.programme import Programme, Tier
from switch.domain.request import OriginalRef, PinCheck, Request
from switch.domain.wallet import Card, Wallet
from tests.unit.decide import world

RICH = 100_000_000
TEN_PERCENT = (Tier(0, 1_000_000_000, 100_000, (("city", 100_000),)),)


def programme(*budgets: Budget, tiers: tuple[Tier, ...] = TEN_PERCENT) -> Programme:
    """The world's programme under one policy since 2010, with these budgets."""
    one = world.programme()
    policy = world.policy("ever", tiers, datetime(2010, 1, 1, tzinfo=SEOUL))
    return replace(one, policies=(policy,), budgets=budgets)


def members(numbers: Iterable[int], won: int = RICH) -> list[Wallet]:
    """Members with money and cards that do not expire."""
    found = [world.wallet(world.charged(1, won, expires=0), wallet_id=number) for number in numbers]
    for wallet in found:
        wallet.cards = {1: Card(1, "active", 9912, 0)}
    return found


def purchase(
    wallet_id: int,
    amount: int,
    month: int,
    *,
    stan: int = 1,
    terminal: str = "T0000001",
    kind: Kind = Kind.PURCHASE,
) -> Request:
    """A payment of noon on the first of a month (yyyymm)."""
    day = month * 100 + 1
    return Request(
        key=PaymentKey(bucket_of(wallet_id), day, 120_000, terminal, stan, kind),
        wallet_id=wallet_id,
        card_no=1,
        programme_no=world.PROGRAMME_NO,
        merchant_no=world.PLAIN,
        amount=amount,
        channel="pos",
        transmission=f"{day % 10_000:04d}120000",
        rrn=f"{stan:012d}",
        approval=f"{stan:06d}",
        content=stan * 7 + amount,
        pin=PinCheck.NONE,
        expiry=None,
        original=None,
    )


def refund(of: Request, amount: int, stan: int) -> Request:
    """A refund of that many won of a payment, by the same terminal."""
    return _back(of, Kind.REFUND, amount, stan, of.key.kind)


def reversal(of: Request, stan: int) -> Request:
    """The reversal of a message."""
    return _back(of, Kind.REVERSAL, of.amount, stan, of.key.kind)


def _back(of: Request, kind: Kind, amount: int, stan: int, meant: int) -> Request:
    key = of.key
    named = OriginalRef(key.stan, of.transmission, (meant,), key.terminal_id, key.local_day)
    return replace(
        of,
        key=PaymentKey(key.bucket, key.local_day, 120_100, key.terminal_id, stan, kind),
        amount=amount,
        content=stan * 7 + amount,
        rrn=f"{stan:012d}",
        approval=f"{stan:06d}",
        original=named,
    )


def left(engine: Engine, budget_no: int = 1, month: int | None = None) -> int:
    """Won of a pool that nobody has been granted yet."""
    with engine.connect() as connection:
        found: int = connection.scalar(
            text(
                "SELECT coalesce(sum(free), 0)::bigint"
                " + (SELECT coalesce(sum(won), 0)::bigint FROM budget_slot"
                " WHERE budget_no = :no AND month = coalesce(:month, month)) FROM budget_month"
                " WHERE budget_no = :no AND month = coalesce(:month, month)"
            ),
            {"no": budget_no, "month": month},
        )
        return found


def check_pools(engine: Engine) -> list[tuple[int, int, int]]:
    """Pools in which some won is in no place or in two: (budget_no, month, won too many)."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT m.budget_no, m.month,"
                " m.free + coalesce(sum(s.won + s.granted - s.returned + s.retired), 0)"
                " - m.amount AS off FROM budget_month m LEFT JOIN budget_slot s USING (budget_no, month)"
                " GROUP BY m.budget_no, m.month, m.free, m.amount"
            )
        ).all()
    return [(row[0], row[1], int(row[2])) for row in rows if row[2]]


def granted(engine: Engine) -> dict[int, int]:
    """Won of cashback that stand by usage month, as the payments say."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT usage_month, sum(cashback)::bigint FROM payment GROUP BY usage_month")
        )
        return {row[0]: row[1] for row in rows}
