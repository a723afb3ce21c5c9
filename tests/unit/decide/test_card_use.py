"""How a card is used: its form, its chip's counter, its proofs, contactless without a PIN."""

from typing import Any

import pytest

from switch.domain.payment import Kind, Outcome
from switch.domain.programme import Contactless
from switch.domain.reasons import BY_NUMBER, CODE
from switch.domain.request import Entry, PinCheck, Proof, Stored
from tests.unit.decide.world import Till, charged, wallet


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


def till_with(form: str = "card", **policy: Any) -> Till:
    till = Till(wallet(charged(1, 1_000_000)), **policy)
    till.wallet.cards[1].form = form
    return till


ALLOWED = {
    "card": {Entry.KEYED, Entry.STRIPE, Entry.CHIP, Entry.CONTACTLESS, Entry.ECOMMERCE},
    "mobile": {Entry.QR, Entry.CONTACTLESS, Entry.ECOMMERCE},
    "qr": {Entry.QR},
}


@pytest.mark.parametrize("form", list(ALLOWED))
@pytest.mark.parametrize("entry", list(Entry))
def test_each_form_has_its_ways_in(form: str, entry: Entry) -> None:
    till = till_with(form)
    for kind in (Kind.PURCHASE, Kind.PREAUTH, Kind.TOPUP, Kind.INQUIRY):
        done = till.send(kind, 1_000, entry=entry)
        expected = "approved" if entry in ALLOWED[form] else "entry_not_permitted"
        assert (why(done), CODE[done.reason]) == (expected, "00" if expected == "approved" else "57")


def test_money_comes_back_in_whatever_way() -> None:
    till = till_with("qr")
    bought = till.send(Kind.PURCHASE, 1_000, entry=Entry.QR)
    assert why(till.send(Kind.REVERSAL, 1_000, of=bought)) == "approved"


def test_a_counter_counts_once_and_the_highest_is_kept_even_when_declined() -> None:
    till = till_with()
    chip: dict[str, Any] = {"entry": Entry.CHIP, "proof": Proof.OK}
    assert why(till.send(Kind.PURCHASE, 1_000, atc=7, **chip)) == "approved"
    replayed = till.send(Kind.PURCHASE, 1_000, atc=7, **chip)
    assert (why(replayed), CODE[replayed.reason]) == ("atc_replayed", "05")
    assert why(till.send(Kind.PURCHASE, 1_000, atc=6, **chip)) == "atc_replayed"
    assert why(till.send(Kind.PURCHASE, 2_000_000, atc=9, **chip)) == "insufficient_funds"
    assert why(till.send(Kind.PURCHASE, 1_000, atc=8, **chip)) == "atc_replayed"
    assert why(till.send(Kind.PURCHASE, 1_000, atc=10, pin=PinCheck.WRONG, **chip)) == "wrong_pin"
    card = till.wallet.cards[1]
    assert (card.atc, card.pin_tries) == (10, 1)


def test_a_wrong_cryptogram_is_refused_and_moves_no_counter() -> None:
    till = till_with()
    done = till.send(Kind.PURCHASE, 1_000, atc=60_000, entry=Entry.CHIP, proof=Proof.WRONG_ARQC)
    assert (why(done), CODE[done.reason], till.wallet.cards[1].atc) == ("cryptogram_failure", "05", 0)


def test_an_advice_may_come_late_but_not_twice() -> None:
    till = till_with()
    till.send(Kind.PURCHASE, 1_000, atc=7, entry=Entry.CHIP)
    late = till.send(Kind.PURCHASE, 1_000, atc=5, entry=Entry.CHIP, advice=True)
    assert why(late) == "approved"
    same = till.send(Kind.PURCHASE, 1_000, atc=7, entry=Entry.CHIP, advice=True)
    assert (why(same), same.approved) == ("exception", 1_000)
    asked = till.send(Kind.PREAUTH, 1_000, atc=8, entry=Entry.CHIP)
    done = till.send(Kind.PURCHASE, 1_000, atc=8, entry=Entry.CHIP, advice=True, of=asked)
    assert why(done) == "approved"  # a completion shows its 0100's own counter


def test_wrong_verification_values_block_their_own_ways_in_only() -> None:
    till = till_with()
    wrong: dict[str, Any] = {"entry": Entry.ECOMMERCE, "proof": Proof.WRONG_CVV}
    for tries in range(1, 10):
        assert why(till.send(Kind.PURCHASE, 1_000, **wrong)) == "cvv_failure"
        assert till.wallet.cards[1].cvv_tries == tries
    assert why(till.send(Kind.PURCHASE, 1_000, **wrong)) == "cvv_tries_exceeded"
    for entry in (Entry.KEYED, Entry.STRIPE, Entry.ECOMMERCE):
        done = till.send(Kind.PURCHASE, 1_000, entry=entry, proof=Proof.OK)
        assert (why(done), CODE[done.reason]) == ("cvv_tries_exceeded", "75")
    assert why(till.send(Kind.PURCHASE, 1_000, entry=Entry.CHIP, atc=1, proof=Proof.OK)) == "approved"
    assert till.wallet.cards[1].cvv_tries == 10


def test_a_right_verification_value_forgets_the_wrong_ones() -> None:
    till = till_with()
    till.send(Kind.PURCHASE, 1_000, entry=Entry.KEYED, proof=Proof.WRONG_CVV)
    till.send(Kind.PURCHASE, 1_000, entry=Entry.CHIP, atc=1, proof=Proof.OK)
    assert till.wallet.cards[1].cvv_tries == 1
    till.send(Kind.PURCHASE, 1_000, entry=Entry.KEYED, proof=Proof.OK)
    assert till.wallet.cards[1].cvv_tries == 0


TAPS = Contactless(no_pin_max=50_000, no_pin_count_max=3, no_pin_sum_max=120_000)


def tap(till: Till, amount: int, **more: Any) -> Stored:
    return till.send(Kind.PURCHASE, amount, entry=Entry.CONTACTLESS, **more)


def test_contactless_without_a_pin_is_limited_alone_and_in_a_row() -> None:
    till = till_with(contactless=TAPS)
    over = tap(till, 50_001)
    assert (why(over), CODE[over.reason], till.wallet.cards[1].tap_count) == ("pin_required", "65", 0)
    assert [why(tap(till, 50_000)) for _ in range(3)] == ["approved", "approved", "pin_required"]
    assert (till.wallet.cards[1].tap_count, till.wallet.cards[1].tap_won) == (2, 100_000)
    assert why(tap(till, 20_000)) == "approved"
    assert why(tap(till, 1)) == "pin_required"
    assert why(tap(till, 300_000, pin=PinCheck.OK)) == "approved"
    assert (till.wallet.cards[1].tap_count, till.wallet.cards[1].tap_won) == (0, 0)
    assert why(tap(till, 1)) == "approved"


def test_another_way_in_with_a_pin_resets_the_taps_and_without_one_counts_none() -> None:
    till = till_with(contactless=TAPS)
    tap(till, 1_000)
    till.send(Kind.PURCHASE, 90_000, entry=Entry.CHIP, atc=1)
    assert till.wallet.cards[1].tap_won == 1_000
    till.send(Kind.PURCHASE, 90_000, entry=Entry.CHIP, atc=2, pin=PinCheck.OK)
    assert till.wallet.cards[1].tap_won == 0


@pytest.mark.parametrize("kind", [Kind.REVERSAL, Kind.VOID])
def test_what_is_taken_back_leaves_the_sum_and_stays_in_the_count(kind: Kind) -> None:
    till = till_with(contactless=TAPS)
    bought = tap(till, 40_000)
    with_pin = tap(till, 30_000, pin=PinCheck.OK)
    second = tap(till, 45_000)
    till.send(kind, 30_000, of=with_pin)
    assert (till.wallet.cards[1].tap_count, till.wallet.cards[1].tap_won) == (1, 45_000)
    till.send(kind, 45_000, of=second)
    assert (till.wallet.cards[1].tap_count, till.wallet.cards[1].tap_won) == (1, 0)
    till.send(kind, 40_000, of=bought)
    assert (till.wallet.cards[1].tap_count, till.wallet.cards[1].tap_won) == (1, 0)


def test_a_hold_by_contactless_counts_once() -> None:
    till = till_with(contactless=TAPS)
    asked = till.send(Kind.PREAUTH, 40_000, entry=Entry.CONTACTLESS)
    assert till.wallet.cards[1].tap_won == 40_000
    tap(till, 40_000, of=asked, advice=True)
    assert (till.wallet.cards[1].tap_count, till.wallet.cards[1].tap_won) == (1, 40_000)


def test_an_offline_tap_counts_and_is_never_declined() -> None:
    till = till_with(contactless=TAPS)
    done = tap(till, 90_000, advice=True)
    assert (done.outcome, why(done)) == (Outcome.APPROVED, "approved")
    assert till.wallet.cards[1].tap_won == 90_000
