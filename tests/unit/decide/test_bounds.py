"""What nobody may pile up in a wallet: money beyond DE54, top-ups and holds of one won."""

import pytest

from switch.domain.holds import HOLDS_MAX
from switch.domain.money import WON_MAX
from switch.domain.payment import Kind
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Stored
from switch.domain.wallet import LOTS_MAX
from tests.unit.decide.world import Till, charged, wallet


def why(stored: Stored) -> str:
    return BY_NUMBER[stored.reason].name


def test_a_wallet_without_a_limit_holds_no_more_than_an_answer_can_tell() -> None:
    till = Till(wallet(charged(1, WON_MAX - 1_000)))
    assert why(till.send(Kind.TOPUP, 1_001)) == "over_holding_limit"
    assert why(till.send(Kind.TOPUP, 1_000)) == "approved"
    assert till.send(Kind.INQUIRY).ledger_after == WON_MAX


def test_top_ups_that_are_not_spent_are_bounded() -> None:
    till = Till(wallet(*(charged(number, 1) for number in range(1, LOTS_MAX))))
    assert why(till.send(Kind.TOPUP, 1)) == "approved"
    assert why(till.send(Kind.TOPUP, 1)) == "too_many_topups"
    till.send(Kind.PURCHASE, 1)
    assert why(till.send(Kind.TOPUP, 1)) == "approved"


@pytest.mark.parametrize("spoiled", [False, True])
def test_open_holds_are_bounded_and_voids_taken_back_do_not_pass_the_bound(spoiled: bool) -> None:
    till = Till(wallet(charged(1, 10_000)))
    asked = [till.send(Kind.PREAUTH, 1) for _ in range(HOLDS_MAX)]
    assert why(till.send(Kind.PREAUTH, 1)) == "too_many_holds"
    assert why(till.send(Kind.PREAUTH, 1, of=asked[0])) == "approved"  # it adds to one that is there
    void = till.send(Kind.VOID, 1, of=asked[1])
    assert why(void) == "approved"
    if spoiled:
        assert why(till.send(Kind.PREAUTH, 1)) == "approved"
    assert why(till.send(Kind.REVERSAL, 1, of=void)) == ("exception" if spoiled else "approved")
    assert len(till.wallet.held) == HOLDS_MAX
