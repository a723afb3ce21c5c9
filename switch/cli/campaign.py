"""Commands for campaigns: issue of coupons and grants, how campaigns stand, an issue taken back."""

from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson, Programme, read_day
from switch.cli.output import progress, show_json, show_table
from switch.cli.runtime import open_books, operator
from switch.service.giving.campaigns import CampaignView, revoke, status, statuses
from switch.service.giving.issue import IssueReport, issue

campaign = typer.Typer(no_args_is_help=True, help="Campaigns: coupons, grants, windows of extra cashback.")

Code = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="The campaign's code, as in the programme's file.")
]


@campaign.command("issue")
def campaign_issue(
    context: typer.Context,
    programme: Programme,
    code: Code,
    members: Annotated[
        Path | None, typer.Option("--members", help="A CSV with the column member_id: these, in its order.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All members.")] = False,
    tag: Annotated[str, typer.Option(help="The members with this tag.")] = "",
    on: Annotated[
        str | None, typer.Option("--on", help="The day of issue, YYYY-MM-DD, from which validity counts.")
    ] = None,
    round_no: Annotated[
        int,
        typer.Option("--round", min=1, help="Which time members get it; up to the campaign's member_max."),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Issue a coupon or grant: to members of a file, with a tag, or all. Nobody gets a round twice.

    The file is checked whole first. Interrupted? Run it again: it goes on with those who have it not yet.
    Members outside the campaign's audience are left out, and the last ones when its money does not suffice.
    Examples:

    \b
        dure-switch campaign issue --programme ontong hope_scholarship --members children.csv
        dure-switch campaign issue --programme ontong sale_coupon --all
    """
    if sum((members is not None, everybody, bool(tag))) != 1:
        raise typer.BadParameter("say for whom: --members FILE, --tag TAG or --all")
    with open_books(context) as books, progress(code) as advance:
        report = issue(
            books.engine,
            programme,
            code,
            actor=operator(),
            now=books.now(),
            members=members,
            tag=tag,
            on=read_day(on),
            round_no=round_no,
            progress=advance,
        )
    show_json(report) if as_json else _show_issue(report)


def _show_issue(report: IssueReport) -> None:
    facts = [
        ("issued", report.issued),
        ("won issued", report.won),
        ("had it already", report.had_it),
        ("not in the audience", report.not_in_audience),
        ("wallet stopped", report.stopped),
        ("too many lots", report.full),
        ("left out: no money for a whole one", report.no_money_for),
    ]
    show_table(f"{report.campaign}, round {report.round}, {report.members:,} members", ("", "members"), facts)
    if report.left_out:
        more = report.no_money_for - len(report.left_out)
        rest = f" … and {more:,} more" if more else ""
        typer.echo(f"first left out for want of money: {', '.join(report.left_out)}{rest}")


@campaign.command("list")
def campaign_list(context: typer.Context, programme: Programme, as_json: AsJson = False) -> None:
    """List a programme's campaigns and how they stand. Amounts in won.

    Example:  dure-switch campaign list --programme ontong
    """
    with open_books(context) as books:
        found = statuses(books.engine, programme)
    if as_json:
        show_json(found)
        return
    columns = ("campaign", "kind", "from", "until", "audience", "issued", "won", "spent", "left in its pot")
    show_table(
        "Campaigns",
        columns,
        [
            (
                *(one.code, one.kind, one.starts[:16], one.ends[:16], one.audience or "all"),
                *(one.issued, one.issued_won, one.spent, "" if one.left is None else f"{one.left:,}"),
            )
            for one in found
        ],
    )


@campaign.command("status")
def campaign_status(
    context: typer.Context, programme: Programme, code: Code, as_json: AsJson = False
) -> None:
    """Show where a campaign's money is: issued, spent, in wallets, expired, taken back, still to be had.

    Example:  dure-switch campaign status --programme ontong sale_coupon
    """
    with open_books(context) as books:
        one = status(books.engine, programme, code)
    show_json(one) if as_json else _show_status(one)


def _show_status(one: CampaignView) -> None:
    rows: list[tuple[str, object]] = [
        ("paid by", one.funder),
        ("from", one.starts),
        ("until", one.ends),
        ("granted" if one.kind == "cashback" else "issued", one.issued_won),
    ]
    if one.kind != "cashback":
        rows += [
            ("issued, lots", one.issued),
            ("spent", one.spent),
            ("in wallets", one.unspent),
            ("of it left over by used coupons", one.over),
            ("expired, back to the funder", one.expired),
            ("revoked, back to the budget", one.revoked),
        ]
    rows.append(("left in its pot", "no pot of its own" if one.left is None else one.left))
    show_table(f"{one.code}: {one.name} ({one.kind})", ("", "won"), rows)


@campaign.command("revoke")
def campaign_revoke(
    context: typer.Context,
    programme: Programme,
    code: Code,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")],
    as_json: AsJson = False,
) -> None:
    """Take back what a member has of a campaign and has not spent; the budget gets it again.

    Example:  dure-switch campaign revoke --programme ontong sale_grant M-0001
    """
    with open_books(context) as books:
        done = revoke(books.engine, programme, code, member, actor=operator(), now=books.now())
    if as_json:
        show_json(done)
        return
    lots = ", ".join(str(lot_no) for lot_no in done.lots)
    typer.echo(f"{done.member}: {done.won:,} won of {done.campaign} taken back (lot {lots})")
