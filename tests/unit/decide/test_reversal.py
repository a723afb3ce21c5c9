"""Reversals: they are never declined, and they undo what was booked, where and as it was booked."""

import pytest

from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import PinCheck, Stored
from switch.domain.wallet import LotKind
from switch.ledger.chart import Account
from switch.ledger.postings import entries_of
from tests.unit.decide.world import CITY, GONE, MARKET, PLAIN, Till, charged, points, wallet


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


def test_a_reversal_that_comes_after_the_lot_expired_sends_its_part_to_the_funder() -> None:
    till = Till(
        wallet(charged(1, 50_000), points(2, 3_000, expires=20260610, funder_no=CITY), points_on=True)
    )
    bought = till.send(Kind.PURCHASE, 10_000, day=20260610)
    done = till.send(Kind.REVERSAL, 10_000, day=20260610, booked=20260611, of=bought)
    assert till.last.treasury == ((CITY, 3_000),)
    assert till.last.restored == ((1, 1, 7_000),)
    assert (till.balance(1), till.balance(2)) == (50_000, 0)
    assert (done.ledger_after, done.available_after) == (50_000, 50_000)


def test_on_its_last_day_a_lot_still_takes_its_money_back() -> None:
    till = Till(
        wallet(charged(1, 50_000), points(2, 3_000, expires=20260610, funder_no=CITY), points_on=True)
    )
    bought = till.send(Kind.PURCHASE, 10_000, day=20260610)
    till.send(Kind.REVERSAL, 10_000, day=20260610, of=bought)
    assert till.last.treasury == ()
    assert (till.balance(1), till.balance(2)) == (50_000, 3_000)


def test_money_comes_from_the_merchant_who_got_it_though_the_terminal_has_moved_on() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 10_000, merchant=PLAIN)
    done = till.send(Kind.REVERSAL, 10_000, merchant=MARKET, of=bought)
    assert done.merchant_no == PLAIN


def test_before_its_original_it_leaves_a_tombstone_and_the_original_is_refused() -> None:
    till = Till(wallet(charged(1, 50_000)))
    never = till.send(Kind.PURCHASE, 10_000)
    other = Till(wallet(charged(1, 50_000)))
    stone = other.send(Kind.REVERSAL, 10_000, of=never)
    assert why(stone) == "acknowledged"
    assert other.last.tombstone == ("T1", never.key.stan, never.transmission)
    late = other.send(Kind.PURCHASE, 10_000, tombstoned=True)
    assert (why(late), other.balance(1)) == ("reversed_before", 50_000)


def test_of_a_declined_payment_moves_nothing() -> None:
    till = Till(wallet(charged(1, 50_000)))
    declined = till.send(Kind.PURCHASE, 60_000)
    done = till.send(Kind.REVERSAL, 60_000, of=declined)
    assert (why(done), done.approved, till.balance(1)) == ("acknowledged", 0, 50_000)


def test_of_another_amount_is_an_exception_and_moves_nothing() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 10_000)
    done = till.send(Kind.REVERSAL, 9_999, of=bought)
    assert (done.outcome, why(done), till.balance(1)) == (Outcome.EXCEPTION, "exception", 40_000)
    assert bought.outcome == Outcome.APPROVED


def test_twice_takes_back_once() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 10_000)
    till.send(Kind.REVERSAL, 10_000, of=bought)
    again = till.send(Kind.REVERSAL, 10_000, of=bought)
    assert (why(again), again.approved, till.balance(1)) == ("acknowledged", 0, 50_000)


def test_after_a_partial_refund_it_returns_the_remainder_only() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 10_005)
    till.send(Kind.REFUND, 5_009, of=bought)
    done = till.send(Kind.REVERSAL, 10_005, of=bought)
    assert (done.approved, done.cashback) == (4_996, -499)
    assert (till.balance(1), bought.outcome, bought.returned) == (50_000, Outcome.RETURNED, 10_005)


def test_of_a_topup_takes_the_lot_away_and_the_months_count_with_it() -> None:
    till = Till(wallet())
    topup = till.send(Kind.TOPUP, 30_000)
    done = till.send(Kind.REVERSAL, 30_000, of=topup)
    assert (why(done), done.approved, till.balance(1)) == ("approved", 30_000, 0)
    assert till.wallet.usage_of(202606).topup == 0


def test_of_a_topup_that_was_spent_is_an_exception() -> None:
    till = Till(wallet())
    topup = till.send(Kind.TOPUP, 30_000)
    till.send(Kind.PURCHASE, 1)
    done = till.send(Kind.REVERSAL, 30_000, of=topup)
    assert (why(done), till.balance(1)) == ("exception", 29_999)
    assert b"1 won of the top-up" in done.detail


def test_of_a_refund_lets_the_purchase_stand_again() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 20_000)
    refunded = till.send(Kind.REFUND, 5_000, of=bought)
    done = till.send(Kind.REVERSAL, 5_000, of=refunded)
    assert (done.approved, done.cashback, done.basis) == (5_000, 500, 5_000)
    assert (till.balance(1), bought.returned, bought.outcome) == (30_000, 0, Outcome.APPROVED)
    assert till.wallet.usage_of(202606).basis == 20_000
    assert refunded.outcome == Outcome.RETURNED


def test_of_a_refund_whose_clawback_took_the_money_returned_gives_that_back_too() -> None:
    till = Till(wallet(charged(1, 10_000)))
    bought = till.send(Kind.PURCHASE, 10_000)
    till.credited_through = 20260610  # the 1,000 of cashback were credited, and spent
    refund = till.send(Kind.REFUND, 10_000, day=20260611, of=bought)
    assert (till.last.recovered, till.balance(1)) == (((1, LotKind.CHARGED, 1_000),), 9_000)
    done = till.send(Kind.REVERSAL, 10_000, day=20260611, of=refund)
    assert (why(done), till.balance(1), bought.returned) == ("approved", 0, 0)
    assert (done.ledger_after, done.cashback) == (0, 1_000)
    booked = [(one.debit, one.credit, one.won) for one in entries_of(till.last)]
    assert (Account.CASHBACK_ACCRUED, Account.CARD_MONEY, 1_000) in booked  # nothing is left to be credited


def test_of_a_refund_gives_back_points_that_it_had_returned_and_clawed_back_at_once() -> None:
    till = Till(wallet(charged(1, 50_000), points(2, 500), points_on=True))
    bought = till.send(Kind.PURCHASE, 10_500)
    till.credited_through = 20260610
    refund = till.send(Kind.REFUND, 10_500, day=20260611, of=bought)
    assert (till.balance(1), till.balance(2)) == (49_500, 0)
    assert why(till.send(Kind.REVERSAL, 10_500, day=20260611, of=refund)) == "approved"
    assert (till.balance(1), till.balance(2)) == (40_000, 0)


def test_of_a_refund_with_a_later_one_on_top_is_an_exception() -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 20_000)
    first = till.send(Kind.REFUND, 5_000, of=bought)
    till.send(Kind.REFUND, 5_000, of=bought)
    assert why(till.send(Kind.REVERSAL, 5_000, of=first)) == "exception"


def test_of_a_refund_whose_money_is_spent_is_an_exception() -> None:
    till = Till(wallet(charged(1, 20_000)))
    bought = till.send(Kind.PURCHASE, 20_000)
    refunded = till.send(Kind.REFUND, 5_000, of=bought)
    till.send(Kind.PURCHASE, 4_000)
    done = till.send(Kind.REVERSAL, 5_000, of=refunded)
    assert (why(done), till.balance(1)) == ("exception", 1_000)


def test_of_a_refund_into_an_expired_lot_takes_the_money_from_the_funder_again() -> None:
    till = Till(wallet(points(1, 3_000, expires=20260610, funder_no=CITY), points_on=True))
    bought = till.send(Kind.PURCHASE, 3_000, day=20260610)
    refunded = till.send(Kind.REFUND, 3_000, day=20260611, of=bought)
    assert till.last.treasury == ((CITY, 3_000),)
    till.send(Kind.REVERSAL, 3_000, day=20260611, of=refunded)
    assert till.last.treasury == ((CITY, -3_000),)
    assert till.balance(1) == 0


def test_a_wrong_pin_stays_counted() -> None:
    till = Till(wallet(charged(1, 50_000)))
    refused = till.send(Kind.PURCHASE, 1_000, pin=PinCheck.WRONG)
    till.send(Kind.REVERSAL, 1_000, of=refused)
    assert till.wallet.cards[1].pin_tries == 1


@pytest.mark.parametrize("state", ["blocked", "lost", "stolen"])
def test_it_is_taken_from_a_card_that_pays_no_more_and_at_a_shop_that_has_left(state: str) -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 1_000, day=20260630, merchant=GONE)
    till.wallet.cards[1].state = state
    done = till.send(Kind.REVERSAL, 1_000, day=20260630, booked=20260702, merchant=GONE, of=bought)
    assert (why(done), till.balance(1), done.business_day) == ("approved", 50_000, 20260702)
