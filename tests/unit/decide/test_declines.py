"""Every reason to decline, and which of several is told: the one that helps (DOMAIN, the true reason)."""

from collections.abc import Callable

import pytest

from switch.domain.decision import decode_detail
from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Limits
from switch.domain.reasons import BY_NUMBER, CODE
from switch.domain.request import Entry, PinCheck, Proof, Stored
from switch.domain.wallet import Wallet
from tests.unit.decide.world import DEPARTMENT, GONE, LIQUOR, PLAIN, Till, charged, points, wallet

LIMITS = Limits(payment_max=40_000, day_max=60_000, month_max=80_000)


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


def stopped(at: Wallet) -> None:
    at.active = False


def card_is(state: str) -> Callable[[Wallet], None]:
    def change(at: Wallet) -> None:
        at.cards[1].state = state

    return change


def expired(at: Wallet) -> None:
    at.cards[1].expiry = 2605


def pin_blocked(at: Wallet) -> None:
    at.cards[1].pin_tries = 3


def nothing(_: Wallet) -> None:
    return


# Each row is wrong in its own way and in every way of the rows below it; its own is the one told.
LADDER: list[tuple[str, str, list[Callable[[Wallet], None]], PinCheck, int, int]] = [
    (
        "wallet_stopped",
        "62",
        [stopped, card_is("stolen"), expired, pin_blocked],
        PinCheck.WRONG,
        GONE,
        90_000,
    ),
    ("card_stolen", "43", [card_is("stolen"), expired, pin_blocked], PinCheck.WRONG, GONE, 90_000),
    ("card_lost", "41", [card_is("lost"), expired, pin_blocked], PinCheck.WRONG, GONE, 90_000),
    ("card_blocked", "62", [card_is("blocked"), expired, pin_blocked], PinCheck.WRONG, GONE, 90_000),
    ("card_expired", "54", [expired, pin_blocked], PinCheck.WRONG, GONE, 90_000),
    ("pin_tries_exceeded", "75", [pin_blocked], PinCheck.OK, GONE, 90_000),
    ("wrong_pin", "55", [nothing], PinCheck.WRONG, GONE, 90_000),
    ("merchant_closed", "03", [nothing], PinCheck.OK, GONE, 90_000),
    ("merchant_restricted", "57", [nothing], PinCheck.OK, DEPARTMENT, 90_000),
    ("over_payment_limit", "61", [nothing], PinCheck.OK, PLAIN, 90_000),
    ("insufficient_funds", "51", [nothing], PinCheck.OK, PLAIN, 40_000),
]


@pytest.mark.parametrize(("reason", "code", "faults", "pin", "merchant", "amount"), LADDER)
def test_the_reason_told_is_the_first_in_order(
    reason: str,
    code: str,
    faults: list[Callable[[Wallet], None]],
    pin: PinCheck,
    merchant: int,
    amount: int,
) -> None:
    till = Till(wallet(charged(1, 30_000)), LIMITS)
    for fault in faults:
        fault(till.wallet)
    done = till.send(Kind.PURCHASE, amount, day=20260702, merchant=merchant, pin=pin)
    assert (why(done), CODE[done.reason]) == (reason, code)
    assert (done.outcome, done.approved, done.approval) == (Outcome.DECLINED, 0, "")
    assert till.balance(1) == 30_000
    assert till.wallet.usage_of(202607).spent == 0


@pytest.mark.parametrize(
    ("amount", "reason"),
    [(40_000, "approved"), (40_001, "over_payment_limit")],
)
def test_a_limit_of_one_payment_may_be_reached(amount: int, reason: str) -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    assert why(till.send(Kind.PURCHASE, amount)) == reason


def test_the_days_limit_counts_the_local_day() -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    till.send(Kind.PURCHASE, 40_000)
    assert why(till.send(Kind.PURCHASE, 20_001)) == "over_day_limit"
    assert b'"limit":60000,"used":40000,"short":1' in till.last.stored.detail
    assert why(till.send(Kind.PURCHASE, 20_000)) == "approved"
    assert why(till.send(Kind.PURCHASE, 1)) == "over_day_limit"
    assert why(till.send(Kind.PURCHASE, 20_000, day=20260611)) == "approved"


def test_a_payment_dated_tomorrow_does_not_free_todays_limit() -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    till.send(Kind.PURCHASE, 40_000)
    till.send(Kind.PURCHASE, 1_000, day=20260611)  # a terminal whose clock is fast
    assert why(till.send(Kind.PURCHASE, 20_001)) == "over_day_limit"
    assert why(till.send(Kind.PURCHASE, 20_000)) == "approved"
    assert why(till.send(Kind.PURCHASE, 1)) == "over_day_limit"
    assert till.wallet.spent_on(20260611) == 1_000


def test_the_months_limit_goes_by_the_members_month_and_a_refund_frees_it() -> None:
    till = Till(wallet(charged(1, 500_000)), LIMITS)
    bought = [till.send(Kind.PURCHASE, 40_000, day=20260610 + n) for n in range(2)]
    assert why(till.send(Kind.PURCHASE, 1, day=20260612)) == "over_month_limit"
    till.send(Kind.REFUND, 40_000, day=20260612, of=bought[0])
    assert why(till.send(Kind.PURCHASE, 40_000, day=20260612)) == "approved"
    assert why(till.send(Kind.PURCHASE, 40_000, day=20260701)) == "approved"


@pytest.mark.parametrize(
    ("merchant", "on", "charged_won", "points_won", "amount", "reason"),
    [
        (LIQUOR, False, 50_000, 0, 1_000, "merchant_restricted"),
        (LIQUOR, False, 0, 0, 1_000, "merchant_restricted"),  # a top-up would not help
        (LIQUOR, False, 50_000, 9_000, 1_000, "merchant_restricted"),  # points are not switched on
        (LIQUOR, True, 50_000, 9_000, 9_000, "approved"),  # points may be spent here
        (LIQUOR, True, 50_000, 9_000, 9_001, "merchant_restricted"),  # never moved to charged money
        (LIQUOR, True, 0, 9_000, 9_001, "merchant_restricted"),
        (DEPARTMENT, True, 50_000, 9_000, 1_000, "merchant_restricted"),
        (PLAIN, True, 50_000, 9_000, 59_000, "approved"),
        (PLAIN, True, 50_000, 9_000, 59_001, "insufficient_funds"),
        (PLAIN, False, 50_000, 9_000, 50_001, "insufficient_funds"),
    ],
)
def test_restricted_or_insufficient(
    merchant: int, on: bool, charged_won: int, points_won: int, amount: int, reason: str
) -> None:
    lots = [lot for lot in (charged(1, charged_won), points(2, points_won)) if lot.balance]
    till = Till(wallet(*lots, points_on=on))
    assert why(till.send(Kind.PURCHASE, amount, merchant=merchant)) == reason


def test_a_restriction_names_its_rules() -> None:
    till = Till(wallet(charged(1, 50_000)))
    till.send(Kind.PURCHASE, 1_000, merchant=DEPARTMENT)
    assert b'"rules":["large_store"]' in till.last.stored.detail


def test_wrong_pins_are_counted_blocked_and_reset_by_a_right_one() -> None:
    till = Till(wallet(charged(1, 50_000)))

    def tried(pin: PinCheck) -> tuple[str, int]:
        reason = why(till.send(Kind.PURCHASE, 1_000, pin=pin))
        return reason, till.wallet.cards[1].pin_tries

    assert tried(PinCheck.WRONG) == ("wrong_pin", 1)
    assert tried(PinCheck.WRONG) == ("wrong_pin", 2)
    assert tried(PinCheck.OK) == ("approved", 0)
    assert [tried(PinCheck.WRONG) for _ in range(3)][-1] == ("pin_tries_exceeded", 3)
    assert tried(PinCheck.OK) == ("pin_tries_exceeded", 3)
    assert tried(PinCheck.WRONG) == ("pin_tries_exceeded", 3)
    assert tried(PinCheck.NONE) == ("pin_tries_exceeded", 3)  # leaving the PIN out is no way round
    assert till.wallet.cards[2].pin_tries == 0  # tries are the card's, not the member's


@pytest.mark.parametrize("kind", [Kind.PURCHASE, Kind.TOPUP])
def test_a_merchant_that_has_left_takes_no_money(kind: Kind) -> None:
    till = Till(wallet(charged(1, 50_000)))
    assert why(till.send(kind, 1_000, day=20260702, merchant=GONE)) == "merchant_closed"


@pytest.mark.parametrize("fault", [card_is("lost"), card_is("blocked"), expired, pin_blocked, stopped])
def test_money_comes_back_to_a_card_that_can_no_longer_pay(fault: Callable[[Wallet], None]) -> None:
    till = Till(wallet(charged(1, 50_000)))
    bought = till.send(Kind.PURCHASE, 10_000)
    fault(till.wallet)
    assert why(till.send(Kind.PURCHASE, 1_000)) != "approved"
    assert why(till.send(Kind.REFUND, 10_000, of=bought)) == "approved"
    assert till.balance(1) == 50_000


def test_a_right_pin_clears_the_tries_even_if_the_money_does_not_suffice() -> None:
    till = Till(wallet(charged(1, 50_000)))
    till.send(Kind.PURCHASE, 1_000, pin=PinCheck.WRONG)
    assert why(till.send(Kind.PURCHASE, 60_000, pin=PinCheck.OK)) == "insufficient_funds"
    assert till.wallet.cards[1].pin_tries == 0


@pytest.mark.parametrize(("told", "reason"), [(None, "approved"), (3112, "approved"), (3111, "card_expired")])
def test_the_expiry_that_the_terminal_read_must_be_the_cards(told: int | None, reason: str) -> None:
    till = Till(wallet(charged(1, 50_000)))
    assert why(till.send(Kind.PURCHASE, 1_000, expiry=told)) == reason


def test_a_card_is_good_to_the_end_of_its_month() -> None:
    till = Till(wallet(charged(1, 50_000)))
    till.wallet.cards[1].expiry = 2606
    assert why(till.send(Kind.PURCHASE, 1_000, day=20260630)) == "approved"
    assert why(till.send(Kind.PURCHASE, 1_000, day=20260701)) == "card_expired"
    assert why(till.send(Kind.PURCHASE, 1_000, day=20260630)) == "approved"  # a late one of its own day


def test_a_shop_is_judged_by_the_payments_own_day() -> None:
    till = Till(wallet(charged(1, 50_000)))
    assert why(till.send(Kind.PURCHASE, 1_000, day=20260701, merchant=GONE)) == "merchant_closed"
    late = till.send(Kind.PURCHASE, 1_000, day=20260630, booked=20260701, merchant=GONE)
    assert (why(late), late.business_day) == ("approved", 20260701)


@pytest.mark.parametrize("kind", [Kind.PURCHASE, Kind.PREAUTH, Kind.TOPUP, Kind.INQUIRY])
@pytest.mark.parametrize("pin", [PinCheck.OK, PinCheck.WRONG])
def test_how_the_card_came_is_kept_of_every_answer(kind: Kind, pin: PinCheck) -> None:
    done = Till(wallet(charged(1, 500))).send(kind, 1_000, entry=Entry.CHIP, proof=Proof.OK, pin=pin)
    assert decode_detail(done.detail).entry == Entry.CHIP
