"""dure-switch: the command line of the switch, for operators and for the programs that drive it."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from switch.cli import (
    batches,
    budget,
    campaign,
    correct,
    data,
    donation,
    draw,
    explain,
    key,
    looking,
    money,
    notify,
    serving,
    simulate,
    transfer,
    vault,
    watch,
)
from switch.cli.runtime import CONFIG_VARIABLE, DEFAULT_CONFIG, exit_code_of

app = typer.Typer(
    name="dure-switch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""The card switch and the books of Dure.

    First steps:

    \b
        dure-switch vault new var/vault.keys     keys for card numbers, once
        dure-switch init                         the database's schema, once
        dure-switch check-config                 is everything in place?
        dure-switch programme apply config/programmes/seoro.toml
        dure-switch import merchants config/examples/merchants.csv
        dure-switch serve

    Exit codes: 0 done, 1 a fault of the program, 2 wrong use or bad input (nothing was changed), 4 the books
    do not balance, 75 database or HSM unavailable (try again), 78 bad configuration. Results go to stdout,
    errors, progress and logs to stderr.""",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dure-switch {version('dure')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option("--config", envvar=CONFIG_VARIABLE, help="The settings; may stand anywhere.")
    ] = DEFAULT_CONFIG,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = config


app.command("serve")(serving.serve)
app.command("notify")(notify.notify)
app.command("init")(serving.init)
app.command("migrate")(serving.migrate)
app.command("stop-database")(serving.stop_database)
app.command("check-config")(serving.check_config)
app.command("proof")(serving.proof)
app.command("entries")(looking.entries)
app.command("batches")(batches.batches)
app.command("export")(transfer.export)
app.command("import-programme")(transfer.import_programme)
app.command("explain")(explain.explain)
app.add_typer(simulate.programme, name="programme")
app.add_typer(data.imports, name="import")
app.add_typer(campaign.campaign, name="campaign")
app.add_typer(budget.budget, name="budget")
app.add_typer(money.money, name="money")
app.add_typer(correct.correct, name="correct")
app.add_typer(donation.donation, name="donation")
app.add_typer(draw.draw, name="draw")
app.add_typer(looking.wallet, name="wallet")
app.add_typer(looking.payment, name="payment")
app.add_typer(looking.merchant, name="merchant")
app.add_typer(looking.card, name="card")
app.add_typer(notify.hotlist, name="hotlist")
app.add_typer(notify.estate, name="estate")
app.add_typer(key.key, name="key")
app.add_typer(vault.vault, name="vault")
app.add_typer(serving.clock, name="clock")
app.add_typer(watch.watch, name="watch")


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code and never raises for what an operator did."""
    return exit_code_of(lambda: app(args=_config_first(arguments), prog_name="dure-switch"))


def main() -> None:
    """The entry point of the `dure-switch` script."""
    sys.exit(run(sys.argv[1:]))


def _config_first(arguments: Sequence[str]) -> list[str]:
    """--config belongs to the program, but people write it behind the command."""
    moved: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest.append(argument)
            rest.extend(waiting)
        elif argument == "--config":
            moved += [argument, *[value for value in [next(waiting, None)] if value is not None]]
        elif argument.startswith("--config="):
            moved.append(argument)
        else:
            rest.append(argument)
    return [*moved, *rest]
