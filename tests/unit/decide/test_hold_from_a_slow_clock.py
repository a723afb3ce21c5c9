"""A 0100 is asked now, whatever its terminal's clock says: its hold lasts from the business date on."""

from switch.domain.payment import Kind
from switch.domain.reasons import BY_NUMBER
from switch.domain.request import Stored as Payment
from tests.unit.decide import world


def reason(stored: Payment) -> str:
    return BY_NUMBER[stored.reason].name


def test_a_hold_of_a_slow_clock_keeps_its_money() -> None:
    till = world.Till(world.wallet(world.charged(1, 50_000)), hold_days=1)
    held = till.send(Kind.PREAUTH, 40_000, day=20260610, booked=20260613)
    assert reason(held) == "approved"
    assert till.wallet.held[held.seq].expires == 20260614
    assert reason(till.send(Kind.PURCHASE, 40_000, day=20260614)) == "insufficient_funds"
    done = till.send(Kind.PURCHASE, 40_000, day=20260614, of=held, advice=True)
    assert (reason(done), done.approved) == ("approved", 40_000)


def test_one_of_a_fast_clock_lasts_as_long_as_its_own_day_says() -> None:
    till = world.Till(world.wallet(world.charged(1, 50_000)), hold_days=1)
    held = till.send(Kind.PREAUTH, 40_000, day=20260611, booked=20260610)
    assert till.wallet.held[held.seq].expires == 20260612
