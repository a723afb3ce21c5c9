"""Which dates a prepayment covers."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.funding import Owed, cover

D = date(2026, 11, 20)


def owed(*nets: int) -> list[Owed]:
    return [Owed(D + timedelta(days=n), net) for n, net in enumerate(nets)]


@pytest.mark.parametrize(
    ("prepaid", "nets", "covered", "left"),
    [
        (100, (60, 40), 2, 0),
        (99, (60, 40), 1, 39),
        (59, (60, 1), 0, 59),  # the oldest first: a later one that would fit waits too
        (0, (0, -10, 10), 3, 0),  # what is taken back pays for what comes after
        (0, (), 0, 0),
    ],
)
def test_dates_are_covered_whole_and_oldest_first(
    prepaid: int, nets: tuple[int, ...], covered: int, left: int
) -> None:
    found = cover(prepaid, owed(*nets))
    assert found.dates == tuple(D + timedelta(days=n) for n in range(covered))
    assert found.left == left


@settings(print_blob=True)
@given(st.integers(0, 10**12), st.lists(st.integers(-(10**9), 10**11), max_size=12))
def test_a_prepayment_is_never_overdrawn_and_no_won_is_lost(prepaid: int, nets: list[int]) -> None:
    dates = owed(*nets)
    found = cover(prepaid, dates)
    used = sum(one.net for one in dates if one.business_date in found.dates)
    assert found.left == prepaid - used >= 0
    waiting = dates[len(found.dates) :]
    assert not waiting or waiting[0].net > found.left


def test_a_date_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="oldest first"):
        cover(1, [Owed(D, 1), Owed(D, 1)])
