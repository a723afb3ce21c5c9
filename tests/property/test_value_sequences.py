"""Random days of one wallet with every kind of value: coupons, grants, points, charged money, holds, nights.

Whatever is bought, held, completed, refunded, voided, reversed, credited and expired in whatever order: lots
are the sum of their entries, a coupon pays for one payment at a time, no budget and no member's bound is
exceeded, counters are those of the payments, and a purchase keeps what its remainder rates.
"""

import random
from collections import Counter

import pytest
from msgspec.structs import replace

from settlement.domain.credit import credit
from switch.domain.budget import Budget, Line, Pools
from switch.domain.calendar import add_days
from switch.domain.cashback import rate
from switch.domain.decision import decode_detail
from switch.domain.granting import kept_of, total, windows_again
from switch.domain.holds import held_of
from switch.domain.payment import Kind
from switch.domain.request import Stored
from switch.domain.wallet import LOT_KIND_NAME, Lot, LotKind
from switch.ledger.chart import DIMENSION, Account, Dimension
from switch.ledger.journal import Entry
from switch.ledger.postings import entries_of
from switch.store.reference import ProgrammeGiven
from tests.unit.decide.test_spending import (
    CAMPAIGNS,
    FIXED,
    MARKET_ONLY,
    ORDER,
    PERCENT,
    RELIEF,
    SCHOOL,
    coupon,
    grant,
)
from tests.unit.decide.test_windows import POT, RUSH
from tests.unit.decide.world import (
    CITY,
    DISTRICT,
    MARKET,
    NATIONAL,
    PLAIN,
    PROGRAMME_NO,
    TIERS_T,
    Till,
    charged,
    points,
    wallet,
)

FIRST, LAST, JUNE = 20260610, 20260616, 202606
TIERS_BUDGET = 8
SOON = (20260611, 20260613, 20261231)


class Play:
    """One wallet's days, drawn from a seed, and what its entries say."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = random.Random(f"value {seed}")
        lots = self._lots()
        order = draw.sample(ORDER, 4) if draw.random() < 0.5 else ORDER
        rush = replace(
            RUSH, min_spend=draw.choice((0, 5_000, 10_000)), member_max=draw.choice((0, 1_000, 3_000))
        )
        lines = {
            POT: Budget(code="campaign:rush", funder="city", whole=draw.choice((500, 2_500, 1_000_000))),
            TIERS_BUDGET: Budget(
                code="cashback",
                funder="national",
                monthly=draw.choice((0, 700, 3_000, 1_000_000)),
                reopen=draw.random() < 0.6,
            ),
        }
        self.amounts = {(POT, 0): lines[POT].whole, (TIERS_BUDGET, JUNE): lines[TIERS_BUDGET].monthly}
        numbered = {number: Line(number, PROGRAMME_NO, 0, one) for number, one in lines.items()}
        self.till = Till(
            wallet(*lots, points_on=draw.random() < 0.7),
            given=ProgrammeGiven(
                campaigns=CAMPAIGNS,
                budget_no={(one.code, one.funder): number for number, one in lines.items()},
                windows={"rush": (1, rush)},
                member_bound=bool(rush.member_max),
            ),
            pools=Pools(numbered, dict(self.amounts)),
            spending_order=tuple(order),
            cashback_basis=draw.choice((("charged",), ("charged", "points"))),
            completion_over=draw.choice((0, 150_000)),
            hold_days=draw.choice((1, 3)),
            tiers=TIERS_T if draw.random() < 0.8 else (),
        )
        self.member_max = rush.member_max
        self.day, self.owed = FIRST, 0
        self.in_lots = Counter({lot.lot_no: lot.balance for lot in lots})
        self.accrued: Counter[int] = Counter()  # by business date, not credited yet
        self.granted: Counter[tuple[int, int]] = Counter()

    def _lots(self) -> list[Lot]:
        draw = self.draw
        lots = [
            charged(1, draw.choice((5_000, 60_000, 300_000)), expires=draw.choice((20310601, 20260612))),
            charged(2, draw.choice((1_000, 90_000))),
        ]
        for _ in range(draw.randint(0, 3)):
            campaign = draw.choice((FIXED, PERCENT, MARKET_ONLY))
            lots.append(coupon(len(lots) + 1, campaign, expires=draw.choice(SOON)))
        for _ in range(draw.randint(0, 3)):
            won, funder = draw.choice((500, 9_000, 40_000)), draw.choice((NATIONAL, CITY, DISTRICT))
            campaign = draw.choice((SCHOOL, RELIEF, 0))
            lots.append(grant(len(lots) + 1, campaign, won, expires=draw.choice(SOON), funder=funder))
        if draw.random() < 0.7:
            lots.append(points(len(lots) + 1, draw.choice((700, 9_000)), expires=draw.choice(SOON)))
        return lots

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────
    def step(self) -> None:
        draw, till = self.draw, self.till
        dice = draw.random()
        if dice < 0.08 and self.day < LAST:
            self.night()
            return
        bought = [one for one in till.stored if one.approved and one.key.kind == Kind.PURCHASE]
        asked = [one for one in till.stored if one.approved and one.key.kind == Kind.PREAUTH]
        known = [one for one in till.stored if one.key.kind != Kind.REVERSAL]
        if dice < 0.40 or not known:
            kind = draw.choice((Kind.PURCHASE,) * 4 + (Kind.PREAUTH, Kind.TOPUP))
            amount = draw.choice((400, 40_000, 120_000))
            offline = kind == Kind.PURCHASE and draw.random() < 0.15
            part = kind != Kind.TOPUP and draw.random() < 0.4
            shop = draw.choice((PLAIN, MARKET))
            self.send(kind, draw.randint(1, amount), merchant=shop, partial=part, advice=offline)
        elif dice < 0.50 and asked:
            of = draw.choice(asked[-3:])
            amount = max(1, of.amount + draw.choice((0, -500, 900, 20_000)))
            self.send(Kind.PURCHASE, amount, of=of, merchant=of.merchant_no, advice=True)
        elif dice < 0.72 and bought:
            of = draw.choice(bought[-5:])
            left = max(1, of.approved - of.returned)
            kind = draw.choice((Kind.REFUND, Kind.REFUND, Kind.VOID))
            self.send(kind, draw.choice((left, draw.randint(1, left))), of=of, merchant=of.merchant_no)
        else:
            of = draw.choice(known[-6:])
            part = of.key.kind in (Kind.PURCHASE, Kind.PREAUTH) and draw.random() < 0.3
            stays = draw.randint(1, max(1, of.approved)) if part else 0
            amount = draw.choice((of.amount, of.approved or of.amount))
            self.send(Kind.REVERSAL, amount, of=of, merchant=of.merchant_no, replacement=stays)

    def send(self, kind: Kind, amount: int, **more: object) -> None:
        self.till.send(kind, amount, day=self.day, **more)  # type: ignore[arg-type]
        accrued = Account.CASHBACK_ACCRUED
        for one in entries_of(self.till.last):
            self.accrued[self.day] += one.won * ((one.credit == accrued) - (one.debit == accrued))
            self._book(one)
            if one.budget_no:
                key = self.till.pools.lines[one.budget_no].key(JUNE)
                self.granted[key] += one.won if one.debit == Account.FUNDER_DUE else -one.won

    def _book(self, one: Entry) -> None:
        for account, sign in ((one.debit, -1), (one.credit, 1)):
            if DIMENSION[account] is Dimension.LOT:
                self.in_lots[one.lot_no] += sign * one.won
            if account == Account.MEMBER_RECEIVABLE:
                self.owed -= sign * one.won

    def night(self) -> None:
        """Expiry, then the credit, as the settlement does both."""
        at = self.till.wallet
        held = held_of(at, 0) or {}
        for lot in at.lots.values():
            won = lot.balance - held.get(lot.lot_no, 0)
            if lot.expires and lot.expires <= self.day:
                lot.balance -= won
                self.in_lots[lot.lot_no] -= won
        net, closed = self.accrued.pop(self.day, 0), self.day
        self.till.credited_through, self.day = closed, add_days(closed, 1)
        if not net:
            return
        mine = [lot for lot in at.lots.values() if lot.kind == LotKind.POINTS]
        free = [replace(lot, balance=lot.balance - held.get(lot.lot_no, 0)) for lot in mine]
        at_night = {"receivable": at.receivable, "lot_seq": at.lot_seq, "booked_on": self.day}
        done = credit(net, lots=free, expires=20310630, **at_night)
        at.seq, at.receivable = at.seq + 1, done.receivable
        for lot_no, won in done.lot_changes:
            at.lots[lot_no].balance += won
        if done.new_lot is not None:
            at.lots[done.new_lot.lot_no], at.lot_seq = done.new_lot, done.new_lot.lot_no
        for one in done.entries:
            self._book(one)

    # ── what must hold ──────────────────────────────────────────────────────────────────────────────────
    def look(self) -> None:
        at, pools = self.till.wallet, self.till.pools
        for lot in at.lots.values():
            assert lot.balance == self.in_lots[lot.lot_no] >= 0, lot
            assert lot.kind not in (LotKind.GRANT, LotKind.COUPON) or lot.balance <= lot.granted, lot
        assert all(won <= at.lots[lot_no].balance for lot_no, won in (held_of(at, 0) or {}).items())
        assert at.receivable == self.owed >= 0
        for key, amount in self.amounts.items():
            change = pools.changes.get(key)
            retired = change.retired if change else 0
            assert 0 <= self.granted[key] <= amount, key
            assert pools.left[key] + self.granted[key] + retired == amount, key
        if self.member_max:
            assert 0 <= at.campaign_won.get(1, 0) <= self.member_max
        bought = [one for one in self.till.stored if one.key.kind == Kind.PURCHASE]
        assert at.usage_of(JUNE).spent == sum(one.approved - one.returned for one in bought)
        assert at.usage_of(JUNE).basis == sum(one.basis for one in self.till.stored)
        coupons = Counter(lot_no for one in bought for lot_no in self._coupons(one))
        assert max(coupons.values(), default=0) <= 1

    def _standing(self, one: Stored) -> list[tuple[Lot, int]]:
        """What stands of a purchase, lot by lot: returns have taken the last spent first."""
        left, found = one.approved - one.returned, []
        for lot_no, used in decode_detail(one.detail).uses:
            won = min(used, left)
            left -= won
            found.append((self.till.wallet.lots[lot_no], won))
        return found

    def _coupons(self, one: Stored) -> list[int]:
        return [lot.lot_no for lot, won in self._standing(one) if won and lot.kind == LotKind.COUPON]

    def kept(self) -> int:
        """Hold every purchase to the rating of what stands of it; returns how many had all that is due."""
        exact = 0
        short = any(decode_detail(one.detail).missed for one in self.till.stored)
        for one in self.till.stored:
            if one.key.kind != Kind.PURCHASE or not one.approved:
                continue
            detail = decode_detail(one.detail)
            terms = self.till.reference.terms_of(
                one.policy_no, one.merchant_no, one.key.local_day, one.channel
            )
            kinds = terms.policy.cashback_basis
            due = rate(
                terms.policy,
                basis=sum(won for lot, won in self._standing(one) if LOT_KIND_NAME[lot.kind] in kinds),
                usage_before=one.usage_before,
                groups=terms.groups,
                channel=one.channel,
                windows=windows_again(terms, detail, one.approved - one.returned),
            ).total
            stands = total(kept_of(detail))
            assert stands <= due if short else stands == due, one.key
            exact += not short
        return exact


@pytest.mark.parametrize("first", range(0, 800, 200))
def test_every_won_is_somewhere_whatever_happens_to_it(first: int) -> None:
    exact = 0
    for seed in range(first, first + 200):
        play = Play(seed)
        try:
            for _ in range(play.draw.randint(10, 45)):
                play.step()
                play.look()
            exact += play.kept()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert exact
