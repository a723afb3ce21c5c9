"""The span of business dates that a paper is about: a day, a month, or from one day until another."""

import calendar
import re
from datetime import date

import msgspec

from settlement.errors import UsageError

DAYS_MAX = 366


class Period(msgspec.Struct, frozen=True):
    """Business dates from `first` to `last`, both in it; `label` is how it is named in titles and files."""

    first: date
    last: date
    label: str


def month_of(text: str) -> Period:
    """A month as operators write it (2026-11). Raises UsageError."""
    if not re.fullmatch(r"[12][0-9]{3}-(0[1-9]|1[0-2])", text):
        raise UsageError(f"--month {text!r} is no month: write it as 2026-11")
    year, month = int(text[:4]), int(text[5:])
    return Period(date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1]), text)


def span(first: date, last: date) -> Period:
    """The days from `first` to `last`. Raises UsageError where they are in the wrong order or too many."""
    if last < first:
        raise UsageError(f"the period ends ({last}) before it begins ({first}): change --from or --until")
    if (last - first).days >= DAYS_MAX:
        raise UsageError(f"{first} to {last} is more than {DAYS_MAX} days: ask for less at once")
    label = first.isoformat() if first == last else f"{first}_{last}"
    return Period(first, last, label)


def one_of(month: str | None, day: date | None, first: date | None, last: date | None) -> Period:
    """The period that the options name: exactly one of a month, a day, or a first and a last day."""
    given = [month is not None, day is not None, first is not None or last is not None]
    if sum(given) != 1:
        raise UsageError("name one period: --month 2026-11, or --date 2026-11-20, or --from and --until")
    if month is not None:
        return month_of(month)
    if day is not None:
        return span(day, day)
    if first is None or last is None:
        raise UsageError("--from and --until go together: name both")
    return span(first, last)
