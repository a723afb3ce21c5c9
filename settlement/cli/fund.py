"""`fund`: what funders have paid in ahead for cashback."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    act,
    exits,
    look,
    one_programme,
    show_json,
)
from settlement.desk import prepayment
from settlement.domain.roles import Role
from settlement.people.audit import note as note_audit
from settlement.people.identity import Actor
from settlement.reference import load_all
from settlement.settings import Settings
from switch.clock import Clock

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

    def do(connection: Connection, actor: Actor, clock: Clock, _: Settings) -> bool:
        facts, now = one_programme(connection, programme), clock.now()
        new = prepayment.note(connection, facts, funder, won, reference, actor=actor.name, now=now)
        if new:
            detail = {"programme": programme, "won": won, "reference": reference}
            note_audit(connection, now, actor.name, "fund note", funder, detail)
        return new

    with exits():
        new = act(config, operator, Role.RECONCILER, do)
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

    def read(connection: Connection, _: Clock, settings: Settings) -> list[prepayment.Standing]:
        return [
            one
            for facts in load_all(connection, programme)
            for one in prepayment.standing(
                connection, facts, frozenset(settings.funding.get(facts.programme_id, ()))
            )
        ]

    with exits():
        found = look(config, read)
    if as_json:
        show_json(found)
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
