"""One PostgreSQL server for the session, one database for each test, cloned from a migrated one."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, text

from settlement.settings import Settings
from switch.store.engine import APP_ROLE, resolve, stop_embedded
from switch.store.migrate import mark, upgrade

_NUMBERS = itertools.count(1)


class Server:
    """A running server; `clone` makes a database of its own from another one."""

    template = "template0"

    def __init__(self, url: URL) -> None:
        self.url = url
        self._admin = create_engine(url, isolation_level="AUTOCOMMIT")
        # Processes are killed here, never the machine: without fsync the tests take a third of the time.
        with self._admin.connect() as connection:
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))

    def clone(self, template: str) -> str:
        name = f"t{next(_NUMBERS)}"
        with self._admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return name

    def drop(self, database: str) -> None:
        """Remove a database that nobody uses any more."""
        with self._admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {database} WITH (FORCE)"))

    def sessions(self, database: str) -> int:
        """How many server processes work on a database."""
        query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
        with self._admin.connect() as connection:
            return int(connection.execute(query, {"name": database}).scalar_one())

    def engine(self, database: str, role: str = APP_ROLE) -> Engine:
        options = {"options": "-c timezone=Asia/Seoul"}
        return create_engine(self.url.set(database=database, username=role), connect_args=options)

    def address(self, database: str) -> str:
        url = self.url.set(drivername="postgresql", database=database, username=APP_ROLE)
        return url.render_as_string()

    def dispose(self) -> None:
        self._admin.dispose()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    where = f"embedded:{tmp_path_factory.mktemp('pg')}/db"
    found = Server(resolve(where))
    template = found.clone("template0")
    engine = found.engine(template, "postgres")
    upgrade(engine)
    mark(engine, simulation=True)
    engine.dispose()
    found.template = template
    yield found
    found.dispose()
    stop_embedded(where)


@pytest.fixture
def database(server: Server) -> str:
    """An empty, migrated database marked as a simulation."""
    return server.clone(server.template)


@pytest.fixture
def owner(server: Server, database: str) -> Iterator[Engine]:
    """The owner's engine: tests build books, and tamper with them, as the owner."""
    engine = server.engine(database, "postgres")
    yield engine
    engine.dispose()


@pytest.fixture
def engine(server: Server, database: str) -> Iterator[Engine]:
    """The engine as the programs have it: with the rights of dure_app only."""
    engine = server.engine(database)
    yield engine
    engine.dispose()


SettingsAt = Callable[..., Settings]


@pytest.fixture
def settings_at(tmp_path: Path, server: Server, database: str) -> SettingsAt:
    """Makes settings whose simulated clock stands at an instant."""

    def make(now: str, outbox: str = "out", **more: object) -> Settings:
        assert datetime.fromisoformat(now).tzinfo is not None
        clock = tmp_path / "clock"
        clock.write_text(now)
        return Settings.model_validate(
            {
                "database": {"url": server.address(database)},
                "clock": {"mode": "simulated", "file": str(clock)},
                "files": {"outbox": str(tmp_path / outbox)},
                "originator": {
                    name: {"name": "인천광역시 서구", "account": "1005000000017", "bank": "020"}
                    for name in ("seoro", "ontong")
                },
                **more,
            }
        )

    return make


ConfigAt = Callable[..., Path]


@pytest.fixture
def config_at(tmp_path: Path, server: Server, database: str) -> ConfigAt:
    """Writes the settings file of a command whose simulated clock stands at an instant; `more` is TOML."""

    def make(now: str, more: str = "") -> Path:
        (tmp_path / "clock").write_text(f"{now}\n")
        file = tmp_path / "settlement.toml"
        file.write_text(
            f"""
[database]
url = "{server.address(database)}"
[clock]
mode = "simulated"
file = "clock"
[files]
outbox = "out"
[originator.seoro]
name = "인천광역시 서구"
account = "1005000000017"
bank = "020"
{more}""",
            encoding="utf-8",
        )
        return file

    return make
