"""A town that is looked at again: payments of every kind through a lane, by rules with budgets."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy import insert, text

from switch.domain.budget import Budget
from switch.domain.calendar import SEOUL
from switch.domain.campaign import Campaign
from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.programme import Limits, Programme, Tier
from switch.domain.request import OriginalRef, PinCheck, Request, Stored
from switch.domain.wallet import Lot, LotKind, Wallet
from switch.store import schema as t
from tests.integration.authorizer.ground import Ground, ask
from tests.support.postgres import Database
from tests.unit.decide import world

DAY = 20260610
MONTH = 202606
RIGHT_TIERS = (Tier(0, 1_000_000, 70_000, (("national", 40_000), ("city", 20_000), ("district", 10_000))),)
WRONG_TIERS = (Tier(0, 1_000_000, 90_000, (("national", 40_000), ("city", 20_000), ("district", 30_000))),)
SUMMER = Campaign(
    code="summer",
    name="여름 축제",
    kind="cashback",
    starts=datetime(2026, 6, 20, tzinfo=SEOUL),
    ends=datetime(2026, 6, 21, tzinfo=SEOUL),
    shares=(("city", 20_000),),
    rate_ppm=20_000,
    member_max=500,
    total_max=100_000,
    budget="cashback",
)
COUPON = Campaign(
    code="welcome",
    name="환영 쿠폰",
    kind="coupon",
    starts=datetime(2026, 6, 1, tzinfo=SEOUL),
    ends=datetime(2026, 7, 1, tzinfo=SEOUL),
    shares=(("city", 1_000_000),),
    won=3_000,
    min_spend=20_000,
    valid_days=30,
    member_max=1,
    budget="cashback",
)
LIMITS = Limits(payment_max=300_000, day_max=400_000, month_max=1_500_000, topup_month_max=500_000)


def programme(*versions: tuple[str, tuple[Tier, ...], datetime], budgets: Sequence[Budget] = ()) -> Programme:
    """The world's programme with campaigns, under these versions."""
    one = world.programme()
    policies = tuple(
        replace(
            world.policy(name, tiers, since, limits=LIMITS, bonuses=(world.MARKET_BONUS,)),
            spending_order=("coupon", "grant", "points", "charged"),
        )
        for name, tiers, since in versions
    )
    return replace(one, policies=policies, budgets=tuple(budgets), campaigns=(SUMMER, COUPON))


class Town:
    """A ground whose members have names and whose versions can be read back."""

    def __init__(self, database: Database, one: Programme) -> None:
        self.ground = Ground(database, one)
        self.engine = self.ground.engine
        self.stan = 0
        with database.engine(owner=True).begin() as connection:
            for number, policy in enumerate(one.policies, 1):
                connection.execute(
                    text("UPDATE policy SET document = :document WHERE policy_no = :number"),
                    {"document": msgspec.json.encode(policy).decode(), "number": number},
                )

    def people(self, wallets: Sequence[Wallet]) -> None:
        """Members M1, M2, … by the number of their wallet."""
        self.ground.add(wallets)
        with self.engine.begin() as connection:
            for wallet in wallets:
                row = {"bucket": wallet.bucket, "wallet_id": wallet.wallet_id, "programme_no": 1}
                connection.execute(insert(t.member).values(member_id=f"M{wallet.wallet_id}", **row))

    def request(
        self,
        kind: Kind,
        amount: int,
        *,
        wallet: int = 1,
        day: int = DAY,
        time: int = 120_000,
        merchant: int = world.PLAIN,
        of: Stored | None = None,
        **more: object,
    ) -> Request:
        """A message with a trace number of its own."""
        self.stan += 1
        named = None
        if of is not None:
            named = OriginalRef(of.key.stan, of.transmission, (of.key.kind,), "T0000001", of.key.local_day)
        return Request(
            key=PaymentKey(bucket_of(wallet), day, time, "T0000001", self.stan, kind),
            wallet_id=wallet,
            card_no=1,
            programme_no=1,
            merchant_no=merchant,
            amount=amount,
            channel="pos",
            transmission=f"{day % 10_000:04d}{time:06d}",
            rrn=f"{self.stan:012d}",
            approval=f"{self.stan:06d}",
            content=self.stan,
            pin=PinCheck.NONE,
            expiry=None,
            original=named,
            **more,  # type: ignore[arg-type]
        )

    def send(self, *steps: dict[str, object] | Request) -> list[Stored]:
        """Through one lane, one after the other; `of` may be the place of an earlier step."""

        async def play() -> list[Stored]:
            authorizer = self.ground.authorizer(lanes=1)
            await authorizer.start()
            done: list[Stored] = []
            try:
                for step in steps:
                    if not isinstance(step, Request):
                        plan = dict(step)
                        if isinstance(plan.get("of"), int):
                            plan["of"] = done[plan["of"]]  # type: ignore[call-overload]
                        step = self.request(**plan)  # type: ignore[arg-type]
                    done += [answer.stored for answer in await ask(authorizer, [step])]
            finally:
                await authorizer.stop()
            return done

        return asyncio.run(play())

    def balances(self) -> dict[int, tuple[int, int, int]]:
        """(charged, points, owed) won by wallet."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT w.wallet_id, coalesce(sum(balance) FILTER (WHERE kind = 1), 0)::bigint,"
                    " coalesce(sum(balance) FILTER (WHERE kind = 2), 0)::bigint, w.receivable"
                    " FROM wallet w LEFT JOIN lot l USING (bucket, wallet_id)"
                    " GROUP BY w.wallet_id, w.receivable ORDER BY 1"
                )
            )
            return {row[0]: (row[1], row[2], row[3]) for row in rows}


def coupon(lot_no: int) -> Lot:
    """A whole coupon of the campaign."""
    return Lot(lot_no, LotKind.COUPON, world.CITY, 3_000, 3_000, 20260601, 20260701, 2)
