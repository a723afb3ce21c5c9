"""Many rows at once: COPY into a table, and what every administrative change shares."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Any

from psycopg import sql
from sqlalchemy import Connection, text

CHUNK = 20_000  # keys in one array parameter


def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> int:
    """Add rows by COPY, inside the connection's transaction. Returns how many."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a checked-out connection has its driver's
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """The items in lists of at most `size`, in order."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def lock_administration(connection: Connection) -> None:
    """Let one administrative change run at a time; numbers are given out as max + 1 under it."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('dure_administration'))"))


def hold_lanes(connection: Connection, programme_no: int, day: date) -> None:
    """Wait until no lane has a batch of this programme under way, and let none begin before the commit.

    A lane holds the business date it books on, which is `day` or the one beside it at a cutover.
    """
    for ahead in (-1, 0, 1):
        near = day + timedelta(days=ahead)
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:programme_no, :day)"),
            {"programme_no": programme_no, "day": near.year * 10_000 + near.month * 100 + near.day},
        )


def bump_epoch(connection: Connection) -> None:
    """Tell running switches to read the reference data anew."""
    connection.execute(text("UPDATE control SET reference_epoch = reference_epoch + 1"))


def lock_wallets(connection: Connection, keys: Iterable[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """Lock wallets by (bucket, wallet_id), in key order as the lanes do, so that neither waits in a circle.

    Returns (bucket, wallet_id, seq, lot_seq) as they stand once locked.
    """
    found: list[tuple[int, int, int, int]] = []
    for chunk in chunks(sorted(set(keys))):
        rows = connection.execute(
            text(
                "SELECT w.bucket, w.wallet_id, w.seq, w.lot_seq FROM wallet w"
                " JOIN unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[])) k(bucket, wallet_id)"
                " ON w.bucket = k.bucket AND w.wallet_id = k.wallet_id"
                " ORDER BY w.bucket, w.wallet_id FOR NO KEY UPDATE OF w"
            ),
            {"buckets": [bucket for bucket, _ in chunk], "wallets": [wallet for _, wallet in chunk]},
        )
        found += [(row[0], row[1], row[2], row[3]) for row in rows]
    return found
