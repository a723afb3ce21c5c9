"""Commands that correct cashback after a wrong rate was live: propose, look, approve, post."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson, Programme
from switch.cli.output import progress, show_json, show_table
from switch.cli.runtime import open_books, operator
from switch.domain.money import WON_MAX
from switch.service.review import correct as service
from switch.service.review.correct import Proposal
from switch.service.review.correct_list import sums, write_lines, write_messages
from switch.service.review.correct_post import post as post_correction

correct = typer.Typer(
    no_args_is_help=True, help="Corrections of cashback by a wrong rate: two people, compensating entries."
)

MEMBERS_SHOWN = 20
LISTED_MAX = 1_000

Number = Annotated[int, typer.Argument(metavar="N", min=1, help="The correction's number.")]
By = Annotated[
    str | None, typer.Option("--by", help="Your name, as it goes into the record; else your login.")
]
Notify = Annotated[
    Path | None,
    typer.Option("--notify", help="Write member, won and a message in Korean and English to this CSV."),
]


@correct.command("propose")
def propose(
    context: typer.Context,
    programme: Programme,
    since: Annotated[str, typer.Option("--from", help="The first instant, e.g. 2026-07-01T00:00+09:00.")],
    until: Annotated[str, typer.Option("--to", help="The instant at which it ends, itself not included.")],
    version: Annotated[str, typer.Option("--as-version", help="The applied version that is right.")],
    group: Annotated[str, typer.Option(help="Only payments at merchants of this group.")] = "",
    category: Annotated[str, typer.Option(help="Only payments at merchants of this category.")] = "",
    forgive_below: Annotated[
        int, typer.Option(min=0, max=WON_MAX, help="Members who got less than this too much keep it (won).")
    ] = 0,
    owe: Annotated[
        bool, typer.Option("--owe/--waive", help="What points do not cover is owed, or let go.")
    ] = True,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Find the payments that another version judged, and what they should have got. Nothing is booked.

    \b
        dure-switch correct propose --programme seoro --as-version 2026-07 \\
            --from 2026-07-01T00:00+09:00 --to 2026-07-01T03:00+09:00

    Each payment is rated again from its stored basis and its place in the month; what has come back of it is
    counted in. Run it once more after a posting, and it finds what refunds have changed since.
    """
    wanted = service.Wanted(
        programme_id=programme,
        since=_instant("--from", since),
        until=_instant("--to", until),
        version=version,
        group=group,
        category=category,
        forgive_below=forgive_below,
        owe=owe,
    )
    with open_books(context) as books, progress("looking") as advance:
        found = service.propose(books.engine, wanted, by or operator(), books.now(), advance)
    _show(found, as_json=as_json)


@correct.command("list")
def list_all(
    context: typer.Context,
    programme: Annotated[str | None, typer.Option(help="Of this programme.")] = None,
    last: Annotated[int, typer.Option(min=1, max=LISTED_MAX, help="How many, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List corrections, the newest first.

    Example:  dure-switch correct list --programme seoro
    """
    with open_books(context) as books:
        found = service.proposals(books.engine, programme, last)
    if as_json:
        show_json(found)
        return
    show_table(
        "Corrections",
        (
            *("number", "programme", "version", "from", "to"),
            *("payments", "members", "too much", "too little", "state"),
        ),
        [
            (
                *(f"{one.number}", one.programme, one.version, one.since, one.until),
                *(one.payments, one.members, one.over, one.under, one.state),
            )
            for one in found
        ],
    )


@correct.command("show")
def show(
    context: typer.Context,
    number: Number,
    lines: Annotated[Path | None, typer.Option("--csv", help="Write every line to this CSV.")] = None,
    notify: Notify = None,
    as_json: AsJson = False,
) -> None:
    """Show a correction by funder and by member, the largest differences first.

    Example:  dure-switch correct show 3 --csv correction-3.csv
    """
    with open_books(context) as books:
        found = service.proposal(books.engine, number)
        added = sums(books.engine, number)
        for path, write in ((lines, write_lines), (notify, write_messages)):
            if path is not None:
                typer.echo(f"{write(books.engine, number, path):,} rows written to {path}", err=True)
    if as_json:
        show_json({"correction": found, "sums": added})
        return
    _show(found, as_json=False)
    show_table(
        "By funder (won that it pays; negative: gets back)",
        ("funder", "budget", "proposed", "booked"),
        [(one.funder, one.budget, one.won, one.booked) for one in added.funders],
    )
    show_table(
        f"By member (the first {MEMBERS_SHOWN} of {len(added.members):,})",
        ("member", "payments", "proposed", "booked", "waived"),
        [
            (one.member, one.payments, one.won, one.booked, one.waived)
            for one in added.members[:MEMBERS_SHOWN]
        ],
    )


@correct.command("approve")
def approve(context: typer.Context, number: Number, by: By = None, as_json: AsJson = False) -> None:
    """Approve a correction that somebody else has proposed. It is refused if the books have changed since.

    Example:  dure-switch correct approve 3
    """
    with open_books(context) as books, progress("checking") as advance:
        found = service.approve(books.engine, number, by or operator(), books.now(), advance)
    _show(found, as_json=as_json)


@correct.command("post")
def post(context: typer.Context, number: Number, notify: Notify = None, as_json: AsJson = False) -> None:
    """Book an approved correction: won too little become points, won too much are taken from points.

    A run that was stopped is finished by the same command; nothing is booked twice. Example:

        dure-switch correct post 3 --notify messages.csv
    """
    with open_books(context) as books, progress("posting") as advance:
        done = post_correction(books.engine, number, operator(), books.now, advance)
        if notify is not None:
            typer.echo(f"{write_messages(books.engine, number, notify):,} messages in {notify}", err=True)
    if as_json:
        show_json(done)
        return
    show_table(
        f"Correction {number}, booked by this run",
        ("", ""),
        [
            ("payments", done.payments),
            ("given to members", done.given),
            ("taken from members", done.taken),
            ("of it owed by members", done.owed),
            ("let go", done.waived),
            ("lacking in budgets", done.short),
            ("payments left out, changed since: propose again", done.left_out),
        ],
    )


def _instant(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(f"{name} {text!r} is no instant: write 2026-07-01T00:00+09:00")
    return found


def _show(one: Proposal, *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    scope = ", ".join(part for part in (one.group, one.category) if part) or "all merchants"
    beyond = "owed by the member" if one.owe else "let go"
    show_table(
        f"Correction {one.number} of {one.programme}: {one.state}",
        ("", ""),
        [
            ("right by version", one.version),
            ("payments from", one.since),
            ("to before", one.until),
            ("at", scope),
            ("payments", one.payments),
            ("members", one.members),
            ("won too much", one.over),
            ("won too little", one.under),
            ("forgiven below", one.forgive_below),
            ("what points do not cover", beyond),
            ("proposed by", one.proposed_by),
            ("approved by", one.approved_by or "nobody yet"),
            ("sha256", one.sha256),
        ],
    )
