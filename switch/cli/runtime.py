"""What every command shares: the configuration, the books, and how an error becomes an exit code."""

import getpass
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import typer
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from switch.clock import ClockError, open_clock
from switch.domain.programme_file import ProgrammeError
from switch.service.admin import NotFoundError, NotReadyError, RefusedError, is_simulation
from switch.service.import_files import ImportRefusedError
from switch.service.programmes import ApplyRefusedError
from switch.service.vault import VaultError
from switch.settings import ConfigError, Settings, load_settings
from switch.store.acts import ActConflictError
from switch.store.engine import APP_ROLE, DatabaseUnavailableError, open_engine
from switch.store.funding import NoOpenDateError
from switch.wire.redact import redact

EXIT_MALFUNCTION: Final = 1
EXIT_INPUT: Final = 2
EXIT_PROOF: Final = 4
EXIT_UNAVAILABLE: Final = 75
EXIT_CONFIG: Final = 78
EXIT_INTERRUPTED: Final = 130  # typer's own, for Ctrl-C
INTERRUPTED: Final = "interrupted: what was finished stands, the rest was undone; run the same command again"

CONFIG_VARIABLE: Final = "DURE_SWITCH_CONFIG"
DEFAULT_CONFIG: Final = Path("config/switch.toml")


class UnavailableError(RuntimeError):
    """Something outside is missing for now; the same command may work later."""


_CODES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((ConfigError, ClockError, VaultError, NotReadyError), EXIT_CONFIG),
    ((ImportRefusedError, ProgrammeError, ApplyRefusedError, NotFoundError, RefusedError), EXIT_INPUT),
    ((ActConflictError,), EXIT_INPUT),
    ((DatabaseUnavailableError, NoOpenDateError, UnavailableError), EXIT_UNAVAILABLE),
)


class Books(msgspec.Struct, frozen=True):
    """The open books: what the commands work on."""

    settings: Settings
    engine: Engine
    simulation: bool

    def now(self) -> datetime:
        """The switch's own time. Raises ClockError."""
        return open_clock(
            self.settings.clock.mode, self.settings.clock.file, simulation=self.simulation
        ).now()


def settings_of(context: typer.Context) -> Settings:
    """The settings that the command line names. Raises ConfigError."""
    path = context.find_root().obj
    return load_settings(path if isinstance(path, Path) else DEFAULT_CONFIG)


@contextmanager
def open_books(context: typer.Context) -> Iterator[Books]:
    """Open the books as the booking role. Raises ConfigError, NotReadyError, DatabaseUnavailableError."""
    settings = settings_of(context)
    with opened_engine(settings, APP_ROLE) as engine:
        yield Books(settings, engine, is_simulation(engine))


@contextmanager
def opened_engine(settings: Settings, role: str | None) -> Iterator[Engine]:
    """An engine for one command; None is the owner of the schema."""
    engine = open_engine(settings.database_url(), role=role, pool_size=2, size=settings.database.size)
    try:
        yield engine
    finally:
        engine.dispose()


def operator() -> str:
    """Who runs the command, for audits: the login of this machine."""
    try:
        return getpass.getuser()[:64]
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def fail(message: str, code: int) -> int:
    """Say what is wrong, on stderr and without card data; returns the exit code."""
    typer.echo(redact(message), err=True)
    return code


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command; an error that an operator can act on becomes its lines and its exit code."""
    try:
        command()
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            typer.echo(INTERRUPTED, err=True)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        lines = str(
            error.orig if isinstance(error, OperationalError | InterfaceError) else error
        ).splitlines()
        reason = lines[0] if lines else type(error).__name__
        return fail(f"the database cannot be reached or is busy ({reason}): try again", EXIT_UNAVAILABLE)
    except Exception as error:  # noqa: BLE001 - the last stand: card data must not leave in a traceback
        for kinds, code in _CODES:
            if isinstance(error, kinds):
                return fail(str(error), code)
        shown = "".join(traceback.format_exception(error))
        return fail(f"{shown}This is a fault of the program: please report it.", EXIT_MALFUNCTION)
    return 0


def exit_with(code: int) -> None:
    """Leave the command with this exit code."""
    if code:
        sys.exit(code)
