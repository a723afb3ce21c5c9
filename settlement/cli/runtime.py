"""What every command shares: settings, engine, progress, and how an error becomes an exit code."""

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from settlement.domain.roles import Role
from settlement.errors import ConfigurationError, ExitCode, NotAllowedError, SettlementError, UsageError
from settlement.frame import Observer, Silent
from settlement.people.identity import Actor, who
from settlement.pipeline import clock_of
from settlement.reference import Facts, load_all
from settlement.settings import Settings, load
from switch.clock import Clock
from switch.store.engine import APP_ROLE, DatabaseUnavailableError, open_engine

DEFAULT_CONFIG = Path("config/settlement.toml")
ConfigOption = Annotated[Path, typer.Option("--config", help="The settings file (TOML).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
OperatorOption = Annotated[
    str | None,
    typer.Option("--operator", metavar="NAME", help='Who you are, where people.identity is "password".'),
]
PASSWORD_FILE = "DURE_OPERATOR_PASSWORD_FILE"  # noqa: S105 (the name of a variable that names a file)
PASSWORD_BYTES_MAX = 4_096

T = TypeVar("T")


class _Bars:
    """A bar per step, on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def reached(self, point: str) -> None:
        step, _, at = point.partition(":")
        if at == "done" and step in self._tasks:
            self._progress.stop_task(self._tasks[step])

    def progress(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step)
        self._progress.update(self._tasks[step], completed=done, total=total or None)


class _Lines(Silent):
    """A line per finished step, where stderr is a file or a pipe."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def reached(self, point: str) -> None:
        step, _, at = point.partition(":")
        if at == "done":
            typer.echo(f"{step} done after {time.monotonic() - self._started:.1f} s", err=True)


@contextmanager
def observer() -> Iterator[Observer]:
    """Bars on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bars(progress)


@contextmanager
def exits() -> Iterator[None]:
    """Every known end as one line on stderr and its exit code."""
    try:
        yield
    except SettlementError as error:
        typer.echo(f"dure-settlement: {error}", err=True)
        raise typer.Exit(int(error.code)) from None
    except (DatabaseUnavailableError, DBAPIError) as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()
        typer.echo(
            f"dure-settlement: the database is locked or away, run again: {cause[0] if cause else error!r}",
            err=True,
        )
        raise typer.Exit(int(ExitCode.RETRY)) from None


def engine_of(settings: Settings) -> Engine:
    """An engine with the rights of the programs."""
    return open_engine(settings.database.address(), role=APP_ROLE, pool_size=2)


@contextmanager
def opened(config: Path) -> Iterator[tuple[Settings, Connection]]:
    """The settings and a session of their database, with no transaction open."""
    settings = load(config)
    engine = engine_of(settings)
    try:
        with engine.connect() as connection:
            yield settings, connection
    finally:
        engine.dispose()


def act(
    config: Path,
    operator: str | None,
    role: Role,
    do: Callable[[Connection, Actor, Clock, Settings], T],
) -> T:
    """Do one act of an operator with that role, in one transaction."""
    with opened(config) as (settings, connection):
        clock = clock_of(connection, settings)
        actor = acting(settings, connection, operator, role)
        with connection.begin():
            return do(connection, actor, clock, settings)


def look(config: Path, do: Callable[[Connection, Clock, Settings], T]) -> T:
    """Read something, in one transaction."""
    with opened(config) as (settings, connection):
        clock = clock_of(connection, settings)
        with connection.begin():
            return do(connection, clock, settings)


def one_programme(connection: Connection, programme: str | None) -> Facts:
    """The programme that is named, or the only one. Raises UsageError."""
    found = load_all(connection, programme)
    if len(found) != 1:
        names = ", ".join(each.programme_id for each in found) or "none is applied yet"
        raise UsageError(f"name one with --programme: {names}")
    return found[0]


def show_json(found: object) -> None:
    """Print a result as JSON, indented."""
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


def read_date(text: str | None, option: str = "--date") -> date | None:
    """A date as operators write it. Raises UsageError."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (a calendar date has no zone)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no date: write it as 2026-11-20") from None


def acting(settings: Settings, connection: Connection, as_operator: str | None, *roles: Role) -> Actor:
    """Who acts, with at least one of the roles (none given: any operator). Raises NotAllowedError.

    Works in transactions of its own: none may be open. Where people.identity is "password", it is read from
    the file that DURE_OPERATOR_PASSWORD_FILE names, or asked for on a terminal without being shown.
    """
    password = None
    if settings.people.identity == "password" and as_operator:
        password = _password(as_operator)
    actor = who(settings, connection, as_operator, password, now=clock_of(connection, settings).now())
    if roles:
        actor.demand(*roles)
    return actor


def _password(name: str) -> str:
    file = os.environ.get(PASSWORD_FILE)
    if file:
        return read_password(Path(file))
    if not sys.stdin.isatty():
        raise NotAllowedError(f"nobody is here to type a password: name its file in {PASSWORD_FILE}")
    return getpass.getpass(f"Password of {name}: ")


def read_password(file: Path) -> str:
    """The first line of a file, without its end. Raises ConfigurationError."""
    try:
        with file.open("rb") as source:
            raw = source.read(PASSWORD_BYTES_MAX)
        return raw.decode().split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{file}: the password cannot be read from it ({type(error).__name__}): one line of UTF-8 text"
        ) from None
