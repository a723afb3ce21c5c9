"""`run`, `check-config`."""

from typing import Annotated

import typer

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    engine_of,
    exits,
    observer,
    read_date,
)
from settlement.domain.roles import Role
from settlement.domain.run import Step
from settlement.errors import ConfigurationError, UsageError
from settlement.pipeline import run as run_pipeline
from settlement.report import as_text
from settlement.settings import load


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
    operator: OperatorOption = None,
    until: Annotated[
        str | None, typer.Option(metavar="STEP", help=f"Stop after this step: {', '.join(Step)}.")
    ] = None,
) -> None:
    """Settle one business date. Safe to repeat and to interrupt.

    Steps: close_day freezes the date; expire_lots gives back what has expired; credit_cashback recomputes
    every won of cashback and credits it; pay_merchants nets sales, refunds and fees and fixes the bank day;
    emit_files proves the books and leaves the bank's files in the outbox, each ready when its .done is there.
    Then, for this run and for earlier ones, what people and the bank have done meanwhile: approve waits for a
    second person; deliver sends; acknowledge takes the bank's answers, reconcile its statements.
    """
    with exits():
        settings = load(config)
        engine = engine_of(settings)
        try:
            with engine.connect() as connection:
                actor = acting(settings, connection, operator, *(() if dry_run else (Role.MAKER,)))
            with observer() as watching:
                report = run_pipeline(
                    engine,
                    settings,
                    read_date(date_text),
                    programme,
                    dry_run=dry_run,
                    until=_step(until),
                    again=again,
                    actor=actor.name,
                    observer=watching,
                )
        finally:
            engine.dispose()
    typer.echo(report.json().decode() if as_json else as_text(report))
    for one in report.programmes:
        if one.problem:
            typer.echo(f"dure-settlement: {one.programme}: {one.problem}", err=True)
    raise typer.Exit(int(report.exit_code))


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
