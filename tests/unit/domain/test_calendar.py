from datetime import UTC, date, datetime, time

import pytest

from switch.domain.calendar import (
    SEOUL,
    BankCalendar,
    CalendarError,
    ImplausibleDate,
    add_months,
    business_date,
    date_of_day,
    day_of_date,
    infer_year,
    moment_of,
)

SEOLLAL_2025 = BankCalendar(frozenset(date(2025, 1, day) for day in (27, 28, 29, 30)))


@pytest.mark.parametrize(
    ("paid", "payout"),
    [
        (date(2025, 1, 22), date(2025, 1, 24)),
        (date(2025, 1, 23), date(2025, 1, 31)),
        *((date(2025, 1, day), date(2025, 2, 3)) for day in range(24, 31)),
        (date(2025, 1, 31), date(2025, 2, 4)),
    ],
)
def test_payout_around_seollal_2025(paid: date, payout: date) -> None:
    """Worked example 7."""
    assert SEOLLAL_2025.add_open_days(paid, 2) == payout


def test_a_holiday_declared_later_moves_the_payout() -> None:
    before = BankCalendar(frozenset(date(2025, 1, day) for day in (28, 29, 30)))
    assert before.add_open_days(date(2025, 1, 23), 2) == date(2025, 1, 27)


def test_weekends_and_closed_dates_are_not_open() -> None:
    assert SEOLLAL_2025.is_open(date(2025, 1, 24))
    assert not SEOLLAL_2025.is_open(date(2025, 1, 25))
    assert not SEOLLAL_2025.is_open(date(2025, 1, 27))


def test_a_term_of_no_days_is_the_day_itself_or_the_next_open_one() -> None:
    assert SEOLLAL_2025.add_open_days(date(2025, 1, 24), 0) == date(2025, 1, 24)
    assert SEOLLAL_2025.add_open_days(date(2025, 1, 25), 0) == date(2025, 1, 31)


@pytest.mark.parametrize("days", [-1, 61])
def test_a_term_out_of_range_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="0 to 60"):
        SEOLLAL_2025.add_open_days(date(2025, 1, 2), days)


def test_a_calendar_that_never_opens_is_an_error_not_a_loop() -> None:
    never = BankCalendar(frozenset(date(2025, month, day) for month in (1, 2, 3) for day in range(1, 29)))
    with pytest.raises(CalendarError, match="closed dates"):
        never.add_open_days(date(2025, 1, 31), 20)


@pytest.mark.parametrize(
    ("instant", "cutover", "expected"),
    [
        (datetime(2025, 6, 30, 23, 59, 59, 800_000, tzinfo=SEOUL), time(0), date(2025, 6, 30)),
        (datetime(2025, 7, 1, tzinfo=SEOUL), time(0), date(2025, 7, 1)),
        (datetime(2025, 6, 30, 15, 0, tzinfo=UTC), time(0), date(2025, 7, 1)),
        (datetime(2025, 7, 1, 3, 59, 59, tzinfo=SEOUL), time(4), date(2025, 6, 30)),
        (datetime(2025, 7, 1, 4, tzinfo=SEOUL), time(4), date(2025, 7, 1)),
    ],
)
def test_a_business_date_runs_from_cutover_to_cutover(
    instant: datetime, cutover: time, expected: date
) -> None:
    assert business_date(instant, cutover) == expected


def test_a_naive_instant_has_no_business_date() -> None:
    with pytest.raises(ValueError, match="aware"):
        business_date(datetime(2025, 7, 1), time(0))  # noqa: DTZ001 - the fault under test


@pytest.mark.parametrize(
    ("mmdd", "today", "days_past_max", "expected"),
    [
        (1231, date(2025, 1, 1), 31, date(2024, 12, 31)),
        (101, date(2024, 12, 31), 31, date(2025, 1, 1)),
        (705, date(2025, 7, 5), 31, date(2025, 7, 5)),
        (229, date(2024, 3, 1), 31, date(2024, 2, 29)),
        (229, date(2025, 2, 27), 366, date(2024, 2, 29)),
        (706, date(2025, 7, 5), 366, date(2025, 7, 6)),
        (707, date(2025, 7, 5), 366, date(2024, 7, 7)),
        (705, date(2025, 7, 5), 366, date(2025, 7, 5)),
        (229, date(2028, 2, 28), 1_500, date(2028, 2, 29)),
    ],
)
def test_the_year_is_the_nearest_plausible(
    mmdd: int, today: date, days_past_max: int, expected: date
) -> None:
    assert infer_year(mmdd, today, days_past_max) == expected


@pytest.mark.parametrize(
    ("mmdd", "today", "days_past_max"),
    [
        (604, date(2025, 7, 6), 31),
        (707, date(2025, 7, 5), 31),
        (229, date(2025, 3, 1), 31),
        (1332, date(2025, 7, 5), 366),
        (0, date(2025, 7, 5), 366),
        (230, date(2024, 3, 1), 366),
    ],
)
def test_an_implausible_date_is_refused(mmdd: int, today: date, days_past_max: int) -> None:
    with pytest.raises(ImplausibleDate, match=f"{mmdd:04d}"):
        infer_year(mmdd, today, days_past_max)


def test_days_and_moments_as_ints() -> None:
    assert day_of_date(date(2025, 7, 5)) == 20250705
    assert date_of_day(20250705) == date(2025, 7, 5)
    assert moment_of(datetime.fromisoformat("2025-06-10T15:30:05+00:00")) == 20250611_003005
    with pytest.raises(ValueError, match="day"):
        date_of_day(20250230)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (20250831, 6, 20260228),
        (20230831, 6, 20240229),
        (20251215, 1, 20260115),
        (20251130, 1, 20251230),
        (20250101, 60, 20300101),
        (20241231, 12, 20251231),
        (20250705, 0, 20250705),
    ],
)
def test_months_are_added_within_the_shorter_month(day: int, months: int, expected: int) -> None:
    assert add_months(day, months) == expected
