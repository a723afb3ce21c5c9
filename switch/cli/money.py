"""Commands that move members' money: refund of what they charged, gifts from one to another."""

from typing import Annotated

import typer

from switch.cli.options import AsJson, Programme
from switch.cli.output import show_json, show_table
from switch.cli.runtime import open_books, operator
from switch.service.giving.gift import gift
from switch.service.giving.refund import RefundReport, refund

money = typer.Typer(no_args_is_help=True, help="Members' money: refunds of what they charged, gifts.")


@money.command("refund")
def money_refund(
    context: typer.Context,
    programme: Programme,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")],
    topup: Annotated[str, typer.Option("--topup", help="Only the top-up with this outside reference.")] = "",
    lot: Annotated[int, typer.Option("--lot", min=0, help="Only this lot, as `wallet show` lists it.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be paid back; book nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pay charged money back: unused lots within some days, others once most of them is spent.

    Each lot goes by the policy in force when it was opened. The money leaves the safeguarded account: pay the
    member that much. Exit code 2 and the reasons where nothing may be paid back. Examples:

    \b
        dure-switch money refund --programme seoro M-0001 --dry-run
        dure-switch money refund --programme seoro M-0001 --lot 3
    """
    if topup and lot:
        raise typer.BadParameter("name --topup or --lot, not both")
    with open_books(context) as books:
        report = refund(
            books.engine,
            programme,
            member,
            actor=operator(),
            now=books.now(),
            lot_no=lot,
            topup=topup,
            dry_run=dry_run,
        )
    show_json(report) if as_json else _show_refund(report)


def _show_refund(report: RefundReport) -> None:
    columns = ("lot", "opened", "granted", "left", "paid back", "why not")
    rows = [
        (f"{one.lot_no}", f"{one.opened}", one.granted, one.balance, one.won, one.why) for one in report.lots
    ]
    show_table(f"Lots of {report.member}", columns, rows)
    kept = f", {report.kept:,} of it kept for what the member owes" if report.kept else ""
    verb = "pay the member" if report.booked else "would be paid to the member:"
    typer.echo(f"{report.won:,} won out of lots{kept}; {verb} {report.paid:,} won")


@money.command("gift")
def money_gift(
    context: typer.Context,
    programme: Programme,
    giver: Annotated[str, typer.Argument(metavar="FROM", help="The member who gives.")],
    receiver: Annotated[str, typer.Argument(metavar="TO", help="The member who receives.")],
    won: Annotated[int, typer.Argument(metavar="WON", min=1, help="How much.")],
    reference: Annotated[str, typer.Option("--reference", help="Makes the gift happen once, however often.")],
    points: Annotated[bool, typer.Option("--points", help="Points instead of charged money.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give one member's money to another. It keeps its kind and its earliest end, and cannot be refunded.

    Example:  dure-switch money gift --programme seoro M-0001 M-0002 10000 --reference G-17
    """
    with open_books(context) as books:
        done = gift(
            books.engine,
            programme,
            giver,
            receiver,
            won,
            reference,
            points=points,
            actor=operator(),
            now=books.now(),
        )
    if as_json:
        show_json(done)
        return
    when = f"was booked already, on {done.booked_on}" if done.done_before else f"booked on {done.booked_on}"
    typer.echo(f"{done.reference}: {done.won:,} won of {done.kind} value from {giver} to {receiver}, {when}")
