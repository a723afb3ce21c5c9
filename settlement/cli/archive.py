"""`archive`: old days leave the database for files, and are looked at again."""

from contextlib import ExitStack
from datetime import date
from typing import Annotated

import msgspec
import typer

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    exits,
    observer,
    opened,
    read_date,
    show_json,
)
from settlement.domain.roles import Role
from settlement.errors import ExitCode, UsageError
from settlement.people.audit import note
from settlement.pipeline import clock_of, run_lock
from settlement.reference import load_all
from settlement.upkeep import archive as upkeep
from settlement.upkeep.archive import DayDone, DayPlan

DAYS_MAX = 31

archive = typer.Typer(
    help="Days that are older than retention.days leave the database: their rows go into files, their sums"
    " stay, and the proof counts both.",
    no_args_is_help=True,
)
app.add_typer(archive, name="archive")


class _Plan(msgspec.Struct):
    waiting: list[DayPlan]
    archived: list[DayDone]


@archive.command("plan")
def plan(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show which days may leave, what keeps others, and what is archived."""
    with exits(), opened(config) as (settings, connection):
        now = clock_of(connection, settings).now()
        with connection.begin():
            told = _Plan(upkeep.plan(connection, settings, now), upkeep.done_days(connection))
    if as_json:
        show_json(told)
        return
    _table(told.archived)
    for day in told.waiting:
        typer.echo(f"{day.day}  {'stays: ' + day.hindrance if day.hindrance else 'may leave: archive run'}")
    if not told.waiting:
        typer.echo(f"no day is older than {settings.retention.days} days (retention.days)")


@archive.command("run")
def run(
    most: Annotated[
        int, typer.Option("--days", min=1, max=DAYS_MAX, help="How many days at most, oldest first.")
    ] = 7,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Archive days that may leave, oldest first. Safe to repeat and to interrupt.

    Each day's files are written and compared with the books before anything leaves. Payments go on; they wait
    for a moment at the end of each day.
    """
    with exits(), opened(config) as (settings, connection), observer() as watching:
        clock = clock_of(connection, settings)
        actor = acting(settings, connection, as_operator, Role.ADMIN)
        with connection.begin():
            programmes = [facts.programme_no for facts in load_all(connection, None)]
        with ExitStack() as locks:
            for programme_no in programmes:
                locks.enter_context(run_lock(connection, programme_no))
            with connection.begin():
                waiting = upkeep.plan(connection, settings, clock.now())
            days = [one.day for one in waiting if not one.hindrance][:most]
            done = [
                upkeep.run_day(connection, settings, day, clock.now, actor.name, watching) for day in days
            ]
    if as_json:
        show_json(done)
        return
    _table(done)
    if not done:
        typer.echo("no day may leave: archive plan says why")


@archive.command("verify")
def verify(
    day: Annotated[str | None, typer.Argument(metavar="[YYYY-MM-DD]", help="Default: all.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Hold the files of archived days against what was noted of them and against the closed dates."""
    with exits(), opened(config) as (settings, connection):
        clock_of(connection, settings)
        with connection.begin():
            days = [_day(day)] if day else [one.day for one in upkeep.done_days(connection)]
            told = [upkeep.verify(connection, settings, one) for one in days]
    if as_json:
        show_json(told)
    else:
        for one in told:
            good = f"{one.payments:,} payments, {one.entries:,} entries: as they were closed"
            typer.echo(f"{one.day}  {one.problem or good}")
        if not told:
            typer.echo("no day is archived")
    raise typer.Exit(int(ExitCode.MISMATCH if any(one.problem for one in told) else ExitCode.DONE))


@archive.command("restore")
def restore(
    day: Annotated[str, typer.Argument(metavar="YYYY-MM-DD")],
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Put a day back for looking: into tables of its own, which no program reads."""
    with exits(), opened(config) as (settings, connection):
        now = clock_of(connection, settings).now()
        actor = acting(settings, connection, as_operator, Role.ADMIN)
        wanted = _day(day)
        with connection.begin():
            done = upkeep.restore(connection, settings, wanted)
            note(connection, now, actor.name, "archive:restore", wanted.isoformat(), {})
    typer.echo(f"restored.payment_{wanted:%Y%m%d}  {done.payments:>12,} rows")
    typer.echo(f"restored.entry_{wanted:%Y%m%d}    {done.entries:>12,} rows")


def _day(text: str) -> date:
    found = read_date(text, "the day")
    if found is None:
        raise UsageError("name the day: 2026-11-20")
    return found


def _table(days: list[DayDone]) -> None:
    if not days:
        return
    typer.echo(
        f"{'archived':<10} {'payments':>12} {'won':>18} {'entries':>12} {'won':>18} {'rows that stay':>15}"
    )
    for one in days:
        sums = f"{one.payments:>12,} {one.payments_won:>18,} {one.entries:>12,} {one.entries_won:>18,}"
        typer.echo(f"{one.day!s:<10} {sums} {one.kept:>15,}")
