"""When a budget ends, from the days so far."""

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.papers.forecast import DAYS_MIN, forecast

FIRST = date(2026, 11, 2)  # a Monday
LAST = date(2026, 11, 29)  # four weeks


def _days(*won: int) -> dict[date, int]:
    return {FIRST + timedelta(days=at): one for at, one in enumerate(won)}


def test_a_week_repeats_itself_by_weekday() -> None:
    week = (100, 200, 300, 400, 500, 0, 0)
    told = forecast(_days(*week), 3_200, FIRST, FIRST + timedelta(days=6), LAST)
    assert told is not None
    assert (told.expected, told.least, told.most) == (6_000, 6_000, 6_000)
    # 1,500 a week: 3,000 after two of them; the third Monday makes 3,100, its Tuesday 3,300.
    assert told.empty == told.earliest == told.latest == date(2026, 11, 17)


def test_the_range_is_the_mean_deviation_of_the_days_so_far() -> None:
    even, odd = (100,) * 7, (300,) * 7  # each weekday's mean is 200, each day is 100 away from it
    told = forecast(_days(*even, *odd), 5_000, FIRST, FIRST + timedelta(days=13), LAST)
    assert told is not None
    assert (told.expected, told.least, told.most) == (5_600, 4_200, 7_000)
    assert (told.empty, told.earliest, told.latest) == (date(2026, 11, 26), date(2026, 11, 23), None)


def test_no_date_beyond_the_end_is_promised() -> None:
    told = forecast(_days(*(10,) * 7), 281, FIRST, FIRST + timedelta(days=6), LAST)
    assert told is not None
    assert (told.expected, told.empty) == (280, None)


def test_what_is_used_up_is_told_with_the_day_it_was() -> None:
    told = forecast(_days(*(10,) * 10), 35, FIRST, FIRST + timedelta(days=9), LAST)
    assert told is not None
    assert told.empty == told.earliest == told.latest == date(2026, 11, 5)


def test_less_than_a_week_says_nothing() -> None:
    through = FIRST + timedelta(days=DAYS_MIN - 2)
    assert forecast(_days(*(10,) * 6), 100, FIRST, through, LAST) is None


@settings(print_blob=True)
@given(
    won=st.lists(st.integers(-(10**9), 10**12), min_size=DAYS_MIN, max_size=28), amount=st.integers(1, 10**14)
)
def test_the_range_holds_the_expected(won: list[int], amount: int) -> None:
    through = FIRST + timedelta(days=len(won) - 1)
    told = forecast(_days(*won), amount, FIRST, through, LAST)
    assert told is not None
    assert told.least <= told.expected <= told.most
    ends = [told.earliest, told.empty, told.latest]
    assert [one or date.max for one in ends] == sorted(one or date.max for one in ends)
    assert all(FIRST <= one <= LAST for one in ends if one)
    if through == LAST:
        assert told.expected == sum(won)
