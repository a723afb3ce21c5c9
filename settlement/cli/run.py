"""`run`, `status`, `check-config`."""

from datetime import date
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Engine, select

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    engine_of,
    exits,
    observer,
    read_date,
)
from settlement.domain.run import Step
from settlement.errors import ConfigurationError, UsageError
from settlement.pipeline import clock_of
from settlement.pipeline import run as run_pipeline
from settlement.report import as_text
from settlement.settings import Settings, load
from settlement.store.schema import settlement_run, settlement_step
from switch.store.schema import programme as programme_table

STATUS_RUNS = 14


def _step(text: str | None) -> Step | None:
    if text is None:
        return None
    try:
        return Step(text)
    except ValueError:
        raise UsageError(f"--until {text!r} is no step: one of {', '.join(Step)}") from None


@app.command()
def run(
    date_text: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="Business date. Default: the last one over."),
    ] = None,
    programme: Annotated[str | None, typer.Option(help="One programme's id. Default: all of them.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show who gets how much when; write nothing at all.")
    ] = False,
    as_json: JsonOption = False,
    again: Annotated[
        bool, typer.Option("--again", help="Open a later cycle of a settled date: pay what is due since.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(metavar="STEP", help=f"Stop after this step: {', '.join(Step)}.")
    ] = None,
) -> None:
    """Settle one business date. Safe to repeat and to interrupt.

    Steps: close_day freezes the date; expire_lots gives back what has expired; credit_cashback recomputes
    every won of cashback and credits it; pay_merchants nets sales, refunds and fees and fixes the bank day;
    emit_files proves the books and leaves pain.001 files in the outbox, each ready when its .done is there.
    """
    with exits():
        settings = load(config)
        engine = engine_of(settings)
        try:
            with observer() as watching:
                report = run_pipeline(
                    engine,
                    settings,
                    read_date(date_text),
                    programme,
                    dry_run=dry_run,
                    until=_step(until),
                    again=again,
                    observer=watching,
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
def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show how far each programme is closed, and the steps of its last runs."""
    with exits():
        settings = load(config)
        engine = engine_of(settings)
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
def check_config(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check the settings file and print the values in force. Touches neither database nor outbox."""
    with exits():
        settings = load(config)
        outbox = settings.files.outbox
        if outbox.exists() and not outbox.is_dir():
            raise ConfigurationError(f"{config}: files.outbox {outbox} is no folder")
        settings.database.address()
    typer.echo(settings.model_dump_json(indent=2))
