"""What merchants are from a day on: category, size, region, head region.

A merchant's own row has the facts that it began with; here are the changes since. A day that payments of the
merchant were judged by is never changed afterwards.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, text, tuple_

from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.merchant import Facts
from switch.store.bulk import chunks, copy_rows
from switch.store.schema_facts import merchant_fact

DATED_FACTS = ("category", "size", "region", "head_region")
"""The columns of a merchant that change on a day."""


def read_facts(
    connection: Connection, merchant_nos: Iterable[int] | None = None
) -> dict[int, tuple[Facts, ...]]:
    """The later facts of merchants by number, ascending; of all of them without `merchant_nos`."""
    columns = merchant_fact.c
    query = select(columns.merchant_no, columns.valid_from, *(columns[name] for name in DATED_FACTS))
    found: dict[int, list[Facts]] = {}
    wanted: Iterable[Any] = [None] if merchant_nos is None else chunks(merchant_nos)
    for chunk in wanted:
        some = query if chunk is None else query.where(columns.merchant_no == func.any(chunk))
        for number, day, *facts in connection.execute(some.order_by(columns.valid_from)):
            found.setdefault(number, []).append(Facts(day_of_date(day), *facts))
    return {number: tuple(facts) for number, facts in found.items()}


def put_facts(connection: Connection, rows: Sequence[tuple[int, Facts]]) -> None:
    """Store facts of merchants by number, in place of what stood for the same day."""
    for chunk in chunks(rows):
        keys = [(number, date_of_day(facts.valid_from)) for number, facts in chunk]
        connection.execute(
            delete(merchant_fact).where(
                tuple_(merchant_fact.c.merchant_no, merchant_fact.c.valid_from).in_(keys)
            )
        )
    copy_rows(
        connection,
        "merchant_fact",
        ("merchant_no", "valid_from", *DATED_FACTS),
        (
            (number, date_of_day(facts.valid_from), *(getattr(facts, name) for name in DATED_FACTS))
            for number, facts in rows
        ),
    )


def judged_after(connection: Connection, merchant_nos: Iterable[int], day: int) -> dict[int, int]:
    """The last local day (yyyymmdd) after `day` for which a payment of each merchant is booked.

    Without payments dated after `day` a merchant is left out. Call it once no lane has a batch under way
    (bulk.hold_lanes), or one may still be booked.
    """
    found: dict[int, int] = {}
    query = text(
        "SELECT merchant_no, max(local_day) FROM payment"
        " WHERE local_day > :day AND merchant_no = ANY(CAST(:numbers AS integer[])) GROUP BY merchant_no"
    )
    for chunk in chunks(merchant_nos):
        rows = connection.execute(query, {"day": date_of_day(day), "numbers": chunk})
        found.update((row[0], day_of_date(row[1])) for row in rows)
    return found
