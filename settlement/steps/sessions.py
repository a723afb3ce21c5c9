"""Reading shared by database sessions, each with a range of buckets of its own.

What is read is one position of the books: the session that decides exports its snapshot, and the others
take it over. They only read; nothing that they do can outlive them.
"""

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import pairwise
from typing import TypeVar

from sqlalchemy import Connection, text

from switch.domain.payment import BUCKETS

SESSIONS = 2
"""Sessions that read at once: as many as the smallest machine has processors. With 1, the caller's."""
WORK_MEM = "192MB"
"""For one sort or one hash of one session; what is larger goes to temporary files."""

_Found = TypeVar("_Found")


def read_apart(connection: Connection, work: Callable[[Connection, int, int], _Found]) -> list[_Found]:
    """`work(session, first bucket, last bucket)` for ranges that make up all buckets, in their order.

    Call it in a transaction. The first failure stops the others and is raised.
    """
    if SESSIONS == 1:
        with_room(connection)
        return [work(connection, 0, BUCKETS - 1)]
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    bounds = [BUCKETS * part // SESSIONS for part in range(SESSIONS + 1)]
    ranges = [(first, after - 1) for first, after in pairwise(bounds)]
    sessions = [connection.engine.connect() for _ in ranges]
    try:
        with ThreadPoolExecutor(SESSIONS) as pool:
            told = [
                pool.submit(_read, session, snapshot, work, first, last)
                for session, (first, last) in zip(sessions, ranges, strict=True)
            ]
            done, pending = wait(told, return_when=FIRST_EXCEPTION)
            if pending:
                for session in sessions:
                    _cancel(session)
            for one in done:
                one.result()
            return [one.result() for one in told]
    finally:
        for session in sessions:
            session.close()


def with_room(connection: Connection) -> None:
    """Give this transaction memory for the sorts and hashes of whole dates."""
    connection.execute(text(f"SET LOCAL work_mem = '{WORK_MEM}'"))


def _read(
    session: Connection,
    snapshot: str,
    work: Callable[[Connection, int, int], _Found],
    first: int,
    last: int,
) -> _Found:
    with closing(session), session.begin():
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        session.execute(text(f"SET TRANSACTION SNAPSHOT '{snapshot}'"))  # the server's own word
        # The sessions share the processors already.
        session.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
        with_room(session)
        return work(session, first, last)


def _cancel(session: Connection) -> None:
    if not session.closed:
        driver = session.connection.driver_connection
        if driver is not None:
            driver.cancel()
