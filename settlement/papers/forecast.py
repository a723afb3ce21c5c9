"""When a budget will be used up, if the days to come are like the days so far.

Linear, by weekday: a day to come is taken to spend the mean of the period's days of its weekday so far (of
all its days, where that weekday has not been yet). The range takes every day to come by the mean deviation
of the days so far above or below that. Whole won throughout; a mean is floored.
"""

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

DAYS_MIN = 7
"""Fewer days than a week say nothing about the weekdays to come."""


class Forecast(msgspec.Struct, frozen=True):
    """What the period will have spent at its end, and on which of its days nothing is left (None: on none).

    `least` and `most` span the spending; `latest` and `earliest` are the days that belong to them.
    """

    expected: int
    least: int
    most: int
    empty: date | None
    earliest: date | None
    latest: date | None


def forecast(
    spent: Mapping[date, int], amount: int, first: date, through: date, last: date
) -> Forecast | None:
    """The forecast of a budget of `amount` won for `first` to `last`, known through `through`.

    `spent` is won by day, net of what came back; days without are 0. None with fewer than DAYS_MIN days.
    """
    known = [first + timedelta(days=at) for at in range((through - first).days + 1)]
    if len(known) < DAYS_MIN:
        return None
    means = _means({day: spent.get(day, 0) for day in known})
    swing = sum(abs(spent.get(day, 0) - means[day.weekday()]) for day in known) // len(known)
    paths = [_path(spent, means, turn, amount, known, last) for turn in (0, -swing, swing)]
    (expected, empty), (least, latest), (most, earliest) = paths
    return Forecast(expected, least, most, empty, earliest, latest)


def _means(spent: Mapping[date, int]) -> list[int]:
    """Won a day by weekday, Monday first."""
    overall = sum(spent.values()) // len(spent)
    found = []
    for weekday in range(7):
        days = [won for day, won in spent.items() if day.weekday() == weekday]
        found.append(sum(days) // len(days) if days else overall)
    return found


def _path(
    spent: Mapping[date, int], means: list[int], turn: int, amount: int, known: list[date], last: date
) -> tuple[int, date | None]:
    """Won spent at the end, and the first day at whose end the amount is reached."""
    total, empty = 0, None
    day, end = known[0], max(last, known[-1])
    while day <= end:
        total += spent.get(day, 0) if day <= known[-1] else max(0, means[day.weekday()] + turn)
        if empty is None and total >= amount > 0:
            empty = day
        day += timedelta(days=1)
    return total, empty
