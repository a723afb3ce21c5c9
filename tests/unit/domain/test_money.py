import pytest

from switch.domain.money import WON_MAX, AmountError, check_won, floor_rate, largest_remainder


@pytest.mark.parametrize(
    ("won", "rate_ppm", "expected"),
    [
        (10_005, 100_000, 1_000),
        (4_996, 100_000, 499),
        (50_750, 1_500, 76),
        (0, 1_000_000, 0),
        (9, 100_000, 0),
    ],
)
def test_a_rate_is_floored(won: int, rate_ppm: int, expected: int) -> None:
    assert floor_rate(won, rate_ppm) == expected


def test_a_rate_of_negative_won_is_refused() -> None:
    with pytest.raises(AmountError, match="0 won or more"):
        floor_rate(-1, 10_000)


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (14_000, (4, 2, 1), [8_000, 4_000, 2_000]),
        (1_800, (4, 2, 0), [1_200, 600, 0]),
        (1, (1, 1), [1, 0]),
        (2, (1, 1, 1), [1, 1, 0]),
        (5, (2, 3, 2), [2, 2, 1]),
        (4, (2, 3, 2), [1, 2, 1]),
        (7, (5,), [7]),
        (0, (), []),
        (0, (0, 0), [0, 0]),
    ],
)
def test_shares_by_largest_remainder_with_ties_to_the_first_named(
    total: int, weights: tuple[int, ...], expected: list[int]
) -> None:
    assert largest_remainder(total, weights) == expected


@pytest.mark.parametrize(("total", "weights"), [(1, ()), (1, (0, 0)), (-1, (1,)), (5, (3, -1)), (1, (0,))])
def test_what_cannot_be_divided_is_refused(total: int, weights: tuple[int, ...]) -> None:
    with pytest.raises(AmountError):
        largest_remainder(total, weights)


@pytest.mark.parametrize("won", [1.0, "1", True, None, -1, WON_MAX + 1])
def test_only_whole_won_in_range_are_money(won: object) -> None:
    with pytest.raises(AmountError, match="refund"):
        check_won(won, "refund")


def test_money_in_range_passes_through() -> None:
    assert check_won(WON_MAX) == WON_MAX
    assert check_won(-5, least=-10) == -5
