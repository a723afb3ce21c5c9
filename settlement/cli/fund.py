"""`fund`: what funders have paid in ahead for cashback."""

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
    engine_of,
    exits,
)
from settlement.desk import prepayment
from settlement.domain.roles import Role
from settlement.people.audit import note as note_audit
from settlement.pipeline import clock_of
from settlement.reference import load_all
from settlement.settings import load

fund = typer.Typer(help="What funders have paid in ahead for cashback.", no_args_is_help=True)
app.add_typer(fund, name="fund")


@fund.command("note")
def note(
    funder: Annotated[str, typer.Argument(help="The funder's id, as the programme file names it.")],
    won: Annotated[int, typer.Argument(help="Whole won.")],
    programme: Annotated[str, typer.Option(help="The programme's id.")],
    reference: Annotated[str, typer.Option(help="What names this payment; it is booked once.")],
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Note money that a funder has paid in, where the bank sends no statements (camt.053) of its account."""
    with exits():
        settings = load(config)
        engine = engine_of(settings)
        with engine.connect() as connection:
            clock = clock_of(connection, settings)
            actor = acting(settings, connection, operator, Role.RECONCILER)
            with connection.begin():
                facts = load_all(connection, programme)[0]
                new = prepayment.note(
                    connection, facts, funder, won, reference, actor=actor.name, now=clock.now()
                )
                if new:
                    detail = {"programme": programme, "won": won, "reference": reference}
                    note_audit(connection, clock.now(), actor.name, "fund note", funder, detail)
    typer.echo(
        f"{funder} has paid in {won:,} won ({reference}); the next run uses it"
        if new
        else f"{reference} was noted before: nothing changed"
    )


@fund.command("list")
def list_(
    programme: Annotated[str | None, typer.Option(help="One programme's id. Default: all.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show what each funder has paid in and used, and what cashback waits for its money."""
    with exits():
        settings = load(config)
        engine = engine_of(settings)
        with engine.connect() as connection:
            clock_of(connection, settings)
            with connection.begin():
                found = [
                    one
                    for facts in load_all(connection, programme)
                    for one in prepayment.standing(
                        connection, facts, frozenset(settings.funding.get(facts.programme_id, ()))
                    )
                ]
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    typer.echo(
        f"{'programme':<12} {'funder':<12} {'paid in':>16} {'used':>16} {'left':>16}  cashback that waits"
    )
    for one in found:
        waits = f"{one.waiting:,} won since {one.waiting_since}" if one.waiting_dates else "-"
        if not one.ahead and not one.waiting_dates:
            waits = "- (billed, pays nothing in ahead)"
        sums = f"{one.paid_in:>16,} {one.used:>16,} {one.left:>16,}"
        typer.echo(f"{one.programme:<12} {one.funder:<12} {sums}  {waits}")
