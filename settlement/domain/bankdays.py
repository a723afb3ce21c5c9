"""The Korean bank calendar of one run: which facts it was made from, so that the run can be repeated.

Public, substitute and temporary holidays come from the pinned `holidays` package; banks also close on
Labour Day (근로자의 날, 1 May). What the package cannot know (a temporary holiday declared last week) comes
from the settings.
"""

import importlib.metadata
from collections.abc import Collection, Iterable
from datetime import date, timedelta

import holidays
import msgspec

from switch.domain.calendar import BankCalendar

SOURCE = f"holidays {importlib.metadata.version('holidays')}"

HORIZON_DAYS = 200
"""Facts reach this far: 60 bank days, the longest payout term, and any holidays between them."""

LABOUR_DAY = "Labour Day"
DECLARED = "closed by the settings"
_LANGUAGE = "en_US"  # said, for it would else come from the environment


class CalendarFacts(msgspec.Struct, frozen=True):
    """What a run knew about bank days from its business date on; stored with it, dates ascending."""

    source: str
    closed: tuple[date, ...]
    extra_closed: tuple[date, ...] = ()
    extra_open: tuple[date, ...] = ()

    def calendar(self) -> BankCalendar:
        """The calendar that these facts make."""
        return BankCalendar(frozenset(self.closed))


def facts(
    business_date: date, extra_closed: Iterable[date] = (), extra_open: Iterable[date] = ()
) -> CalendarFacts:
    """The closed dates (week-ends aside) from `business_date` for HORIZON_DAYS, overrides applied.

    `extra_open` takes a date out of the closed ones; it cannot open a week-end.
    """
    last = business_date + timedelta(days=HORIZON_DAYS)
    plus, minus = set(extra_closed), set(extra_open)
    closed = closed_days(business_date, last, plus, minus)
    return CalendarFacts(SOURCE, tuple(closed), tuple(sorted(plus)), tuple(sorted(minus)))


def closed_days(
    first: date, last: date, extra_closed: Collection[date] = (), extra_open: Collection[date] = ()
) -> dict[date, str]:
    """Holidays from `first` to `last` in order, overrides applied, each with its name."""
    years = range(first.year, last.year + 1)
    named = {date(year, 5, 1): LABOUR_DAY for year in years}
    named |= dict(holidays.country_holidays("KR", years=years, language=_LANGUAGE))
    named |= {day: DECLARED for day in extra_closed if day not in named}
    return {day: named[day] for day in sorted(named) if first <= day <= last and day not in extra_open}
