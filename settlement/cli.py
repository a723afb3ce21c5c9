"""`dure-settlement`: results on stdout, progress and problems on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from settlement.domain.run import Step
from settlement.errors import ConfigurationError, ExitCode, SettlementError, UsageError
from settlement.pipeline import clock_of
from settlement.pipeline import run as run_pipeline
from settlement.report import as_text
from settlement.settings import Settings, load
from settlement.steps.frame import Observer, Silent
from settlement.store import settlement_run, settlement_step
from switch.store.engine import APP_ROLE, DatabaseUnavailableError, open_engine
from switch.store.schema import programme as programme_table

EXIT_CODES = """
Exit codes:
0 done, or done before ·
2 usage (an open or future date, an earlier date first) ·
3 done, with exceptions that a person must look at ·
4 a control did not agree: no file was emitted ·
75 locked or unavailable: run the same command again ·
78 bad configuration.
"""
STATUS_RUNS = 14
EXIT_INTERRUPTED = 130  # typer's own, for Ctrl-C
INTERRUPTED = "interrupted: what was finished stands, the rest was undone; run the same command again"

app = typer.Typer(
    help="Settles business dates: closes the day, credits cashback, pays merchants, writes the bank's file."
    "\n\nA typical night: dure-settlement run --dry-run, look, then dure-settlement run. A run that was"
    " interrupted anywhere is finished by running it again; a run that is done changes nothing.\n\n"
    + EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[Path, typer.Option("--config", help="The settings file (TOML).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


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
def _observer() -> Iterator[Observer]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bars(progress)


@contextmanager
def _exits() -> Iterator[None]:
    """Every known end as one line on stderr and its exit code."""
    try:
        yield
    except SettlementError as error:
        typer.echo(f"dure-settlement: {error}", err=True)
        raise typer.Exit(int(error.code)) from None
    except (DatabaseUnavailableError, DBAPIError) as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()
        typer.echo(f"dure-settlement: database unavailable: {cause[0] if cause else error!r}", err=True)
        raise typer.Exit(int(ExitCode.RETRY)) from None


def _engine(settings: Settings) -> Engine:
    return open_engine(settings.database.address(), role=APP_ROLE, pool_size=2)


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (a calendar date has no zone)
    except ValueError:
        raise UsageError(f"--date {text!r} is no date: write it as 2026-11-20") from None


def _step(text: str | None) -> Step | None:
    if text is None:
        return None
    try:
        return Step(text)
    except ValueError:
        raise UsageError(f"--until {text!r} is no step: one of {', '.join(Step)}") from None


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dure-settlement {version('dure')}")
        raise typer.Exit


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    date_text: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="Business date. Default: the last one over."),
    ] = None,
    programme: Annotated[str | None, typer.Option(help="One programme's id. Default: all of them.")] = None,
    config: ConfigOption = Path("config/settlement.toml"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show who gets how much when; write nothing at all.")
    ] = False,
    as_json: JsonOption = False,
    until: Annotated[
        str | None, typer.Option(metavar="STEP", help=f"Stop after this step: {', '.join(Step)}.")
    ] = None,
) -> None:
    """Settle one business date. Safe to repeat and to interrupt.

    Steps: close_day freezes the date; expire_lots gives back what has expired; credit_cashback recomputes
    every won of cashback and credits it; pay_merchants nets sales, refunds and fees and fixes the bank day;
    emit_files proves the books and leaves pain.001 files in the outbox, each ready when its .done is there.
    """
    with _exits():
        settings = load(config)
        engine = _engine(settings)
        try:
            with _observer() as observer:
                report = run_pipeline(
                    engine,
                    settings,
                    _date(date_text),
                    programme,
                    dry_run=dry_run,
                    until=_step(until),
                    observer=observer,
                )
        finally:
            engine.dispose()
    typer.echo(report.json().decode() if as_json else as_text(report))
    for one in report.programmes:
        if one.problem:
            typer.echo(f"dure-settlement: {one.programme}: {one.problem}", err=True)
    raise typer.Exit(int(report.exit_code))


class _RunStatus(msgspec.Struct):
    business_date: date
    cycle: int
    steps: dict[str, str]


class _Status(msgspec.Struct):
    programme: str
    closed_through: date | None
    runs: list[_RunStatus]


@app.command()
def status(config: ConfigOption = Path("config/settlement.toml"), as_json: JsonOption = False) -> None:
    """Show how far each programme is closed, and the steps of its last runs."""
    with _exits():
        settings = load(config)
        engine = _engine(settings)
        try:
            found = _read_status(engine, settings)
        finally:
            engine.dispose()
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    for one in found:
        typer.echo(f"{one.programme}  closed through {one.closed_through or '(nothing yet)'}")
        for each in one.runs:
            steps = ", ".join(f"{step} {each.steps.get(step, '-')}" for step in Step)
            typer.echo(f"  {each.business_date} cycle {each.cycle}: {steps}")


def _read_status(engine: Engine, settings: Settings) -> list[_Status]:
    found: list[_Status] = []
    with engine.connect() as connection:
        clock_of(connection, settings)
        run_, step_ = settlement_run.c, settlement_step.c
        programmes = connection.execute(
            select(programme_table).order_by(programme_table.c.programme_id)
        ).all()
        for row in programmes:
            runs = connection.execute(
                select(run_.business_date, run_.cycle)
                .where(run_.programme_no == row.programme_no)
                .order_by(run_.business_date.desc(), run_.cycle.desc())
                .limit(STATUS_RUNS)
            ).all()
            states = connection.execute(
                select(step_.business_date, step_.cycle, step_.step, step_.state).where(
                    step_.programme_no == row.programme_no,
                    step_.business_date.in_([each.business_date for each in runs]),
                )
            ).all()
            steps: dict[tuple[date, int], dict[str, str]] = {}
            for state in states:
                steps.setdefault((state.business_date, state.cycle), {})[state.step] = state.state
            found.append(
                _Status(
                    row.programme_id,
                    row.closed_through,
                    [_RunStatus(day, cycle, steps.get((day, cycle), {})) for day, cycle in runs],
                )
            )
    return found


@app.command("check-config")
def check_config(config: ConfigOption = Path("config/settlement.toml")) -> None:
    """Check the settings file and print the values in force. Touches neither database nor outbox."""
    with _exits():
        settings = load(config)
        outbox = settings.files.outbox
        if outbox.exists() and not outbox.is_dir():
            raise ConfigurationError(f"{config}: files.outbox {outbox} is no folder")
        settings.database.address()
    typer.echo(settings.model_dump_json(indent=2))


def main() -> None:
    """Entry point of the script."""
    try:
        app(prog_name="dure-settlement")
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            typer.echo(INTERRUPTED, err=True)
        raise


if __name__ == "__main__":
    main()
