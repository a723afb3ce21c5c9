"""`rebate` and `subsidy`: money beside the trade, proposed by one person and approved by another."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from settlement.cli.app import app
from settlement.cli.merchants import ProgrammeOption
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    act,
    exits,
    look,
    one_programme,
    read_date,
    show_json,
)
from settlement.desk import rebates, subsidies
from settlement.desk.merchants import find
from settlement.domain.roles import Role
from settlement.people.identity import Actor
from settlement.reference import load_all
from settlement.settings import Settings
from switch.clock import Clock

rebate = typer.Typer(
    help="Fees given back after a merchant was found to be in a lower class.", no_args_is_help=True
)
subsidy = typer.Typer(help="Funders' gifts to merchants, paid with their next net.", no_args_is_help=True)
app.add_typer(rebate, name="rebate")
app.add_typer(subsidy, name="subsidy")

OneProgramme = Annotated[str | None, typer.Option(help="The programme's id, where there are several.")]
WonOption = Annotated[int, typer.Option("--won", help="The sum that you have seen in the list.")]


def _date(text: str, option: str) -> date:
    found = read_date(text, option)
    assert found is not None  # noqa: S101 (only None gives None)
    return found


@rebate.command("propose")
def propose(
    since: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The first business date.")],
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The last business date.")],
    programme: OneProgramme = None,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Propose what merchants were charged above the class that is theirs as known today.

    A date is held against the class valid on it and the first one after it; the lower one counts. The same
    again proposes nothing.
    """

    def do(connection: Connection, actor: Actor, clock: Clock, _: Settings) -> rebates.Sum:
        span = _date(since, "--since"), _date(until, "--until")
        return rebates.propose(connection, one_programme(connection, programme), *span, actor, clock.now())

    with exits():
        found = act(config, operator, Role.MAKER, do)
    if found.dates:
        typer.echo(
            f"proposed {found.won:,} won to {found.merchants:,} merchants for {found.dates:,} dates:"
            f" another person approves it with `rebate approve --won {found.won}`"
        )
    else:
        typer.echo("nobody was charged above the class: nothing is proposed")


@rebate.command("list")
def list_rebates(
    programme: ProgrammeOption = None, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Show the rebates that wait for approval."""

    def read(connection: Connection, _: Clock, __: Settings) -> dict[str, list[rebates.Proposal]]:
        return {
            facts.programme_id: rebates.waiting_for_approval(connection, facts)
            for facts in load_all(connection, programme)
        }

    with exits():
        found = look(config, read)
    if as_json:
        show_json(found)
        return
    for name, waiting in found.items():
        total = sum(one.won + one.vat for one in waiting)
        typer.echo(f"{name}  rebates that wait for approval: {total:,} won")
        if waiting:
            typer.echo(f"  {'merchant':<15} {'dates':>6} {'from':<10} {'to':<10} {'fee':>12} {'tax':>10}  by")
        for one in waiting:
            dates = f"{one.dates:>6,} {one.first} {one.last}"
            typer.echo(f"  {one.merchant:<15} {dates} {one.won:>12,} {one.vat:>10,}  {one.proposed_by[:20]}")


@rebate.command("approve")
def approve_rebates(
    won: WonOption,
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's.")] = None,
    programme: OneProgramme = None,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Approve rebates that another person has proposed; the next run pays them."""

    def do(connection: Connection, actor: Actor, clock: Clock, _: Settings) -> rebates.Sum:
        number = find(connection, merchant).merchant_no if merchant else None
        facts = one_programme(connection, programme)
        return rebates.approve(connection, facts, won, actor, clock.now(), merchant_no=number)

    with exits():
        found = act(config, operator, Role.APPROVER, do)
    typer.echo(f"approved {found.won:,} won to {found.merchants:,} merchants: the next run pays it")


@subsidy.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help=f"CSV (UTF-8) with the heading {','.join(subsidies.COLUMNS)}.")
    ],
    programme: OneProgramme = None,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Propose the gifts of a file: all or, if one line is wrong, none. The same again adds nothing."""

    def do(connection: Connection, actor: Actor, clock: Clock, _: Settings) -> subsidies.Imported:
        facts = one_programme(connection, programme)
        return subsidies.add(connection, facts, file, subsidies.read(file), actor, clock.now())

    with exits():
        done = act(config, operator, Role.MAKER, do)
    told = f"{done.added:,} gifts of {done.won:,} won proposed"
    if done.known:
        told += f", {done.known:,} were there before"
    typer.echo(told + (": another person approves them with `subsidy approve`" if done.added else ""))


@subsidy.command("list")
def list_subsidies(
    programme: ProgrammeOption = None, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Show the gifts that wait for approval."""

    def read(connection: Connection, _: Clock, __: Settings) -> dict[str, list[subsidies.Waiting]]:
        return {
            facts.programme_id: subsidies.waiting_for_approval(connection, facts)
            for facts in load_all(connection, programme)
        }

    with exits():
        found = look(config, read)
    if as_json:
        show_json(found)
        return
    for name, waiting in found.items():
        total = sum(one.won for one in waiting)
        typer.echo(f"{name}  subsidies that wait for approval: {total:,} won")
        if waiting:
            typer.echo(f"  {'reference':<24} {'merchant':<15} {'funder':<12} {'won':>13}  by, about")
        for one in waiting:
            who = f"{one.reference[:24]:<24} {one.merchant:<15} {one.funder[:12]:<12}"
            typer.echo(f"  {who} {one.won:>13,}  {one.proposed_by[:12]}, {one.about[:32]}")


@subsidy.command("approve")
def approve_subsidies(
    won: WonOption,
    reference: Annotated[str | None, typer.Option(help="Only this gift.")] = None,
    programme: OneProgramme = None,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Approve gifts that another person has proposed; the next run pays them."""

    def do(connection: Connection, actor: Actor, clock: Clock, _: Settings) -> int:
        facts = one_programme(connection, programme)
        return subsidies.approve(connection, facts, won, actor, clock.now(), reference=reference)

    with exits():
        items = act(config, operator, Role.APPROVER, do)
    typer.echo(f"approved {items:,} gifts of {won:,} won: the next run pays them")
