"""Every write of a process, numbered as it comes; at one of them the process can be made to die.

A write is: a statement that writes or locks, a COPY, the commit of a transaction that wrote, and each act on
a file below one folder (opened for writing, fsync, rename, unlink, mkdir, …). Before a write is after the one
before it: nothing else changes the database or the disk. What is in the middle of a write:

    a statement, a commit    all of it has left for the server, no answer was read
    a COPY                   its rows have been sent, its end has not
    an fsync of a file       only half of its bytes are there
"""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import psycopg

_WRITES = re.compile(
    r"^\s*(INSERT|UPDATE|DELETE|MERGE|COPY|CREATE|DROP|ALTER|TRUNCATE|LOCK|CALL|ANALYZE)\b"
    r"|\b(INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|FOR\s+(NO\s+KEY\s+)?UPDATE|FOR\s+SHARE)\b"
    r"|\b(pg_advisory_\w+|pg_try_advisory_\w+|dure_\w+|setval|nextval)\s*\(",
    re.IGNORECASE,
)
_NAMES = re.compile(r"^\s*(\w+)(?:.*?\b(?:INTO|UPDATE|FROM|TABLE|COPY)\s+(\w+))?", re.IGNORECASE | re.DOTALL)
_FILE_ACTS = frozenset(
    {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
)
_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

BEFORE, MIDDLE, AFTER = "before", "in the middle of", "after"


class Write(msgspec.Struct, frozen=True):
    """One write: what it does, and whether a process can die in its middle."""

    label: str
    divisible: bool


class Point(msgspec.Struct, frozen=True):
    """Where a process dies: at its write with this number, counted from 0; after: it has come to its end."""

    number: int
    how: str = BEFORE


class Watch:
    """Counts this process's writes below `folder` and to any database, and ends it at `at`.

    It cannot be taken off again: for a forked child that ends by being killed, or by os._exit.
    """

    def __init__(self, folder: Path, at: Point | None) -> None:
        self.writes: list[Write] = []
        self._folder, self._at = f"{folder}{os.sep}", at
        self._dirty: set[int] = set()
        self._lock = threading.RLock()
        self._fsync = os.fsync
        self._watch_files()
        self._watch_database()

    def _next(self, label: str, *, divisible: bool) -> bool:
        """Note a write that is about to happen; whether it is to be died in the middle of."""
        with self._lock:
            number = len(self.writes)
            self.writes.append(Write(label, divisible))
            if self._at is None or number != self._at.number:
                return False
            if self._at.how == BEFORE:
                die()
            return True

    # Files

    def _watch_files(self) -> None:
        sys.addaudithook(self._seen)
        os.fsync = self._synced  # type: ignore[assignment]

    def _seen(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _FOR_WRITING and self._ours(path):
                self._next(f"open {self._short(path)}", divisible=False)
        elif event in _FILE_ACTS and self._ours(arguments[0]):
            to = f" to {self._short(arguments[1])}" if event == "os.rename" else ""
            self._next(f"{event.removeprefix('os.')} {self._short(arguments[0])}{to}", divisible=False)

    def _synced(self, handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if self._ours(path):
            size = 0 if os.path.isdir(path) else os.fstat(handle).st_size
            if self._next(f"fsync {self._short(path)}", divisible=size > 1):
                os.ftruncate(handle, size // 2)
                die()
        self._fsync(handle)

    def _ours(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and f"{os.fspath(path)}{os.sep}".startswith(self._folder)

    def _short(self, path: object) -> str:
        return os.path.relpath(os.fspath(path), self._folder)  # type: ignore[call-overload]

    # The database

    def _watch_database(self) -> None:
        execute, executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany
        copy, commit, rollback = psycopg.Cursor.copy, psycopg.Connection.commit, psycopg.Connection.rollback

        def watched(plain: Any) -> Any:
            def wrapper(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
                self._statement(cursor.connection, query)
                return plain(cursor, query, *arguments, **named)

            return wrapper

        @contextmanager
        def copied(cursor: Any, statement: Any, *arguments: Any, **named: Any) -> Iterator[Any]:
            middle = self._writing(cursor.connection, f"COPY {_table(str(statement))}")
            with copy(cursor, statement, *arguments, **named) as copying:
                yield copying
                if middle:
                    die()

        def committed(connection: Any) -> None:
            if id(connection) in self._dirty:
                self._dirty.discard(id(connection))
                if self._next("COMMIT", divisible=True):
                    _die_unanswered(connection)
            commit(connection)

        def undone(connection: Any) -> None:
            self._dirty.discard(id(connection))
            rollback(connection)

        psycopg.Cursor.execute = watched(execute)  # type: ignore[method-assign]
        psycopg.Cursor.executemany = watched(executemany)  # type: ignore[method-assign]
        psycopg.Cursor.copy = copied  # type: ignore[method-assign, assignment]
        psycopg.Connection.commit = committed  # type: ignore[method-assign, assignment]
        psycopg.Connection.rollback = undone  # type: ignore[method-assign, assignment]

    def _statement(self, connection: Any, query: Any) -> None:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if _WRITES.search(text) and self._writing(connection, _table(text)):
            connection.wait(connection._start_query())  # or BEGIN alone would be sent
            _die_unanswered(connection)

    def _writing(self, connection: Any, label: str) -> bool:
        self._dirty.add(id(connection))
        return self._next(label, divisible=True)


def _table(statement: str) -> str:
    found = _NAMES.match(statement)
    return " ".join(part for part in found.groups() if part) if found else statement[:40]


def die() -> NoReturn:
    """End this process as the machine would: nothing is said, closed or undone."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL does not return")


def _die_unanswered(connection: Any) -> None:
    """From here on: the next thing that the connection does is sent to the server, then the process dies."""

    def wait(conversation: Any, *_: Any, **__: Any) -> NoReturn:
        try:
            next(conversation)
        finally:
            die()

    connection.wait = wait
