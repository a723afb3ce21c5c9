"""A refusal names every reason and answers the one that helps: no limit where the shop is not eligible."""

from typing import Any

import pytest

from switch.domain.decision import Fault, decode_detail
from switch.domain.payment import Kind
from switch.domain.programme import Limits, Restriction
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Stored
from switch.domain.wallet import Holder, Lot, LotKind
from tests.unit.decide.test_spending import MARKET_ONLY, ORDER, PERCENT, SCHOOL, coupon, grant
from tests.unit.decide.test_spending import till as till_with_campaigns
from tests.unit.decide.world import DEPARTMENT, LIQUOR, PLAIN, Till, charged, points, wallet

LIMITS = Limits(
    payment_max=30_000, day_max=50_000, month_max=60_000, topup_month_max=100_000, holding_max=90_000
)
PAYMENT_LIMIT = ("over_payment_limit", 30_000, 0)
BOTH = (
    Restriction(code="large", lot_kinds=("charged",), sizes=("large",), reason_ko="대형", reason_en="l"),
    Restriction(
        code="no_points", lot_kinds=("points", "charged"), sizes=("large",), reason_ko="불가", reason_en="n"
    ),
)


def faults(stored: Stored) -> list[tuple[str, int, int, int, int, tuple[str, ...]]]:
    return [
        (BY_NUMBER[one.reason].name, one.limit, one.used, one.short, one.resets, one.rules)
        for one in decode_detail(stored.detail).faults
    ]


def names(stored: Stored) -> list[str]:
    return [fault[0] for fault in faults(stored)]


def check_answered(stored: Stored) -> None:
    """What is answered is the first of the reasons, and stands in the detail by itself too."""
    detail = decode_detail(stored.detail)
    first = detail.faults[0]
    assert stored.reason == first.reason
    told = Fault(first.reason, detail.limit, detail.used, detail.short, first.resets, detail.rules)
    assert told == first


def test_every_limit_is_named_with_when_it_counts_anew() -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    till.send(Kind.PURCHASE, 30_000, day=20260629)
    till.send(Kind.PURCHASE, 20_000, day=20260630)
    stored = till.send(Kind.PURCHASE, 33_200, day=20260630)
    assert faults(stored) == [
        ("over_payment_limit", 30_000, 0, 3_200, 0, ()),
        ("over_day_limit", 50_000, 20_000, 3_200, 20260701, ()),
        ("over_month_limit", 60_000, 50_000, 23_200, 20260701, ()),
    ]
    check_answered(stored)


def test_money_that_lacks_is_named_beside_the_limits() -> None:
    till = Till(wallet(charged(1, 10_000)), LIMITS)
    stored = till.send(Kind.PURCHASE, 30_001)
    assert faults(stored) == [
        ("over_payment_limit", 30_000, 0, 1, 0, ()),
        ("insufficient_funds", 0, 0, 20_001, 0, ()),
    ]
    check_answered(stored)


def test_a_shop_that_is_not_eligible_is_never_answered_as_a_limit() -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    stored = till.send(Kind.PURCHASE, 51_000, merchant=LIQUOR)
    assert names(stored) == ["merchant_restricted", "over_payment_limit", "over_day_limit"]
    assert decode_detail(stored.detail).rules == ("liquor",)
    check_answered(stored)


@pytest.mark.parametrize(
    ("held_points", "expected"),
    [
        (9_000, ("large", "no_points")),
        (0, ("large", "no_points")),  # both bar the charged money
    ],
)
def test_every_rule_that_hits_is_named(held_points: int, expected: tuple[str, ...]) -> None:
    lots = [lot for lot in (charged(1, 50_000), points(2, held_points)) if lot.balance]
    till = Till(wallet(*lots, points_on=True), restrictions=BOTH)
    stored = till.send(Kind.PURCHASE, 1_000, merchant=DEPARTMENT)
    assert set(decode_detail(stored.detail).rules) == set(expected)
    check_answered(stored)


def test_a_rule_for_money_that_the_member_has_not_is_no_reason() -> None:
    rules = (
        Restriction(
            code="no_grants", lot_kinds=("grant", "coupon"), sizes=("large",), reason_ko="x", reason_en="x"
        ),
    )
    till = Till(wallet(charged(1, 1_000)), restrictions=rules, spending_order=ORDER)
    assert faults(till.send(Kind.PURCHASE, 3_000, merchant=DEPARTMENT)) == [
        ("insufficient_funds", 0, 0, 2_000, 0, ())
    ]


@pytest.mark.parametrize(
    ("lots", "amount", "expected"),
    [
        # The money is there, and may not be spent here: a top-up is not what is missing.
        (
            (grant(1, SCHOOL, 500_000), charged(2, 5_000)),
            20_000,
            [("merchant_restricted", 0, 0, 15_000, 0, ("campaign:school",))],
        ),
        # It would not suffice either: the money lacks, and what may not be spent here comes last.
        (
            (grant(1, SCHOOL, 3_000), charged(2, 5_000)),
            20_000,
            [
                ("insufficient_funds", 0, 0, 15_000, 0, ()),
                ("merchant_restricted", 0, 0, 15_000, 0, ("campaign:school",)),
            ],
        ),
        (
            (coupon(1, MARKET_ONLY), charged(2, 5_000)),
            10_000,
            [("merchant_restricted", 0, 0, 5_000, 0, ("campaign:market_day",))],
        ),
        # One coupon a payment: where another has paid, this one would not have helped.
        (
            (coupon(1, MARKET_ONLY), coupon(3, PERCENT), charged(2, 5_000)),
            10_000,
            [("insufficient_funds", 0, 0, 2_000, 0, ())],
        ),
    ],
)
def test_money_bound_to_other_shops(lots: tuple[Lot, ...], amount: int, expected: Any) -> None:
    till = till_with_campaigns(wallet(*lots))
    stored = till.send(Kind.PURCHASE, amount, merchant=PLAIN)
    assert faults(stored) == expected
    check_answered(stored)


def test_what_lacks_even_if_the_shop_took_everything_is_named_too() -> None:
    till = Till(wallet(charged(1, 4_000)))
    stored = till.send(Kind.PURCHASE, 10_000, merchant=LIQUOR)
    assert faults(stored) == [
        ("merchant_restricted", 0, 0, 10_000, 0, ("liquor",)),
        ("insufficient_funds", 0, 0, 6_000, 0, ()),
    ]


def test_limits_count_what_a_partial_approval_comes_to() -> None:
    till = Till(wallet(charged(1, 25_000)), LIMITS)
    assert till.send(Kind.PURCHASE, 80_000, partial=True).approved == 25_000


def test_holds_name_limits_with_what_they_keep_already() -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    first = till.send(Kind.PREAUTH, 20_000)
    stored = till.send(Kind.PREAUTH, 10_001, of=first)
    assert faults(stored) == [("over_payment_limit", 30_000, 20_000, 1, 0, ())]


def test_a_top_up_names_both_limits() -> None:
    till = Till(wallet(charged(1, 80_000)), LIMITS)
    till.wallet.month, till.wallet.month_topup = 202606, 95_000
    stored = till.send(Kind.TOPUP, 12_000)
    assert faults(stored) == [
        ("over_topup_limit", 100_000, 95_000, 7_000, 20260701, ()),
        ("over_holding_limit", 90_000, 80_000, 2_000, 0, ()),
    ]
    check_answered(stored)


def test_the_last_month_of_a_year_is_followed_by_the_next_years_first() -> None:
    till = Till(wallet(charged(1, 500_000)), Limits(month_max=10_000))
    stored = till.send(Kind.PURCHASE, 10_001, day=20261231)
    assert faults(stored) == [("over_month_limit", 10_000, 0, 1, 20270101, ())]


@pytest.mark.parametrize(
    ("holder", "reason"), [(Holder.PERSON, "over_payment_limit"), (Holder.COMPANY, "approved")]
)
def test_a_company_has_limits_of_its_own(holder: Holder, reason: str) -> None:
    at = wallet(charged(1, 500_000))
    at.holder = holder
    till = Till(at, LIMITS, company_limits=Limits(payment_max=200_000, holding_max=600_000))
    assert BY_NUMBER[till.send(Kind.PURCHASE, 200_000).reason].name == reason
    if holder == Holder.COMPANY:
        assert names(till.send(Kind.PURCHASE, 200_001)) == ["over_payment_limit"]
        assert names(till.send(Kind.TOPUP, 400_000)) == ["over_holding_limit"]


def test_a_company_earns_cashback_only_where_the_policy_says_so() -> None:
    for says, won in ((False, 0), (True, 1_000)):
        at = wallet(charged(1, 500_000))
        at.holder = Holder.COMPANY
        assert Till(at, company_cashback=says).send(Kind.PURCHASE, 10_000).cashback == won


def test_an_advice_names_all_that_a_question_would_have_been_refused_for() -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    stored = till.send(Kind.PURCHASE, 51_000, advice=True)
    assert decode_detail(stored.detail).note == "over_payment_limit; over_day_limit"
    assert stored.approved == 51_000


def test_what_a_hold_keeps_of_a_grant_is_not_to_be_spent() -> None:
    at = till_with_campaigns(
        wallet(Lot(1, LotKind.GRANT, 2, 9_000, 9_000, 20260601, 0, 0), charged(2, 1_000))
    )
    at.send(Kind.PREAUTH, 5_000)
    stored = at.send(Kind.PURCHASE, 5_001)
    assert faults(stored) == [("insufficient_funds", 0, 0, 1, 0, ())]
