"""Purchases, top-ups, inquiries and refunds: which lots, how much cashback, whose won, which month."""

import msgspec
import pytest

from switch.domain.cashback import rate
from switch.domain.decision import decode_detail
from switch.domain.granting import by_funder
from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Limits, Tier
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Stored
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


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


# ── purchases ───────────────────────────────────────────────────────────────────────────────────────────────
def test_points_go_first_if_switched_on_then_what_expires_first_then_what_is_older() -> None:
    till = Till(
        wallet(
            charged(1, 5_000, expires=20310101),
            charged(2, 5_000, expires=20300101),
            charged(3, 5_000, expires=20300101),
            points(4, 700, expires=20310630),
            points(5, 700, expires=20270630),
            points(6, 700, expires=20260609),  # expired
            charged(7, 5_000, expires=0),  # never expires
            points_on=True,
        )
    )
    till.send(Kind.PURCHASE, 21_400)
    spent = [(lot_no, won) for lot_no, _, won in till.last.spent]
    assert spent == [(5, 700), (4, 700), (2, 5_000), (3, 5_000), (1, 5_000), (7, 5_000)]
    assert till.balance(6) == 700


def test_points_stay_if_they_are_not_switched_on() -> None:
    till = Till(wallet(charged(1, 5_000), points(2, 700)))
    done = till.send(Kind.PURCHASE, 5_000)
    assert (till.balance(1), till.balance(2)) == (0, 700)
    assert (done.ledger_after, done.available_after) == (700, 0)


def test_a_lot_may_be_spent_on_its_last_day() -> None:
    till = Till(wallet(charged(1, 5_000, expires=20260610)))
    assert why(till.send(Kind.PURCHASE, 1_000, day=20260610)) == "approved"
    assert why(till.send(Kind.PURCHASE, 1_000, day=20260611)) == "insufficient_funds"


def test_cashback_is_on_the_charged_part_only() -> None:
    till = Till(wallet(charged(1, 50_000), points(2, 8_200), points_on=True))
    done = till.send(Kind.PURCHASE, 18_200)
    assert (done.basis, done.cashback, done.approved) == (10_000, 1_000, 18_200)
    assert till.wallet.usage_of(202606) == msgspec.convert(
        {"spent": 18_200, "basis": 10_000, "topup": 0}, type=type(till.wallet.usage_of(202606))
    )


def test_the_markets_bonus_has_its_own_funder() -> None:
    till = Till(wallet(charged(1, 50_000)))
    done = till.send(Kind.PURCHASE, 10_000, merchant=MARKET)
    assert done.cashback == 1_300
    assert dict(by_funder(till.last.granted)) == {NATIONAL: 400, CITY: 200, DISTRICT: 400 + 300}
    assert decode_detail(done.detail).groups == ("traditional_market",)


def test_the_usage_before_is_stored_so_that_the_rating_can_be_repeated() -> None:
    till = Till(wallet(charged(1, 900_000), used=290_000))
    done = till.send(Kind.PURCHASE, 30_000)
    again = rate(
        till.reference.policies[done.policy_no][1],
        basis=done.basis,
        usage_before=done.usage_before,
        groups=(),
        channel=done.channel,
    )
    assert (done.usage_before, done.cashback) == (290_000, again.total)
    assert decode_detail(done.detail).pieces == again.pieces


# ── the worked examples of the rules ────────────────────────────────────────────────────────────────────────
def test_example_1_the_cap_splits_a_payment() -> None:
    till = Till(wallet(charged(1, 900_000), used=270_000))
    assert till.send(Kind.PURCHASE, 260_000).cashback == 18_800
    assert dict(by_funder(till.last.granted)) == {NATIONAL: 10_400, CITY: 5_200, DISTRICT: 3_200}
    assert till.send(Kind.PURCHASE, 500_000).cashback == 28_200
    assert dict(by_funder(till.last.granted)) == {NATIONAL: 18_800, CITY: 9_400}


def test_example_3_a_late_payment_counts_in_its_own_month_at_its_own_policy() -> None:
    till = Till(wallet(charged(1, 900_000), used=480_000))
    june = (_of_the_city(0, 500_000, 100_000), _of_the_city(500_000, 1_000_000, 10_000))
    july = (_of_the_city(0, 300_000, 50_000),)
    for number, tiers in ((1, june), (2, july)):
        programme_no, policy = till.reference.policies[number]
        changed = msgspec.structs.replace(policy, tiers=tiers, bonuses=())
        till.reference.policies[number] = (programme_no, changed)
    assert till.send(Kind.PURCHASE, 40_000, day=20260630, time=235_959).cashback == 2_200
    second = till.send(Kind.PURCHASE, 40_000, day=20260701, time=0)
    assert (second.cashback, second.usage_month, second.usage_before) == (2_000, 202607, 0)
    late = till.send(Kind.PURCHASE, 10_000, day=20260630, time=235_950, booked=20260701)
    assert (late.cashback, late.usage_month, late.usage_before) == (100, 202606, 520_000)
    assert (late.business_day, dict(by_funder(till.last.granted))) == (20260701, {CITY: 100})
    assert till.wallet.usage_of(202606).basis == 530_000
    assert till.wallet.usage_of(202607).basis == 40_000


def _of_the_city(above: int, up_to: int, rate_ppm: int) -> Tier:
    return Tier(above, up_to, rate_ppm, (("city", rate_ppm),))


def test_example_4_a_cancel_in_the_next_month_restores_the_month_of_the_payment() -> None:
    till = Till(wallet(charged(1, 300_000)))
    june = till.send(Kind.PURCHASE, 200_000, day=20260620)
    till.send(Kind.PURCHASE, 50_000, day=20260702)
    back = till.send(Kind.REFUND, 200_000, day=20260705, of=june)
    assert (back.cashback, back.usage_month, back.policy_no) == (-20_000, 202606, june.policy_no)
    assert dict(by_funder(till.last.taken)) == {NATIONAL: 8_000, CITY: 4_000, DISTRICT: 8_000}
    assert till.wallet.usage_of(202606).basis == 0
    assert till.wallet.usage_of(202607).basis == 50_000
    assert june.outcome == Outcome.RETURNED


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_partial_refund_keeps_the_cashback_of_what_remains() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 10_005)
    back = till.send(Kind.REFUND, 5_009, of=bought)
    assert (bought.cashback, back.cashback) == (1_000, -501)
    assert (bought.returned, bought.outcome) == (5_009, Outcome.RETURNED_PARTLY)


def test_later_payments_are_not_rated_again() -> None:
    till = Till(wallet(charged(1, 900_000), used=250_000))
    first = till.send(Kind.PURCHASE, 50_000)
    second = till.send(Kind.PURCHASE, 50_000)
    till.send(Kind.REFUND, 50_000, of=first)
    assert second.cashback == 3_500
    assert till.send(Kind.REFUND, 50_000, of=second).cashback == -3_500


def test_more_than_remains_is_refused_and_nothing_remains_after_the_whole() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 10_000)
    till.send(Kind.REFUND, 4_000, of=bought)
    assert why(till.send(Kind.REFUND, 6_001, of=bought)) == "over_remaining"
    assert why(till.send(Kind.REFUND, 6_000, of=bought)) == "approved"
    assert why(till.send(Kind.REFUND, 1, of=bought)) == "over_remaining"
    assert till.balance(1) == 50_000


def test_what_cannot_be_refunded() -> None:
    till = Till(wallet(charged(1, 50_000)))
    declined = till.send(Kind.PURCHASE, 60_000)
    bought = till.send(Kind.PURCHASE, 10_000)
    stranger = Till(wallet(charged(1, 50_000), wallet_id=9))
    assert why(till.send(Kind.REFUND, 1_000, of=declined)) == "original_not_approved"
    assert why(till.send(Kind.REFUND, 1_000, merchant=MARKET, of=bought)) == "original_not_found"
    assert why(till.send(Kind.REFUND, 1_000)) == "original_not_found"
    assert why(stranger.send(Kind.REFUND, 1_000, of=bought)) == "original_not_found"


def test_money_returns_in_the_reverse_of_the_order_spent() -> None:
    till = Till(
        wallet(charged(1, 4_000, expires=20300101), charged(2, 9_000), points(3, 800), points_on=True)
    )
    bought = till.send(Kind.PURCHASE, 10_000)
    till.send(Kind.REFUND, 6_000, of=bought)
    assert [(lot_no, won) for lot_no, _, won in till.last.restored] == [(2, 5_200), (1, 800)]
    till.send(Kind.REFUND, 4_000, of=bought)
    assert [(lot_no, won) for lot_no, _, won in till.last.restored] == [(1, 3_200), (3, 800)]


def test_an_expired_lot_does_not_revive_its_part_goes_to_its_funder_or_the_first_one() -> None:
    till = Till(
        wallet(
            charged(1, 5_000, expires=20260610),
            points(2, 700, expires=20260610, funder_no=DISTRICT),
            points_on=True,
        )
    )
    bought = till.send(Kind.PURCHASE, 5_700, day=20260610)
    till.send(Kind.REFUND, 5_700, day=20260611, of=bought)
    assert till.last.treasury == ((NATIONAL, 5_000), (DISTRICT, 700))
    assert (till.balance(1), till.balance(2)) == (0, 0)


# ── clawback (rule 9) ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("credited", "points_won", "recovered", "owed"),
    [
        (20260609, 5_000, [], 0),  # not credited yet: taken from what is accrued
        (20260610, 5_000, [(2, 1_000)], 0),
        (20260610, 400, [(2, 400), (1, 600)], 0),
        (20260610, 0, [(1, 1_000)], 0),
    ],
)
def test_credited_cashback_comes_from_points_then_from_the_money_returned(
    credited: int, points_won: int, recovered: list[tuple[int, int]], owed: int
) -> None:
    till = Till(wallet(charged(1, 50_000), points(2, points_won)))
    bought = till.send(Kind.PURCHASE, 10_000, day=20260610)
    till.credited_through = credited
    back = till.send(Kind.REFUND, 10_000, day=20260611, of=bought)
    assert back.cashback == -1_000
    assert [(lot_no, won) for lot_no, _, won in till.last.recovered] == recovered
    assert till.wallet.receivable == owed
    assert back.ledger_after == till.wallet.ledger_balance()


def test_points_that_have_expired_pay_no_clawback() -> None:
    """They are no longer the member's: like the nightly credit, a refund leaves them for the treasury."""
    till = Till(wallet(charged(1, 50_000), points(2, 5_000, expires=20260610), points(3, 400)))
    bought = till.send(Kind.PURCHASE, 10_000, day=20260610)
    till.credited_through = 20260610
    till.send(Kind.REFUND, 10_000, day=20260611, of=bought)
    assert [(lot_no, won) for lot_no, _, won in till.last.recovered] == [(3, 400), (1, 600)]
    assert till.balance(2) == 5_000


def test_what_nothing_can_pay_is_owed() -> None:
    """The last won of a payment can take more than itself: tier and bonus are floored each on its own."""
    till = Till(wallet(charged(1, 100)))
    bought = till.send(Kind.PURCHASE, 100, day=20260610, merchant=MARKET)
    till.credited_through = 20260610
    till.send(Kind.REFUND, 1, day=20260611, merchant=MARKET, of=bought)
    assert (dict(by_funder(till.last.taken)), till.last.receivable) == ({DISTRICT: 2}, 1)
    assert (till.wallet.receivable, till.balance(1)) == (1, 0)


# ── top-ups and inquiries ───────────────────────────────────────────────────────────────────────────────────
def test_every_topup_is_a_lot_of_its_own() -> None:
    till = Till(wallet(charged(1, 1_000)))
    done = till.send(Kind.TOPUP, 30_000)
    assert decode_detail(done.detail).lot_no == 2
    lot = till.wallet.lots[2]
    assert (lot.balance, lot.granted, lot.opened, lot.expires) == (30_000, 30_000, 20260610, 20310610)
    assert (done.ledger_after, done.available_after, done.cashback) == (31_000, 31_000, 0)
    assert till.wallet.usage_of(202606).topup == 30_000
    assert till.wallet.usage_of(202606).spent == 0


def test_limits_of_topups() -> None:
    till = Till(wallet(charged(1, 1_000)), Limits(topup_month_max=50_000, holding_max=60_000))
    assert why(till.send(Kind.TOPUP, 50_001)) == "over_topup_limit"
    assert why(till.send(Kind.TOPUP, 50_000)) == "approved"
    assert why(till.send(Kind.TOPUP, 1)) == "over_topup_limit"
    assert why(till.send(Kind.TOPUP, 9_001, day=20260701)) == "over_holding_limit"
    assert why(till.send(Kind.TOPUP, 9_000, day=20260701)) == "approved"


@pytest.mark.parametrize(
    ("merchant", "available"), [(PLAIN, 5_700), (LIQUOR, 700), (DEPARTMENT, 0), (MARKET, 5_700)]
)
def test_an_inquiry_tells_what_may_be_spent_here_and_changes_nothing(merchant: int, available: int) -> None:
    expired = points(3, 50, expires=20260609)
    till = Till(wallet(charged(1, 5_000), points(2, 700), expired, points_on=True))
    before = msgspec.json.encode([till.wallet.lots, till.wallet.usage_of(202606)])
    done = till.send(Kind.INQUIRY, merchant=merchant)
    assert (done.ledger_after, done.available_after) == (5_750, available)
    assert msgspec.json.encode([till.wallet.lots, till.wallet.usage_of(202606)]) == before
