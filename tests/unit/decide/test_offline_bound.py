"""What an advice may book that nobody was asked for and no chip proves (offline_max of the policy)."""

import pytest

from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import BY_NUMBER, CODE
from switch.domain.request import OriginalRef, Proof, Stored
from tests.unit.decide.world import Till, charged, wallet

BOUND = 5_000


def till() -> Till:
    return Till(wallet(charged(1, 50_000)), offline_max=BOUND)


def told(stored: Stored) -> tuple[str, str, int]:
    return BY_NUMBER[stored.reason].name, CODE[stored.reason], stored.approved


@pytest.mark.parametrize(
    ("amount", "proof", "expected"),
    [
        (BOUND, Proof.NONE, ("approved", "00", BOUND)),
        (BOUND + 1, Proof.NONE, ("exception", "00", 0)),
        (BOUND + 1, Proof.OK, ("approved", "00", BOUND + 1)),
    ],
)
def test_an_offline_purchase_above_the_bound_needs_a_chips_proof(
    amount: int, proof: Proof, expected: tuple[str, str, int]
) -> None:
    at = till()
    done = at.send(Kind.PURCHASE, amount, advice=True, proof=proof)
    assert told(done) == expected
    assert at.balance(1) == 50_000 - expected[2]
    if not expected[2]:
        assert done.outcome == Outcome.EXCEPTION
        assert b"nobody was asked for" in done.detail


@pytest.mark.parametrize(("above", "booked"), [(BOUND, 10_000 + BOUND), (BOUND + 1, 10_000)])
def test_a_completion_exceeds_its_hold_by_the_bound_at_most(above: int, booked: int) -> None:
    at = till()
    asked = at.send(Kind.PREAUTH, 10_000)
    done = at.send(Kind.PURCHASE, 10_000 + above, of=asked, advice=True)
    assert told(done) == ("exception", "00", booked)
    assert at.balance(1) == 50_000 - booked
    assert at.wallet.holds == 0


def test_what_the_policy_lets_a_completion_exceed_does_not_count() -> None:
    at = Till(wallet(charged(1, 50_000)), offline_max=0, completion_over=150_000)
    asked = at.send(Kind.PREAUTH, 10_000)
    assert told(at.send(Kind.PURCHASE, 11_500, of=asked, advice=True)) == ("approved", "00", 11_500)
    asked = at.send(Kind.PREAUTH, 10_000)
    assert told(at.send(Kind.PURCHASE, 11_501, of=asked, advice=True)) == ("exception", "00", 11_500)


def test_a_hold_that_has_expired_was_asked_for_all_the_same() -> None:
    at = till()
    asked = at.send(Kind.PREAUTH, 20_000)
    late = at.send(Kind.PURCHASE, 20_000, day=20260629, of=asked, advice=True)
    assert told(late) == ("exception", "00", 20_000)


def test_a_completion_of_nothing_books_no_more_than_the_bound() -> None:
    at = till()
    nobody = OriginalRef(99, "0610120000", (Kind.PREAUTH,), "T1", 20260610)
    assert told(at.send(Kind.PURCHASE, BOUND + 1, ref=nobody, advice=True)) == ("exception", "00", 0)
    assert told(at.send(Kind.PURCHASE, BOUND, ref=nobody, advice=True)) == ("exception", "00", BOUND)
    assert at.balance(1) == 50_000 - BOUND
