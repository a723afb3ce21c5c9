"""Random days of a few members: what they and their terminals send, from a seed.

Nothing here knows how a payment is decided: what is refunded or reversed may have been declined, changed,
returned before, or may not have come yet.
"""

import random
from collections.abc import Iterator

import msgspec

from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.programme import Limits
from switch.domain.request import OriginalRef, PinCheck, Request
from switch.domain.wallet import Wallet
from tests.unit.decide import world

DAYS = (20260629, 20260630, 20260701, 20260702, 20260703)
LIMITS = Limits(
    payment_max=250_000, day_max=270_000, month_max=400_000, topup_month_max=250_000, holding_max=560_000
)
POINTS_EXPIRE = {202606: 20310630, 202607: 20310731}
"""The last day of points by the month in which they were earned."""


class Night(msgspec.Struct, frozen=True):
    """The cashback of a business date (yyyymmdd) is credited; it is booked on `booked_on`."""

    day: int
    booked_on: int


class Day(msgspec.Struct, frozen=True):
    """A business date (yyyymmdd) begins."""

    day: int


Act = Request | Night | Day


def wallets(seed: int, count: int) -> dict[int, Wallet]:
    """Members with charged money, some with points: of their own, and of the city's that end on 30 June."""
    draw = random.Random(f"wallets {seed}")
    found: dict[int, Wallet] = {}
    for wallet_id in range(1, count + 1):
        lots = [
            world.charged(1, draw.choice((5_000, 60_000, 300_000)), expires=20310601),
            world.charged(2, draw.choice((1_000, 200_000)), expires=20301231),
        ]
        if draw.random() < 0.6:
            lots.append(world.points(3, draw.choice((700, 9_000)), expires=20260630, funder_no=world.CITY))
        if draw.random() < 0.6:
            lots.append(world.points(len(lots) + 1, draw.choice((500, 20_000))))
        found[wallet_id] = world.wallet(*lots, wallet_id=wallet_id, points_on=draw.random() < 0.6)
    return found


class _Writer:
    def __init__(self, seed: int, wallet_ids: range) -> None:
        self.draw = random.Random(seed)
        self.wallet_ids = wallet_ids
        self.sent: dict[int, list[Request]] = {wallet_id: [] for wallet_id in wallet_ids}
        self.stan = 0
        self.today = DAYS[0]

    def request(
        self, kind: Kind, wallet_id: int, amount: int, merchant: int, of: Request | None = None
    ) -> Request:
        self.stan += 1
        draw = self.draw
        day = self.today
        if draw.random() < 0.12:
            day = draw.choice([d for d in DAYS if d <= day])
        time = draw.randrange(24) * 10_000 + draw.randrange(60) * 100 + draw.randrange(60)
        transmission = f"{day % 10_000:04d}{time:06d}"
        terminal = f"T{merchant:07d}"
        ref = None
        if of is not None:
            meant = Kind.PURCHASE if kind == Kind.REFUND else of.key.kind
            ref = OriginalRef(of.key.stan, of.transmission, (meant,), terminal, of.key.local_day)
            if kind == Kind.REVERSAL:
                day, time = of.key.local_day, of.key.local_time
        pin = PinCheck.NONE
        if kind in (Kind.PURCHASE, Kind.TOPUP):
            pin = draw.choices((PinCheck.NONE, PinCheck.OK, PinCheck.WRONG), (8, 2, 1))[0]
        return Request(
            key=PaymentKey(bucket_of(wallet_id), day, time, terminal, self.stan, kind),
            wallet_id=wallet_id,
            card_no=draw.choice((1, 1, 2)),
            programme_no=world.PROGRAMME_NO,
            merchant_no=merchant,
            amount=amount,
            channel="pos",
            transmission=transmission,
            rrn=f"{self.stan:012d}",
            approval=f"{self.stan % 1_000_000:06d}",
            content=self.stan * 1_000_003,
            pin=pin,
            expiry=2501 if draw.random() < 0.01 else None,
            original=ref,
        )

    def purchase(self, wallet_id: int) -> Request:
        draw = self.draw
        amount = draw.choices(
            (draw.randint(1, 400), draw.randint(1, 40_000), draw.randint(20_000, 190_000), 260_000),
            (5, 8, 8, 1),
        )[0]
        merchant = draw.choices(
            (world.PLAIN, world.MARKET, world.LIQUOR, world.DEPARTMENT, world.GONE), (8, 4, 1, 1, 1)
        )[0]
        return self.request(Kind.PURCHASE, wallet_id, amount, merchant)

    def acts(self) -> list[Request]:
        """The next thing that happens, and what goes with it."""
        draw = self.draw
        wallet_id = draw.choice(self.wallet_ids)
        sent = self.sent[wallet_id]
        dice = draw.random()
        if dice < 0.42 or not sent:
            return [self.purchase(wallet_id)]
        if dice < 0.50:
            amount = draw.choice((1_000, 50_000, 120_000))
            return [self.request(Kind.TOPUP, wallet_id, amount, world.PLAIN)]
        if dice < 0.53:
            return [self.request(Kind.INQUIRY, wallet_id, 0, draw.choice((world.PLAIN, world.LIQUOR)))]
        if dice < 0.61:
            return [draw.choice(sent[-8:])]  # a repeat
        if dice < 0.64:
            known = draw.choice(sent[-8:])
            return [msgspec.structs.replace(known, amount=known.amount + 1, content=known.content + 1)]
        if dice < 0.68:
            late = self.purchase(wallet_id)
            return [self.request(Kind.REVERSAL, wallet_id, late.amount, late.merchant_no, late), late]
        if dice < 0.84:
            bought = [r for r in sent[-14:] if r.key.kind == Kind.PURCHASE] or [draw.choice(sent)]
            of = draw.choice(bought)
            amount = draw.choice(
                (of.amount, max(1, of.amount // 2), draw.randint(1, of.amount + 1), draw.randint(1, 12))
            )
            merchant = of.merchant_no if draw.random() < 0.95 else world.MARKET
            return [self.request(Kind.REFUND, wallet_id, amount, merchant, of)]
        able = [r for r in sent[-10:] if r.key.kind != Kind.REVERSAL] or [self.purchase(wallet_id)]
        of = draw.choice(able)
        amount = of.amount if draw.random() < 0.92 else of.amount + 1
        return [self.request(Kind.REVERSAL, wallet_id, amount, of.merchant_no, of)]


def sequence(seed: int, *, wallet_count: int, requests_a_day: int) -> Iterator[Act]:
    """Five days of requests; the night of each falls into the next one. The same seed, the same acts."""
    writer = _Writer(seed, range(1, wallet_count + 1))
    for number, day in enumerate(DAYS):
        writer.today = day
        yield Day(day)
        done = 0
        night = writer.draw.choice((0, requests_a_day // 2)) if number else requests_a_day * 2
        while done < requests_a_day:
            if done >= night:
                yield Night(DAYS[number - 1], day)
                night = requests_a_day * 2
            for request in writer.acts():
                writer.sent[request.wallet_id].append(request)
                done += 1
                yield request
