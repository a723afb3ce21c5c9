"""Work on a large date shared by database sessions, each with buckets of its own.

What is read is one position of the books: the session that decides exports its snapshot, and the others
take it over.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection, text

from switch.domain.payment import BUCKETS

SESSIONS = 2
"""Sessions that work at once: as many as the smallest machine has processors."""
APART_FROM = 200_000
"""Rows of a date from which on other sessions help; fewer are done sooner than they are called."""
WORK_MEM = "192MB"
"""For one sort or one hash of one session; what is larger goes to temporary files."""
CANCEL_AGAIN = timedelta(milliseconds=200)
"""Between two calls to end what a session does: it may just have been between two statements."""

_Found = TypeVar("_Found")


def read_apart(
    connection: Connection, rows: int, work: Callable[[Connection, int, int], _Found]
) -> list[_Found]:
    """`work(session, first bucket, last bucket)` for ranges that make up all buckets, in their order.

    Call it in a transaction; about `rows` rows are to be read. The first failure is raised.
    """
    if rows < APART_FROM:
        with_room(connection)
        return [work(connection, 0, BUCKETS - 1)]
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    bounds = [BUCKETS * part // SESSIONS for part in range(SESSIONS + 1)]

    def read(session: Connection, part: int) -> _Found:
        with session.begin():
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            session.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))  # the server's own word
            # The sessions share the processors already.
            session.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
            with_room(session)
            return work(session, bounds[part], bounds[part + 1] - 1)

    return apart(connection, SESSIONS, read)


def apart(connection: Connection, parts: int, work: Callable[[Connection, int], _Found]) -> list[_Found]:
    """`work(session, part)` for parts 0, 1, …, each in a thread with a database session of its own.

    The first failure is raised once the others have ended; what they ask of the database is cancelled.
    """
    sessions = [connection.engine.connect() for _ in range(parts)]
    drivers = [session.connection.driver_connection for session in sessions]
    try:
        with ThreadPoolExecutor(parts) as pool:
            told = [pool.submit(work, session, part) for part, session in enumerate(sessions)]
            done, pending = wait(told, return_when=FIRST_EXCEPTION)
            while pending:
                for driver in drivers:
                    if driver is not None:
                        driver.cancel()
                _, pending = wait(pending, timeout=CANCEL_AGAIN.total_seconds())
        failed = next((one.exception() for one in done if one.exception() is not None), None)
        if failed is not None:
            raise failed
        return [one.result() for one in told]
    finally:
        for session in sessions:
            session.close()


@contextmanager
def without(connection: Connection, way: str) -> Iterator[None]:
    """Let the statements within be planned without a way to join or to order ("nestloop", "sort"), where
    statistics would mislead. A failure ends the transaction, and what was set with it."""
    connection.execute(text(f"SET LOCAL enable_{way} = off"))
    yield
    connection.execute(text(f"SET LOCAL enable_{way} = on"))


def with_room(connection: Connection) -> None:
    """Give this transaction memory for the sorts and hashes of whole dates."""
    connection.execute(text(f"SET LOCAL work_mem = '{WORK_MEM}'"))
