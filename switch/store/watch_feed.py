"""Committed payments as the watch reads them: the newest by their own time, a day, or a business date.

Nothing is written and no lock is taken. What is read is what stands: purchases and top-ups, less returns.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from sqlalchemy import Connection, text

from switch.domain.watch import DAY_S, Seen

ROWS_AT_A_TIME = 5_000
LOCAL_DAYS_BACK, LOCAL_DAYS_AHEAD = 62, 2
"""The local days that a purchase of a business date can have: offline ones come late."""

Row = tuple[Seen, int]
"""A payment, and the ordinal of its business date."""

_COLUMNS = """
    p.programme_no, p.bucket, p.wallet_id, p.seq, p.merchant_no, p.local_day, p.local_time,
    p.approved - p.returned, p.kind, p.business_date"""
_STANDS = "p.kind IN (1, 3) AND p.outcome IN (1, 3) AND p.approved > p.returned"
_IN_ORDER = "ORDER BY p.local_day, p.local_time, p.bucket, p.wallet_id, p.seq"

# By bucket, as the primary key is: a thousand short looks instead of one over the whole day.
_RECENT = text(f"""
    SELECT {_COLUMNS} FROM generate_series(0, 1023) AS b(bucket)
    CROSS JOIN LATERAL (
        SELECT * FROM payment q WHERE q.bucket = b.bucket AND q.local_day = :day
          AND q.local_time BETWEEN :first AND :last) p
    WHERE {_STANDS} AND p.programme_no = ANY(:programmes) {_IN_ORDER}
""")  # noqa: S608 - constants of this file
_OF_DAY = text(f"""
    SELECT {_COLUMNS} FROM payment p
    WHERE p.local_day = :day AND {_STANDS} AND p.programme_no = ANY(:programmes) {_IN_ORDER}
""")  # noqa: S608
_OF_DATES = text(f"""
    SELECT {_COLUMNS} FROM payment p
    WHERE p.business_date > :after AND p.business_date <= :through AND p.programme_no = :programme_no
      AND p.local_day BETWEEN :first AND :last AND {_STANDS} {_IN_ORDER}
""")  # noqa: S608


def recent(connection: Connection, programmes: Sequence[int], first: int, last: int) -> Iterator[Row]:
    """Payments whose own time lies from `first` to `last` (seconds, both included), in order."""
    connection.execute(text("SET LOCAL enable_seqscan = off"))
    for day in range(first // DAY_S, last // DAY_S + 1):
        start, end = max(first - day * DAY_S, 0), min(last - day * DAY_S, DAY_S - 1)
        found = connection.execute(
            _RECENT,
            {
                "day": date.fromordinal(day),
                "first": _clock(start),
                "last": _clock(end),
                "programmes": list(programmes),
            },
        )
        yield from map(_row, found)


def of_day(connection: Connection, programmes: Sequence[int], day: date) -> Iterator[Row]:
    """Payments of a local day, in order, a few at a time."""
    streamed = connection.execution_options(yield_per=ROWS_AT_A_TIME)
    yield from map(_row, streamed.execute(_OF_DAY, {"day": day, "programmes": list(programmes)}))


def of_dates(connection: Connection, programme_no: int, after: date, through: date) -> Iterator[Row]:
    """Payments of the business dates after one and through another, in the order of their own time."""
    streamed = connection.execution_options(yield_per=ROWS_AT_A_TIME)
    found = streamed.execute(
        _OF_DATES,
        {
            "programme_no": programme_no,
            "after": after,
            "through": through,
            "first": after - timedelta(days=LOCAL_DAYS_BACK),
            "last": through + timedelta(days=LOCAL_DAYS_AHEAD),
        },
    )
    yield from map(_row, found)


def _clock(seconds: int) -> int:
    return seconds // 3_600 * 10_000 + seconds // 60 % 60 * 100 + seconds % 60


def _row(row: Sequence[object]) -> Row:
    programme_no, bucket, wallet_id, seq, merchant_no, day, time, won, kind, business = row
    assert isinstance(day, date)  # noqa: S101 - the column's type
    assert isinstance(business, date)  # noqa: S101
    assert isinstance(time, int)  # noqa: S101
    moment = day.toordinal() * DAY_S + time // 10_000 * 3_600 + time // 100 % 100 * 60 + time % 100
    seen = Seen(programme_no, bucket, wallet_id, seq, merchant_no, moment, won, kind == 3)  # type: ignore[arg-type]
    return seen, business.toordinal()
