"""The bank calendar of 2024 to 2027 against a table written by hand from the published holidays.

Sources: 관공서의 공휴일에 관한 규정 with its substitute days, the temporary holidays of 1 October
2024 and 27 January 2025, the election days of 10 April 2024, 3 June 2025 and 3 June 2026, Labour Day of each
year (a public holiday since 2026, so with a substitute day), Constitution Day again from 2026.
"""

from datetime import date, timedelta

import pytest

from settlement.domain.bankdays import DECLARED, closed_days, facts

# Month and day on which banks are closed beside week-ends; what falls on a week-end is left out.
CLOSED: dict[int, str] = {
    2024: "0101 0209 0212 0301 0410 0501 0506 0515 0606 0815 0916 0917 0918 1001 1003 1009 1225",
    2025: "0101 0127 0128 0129 0130 0303 0501 0505 0506 0603 0606 0815 1003 1006 1007 1008 1009 1225",
    2026: "0101 0216 0217 0218 0302 0501 0505 0525 0603 0717 0817 0924 0925 1005 1009 1225",
    2027: "0101 0208 0209 0301 0503 0505 0513 0719 0816 0914 0915 0916 1004 1011 1227",
}


@pytest.mark.parametrize("year", CLOSED)
def test_every_day_of_the_year_is_open_or_closed_as_published(year: int) -> None:
    calendar = {quarter: facts(date(year, quarter, 1)).calendar() for quarter in (1, 4, 7, 10)}
    day, found = date(year, 1, 1), []
    while day.year == year:
        known = calendar[(day.month - 1) // 3 * 3 + 1]
        if day.weekday() < 5 and not known.is_open(day):
            found.append(f"{day:%m%d}")
        if day.weekday() >= 5:
            assert not known.is_open(day)
        day += timedelta(days=1)
    assert found == CLOSED[year].split()


@pytest.mark.parametrize("year", CLOSED)
def test_overrides_close_and_open_single_days_of_any_year(year: int) -> None:
    friday = next(date(year, 11, day) for day in range(13, 20) if date(year, 11, day).weekday() == 4)
    named = closed_days(date(year, 1, 1), date(year, 12, 31), {friday}, {date(year, 1, 1)})
    assert named[friday] == DECLARED
    assert date(year, 1, 1) not in named
    known = facts(date(year, 11, 1), [friday], []).calendar()
    assert known.add_open_days(friday - timedelta(days=1), 1) == friday + timedelta(days=3)


@pytest.mark.parametrize(
    ("business_date", "terms"),
    [
        # T+1, T+2, T+3 around Chuseok 2025: 3 October, 5 to 9 October with the substitute day.
        (date(2025, 10, 1), ("2025-10-02", "2025-10-10", "2025-10-13")),
        (date(2025, 10, 2), ("2025-10-10", "2025-10-13", "2025-10-14")),
        (date(2025, 10, 5), ("2025-10-10", "2025-10-13", "2025-10-14")),
        # around the new year
        (date(2026, 12, 30), ("2026-12-31", "2027-01-04", "2027-01-05")),
        (date(2024, 12, 31), ("2025-01-02", "2025-01-03", "2025-01-06")),
        # Labour Day and what follows it
        (date(2026, 4, 30), ("2026-05-04", "2026-05-06", "2026-05-07")),
        (date(2027, 4, 30), ("2027-05-04", "2027-05-06", "2027-05-07")),
        # an election between two working days
        (date(2026, 6, 2), ("2026-06-04", "2026-06-05", "2026-06-08")),
    ],
)
def test_pay_days_around_holidays(business_date: date, terms: tuple[str, str, str]) -> None:
    calendar = facts(business_date).calendar()
    assert tuple(str(calendar.add_open_days(business_date, days)) for days in (1, 2, 3)) == terms


def test_holidays_have_names_whatever_the_environments_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "ko")
    named = closed_days(date(2026, 4, 30), date(2026, 5, 5))
    assert list(named.values()) == ["Labor Day", "Children's Day"]
    assert closed_days(date(2025, 5, 1), date(2025, 5, 1)) == {date(2025, 5, 1): "Labour Day"}
