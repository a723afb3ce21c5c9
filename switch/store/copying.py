"""COPY as bytes: whole tables out of and into the books, in memory that does not grow with them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from psycopg import Cursor, sql
from psycopg import errors as pg
from sqlalchemy import Connection


class DoesNotFitError(Exception):
    """Rows that a table cannot take; the message names the table and quotes no row."""


def _cursor(connection: Connection) -> Cursor[tuple[object, ...]]:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a checked-out connection has its driver's
    made: Cursor[tuple[object, ...]] = driver.cursor()
    return made


class CopyOut:
    """Rows of a table, or of a view over it, as CSV with a header; `rows` once all of it was taken."""

    def __init__(
        self,
        connection: Connection,
        table: str,
        columns: Sequence[str],
        order: Sequence[str],
        day: tuple[str, date] | None = None,
    ) -> None:
        self.rows = 0
        self._connection = connection
        where = (
            sql.SQL(" WHERE {} = {}").format(sql.Identifier(day[0]), sql.Literal(day[1]))
            if day
            else sql.SQL("")
        )
        self._statement = sql.SQL(
            "COPY (SELECT {} FROM {}{} ORDER BY {}) TO STDOUT (FORMAT csv, HEADER true)"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Identifier(table),
            where,
            sql.SQL(", ").join(map(sql.Identifier, order)),
        )

    def __iter__(self) -> Iterator[bytes]:
        with _cursor(self._connection) as cursor:
            with cursor.copy(self._statement) as copy:
                for block in copy:
                    yield bytes(block)
            self.rows = cursor.rowcount


def copy_in(connection: Connection, table: str, columns: Sequence[str], blocks: Iterable[bytes]) -> int:
    """Add rows from CSV with a header. Returns how many. Raises DoesNotFitError."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, HEADER true)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    try:
        with _cursor(connection) as cursor:
            with cursor.copy(statement) as copy:
                for block in blocks:
                    copy.write(block)
            return cursor.rowcount
    except pg.UniqueViolation:
        raise DoesNotFitError(
            f"{table}: a number or name of it is taken in these books: import into an empty system"
        ) from None
    except (pg.DataError, pg.IntegrityError) as error:
        raise DoesNotFitError(
            f"{table}: its rows do not fit the table ({type(error).__name__}): export it anew"
        ) from None
