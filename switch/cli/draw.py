"""Commands for prize draws: announce, close, run, verify, list, show, tickets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson, Programme, read_day
from switch.cli.output import show_json, show_table
from switch.cli.runtime import EXIT_PROOF, exit_with, open_books, operator
from switch.domain.draw import DrawError, Rules
from switch.service.admin import RefusedError
from switch.service.draw import steps
from switch.service.draw.files import DrawnTicket
from switch.service.draw.verify import verify

draw = typer.Typer(no_args_is_help=True, help="Prize draws that anyone can repeat.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The draw's name.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of what is published.")]


@draw.command("announce")
def draw_announce(
    context: typer.Context,
    name: Name,
    programme: Programme,
    first: Annotated[str, typer.Option("--from", help="First day of the payments, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day of the payments, YYYY-MM-DD.")],
    prizes: Annotated[int, typer.Option("--prizes", min=1, help="How many prizes.")],
    seed_file: Annotated[
        Path, typer.Option("--seed-file", help="The secret seed; made there if there is no such file.")
    ],
    out: Out,
    per_won: Annotated[int, typer.Option("--per-won", min=0, help="One ticket for each so many won.")] = 0,
    per_payment: Annotated[bool, typer.Option("--per-payment", help="One ticket for each payment.")] = False,
    min_won: Annotated[int, typer.Option("--min-won", min=0, help="Payments below earn no ticket.")] = 0,
    several: Annotated[bool, typer.Option("--several", help="A member may win several prizes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Announce a draw before its period is over: publish its rules and the commitment of its seed.

    Publish DIR/announcement.json. Keep the seed file secret, in two copies: without it there is no draw.
    Whoever keeps it should not be who closes the list. Example:

    \b
        dure-switch draw announce summer --programme seoro --from 2026-07-01 --to 2026-07-31 \\
            --prizes 100 --per-won 10000 --seed-file /secret/summer.seed --out /srv/draws/summer
    """
    if bool(per_won) == per_payment:
        raise typer.BadParameter("name --per-won or --per-payment, one of them")
    starts, ends = read_day(first), read_day(last)
    if starts is None or ends is None:
        raise typer.BadParameter("--from and --to name days: write them as YYYY-MM-DD")
    with open_books(context) as books, _seeds():
        said = steps.announce(
            *(books.engine, programme, name, starts, ends, prizes, Rules(per_won, min_won)),
            once=not several,
            seed_file=seed_file,
            out=out,
            actor=operator(),
            now=books.now(),
        )
    if as_json:
        show_json(said)
        return
    typer.echo(f"publish {out}/announcement.json; commitment {said.commitment}")
    typer.echo(f"keep {seed_file} secret until the draw")


@draw.command("close")
def draw_close(
    context: typer.Context, name: Name, programme: Programme, out: Out, as_json: AsJson = False
) -> None:
    """Fix the ticket list, once the period's business dates are closed, and publish DIR/tickets.csv.

    What has been taken back of a payment until now earns no ticket. Example:

        dure-switch draw close summer --programme seoro --out /srv/draws/summer
    """
    with open_books(context) as books:
        tickets, sha256 = steps.close(
            books.engine, programme, name, out=out, actor=operator(), now=books.now()
        )
    if as_json:
        show_json({"file": str(out / "tickets.csv"), "tickets": tickets, "sha256": sha256})
        return
    typer.echo(f"publish {out}/tickets.csv: {tickets:,} tickets, SHA-256 {sha256}")


@draw.command("run")
def draw_run(
    context: typer.Context,
    name: Name,
    programme: Programme,
    out: Out,
    seed_file: Annotated[
        Path | None, typer.Option("--seed-file", help="The seed that was announced.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Reveal the seed, draw, and publish DIR/result.json. Run again, it publishes the same.

    A ticket whose payment was taken back since the list was closed wins nothing: the next one takes its
    place.
    Example:

        dure-switch draw run summer --programme seoro --seed-file /secret/summer.seed --out /srv/draws/summer
    """
    with open_books(context) as books, _seeds():
        done = steps.run(
            books.engine, programme, name, seed_file=seed_file, out=out, actor=operator(), now=books.now()
        )
    if as_json:
        show_json(done)
        return
    _show(name, done.drawn)
    given = sum(1 for one in done.drawn if one.prize)
    typer.echo(f"publish {out}/result.json; {given:,} of {done.announcement.prizes:,} prizes drawn")


@draw.command("verify")
def draw_verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the three published files.")],
    as_json: AsJson = False,
) -> None:
    """Repeat a draw from its published files alone, without the books. Exit code 4 if anything differs.

    Example:  dure-switch draw verify /srv/draws/summer
    """
    found = verify(folder)
    if as_json:
        show_json(found)
    else:
        rows = [("holds" if one.holds else "WRONG", one.about) for one in found.checks]
        show_table(f"Draw {found.name}: {found.tickets:,} tickets", ("", "check"), rows)
        for problem in (problem for one in found.checks for problem in one.problems):
            typer.echo(problem, err=True)
        said = f"; {found.cancelled:,} lost meanwhile, as the operator says" if found.cancelled else ""
        typer.echo(f"{found.prizes:,} prizes" + said)
    exit_with(0 if found.ok else EXIT_PROOF)


@draw.command("list")
def draw_list(context: typer.Context, programme: Programme, as_json: AsJson = False) -> None:
    """List the programme's draws, the latest period first.

    Example:  dure-switch draw list --programme seoro
    """
    with open_books(context) as books:
        found = steps.views(books.engine, programme)
    if as_json:
        show_json(found)
        return
    rows = [
        (
            *(one.announcement.name, one.state, one.announcement.first_day, one.announcement.last_day),
            *(one.announcement.prizes, one.tickets),
        )
        for one in found
    ]
    show_table(f"Draws of {programme}", ("draw", "state", "from", "to", "prizes", "tickets"), rows)


@draw.command("show")
def draw_show(context: typer.Context, name: Name, programme: Programme, as_json: AsJson = False) -> None:
    """Show a draw: its rules, its list's hash, its winners.

    Example:  dure-switch draw show summer --programme seoro
    """
    with open_books(context) as books:
        (found,) = steps.views(books.engine, programme, name)
    if as_json:
        show_json(found)
        return
    said = found.announcement
    facts: list[tuple[str, object]] = [
        ("state", found.state),
        ("payments", f"{said.first_day} to {said.last_day}"),
        ("prizes", said.prizes),
        ("a ticket for", f"{said.per_won:,} won" if said.per_won else "a payment"),
        ("of at least, won", said.min_won),
        ("a member wins", "once" if said.once else "any number of times"),
        ("commitment", said.commitment),
        ("tickets", found.tickets),
        ("list's SHA-256", found.list_sha256 or ""),
    ]
    show_table(f"Draw {name}", ("", ""), facts)
    if found.drawn:
        _show(name, found.drawn)


@draw.command("tickets")
def draw_tickets(
    context: typer.Context,
    name: Name,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")],
    programme: Programme,
    as_json: AsJson = False,
) -> None:
    """Tell a member the anonymous id and the tickets that stand for the member in the published list.

    Example:  dure-switch draw tickets summer M-0001 --programme seoro
    """
    with open_books(context) as books:
        found = steps.tickets_of(books.engine, programme, name, member)
    if as_json:
        show_json(found)
        return
    rows = [(first, first + count - 1, count, day) for first, count, day in found.tickets]
    show_table(f"{member} is {found.token}", ("first ticket", "last", "tickets", "day"), rows)


@contextmanager
def _seeds() -> Iterator[None]:
    """A seed that is none is the operator's to correct."""
    try:
        yield
    except DrawError as error:
        raise RefusedError(str(error)) from None


def _show(name: str, drawn: list[DrawnTicket]) -> None:
    rows = [(one.prize or "cancelled", one.ticket, one.member, one.card) for one in drawn]
    show_table(f"Drawn in {name}", ("prize", "ticket", "member", "card"), rows)
