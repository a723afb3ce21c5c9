"""Commands for donation cases: open, list, show, close, give, receipts."""

from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson, Programme, read_day
from switch.cli.output import show_json, show_table
from switch.cli.runtime import open_books, operator
from switch.service.admin import RefusedError
from switch.service.giving.case_file import case_of, read_cases
from switch.service.giving.cases import CaseView, case_views, close_case, open_cases
from switch.service.giving.donations import donate
from switch.service.giving.receipts import write_receipts
from switch.service.import_files import Problems

donation = typer.Typer(no_args_is_help=True, help="Donation cases: what members give to.")

Code = Annotated[str, typer.Argument(metavar="CASE", help="The case's code.")]


@donation.command("open")
def donation_open(
    context: typer.Context,
    programme: Programme,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A CSV of cases: code,kind,title,text,target,deadline,merchant_id."
        ),
    ] = None,
    code: Annotated[str, typer.Option(help="1 to 20 of A-Z, 0-9 and -; terminals send it.")] = "",
    kind: Annotated[str, typer.Option(help="What kind of need, e.g. medical.")] = "",
    title: Annotated[str, typer.Option(help="One line.")] = "",
    text: Annotated[str, typer.Option(help="The case in a few sentences.")] = "",
    target: Annotated[str, typer.Option(help="Won that it needs.")] = "",
    deadline: Annotated[str, typer.Option(help="Its last day, YYYY-MM-DD.")] = "",
    merchant: Annotated[str, typer.Option(help="The donation merchant who gets the money (DE42).")] = "",
    as_json: AsJson = False,
) -> None:
    """Open donation cases, from a file or one by options. All or none; safe to run again.

    The merchant must be in the policy's donation_group. What a case was opened with never changes. Examples:

    \b
        dure-switch donation open --programme seoro cases.csv
        dure-switch donation open --programme seoro --code HEART-7 --kind medical --title "수술비" \\
            --text "…" --target 3000000 --deadline 2026-12-31 --merchant SHARE-01
    """
    options = {
        "code": code, "kind": kind, "title": title, "text": text, "target": target, "deadline": deadline,
        "merchant_id": merchant,
    }  # fmt: skip
    if file is not None and any(options.values()):
        raise typer.BadParameter("name a file or the options of one case, not both")
    cases, problems = read_cases(file) if file is not None else ([case_of(options)], Problems("options"))
    with open_books(context) as books:
        done = open_cases(books.engine, programme, cases, problems, actor=operator(), now=books.now())
    if as_json:
        show_json(done)
    else:
        typer.echo(f"{done.opened:,} opened, {done.unchanged:,} stood already")


@donation.command("list")
def donation_list(context: typer.Context, programme: Programme, as_json: AsJson = False) -> None:
    """List the cases with their totals, the nearest deadline first.

    Example:  dure-switch donation list --programme seoro
    """
    with open_books(context) as books:
        found = case_views(books.engine, programme)
    if as_json:
        show_json(found)
        return
    columns = ("case", "kind", "title", "state", "until", "target", "given", "left", "gifts", "members")
    rows = [
        (
            *(one.code, one.kind, one.title, one.state, one.deadline, one.target, one.given, one.left),
            *(one.gifts, one.members),
        )
        for one in found
    ]
    show_table(f"Donation cases of {programme}", columns, rows)


@donation.command("show")
def donation_show(context: typer.Context, code: Code, programme: Programme, as_json: AsJson = False) -> None:
    """Show a case and what was given to it.

    Example:  dure-switch donation show HEART-7 --programme seoro
    """
    with open_books(context) as books:
        (found,) = case_views(books.engine, programme, code)
    _show(found, as_json)


@donation.command("close")
def donation_close(context: typer.Context, code: Code, programme: Programme, as_json: AsJson = False) -> None:
    """Close a case for good: it takes no gift any more. What was given stays given.

    Example:  dure-switch donation close HEART-7 --programme seoro
    """
    with open_books(context) as books:
        found = close_case(books.engine, programme, code, actor=operator(), now=books.now())
    _show(found, as_json)


@donation.command("give")
def donation_give(
    context: typer.Context,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")],
    code: Code,
    won: Annotated[int, typer.Argument(metavar="WON", min=1, help="Won to give.")],
    programme: Programme,
    reference: Annotated[str, typer.Option("--reference", help="Your own reference: it is booked once.")],
    points: Annotated[bool, typer.Option("--points", help="From points only.")] = False,
    charged: Annotated[bool, typer.Option("--charged", help="From charged money only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a member's money to a case, as the member asked. All of it or nothing, once by the reference.

    Example:  dure-switch donation give M-0001 HEART-7 5000 --points --programme seoro --reference app-9012
    """
    if points and charged:
        raise typer.BadParameter("name --points or --charged, or neither for the programme's order")
    kind = "points" if points else "charged" if charged else ""
    with open_books(context) as books:
        done = donate(
            books.engine,
            programme,
            member,
            code,
            won,
            reference,
            kind=kind,
            actor=operator(),
            now=books.now(),
        )
    if as_json:
        show_json(done)
        return
    booked = "was given before" if done.done_before else "given"
    typer.echo(
        f"{done.won:,} won {booked} by {member} to {code} on {done.booked_on}:"
        f" {done.points:,} points, {done.charged:,} charged; the case still needs {done.left:,}"
    )


@donation.command("receipts")
def donation_receipts(
    context: typer.Context,
    programme: Programme,
    first: Annotated[str, typer.Option("--from", help="First business date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last business date, YYYY-MM-DD.")],
    out: Annotated[Path, typer.Option("--out", help="The CSV to write.")],
    case: Annotated[str, typer.Option("--case", help="Of this case only.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write the receipts of gifts, numbered without gap in each year, once a gift's date is closed.

    Example:  dure-switch donation receipts --programme seoro --from 2026-01-01 --to 2026-12-31 --out r.csv
    """
    begin, end = read_day(first), read_day(last)
    if begin is None or end is None:
        raise RefusedError("--from and --to name days: write them as YYYY-MM-DD")
    with open_books(context) as books:
        done = write_receipts(books.engine, programme, begin, end, case, out)
    if as_json:
        show_json(done)
        return
    typer.echo(
        f"{done.file}: {done.receipts:,} receipts, {done.won:,} won; {done.cancelled:,} cancelled,"
        f" {done.new:,} numbered now"
    )
    if done.open:
        typer.echo(f"{done.open:,} gifts of dates that are not closed yet wait for theirs", err=True)


def _show(one: CaseView, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    facts: list[tuple[str, object]] = [
        ("kind", one.kind),
        ("title", one.title),
        ("text", one.text),
        ("merchant", one.merchant),
        ("state", one.state),
        ("last day", one.deadline),
        ("target", one.target),
        ("given", one.given),
        ("still needed", one.left),
        ("from points", one.points),
        ("from charged money", one.charged),
        ("gifts", one.gifts),
        ("members", one.members),
        ("gifts taken back", one.returned),
        ("opened", f"{one.opened_at:%Y-%m-%d %H:%M} by {one.opened_by}"),
    ]
    if one.closed_at is not None:
        facts.append(("closed", f"{one.closed_at:%Y-%m-%d %H:%M} by {one.closed_by}"))
    show_table(f"Donation case {one.code}", ("", ""), facts)
