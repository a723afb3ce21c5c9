"""The spending order with coupons and grants: which lots pay, what is passed over, what it takes off."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from switch.domain.calendar import SEOUL
from switch.domain.campaign import Campaign, Where
from switch.domain.decision import decode_detail
from switch.domain.merchant import Facts, Merchant
from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Restriction
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Stored
from switch.domain.wallet import Lot, LotKind, Wallet
from switch.store.reference import ProgrammeGiven
from tests.unit.decide.world import (
    CITY,
    DEPARTMENT,
    DISTRICT,
    LIQUOR,
    MARKET,
    NATIONAL,
    PLAIN,
    Till,
    charged,
    points,
    wallet,
)

ORDER = ("coupon", "grant", "points", "charged")
FIXED, PERCENT, MARKET_ONLY, SCHOOL, RELIEF = 1, 2, 3, 4, 5


def campaign(code: str, kind: str, won: int, **more: Any) -> Campaign:
    return Campaign(
        code=code,
        name=code,
        kind=kind,
        starts=datetime(2026, 1, 1, tzinfo=SEOUL),
        ends=datetime(2027, 1, 1, tzinfo=SEOUL),
        shares=(("city", 1_000_000),),
        won=won,
        **more,
    )


CAMPAIGNS = {
    FIXED: campaign("fixed", "coupon", 30_000, min_spend=40_000),
    PERCENT: campaign("percent", "coupon", 9_000, rate_ppm=300_000),
    MARKET_ONLY: campaign("market_day", "coupon", 5_000, where=Where(groups=("traditional_market",))),
    SCHOOL: campaign("school", "grant", 500_000, where=Where(categories=("academy", "bookshop"))),
    RELIEF: campaign("relief", "grant", 10_000),
}


def coupon(lot_no: int, campaign_no: int, *, expires: int = 20260630, used: int = 0) -> Lot:
    won = CAMPAIGNS[campaign_no].won
    return Lot(lot_no, LotKind.COUPON, CITY, won - used, won, 20260601, expires, campaign_no)


def grant(lot_no: int, campaign_no: int, won: int, *, expires: int = 20261231, funder: int = CITY) -> Lot:
    return Lot(lot_no, LotKind.GRANT, funder, won, won, 20260601, expires, campaign_no)


def till(at: Wallet, **policy: Any) -> Till:
    return Till(at, given=ProgrammeGiven(campaigns=CAMPAIGNS), **{"spending_order": ORDER, **policy})


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


def spent(at: Till) -> list[tuple[int, int]]:
    return [(lot_no, won) for lot_no, _, won in at.last.spent]


def passed(stored: Stored) -> tuple[tuple[int, int], ...]:
    return decode_detail(stored.detail).passed_over


# ── the order ───────────────────────────────────────────────────────────────────────────────────────────────
def test_example_5_from_payment_to_treasury_return() -> None:
    """The worked example of the rules: coupon, points, charged; the scholarship may not be spent here."""
    at = till(
        wallet(
            coupon(1, FIXED),
            grant(2, SCHOOL, 500_000),
            points(3, 8_200),
            charged(4, 100_000),
            points_on=True,
        )
    )
    bought = at.send(Kind.PURCHASE, 95_000)
    assert spent(at) == [(1, 30_000), (3, 8_200), (4, 56_800)]
    assert (bought.cashback, passed(bought)) == (5_680, ((SCHOOL, 0),))
    at.send(Kind.REFUND, 60_000, of=bought)
    assert [(lot_no, won) for lot_no, _, won in at.last.restored] == [(4, 56_800), (3, 3_200)]
    assert at.last.stored.cashback == -5_680
    at.send(Kind.REFUND, 35_000, of=bought, day=20260701)
    assert [(lot_no, won) for lot_no, _, won in at.last.restored] == [(3, 5_000)]
    assert at.last.treasury == ((CITY, 30_000),)


def test_grants_pay_first_expiry_first_and_points_after_them() -> None:
    at = till(
        wallet(
            charged(1, 50_000),
            grant(2, RELIEF, 4_000, expires=20261231),
            grant(3, RELIEF, 3_000, expires=20260701),
            grant(
                4, 0, 2_000, expires=20260630, funder=NATIONAL
            ),  # of no campaign: of no bounds but the policy's
            grant(5, RELIEF, 9_000, expires=20260609),  # expired
            points(6, 700),
            points_on=True,
        )
    )
    at.send(Kind.PURCHASE, 10_000)
    assert spent(at) == [(4, 2_000), (3, 3_000), (2, 4_000), (6, 700), (1, 300)]


def test_another_order_is_the_policys_to_choose() -> None:
    lots = (charged(1, 10_000), grant(2, RELIEF, 10_000), coupon(3, PERCENT))
    at = till(wallet(*lots), spending_order=("charged", "coupon", "grant"))
    at.send(Kind.PURCHASE, 18_000)
    assert spent(at) == [(1, 10_000), (3, 5_400), (2, 2_600)]
    at = till(wallet(*lots), spending_order=("charged",))
    assert why(at.send(Kind.PURCHASE, 10_001)) == "insufficient_funds"


def test_a_grant_pays_only_where_its_campaign_holds_on_that_day() -> None:
    at = till(wallet(grant(1, SCHOOL, 500_000), charged(2, 5_000)))
    at.reference.merchants[PLAIN] = _turned_into(at, "bookshop", 20260620)
    assert why(at.send(Kind.PURCHASE, 5_001, day=20260619)) == "merchant_restricted"
    assert why(at.send(Kind.PURCHASE, 5_001, day=20260620)) == "approved"
    assert spent(at) == [(1, 5_001)]
    # a late payment is judged by its own day
    assert why(at.send(Kind.PURCHASE, 5_001, day=20260619, booked=20260621)) == "merchant_restricted"


def test_money_of_a_campaign_that_nobody_knows_any_more_is_refused() -> None:
    at = till(wallet(grant(1, 99, 5_000)))
    stored = at.send(Kind.PURCHASE, 1_000)
    assert (why(stored), decode_detail(stored.detail).rules) == ("merchant_restricted", ("campaign:99",))


def _turned_into(at: Till, category: str, day: int) -> Merchant:
    shop = at.reference.merchants[PLAIN]
    return replace(shop, facts=(Facts(day, category, shop.size, shop.region, shop.head_region),))


# ── coupons ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_one_coupon_a_payment_the_earliest_expiry_first() -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, PERCENT), coupon(3, FIXED, expires=20260615)))
    bought = at.send(Kind.PURCHASE, 40_000)
    assert spent(at) == [(3, 30_000), (1, 10_000)]
    assert passed(bought) == ()
    at.send(Kind.PURCHASE, 40_000)
    assert spent(at) == [(2, 9_000), (1, 31_000)]  # 30 % is 12,000, the coupon's most is 9,000


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("advice", [False, True])
def test_the_next_coupon_pays_if_the_money_does_not_suffice_with_the_first(
    partial: bool, advice: bool
) -> None:
    at = till(wallet(charged(1, 10_000), coupon(2, PERCENT, expires=20260615), coupon(3, FIXED)))
    done = at.send(Kind.PURCHASE, 40_000, partial=partial, advice=advice)
    assert (why(done), spent(at)) == ("approved", [(3, 30_000), (1, 10_000)])


@pytest.mark.parametrize(("amount", "takes_off", "over"), [(39_999, 0, ((FIXED, 1),)), (40_000, 30_000, ())])
def test_a_coupon_has_a_minimum_spend(amount: int, takes_off: int, over: Any) -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, FIXED)))
    bought = at.send(Kind.PURCHASE, amount)
    assert dict(spent(at)).get(2, 0) == takes_off
    assert passed(bought) == over


def test_a_coupon_holds_only_where_its_campaign_does() -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, MARKET_ONLY)))
    assert passed(at.send(Kind.PURCHASE, 10_000)) == ((MARKET_ONLY, 0),)
    at.send(Kind.PURCHASE, 10_000, merchant=MARKET)
    assert spent(at) == [(2, 5_000), (1, 5_000)]


def test_a_percent_of_the_price_is_floored_and_the_rest_of_the_coupon_is_spent_no_more() -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, PERCENT)))
    at.send(Kind.PURCHASE, 9_999)
    assert spent(at) == [(2, 2_999), (1, 7_000)]
    at.send(Kind.PURCHASE, 9_999)
    assert spent(at) == [(1, 9_999)]
    assert at.balance(2) == 9_000 - 2_999


def test_a_full_cancel_makes_a_coupon_whole_again_a_partial_one_does_not() -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, PERCENT)))
    bought = at.send(Kind.PURCHASE, 10_000)
    at.send(Kind.REFUND, 8_000, of=bought)
    assert at.balance(2) == 7_000
    at.send(Kind.PURCHASE, 1_000)
    assert spent(at) == [(1, 1_000)]
    at.send(Kind.REFUND, 2_000, of=bought)
    assert at.balance(2) == 9_000
    at.send(Kind.PURCHASE, 1_000)
    assert spent(at) == [(2, 300), (1, 700)]


def test_a_coupon_used_again_is_not_taken_twice() -> None:
    """The refund that made it whole cannot be undone once it has paid for something else."""
    at = till(wallet(charged(1, 100_000), coupon(2, PERCENT)))
    bought = at.send(Kind.PURCHASE, 10_000)
    back = at.send(Kind.REFUND, 10_000, of=bought)
    at.send(Kind.PURCHASE, 1_000)
    assert spent(at) == [(2, 300), (1, 700)]
    undone = at.send(Kind.REVERSAL, 10_000, of=back)
    assert undone.outcome == Outcome.EXCEPTION
    assert at.balance(2) == 8_700


def test_a_refund_in_part_that_gave_some_of_a_coupon_back_can_be_undone() -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, PERCENT)))
    bought = at.send(Kind.PURCHASE, 10_000)
    back = at.send(Kind.REFUND, 8_000, of=bought)
    undone = at.send(Kind.REVERSAL, 8_000, of=back)
    assert (undone.outcome, at.balance(1), at.balance(2)) == (Outcome.APPROVED, 93_000, 6_000)


def test_a_coupon_is_in_no_balance_and_a_grant_only_where_it_may_be_spent() -> None:
    at = till(
        wallet(charged(1, 10_000), coupon(2, PERCENT), grant(3, SCHOOL, 500_000), grant(4, RELIEF, 700))
    )
    told = at.send(Kind.INQUIRY)
    assert (told.ledger_after, told.available_after) == (510_700, 10_700)
    done = at.send(Kind.PURCHASE, 10_000)
    assert (done.ledger_after, done.available_after) == (510_700 - 7_000, 10_700 - 7_000)
    told = at.send(Kind.INQUIRY)
    assert (told.ledger_after, told.available_after) == (done.ledger_after, done.available_after)


# ── holds and parts ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_hold_keeps_grants_and_no_coupon() -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, PERCENT), grant(3, RELIEF, 10_000)))
    asked = at.send(Kind.PREAUTH, 30_000)
    assert decode_detail(asked.detail).hold == ((3, LotKind.GRANT, 10_000), (1, LotKind.CHARGED, 20_000))
    at.send(Kind.PURCHASE, 35_000, of=asked, advice=True)
    assert spent(at) == [(3, 10_000), (1, 20_000), (1, 5_000)]
    at.send(Kind.PURCHASE, 10_000)
    assert spent(at) == [(2, 3_000), (1, 7_000)]


def test_an_offline_purchase_uses_a_coupon_like_any_other() -> None:
    at = till(wallet(charged(1, 100_000), coupon(2, PERCENT), grant(3, SCHOOL, 1_000)))
    done = at.send(Kind.PURCHASE, 10_000, advice=True)
    assert spent(at) == [(2, 3_000), (1, 7_000)]
    assert (why(done), passed(done)) == ("approved", ((SCHOOL, 0),))


@pytest.mark.parametrize(
    ("kind", "money", "amount", "approved", "takes_off"),
    [
        (PERCENT, 7_000, 20_000, 10_000, 3_000),  # 30 % of what is approved
        (PERCENT, 7_001, 20_000, 10_001, 3_000),
        (PERCENT, 50_000, 90_000, 59_000, 9_000),  # its most
        (FIXED, 20_000, 90_000, 50_000, 30_000),
        (FIXED, 10_000, 90_000, 40_000, 30_000),  # exactly the minimum spend
        (FIXED, 9_999, 90_000, 9_999, 0),  # below it the coupon stays whole
    ],
)
def test_in_a_partial_approval_the_discount_is_on_what_is_approved(
    kind: int, money: int, amount: int, approved: int, takes_off: int
) -> None:
    at = till(wallet(charged(1, money), coupon(2, kind)))
    done = at.send(Kind.PURCHASE, amount, partial=True)
    assert (why(done), done.approved) == ("partial_approval", approved)
    assert dict(spent(at)).get(2, 0) == takes_off
    assert at.balance(1) == 0


def test_a_coupon_alone_pays_no_part_below_its_minimum_spend() -> None:
    at = till(wallet(coupon(1, FIXED)))
    stored = at.send(Kind.PURCHASE, 90_000, partial=True)
    assert (why(stored), at.balance(1)) == ("insufficient_funds", 30_000)


# ── restrictions by kind of money ───────────────────────────────────────────────────────────────────────────
NO_POLICY_MONEY = (
    Restriction(
        code="no_grants", lot_kinds=("grant", "coupon"), sizes=("large",), reason_ko="불가", reason_en="no"
    ),
    Restriction(
        code="no_cash_liquor",
        lot_kinds=("charged",),
        categories=("liquor",),
        reason_ko="주류",
        reason_en="no",
    ),
)


def test_policy_money_may_be_refused_where_charged_money_is_taken_and_the_other_way_round() -> None:
    lots = (coupon(1, PERCENT), grant(2, RELIEF, 10_000), charged(3, 10_000))
    at = till(wallet(*lots), restrictions=NO_POLICY_MONEY)
    done = at.send(Kind.PURCHASE, 8_000, merchant=DEPARTMENT)
    assert spent(at) == [(3, 8_000)]
    assert passed(done) == ((PERCENT, 0), (RELIEF, 0))
    at.send(Kind.PURCHASE, 8_000, merchant=LIQUOR)
    assert spent(at) == [(1, 2_400), (2, 5_600)]


def test_funders_of_grants_get_their_own_back_when_a_lot_has_expired() -> None:
    at = till(
        wallet(
            grant(1, RELIEF, 5_000, expires=20260615, funder=DISTRICT),
            grant(2, RELIEF, 5_000, expires=20260620, funder=NATIONAL),
            charged(3, 10_000),
        )
    )
    bought = at.send(Kind.PURCHASE, 15_000)
    at.send(Kind.REFUND, 15_000, of=bought, day=20260616)
    assert [(lot_no, won) for lot_no, _, won in at.last.restored] == [(3, 5_000), (2, 5_000)]
    assert at.last.treasury == ((DISTRICT, 5_000),)
