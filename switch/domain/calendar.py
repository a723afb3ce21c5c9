"""Days, months, business dates and bank days, all in Korean time.

On the hot path a day is the int yyyymmdd and a month the int yyyymm: they compare, index and travel to
the database as they are.
"""

from datetime import date, datetime, time, timedelta, timezone

SEOUL = timezone(timedelta(hours=9), "KST")
"""Asia/Seoul. The zone has had no change of offset since October 1988, before any day this system can
hold, so a fixed offset is exact, needs no zone database and compares faster."""

OPEN_DAYS_MAX = 60
"""The longest payout term in bank days."""

CLOSED_RUN_MAX = 31
"""A longer run of closed days is a broken calendar, not a holiday."""


class ImplausibleDate(ValueError):
    """A month and day that fit no year near today."""


class CalendarError(ValueError):
    """A bank calendar without an open day for a month."""


def day_of_date(moment: date) -> int:
    """Return yyyymmdd of a date (of a datetime: of its own date, without a change of zone)."""
    return moment.year * 10_000 + moment.month * 100 + moment.day


def date_of_day(day: int) -> date:
    """Return the date of yyyymmdd. Raises ValueError when there is no such day."""
    return date(day // 10_000, day // 100 % 100, day % 100)


def moment_of(instant: datetime) -> int:
    """Return an instant as yyyymmddhhmmss of Asia/Seoul: it compares with a payment's own day and time."""
    local = instant.astimezone(SEOUL)
    return day_of_date(local) * 1_000_000 + local.hour * 10_000 + local.minute * 100 + local.second


def add_months(day: int, months: int) -> int:
    """Return the same day of the month `months` (≥ 0) later, or that month's last day if it is shorter.

    yyyymmdd in and out. This is how a lot's expiry is counted: 31 Aug + 6 months = 28 (29) Feb.
    """
    year, month0 = divmod(day // 10_000 * 12 + day // 100 % 100 - 1 + months, 12)
    next_year, next_month0 = divmod(year * 12 + month0 + 1, 12)
    last = (date(next_year, next_month0 + 1, 1) - timedelta(days=1)).day
    return year * 10_000 + (month0 + 1) * 100 + min(day % 100, last)


def add_days(day: int, days: int) -> int:
    """Return the day (yyyymmdd) that lies `days` (0 or more) after `day`."""
    return day_of_date(date.fromordinal(date_of_day(day).toordinal() + days))


def business_date(instant: datetime, cutover: time) -> date:
    """Return the business date D of an aware instant: D runs from `cutover` on D to `cutover` on D+1.

    `cutover` is Korean wall time, 00:00 ≤ cutover < 12:00. Raises ValueError on a naive instant, whose
    zone nobody knows.
    """
    if instant.tzinfo is None:
        raise ValueError("a business date needs an aware datetime: attach its zone")
    local = instant.astimezone(SEOUL)
    if local.time() < cutover:
        return local.date() - timedelta(days=1)
    return local.date()


def infer_year(mmdd: int, today: date, days_past_max: int = 31, days_ahead_max: int = 1) -> date:
    """Return the date nearest to `today` whose month and day are `mmdd` (ISO 8583:1987 DE13 has no year).

    The date is at most `days_past_max` days before and `days_ahead_max` after `today`; for the date of an
    original transaction pass 366. 29 February is found in leap years only. Raises ImplausibleDate.
    """
    month, day = divmod(mmdd, 100)
    best: date | None = None
    years_back = days_past_max // 365 + 1
    for year in range(today.year - years_back, today.year + 2):
        try:
            candidate = date(year, month, day)
        except ValueError:
            continue
        distance = (candidate - today).days
        if not -days_past_max <= distance <= days_ahead_max:
            continue
        if best is None or abs(distance) < abs((best - today).days):
            best = candidate
    if best is None:
        raise ImplausibleDate(
            f"no date with month and day {mmdd:04d} lies between {days_past_max} days before "
            f"and {days_ahead_max} after {today}"
        )
    return best


class BankCalendar:
    """The days on which banks move money: all but Saturday, Sunday and the closed dates given.

    The closed dates are public, substitute and temporary holidays and Labour Day (DOMAIN rule 11); who
    builds the calendar must have asked for every year that its dates can reach.
    """

    __slots__ = ("_closed",)

    def __init__(self, closed: frozenset[date]) -> None:
        self._closed = closed

    def is_open(self, day: date) -> bool:
        """Say whether banks settle on this day."""
        return day.weekday() < 5 and day not in self._closed

    def add_open_days(self, day: date, days: int) -> date:
        """Return the payout date T+`days` (0..60 bank days) of payments made on `day`.

        Counting starts after `day` itself, open or not, so what is paid on a closed day goes out with
        the last open day before it. T+0 of a closed day is the next open one. Raises ValueError on a
        term out of range and CalendarError when no bank opens for a month.
        """
        if not 0 <= days <= OPEN_DAYS_MAX:
            raise ValueError(f"a payout term is 0 to {OPEN_DAYS_MAX} bank days, not {days}")
        if not days:
            return day if self.is_open(day) else self._next_open(day)
        for _ in range(days):
            day = self._next_open(day)
        return day

    def _next_open(self, day: date) -> date:
        for ahead in range(1, CLOSED_RUN_MAX + 1):
            candidate = day + timedelta(days=ahead)
            if self.is_open(candidate):
                return candidate
        raise CalendarError(f"no bank day within {CLOSED_RUN_MAX} days after {day}: check the closed dates")
