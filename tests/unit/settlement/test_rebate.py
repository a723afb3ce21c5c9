"""Fees given back: with the lower fee they make up what was charged, to the won."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.rebate import rebate
from switch.domain.fees import fee

PPM = st.integers(0, 1_000_000)
WON = st.integers(-1_000_000_000, 1_000_000_000)


def test_a_new_shop_that_turns_out_small() -> None:
    assert rebate(1_000_000, 15_000, 1_500, 100_000) == (13_500, 1_350)
    assert rebate(-1_000_000, 15_000, 1_500, 100_000) == (-13_500, -1_350)


@settings(print_blob=True)
@given(WON, st.lists(PPM, min_size=3, max_size=3, unique=True), PPM)
def test_one_step_or_two_come_to_the_same_and_to_no_more_than_was_taken(
    net: int, rates: list[int], vat_ppm: int
) -> None:
    low, middle, high = sorted(rates)
    whole, whole_vat = rebate(net, high, low, vat_ppm)
    parts = rebate(net, high, middle, vat_ppm), rebate(net, middle, low, vat_ppm)
    assert (whole, whole_vat) == (sum(won for won, _ in parts), sum(vat for _, vat in parts))
    assert whole + fee(net, low) == fee(net, high)
    assert abs(whole) <= abs(fee(net, high))


@pytest.mark.parametrize(("charged", "due"), [(1_500, 1_500), (1_500, 9_000), (0, 0)])
def test_a_rate_that_is_not_lower_is_refused(charged: int, due: int) -> None:
    with pytest.raises(ValueError, match="to a lower one"):
        rebate(1, charged, due, 0)
