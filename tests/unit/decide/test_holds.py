"""Pre-authorisation: money held, added to, completed, given free (PROTOCOL cases 8, 9, 16 to 18)."""

from typing import Any

import pytest

from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Limits
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import OriginalRef, Stored
from switch.ledger.postings import entries_of
from tests.unit.decide.world import CITY, DEPARTMENT, LIQUOR, Till, charged, points, wallet


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


def held(till: Till) -> dict[int, int]:
    """Won by the number of the 0100."""
    return {seq: hold.won for seq, hold in till.wallet.held.items()}


def complete(till: Till, of: Stored, amount: int, *, day: int = 20260612, **more: Any) -> Stored:
    return till.send(Kind.PURCHASE, amount, day=day, of=of, advice=True, **more)


def test_a_hold_moves_nothing_earns_nothing_and_nothing_else_may_spend_it() -> None:
    till = Till(wallet(charged(1, 50_000)))
    asked = till.send(Kind.PREAUTH, 40_000)
    assert (asked.approved, asked.cashback, asked.basis) == (40_000, 0, 0)
    assert (asked.ledger_after, asked.available_after) == (50_000, 10_000)
    assert entries_of(till.last) == []
    assert till.wallet.usage_of(202606).spent == 0
    assert why(till.send(Kind.PURCHASE, 10_001)) == "insufficient_funds"
    assert why(till.send(Kind.PREAUTH, 10_001)) == "insufficient_funds"
    spent = till.send(Kind.PURCHASE, 10_000)
    assert (why(spent), spent.ledger_after, spent.available_after) == ("approved", 40_000, 0)
    told = till.send(Kind.INQUIRY)
    assert (told.ledger_after, told.available_after) == (40_000, 0)


def test_a_completion_is_a_purchase_from_the_held_lots_in_their_order() -> None:
    till = Till(wallet(charged(1, 50_000), points(2, 8_000), points_on=True))
    asked = till.send(Kind.PREAUTH, 30_000)
    done = complete(till, asked, 20_000)
    assert (done.key.kind, done.approved, why(done)) == (Kind.PURCHASE, 20_000, "approved")
    assert (till.balance(1), till.balance(2)) == (38_000, 0)
    assert (done.basis, done.cashback) == (12_000, 1_200)
    assert (done.ledger_after, done.available_after) == (38_000, 38_000)
    assert done.original_seq == asked.seq
    assert asked.outcome == Outcome.COMPLETED
    assert held(till) == {}
    assert till.wallet.holds == 0
    assert till.wallet.spent_on(20260612) == 20_000
    assert till.wallet.spent_on(20260610) == 0


def test_a_completion_finds_its_points_even_if_others_have_come_since() -> None:
    till = Till(wallet(charged(1, 10_000)))
    asked = till.send(Kind.PREAUTH, 10_000)
    till.send(Kind.TOPUP, 50_000)
    complete(till, asked, 10_000)
    assert (till.balance(1), till.balance(2)) == (0, 50_000)


def test_an_increment_adds_to_the_hold_and_one_completion_takes_both() -> None:
    till = Till(wallet(charged(1, 50_000)))
    asked = till.send(Kind.PREAUTH, 20_000)
    more = till.send(Kind.PREAUTH, 15_000, day=20260611, of=asked)
    third = till.send(Kind.PREAUTH, 5_000, day=20260611, of=more)  # names an increment: the same hold
    assert held(till) == {asked.seq: 40_000}
    assert (more.original_seq, third.original_seq) == (asked.seq, asked.seq)
    assert why(till.send(Kind.PREAUTH, 10_001, of=asked)) == "insufficient_funds"
    done = complete(till, more, 40_000)
    assert (done.approved, why(done), done.original_seq) == (40_000, "approved", asked.seq)
    assert asked.outcome == Outcome.COMPLETED
    assert why(till.send(Kind.PREAUTH, 1, of=asked)) == "hold_closed"


@pytest.mark.parametrize("name", ["unknown", "declined"])
def test_an_increment_needs_an_open_hold(name: str) -> None:
    till = Till(wallet(charged(1, 50_000)))
    if name == "unknown":
        nobody = OriginalRef(99, "0610120000", (Kind.PREAUTH,), "T1", 20260610)
        assert why(till.send(Kind.PREAUTH, 1_000, ref=nobody)) == "original_not_found"
    else:
        asked = till.send(Kind.PREAUTH, 60_000)
        assert why(till.send(Kind.PREAUTH, 1_000, of=asked)) == "original_not_approved"


@pytest.mark.parametrize("money", ["topup", "refund", "clawback"])
def test_nothing_takes_held_money(money: str) -> None:
    if money == "topup":
        till = Till(wallet())
        first = till.send(Kind.TOPUP, 20_000)
        till.send(Kind.PREAUTH, 15_000)
        assert why(till.send(Kind.REVERSAL, 20_000, of=first)) == "exception"
        assert till.balance(1) == 20_000
    elif money == "refund":
        till = Till(wallet(charged(1, 20_000)))
        bought = till.send(Kind.PURCHASE, 20_000)
        back = till.send(Kind.REFUND, 20_000, of=bought)
        till.send(Kind.PREAUTH, 15_000)
        assert why(till.send(Kind.REVERSAL, 20_000, of=back)) == "exception"
        assert till.balance(1) == 20_000
    else:
        till = Till(wallet(charged(1, 20_000), points(2, 2_000), points_on=True))
        till.wallet.points_on = False
        bought = till.send(Kind.PURCHASE, 20_000)
        till.wallet.points_on = True
        asked = till.send(Kind.PREAUTH, 1_500)
        till.credited_through = 20260610
        till.send(Kind.REFUND, 20_000, of=bought)  # 2,000 of cashback were credited: 500 points are free
        assert till.last.recovered == ((2, 2, 500), (1, 1, 1_500))
        assert held(till) == {asked.seq: 1_500}


def test_limits_are_asked_at_the_hold_and_open_holds_count_as_spent() -> None:
    limits = Limits(payment_max=40_000, day_max=60_000, month_max=80_000)
    till = Till(wallet(charged(1, 500_000)), limits)
    asked = till.send(Kind.PREAUTH, 35_000)
    assert why(till.send(Kind.PREAUTH, 5_001, of=asked)) == "over_payment_limit"
    assert why(till.send(Kind.PURCHASE, 25_001)) == "over_day_limit"
    assert why(till.send(Kind.PURCHASE, 25_000)) == "approved"
    assert why(till.send(Kind.PREAUTH, 20_001, day=20260611)) == "over_month_limit"
    assert why(complete(till, asked, 35_000, day=20260610)) == "approved"
    assert till.wallet.spent_on(20260610) == 60_000
    assert why(till.send(Kind.PURCHASE, 1)) == "over_day_limit"


def test_a_hold_ends_after_its_last_day_and_the_next_decision_removes_it() -> None:
    till = Till(wallet(charged(1, 10_000)), hold_days=3)
    asked = till.send(Kind.PREAUTH, 10_000)
    assert why(till.send(Kind.PURCHASE, 1, day=20260613)) == "insufficient_funds"
    assert held(till) == {asked.seq: 10_000}
    assert why(till.send(Kind.PURCHASE, 4_000, day=20260614)) == "approved"
    assert (held(till), till.wallet.holds) == ({}, 0)
    late = complete(till, asked, 10_000, day=20260614)
    assert (late.outcome, why(late), late.approved) == (Outcome.APPROVED, "exception", 6_000)
    assert b"closed or has expired; 4000 won could not be booked" in late.detail
    assert asked.outcome == Outcome.COMPLETED


def test_the_business_date_ends_a_hold_too() -> None:
    till = Till(wallet(charged(1, 10_000)), hold_days=3)
    till.send(Kind.PREAUTH, 10_000)
    assert why(till.send(Kind.PURCHASE, 10_000, day=20260613, booked=20260614)) == "approved"


@pytest.mark.parametrize(("over", "reason"), [(0, "exception"), (100_000, "approved")])
def test_a_completion_above_its_hold_is_accepted(over: int, reason: str) -> None:
    till = Till(wallet(charged(1, 50_000)), completion_over=over)
    asked = till.send(Kind.PREAUTH, 20_000)
    done = complete(till, asked, 22_000)
    assert (done.approved, why(done), done.outcome) == (22_000, reason, Outcome.APPROVED)
    assert till.balance(1) == 28_000


def test_what_nothing_covers_is_told_as_an_exception() -> None:
    till = Till(wallet(charged(1, 20_000)), completion_over=500_000)
    asked = till.send(Kind.PREAUTH, 20_000)
    done = complete(till, asked, 25_000)
    assert (done.approved, why(done), done.amount) == (20_000, "exception", 25_000)
    assert b"5000 won could not be booked" in done.detail


@pytest.mark.parametrize("state", ["blocked", "lost", "expired", "stopped"])
def test_a_card_that_went_bad_since_the_hold_is_honoured(state: str) -> None:
    till = Till(wallet(charged(1, 50_000)))
    asked = till.send(Kind.PREAUTH, 20_000)
    if state == "expired":
        till.wallet.cards[1].expiry = 2605
    elif state == "stopped":
        till.wallet.active = False
    else:
        till.wallet.cards[1].state = state
    done = complete(till, asked, 20_000)
    assert (done.approved, why(done)) == (20_000, "approved")


def test_a_second_completion_is_acknowledged_and_posted_once() -> None:
    till = Till(wallet(charged(1, 50_000)))
    asked = till.send(Kind.PREAUTH, 20_000)
    complete(till, asked, 20_000)
    again = complete(till, asked, 20_000)
    assert (again.outcome, again.approved, why(again)) == (Outcome.ACKNOWLEDGED, 0, "acknowledged")
    other = complete(till, asked, 19_000)
    assert (other.outcome, other.approved, why(other)) == (Outcome.EXCEPTION, 0, "exception")
    assert till.balance(1) == 30_000


def test_a_completion_without_any_hold_spends_what_may_be_spent() -> None:
    till = Till(wallet(charged(1, 50_000)))
    nobody = OriginalRef(99, "0610120000", (Kind.PREAUTH,), "T1", 20260610)
    done = till.send(Kind.PURCHASE, 20_000, ref=nobody, advice=True)
    assert (done.approved, why(done), done.cashback) == (20_000, "exception", 2_000)
    refused = till.send(Kind.PREAUTH, 90_000)
    forced = complete(till, refused, 10_000)
    assert (forced.approved, why(forced)) == (10_000, "exception")
    assert refused.outcome == Outcome.DECLINED
    assert why(complete(till, refused, 10_000)) == "acknowledged"
    nothing = till.send(Kind.PURCHASE, 20_000, ref=nobody, advice=True, merchant=DEPARTMENT)
    assert (nothing.outcome, nothing.approved, nothing.approval) == (Outcome.EXCEPTION, 0, "")


def test_a_completion_of_a_pre_authorisation_that_was_reversed_before_it_came() -> None:
    till = Till(wallet(charged(1, 50_000)))
    refused = till.send(Kind.PREAUTH, 20_000, tombstoned=True)
    assert why(refused) == "reversed_before"
    done = complete(till, refused, 20_000)
    assert (done.outcome, done.approved) == (Outcome.EXCEPTION, 0)
    nobody = OriginalRef(99, "0610120000", (Kind.PREAUTH,), "T1", 20260610)
    never = till.send(Kind.PURCHASE, 20_000, ref=nobody, advice=True, original_tombstoned=True)
    assert (never.outcome, never.approved) == (Outcome.EXCEPTION, 0)
    assert till.balance(1) == 50_000


def test_a_reversal_frees_what_its_own_message_held() -> None:
    till = Till(wallet(charged(1, 50_000), points(2, 8_000), points_on=True))
    asked = till.send(Kind.PREAUTH, 20_000)
    more = till.send(Kind.PREAUTH, 10_000, of=asked)
    gone = till.send(Kind.REVERSAL, 10_000, of=more)
    assert (why(gone), gone.approved, more.outcome) == ("approved", 0, Outcome.RETURNED)
    assert held(till) == {asked.seq: 20_000}
    part = till.send(Kind.REVERSAL, 20_000, of=asked, replacement=9_000)
    assert (why(part), asked.outcome, asked.returned) == ("approved", Outcome.RETURNED_PARTLY, 11_000)
    assert till.wallet.held[asked.seq].uses == ((2, 2, 8_000), (1, 1, 1_000))
    above = till.send(Kind.REVERSAL, 20_000, of=asked, replacement=9_001)
    assert (above.outcome, held(till)) == (Outcome.EXCEPTION, {asked.seq: 9_000})
    till.send(Kind.REVERSAL, 20_000, of=asked)
    assert (held(till), asked.outcome) == ({}, Outcome.RETURNED)
    assert entries_of(till.last) == []
    last = till.send(Kind.REVERSAL, 20_000, of=asked)
    assert last.outcome == Outcome.ACKNOWLEDGED


@pytest.mark.parametrize("rule", ["refund", "exception"])
def test_the_reversal_of_a_completed_pre_authorisation_is_a_refund_by_policy(rule: str) -> None:
    till = Till(wallet(charged(1, 50_000)), reversal_after_completion=rule)
    asked = till.send(Kind.PREAUTH, 20_000)
    done = complete(till, asked, 18_000)
    back = till.send(Kind.REVERSAL, 20_000, of=asked)
    if rule == "exception":
        assert (back.outcome, till.balance(1)) == (Outcome.EXCEPTION, 32_000)
        return
    assert (why(back), back.approved, back.cashback) == ("approved", 18_000, -1_800)
    assert (back.original_seq, done.outcome, till.balance(1)) == (done.seq, Outcome.RETURNED, 50_000)
    assert asked.outcome == Outcome.COMPLETED
    assert till.wallet.spent_on(20260612) == 0


def test_a_partial_hold_of_a_terminal_that_takes_it() -> None:
    till = Till(wallet(charged(1, 12_000)))
    asked = till.send(Kind.PREAUTH, 20_000, partial=True)
    assert (why(asked), asked.approved, held(till)) == ("partial_approval", 12_000, {asked.seq: 12_000})
    till.send(Kind.REVERSAL, 20_000, of=asked)
    assert held(till) == {}


def test_a_merchant_that_may_not_take_the_money_gets_no_hold() -> None:
    till = Till(wallet(charged(1, 12_000)))
    assert why(till.send(Kind.PREAUTH, 1_000, merchant=LIQUOR)) == "merchant_restricted"
    assert why(till.send(Kind.PREAUTH, 1_000, merchant=LIQUOR, partial=True)) == "merchant_restricted"


def test_a_lot_that_ends_while_it_is_held_pays_all_the_same() -> None:
    till = Till(wallet(points(1, 5_000, expires=20260611, funder_no=CITY), points_on=True))
    asked = till.send(Kind.PREAUTH, 5_000)
    assert (why(complete(till, asked, 5_000)), till.balance(1)) == ("approved", 0)


def test_points_that_paid_twice_over_come_back_whole_before_charged_money_is_taken() -> None:
    """A lot held from and then spent from is named twice; all of it that returns pays the clawback first."""
    till = Till(wallet(points(1, 1_000), charged(2, 20_000), points_on=True))
    asked = till.send(Kind.PREAUTH, 10_000)
    till.wallet.lots[1].balance += 500  # the night's credit
    bought = complete(till, asked, 12_000)
    assert [(lot, won) for lot, _, won in till.last.spent] == [(1, 1_000), (2, 9_000), (1, 500), (2, 1_500)]
    till.credited_through = 20260612
    till.send(Kind.REFUND, 12_000, of=bought, day=20260613)
    assert bought.cashback == 1_050
    assert [(lot, won) for lot, _, won in till.last.recovered] == [(1, 1_050)]
