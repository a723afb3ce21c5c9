"""A small world of values: one programme with two versions, a few shops, wallets made to order.

The same world is decided in memory by the unit and property tests, and written into a database by the
integration tests.
"""

from datetime import datetime, time
from typing import Any

from msgspec.structs import replace

from switch.domain.budget import Pools
from switch.domain.calendar import SEOUL
from switch.domain.decide import decide
from switch.domain.decision import Decision, apply
from switch.domain.donation import Case
from switch.domain.matching import judged_by
from switch.domain.merchant import Merchant
from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.programme import Bonus, FeeClass, Funder, Limits, Policy, Programme, Restriction, Tier
from switch.domain.request import OriginalRef, PinCheck, Request, Stored, Terms
from switch.domain.wallet import Card, Holder, Lot, LotKind, Wallet
from switch.store.reference import ProgrammeGiven, Reference

FUNDERS = ("national", "city", "district")
NATIONAL, CITY, DISTRICT = 1, 2, 3
PROGRAMME_NO = 1
PIN_TRIES_MAX = 3

PLAIN, MARKET, LIQUOR, DEPARTMENT, GONE = 1, 2, 3, 4, 5
"""Merchant numbers: takes all · in the market · no charged money · no money of ours · left on 1 July."""

TIERS_T = (
    Tier(0, 300_000, 100_000, (("national", 40_000), ("city", 20_000), ("district", 40_000))),
    Tier(300_000, 500_000, 70_000, (("national", 40_000), ("city", 20_000), ("district", 10_000))),
    Tier(500_000, 1_000_000, 60_000, (("national", 40_000), ("city", 20_000))),
)
TIERS_JULY = (Tier(0, 300_000, 50_000, (("national", 20_000), ("district", 30_000))),)
MARKET_BONUS = Bonus("market", "traditional_market", None, 30_000, (("district", 30_000),))
RESTRICTIONS = (
    Restriction(
        code="liquor", lot_kinds=("charged",), categories=("liquor",), reason_ko="주류", reason_en="liquor"
    ),
    Restriction(
        code="large_store",
        lot_kinds=("charged", "points"),
        sizes=("large",),
        reason_ko="대형",
        reason_en="large",
    ),
)


def policy(
    version: str,
    tiers: tuple[Tier, ...],
    since: datetime,
    *,
    limits: Limits = Limits(),  # noqa: B008 - an immutable value
    bonuses: tuple[Bonus, ...] = (),
) -> Policy:
    return Policy(
        programme_id="test",
        version=version,
        effective_from=since,
        funder_order=FUNDERS,
        tiers=tiers,
        fee_classes=(FeeClass(0, 300_000_000, 1_500),),
        fee_default_ppm=10_000,
        bonuses=bonuses,
        restrictions=RESTRICTIONS,
        limits=limits,
    )


def _merchant(number: int, **facts: object) -> Merchant:
    known: dict[str, object] = {"category": "restaurant", "size": "small", "opened_day": 20250101}
    return Merchant(
        merchant_no=number,
        merchant_id=f"SHOP{number}",
        programme_id="test",
        name=f"가게 {number}",
        region="seo",
        head_region="seo",
        **{**known, **facts},  # type: ignore[arg-type]
    )


MERCHANTS = {
    PLAIN: _merchant(PLAIN),
    MARKET: _merchant(MARKET, groups=(("traditional_market", 20250101, 0),)),
    LIQUOR: _merchant(LIQUOR, category="liquor"),
    DEPARTMENT: _merchant(DEPARTMENT, size="large"),
    GONE: _merchant(GONE, closed_day=20260701),
}


def programme(limits: Limits = Limits()) -> Programme:  # noqa: B008
    """June by tiers T, July at 5 %; the market bonus in both."""
    return Programme(
        programme_id="test",
        name="Test",
        cutover=time(0),
        funders=tuple(Funder(funder, funder) for funder in FUNDERS),
        bins=("941061",),
        policies=(
            policy(
                "june", TIERS_T, datetime(2026, 1, 1, tzinfo=SEOUL), limits=limits, bonuses=(MARKET_BONUS,)
            ),
            policy(
                "july", TIERS_JULY, datetime(2026, 7, 1, tzinfo=SEOUL), limits=limits, bonuses=(MARKET_BONUS,)
            ),
        ),
    )


def reference(
    limits: Limits = Limits(),  # noqa: B008
    given: ProgrammeGiven | None = None,
    **policy: Any,
) -> Reference:
    """The world as a switch keeps it in memory. `policy` are other rules of every version."""
    one = programme(limits)
    policies = tuple(replace(version, **policy) for version in one.policies)
    one = replace(one, policies=policies)
    return Reference(
        epoch=1,
        simulation=True,
        programmes={PROGRAMME_NO: one},
        policies={n: (PROGRAMME_NO, p) for n, p in enumerate(one.policies, 1)},
        policy_no={(PROGRAMME_NO, p.version): n for n, p in enumerate(one.policies, 1)},
        funder_no={PROGRAMME_NO: {funder: n for n, funder in enumerate(FUNDERS, 1)}},
        merchants=dict(MERCHANTS),
        merchant_no={m.merchant_id: n for n, m in MERCHANTS.items()},
        programme_of=dict.fromkeys(MERCHANTS, PROGRAMME_NO),
        starts={PROGRAMME_NO: [(20260701_000000, 2), (20260101_000000, 1)]},
        given={PROGRAMME_NO: given or ProgrammeGiven()},
    )


def charged(lot_no: int, won: int, *, expires: int = 20310601) -> Lot:
    return Lot(lot_no, LotKind.CHARGED, 0, won, won, 20260601, expires)


def points(lot_no: int, won: int, *, expires: int = 20310630, funder_no: int = 0) -> Lot:
    return Lot(lot_no, LotKind.POINTS, funder_no, won, won, 20260601, expires)


def wallet(*lots: Lot, wallet_id: int = 1, points_on: bool = False, used: int = 0) -> Wallet:
    """A wallet with two active cards; `used` is June's spending and basis so far."""
    return Wallet(
        bucket=bucket_of(wallet_id),
        wallet_id=wallet_id,
        programme_no=PROGRAMME_NO,
        active=True,
        points_on=points_on,
        seq=len(lots),
        lot_seq=max([lot.lot_no for lot in lots], default=0),
        receivable=0,
        month=202606 if used else 0,
        month_spent=used,
        month_basis=used,
        month_topup=0,
        day=0,
        day_spent=0,
        holds=0,
        tags=0,
        holder=Holder.PERSON,
        lots={lot.lot_no: lot for lot in lots},
        past={},
        cards={n: Card(n, "active", 3112, 0) for n in (1, 2)},
    )


class Till:
    """One wallet at a terminal: sends requests, keeps what was stored, as a lane would."""

    def __init__(
        self,
        at: Wallet,
        limits: Limits = Limits(),  # noqa: B008
        given: ProgrammeGiven | None = None,
        pools: Pools | None = None,
        **policy: Any,
    ) -> None:
        self.wallet = at
        self.reference = reference(limits, given, **policy)
        self.pools = pools or Pools({})
        self.stored: list[Stored] = []
        self.decisions: list[Decision] = []
        self.credited_through = 0
        self.case: Case | None = None  # that gifts name
        self._stan = 0

    def send(
        self,
        kind: Kind,
        amount: int = 0,
        *,
        day: int = 20260610,
        time: int = 120_000,
        booked: int = 0,
        merchant: int = PLAIN,
        card: int = 1,
        pin: PinCheck = PinCheck.NONE,
        expiry: int | None = None,
        of: Stored | None = None,
        ref: OriginalRef | None = None,
        tombstoned: bool = False,
        original_tombstoned: bool = False,
        **more: Any,
    ) -> Stored:
        """Decide a request, carry it out, and return what is stored; `more` are its other fields."""
        self._stan += 1
        if of is not None:
            ref = OriginalRef(of.key.stan, of.transmission, (of.key.kind,), "T1", of.key.local_day)
        request = Request(
            key=PaymentKey(self.wallet.bucket, day, time, "T1", self._stan, kind),
            wallet_id=self.wallet.wallet_id,
            card_no=card,
            programme_no=PROGRAMME_NO,
            merchant_no=merchant,
            amount=amount,
            channel="pos",
            transmission=f"{day % 10_000:04d}{time:06d}",
            rrn=f"{self._stan:012d}",
            approval=f"{self._stan:06d}",
            content=self._stan,
            pin=pin,
            expiry=expiry,
            original=ref,
            **more,
        )
        decision = decide(
            request,
            self.wallet,
            self._terms(request),
            business_day=booked or day,
            pin_tries_max=PIN_TRIES_MAX,
            originals=self.stored,
            tombstoned=tombstoned,
            original_tombstoned=original_tombstoned,
            credited_through=self.credited_through,
            pools=self.pools,
            case=self.case,
        )
        apply(decision, self.wallet, self.pools)
        self.decisions.append(decision)
        self.stored.append(decision.stored)
        return decision.stored

    def _terms(self, request: Request) -> Terms:
        of = judged_by(request, self.stored)
        if of is not None:
            return self.reference.terms_of(of.policy_no, of.merchant_no, of.key.local_day, of.channel)
        key = request.key
        return self.reference.terms(
            request.programme_no, request.merchant_no, key.local_day, key.local_time, request.channel
        )

    @property
    def last(self) -> Decision:
        """The latest decision."""
        return self.decisions[-1]

    def balance(self, lot_no: int) -> int:
        """Won in a lot."""
        return self.wallet.lots[lot_no].balance
