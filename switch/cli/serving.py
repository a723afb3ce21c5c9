"""Commands that run the switch and keep its ground: serve, init, migrate, keys, clock, proof."""

from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson
from switch.cli.output import show_json, show_table
from switch.cli.runtime import EXIT_PROOF, UnavailableError, exit_with, open_books, opened_engine, settings_of
from switch.clock import parse_instant, set_simulated
from switch.service import vault as vaults
from switch.service.admin import RefusedError, is_simulation
from switch.settings import ConfigError, effective
from switch.store.engine import stop_embedded

clock = typer.Typer(no_args_is_help=True, help="The simulated clock of a simulation.")


def serve(context: typer.Context) -> None:
    """Run the switch until SIGTERM or SIGINT; work in flight is finished first.

    Needs `init` and a vault key file; an HSM may come later. Example:

        dure-switch --config config/switch.toml serve
    """
    from switch.bootstrap import serve as run_switch

    with open_books(context) as books:
        settings = books.settings  # a database that nobody made ready is told from one that is away
    try:
        run_switch(settings)
    except OSError as error:
        ports = ", ".join(f"{one.host}:{one.port}" for one in settings.listener)
        raise UnavailableError(
            f"cannot listen on {ports} ({error.strerror}): free the port or set another"
        ) from None


def init(
    context: typer.Context,
    simulation: Annotated[
        bool, typer.Option("--simulation", help="Mark a fresh database as a simulation, for good.")
    ] = False,
) -> None:
    """Make the database ready: schema, roles, and its mark as real or simulation. Safe to run again.

    Example:  dure-switch init --simulation
    """
    from switch.store.migrate import mark, missing_revisions, upgrade

    settings = settings_of(context)
    with opened_engine(settings, None) as engine:
        missing = missing_revisions(engine)
        upgrade(engine)
        mark(engine, simulation=simulation)
        stands = is_simulation(engine)
    if simulation and not stands:
        raise RefusedError(
            "this database is marked as real, for good: --simulation needs a fresh one (another database.url)"
        )
    done = f"applied {', '.join(missing)}" if missing else "nothing to apply"
    typer.echo(f"{done}; the database is {'a simulation' if stands else 'marked as real'}")


def migrate(context: typer.Context) -> None:
    """Bring the database to the schema of this program. Safe to run again.

    Stop the switch first. Example:  dure-switch migrate
    """
    from switch.store.migrate import missing_revisions, upgrade

    with opened_engine(settings_of(context), None) as engine:
        missing = missing_revisions(engine)
        upgrade(engine)
    typer.echo(f"applied {', '.join(missing)}" if missing else "nothing to apply")


def stop_database(context: typer.Context) -> None:
    """Stop the embedded database server, after the programs that use it.

    Example:  dure-switch stop-database
    """
    settings = settings_of(context)
    stop_embedded(settings.database_url())
    typer.echo(
        "stopped" if settings.database.url.startswith("embedded:") else "not an embedded server: left alone"
    )


def check_config(context: typer.Context) -> None:
    """Check the configuration and the files it names; print the values in force, secrets left out.

    Exit code 78 and one line if something is wrong. Example:

        dure-switch --config config/switch.toml check-config
    """
    from switch.server import load_tls

    settings = settings_of(context)
    settings.database_url()
    for listener in settings.listener:
        if listener.tls is not None:
            load_tls(listener.tls)
    vaults.Vault.load(Path(settings.vault.key_file))
    show_json(effective(settings))


@clock.command("set")
def clock_set(
    context: typer.Context,
    instant: Annotated[str, typer.Argument(help="An ISO 8601 instant with offset.")],
) -> None:
    """Set the simulated clock. Refused unless the settings ask for one and the database is a simulation.

    Example:  dure-switch clock set 2026-11-20T12:00:00+09:00
    """
    parsed = parse_instant(instant)
    with open_books(context) as books:
        if books.settings.clock.mode != "simulated":
            raise ConfigError('clock.mode is "system": only clock.mode = "simulated" can be set')
        if not books.simulation:
            books.now()  # refuses, and says why
        set_simulated(Path(books.settings.clock.file), parsed)
    typer.echo(parsed.isoformat())


@clock.command("show")
def clock_show(context: typer.Context) -> None:
    """Show what time it is for the switch.

    Example:  dure-switch clock show
    """
    with open_books(context) as books:
        typer.echo(books.now().isoformat())


def proof(context: typer.Context, as_json: AsJson = False) -> None:
    """Prove that the books balance: totals, every lot against its entries, the chain of closed days.

    Exit code 4 if anything does not. Runs beside a working switch. Example:

        dure-switch proof --json
    """
    from switch.service.proofs import run

    with open_books(context) as books:
        report = run(books.engine)
    if as_json:
        show_json(report)
    else:
        balances = [(one.account, one.debit, one.credit, one.balance) for one in report.balances]
        show_table("Balances in won", ("account", "debit", "credit", "balance"), balances)
        checks = [(one.name, one.about, one.rows, one.broken) for one in report.checks]
        show_table("Checks", ("check", "what must hold", "looked at", "broken"), checks)
        for one in report.checks:
            for example in one.examples:
                typer.echo(f"  {one.name}: {example}")
        verdict = "the books balance" if report.ok else "THE BOOKS DO NOT BALANCE: stop settling and look"
        typer.echo(f"{report.entries:,} entries, {report.payments:,} payments: {verdict}")
    exit_with(0 if report.ok else EXIT_PROOF)
