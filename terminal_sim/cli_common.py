"""What the commands of the terminal simulator share: endings, addresses, tables of rows."""

import asyncio
import csv
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import typer

from terminal_sim.processes import FolderError, ProgramError
from terminal_sim.scenario_run import EXIT_BAD_FILE

EXIT_UNAVAILABLE: Final = 75
EXIT_INTERRUPTED: Final = 130
PORT_MAX: Final = 65_535
KEY_SEED: Final = 1
LOAD_SEED: Final = 1

T = TypeVar("T")


def address(text: str) -> tuple[str, int]:
    """Host and port of `--switch`. Ends the program when they are none."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:6]) <= PORT_MAX:
        fail(f"--switch {text}: write HOST:PORT, such as 127.0.0.1:7701", EXIT_BAD_FILE)
    return host, int(port)


def rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV with at least these columns. Ends the program when it is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no CSV in UTF-8"
        fail(f"{path}: cannot be read: {why}", EXIT_BAD_FILE)
    if not rows or not set(columns) <= rows[0].keys():
        fail(f"{path}: needs a header with {', '.join(columns)} and at least one row", EXIT_BAD_FILE)
    return rows


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Runs to the end; a signal cancels, so that what was started is stopped again. Ends the program when it
    cannot go on."""

    async def guarded() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()

        def cancel_once() -> None:
            # A second one must not interrupt the stopping of what was started.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, lambda: None)
            task.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, cancel_once)
        return await task

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        fail("interrupted; what was started has been stopped", EXIT_INTERRUPTED)
    except FolderError as error:
        fail(str(error), EXIT_BAD_FILE)
    except ProgramError as error:
        fail(str(error), EXIT_UNAVAILABLE)
    except OSError as error:
        if error.filename is not None:
            fail(f"{error.filename}: {error.strerror}: free it, or name another folder", EXIT_BAD_FILE)
        fail(f"the switch cannot be reached: {error}", EXIT_UNAVAILABLE)


def fail(text: str, code: int) -> NoReturn:
    """Ends the program with one line of why."""
    typer.echo(f"dure-terminal-sim: {text}", err=True)
    raise typer.Exit(code)
