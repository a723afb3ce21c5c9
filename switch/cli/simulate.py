"""Commands that ask what rules would do: simulation over history, the linter, shadow policies."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from switch.cli import data
from switch.cli.data import File
from switch.cli.options import AsJson, Programme, read_day
from switch.cli.output import progress, show_json, show_table
from switch.cli.runtime import UnavailableError, open_books, operator
from switch.domain.lint import lint
from switch.domain.lint_finding import Finding
from switch.service.admin import NotFoundError
from switch.service.programmes import read_programme
from switch.service.review.shadow import AlreadyFollowedError, find, start, stop
from switch.service.review.shadow_report import ShadowReport, report
from switch.service.review.simulate import EXAMPLES_MAX, Wish, simulate
from switch.service.review.simulate_report import FlipRow, SimulationReport
from switch.store.reference_write import find_programmes

Name = Annotated[str, typer.Option("--name", help="The shadow's name.")]

programme = data.programme
shadow = typer.Typer(
    no_args_is_help=True, help="Shadow policies: judge beside the rules in force, and record."
)
programme.add_typer(shadow, name="shadow")


@programme.command("simulate")
def programme_simulate(
    context: typer.Context,
    since: Annotated[str, typer.Option("--from", help="First business date, YYYY-MM-DD.")],
    until: Annotated[str, typer.Option("--to", help="Last business date, YYYY-MM-DD.")],
    file: Annotated[
        Path | None, typer.Argument(help="The programme file to judge by; left out: the rules in force.")
    ] = None,
    programme_id: Annotated[
        str | None, typer.Option("--programme", help="The programme's id, where no file names it.")
    ] = None,
    as_version: Annotated[
        str, typer.Option("--as-version", help="Judge the whole time by this version of the file.")
    ] = "",
    examples: Annotated[
        int, typer.Option(min=1, max=EXAMPLES_MAX, help="Payments to show of each change.")
    ] = 3,
    top: Annotated[int, typer.Option(min=1, max=1_000, help="Members and merchants to show.")] = 10,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that replay.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Replay history by other rules and show the difference. Nothing is changed.

    Without a file it replays the rules in force: what then differs is what the replay cannot know. Example:

        dure-switch programme simulate new.toml --from 2026-10-01 --to 2026-10-31 --as-version 2027-01
    """
    first, last = read_day(since) or date.min, read_day(until) or date.max
    wanted = read_programme(file) if file is not None else None
    name = programme_id or (wanted.programme_id if wanted is not None else "")
    if not name:
        raise typer.BadParameter("name a file, or the programme with --programme")
    wish = Wish(first, last, as_version, examples, top, workers)
    with open_books(context) as books, progress("simulate") as advance:
        told = simulate(books.engine, name, wanted, wish, advance)
    show_json(told) if as_json else _show_simulation(told)


def _show_simulation(told: SimulationReport) -> None:
    rules = f"version {told.as_version}" if told.as_version else "the versions of their days"
    typer.echo(f"{told.programme}, {told.since} to {told.until}, by {rules} of {told.sha256[:12]}")
    show_table(
        "Totals",
        ("", "then", "now", "difference"),
        [
            (what, then, now, now - then)
            for what, then, now in (
                ("declined", told.declined_then, told.declined_now),
                ("won paid", told.won_then, told.won_now),
                ("cashback", told.cashback_then, told.cashback_now),
                *((f"cashback of {one.funder}", one.then, one.now) for one in told.funders),
            )
        ],
    )
    show_table(
        "Answers that change",
        ("now", "reason then", "reason now", "payments", "won"),
        [(one.now, one.reason_then, one.reason_now, one.payments, one.won) for one in told.flips],
    )
    _show_examples(told.flips)
    show_table(
        "Budgets",
        ("budget", "funder", "month", "amount", "granted now", "missed now", "ended then", "ended now"),
        [
            (
                *(one.code, one.funder, one.month, one.amount, one.granted, one.missed),
                *(one.ended_then or "never", one.ended_now or "never"),
            )
            for one in told.budgets
        ],
    )
    show_table(
        "Days",
        (
            "day",
            "payments",
            "declined then",
            "now",
            "cashback then",
            "now",
            "by funder then",
            "by funder now",
        ),
        [
            (
                *(day.day, day.payments, day.declined_then, day.declined_now),
                *(sum(day.cashback_then.values()), sum(day.cashback_now.values())),
                *(_by_funder(day.cashback_then), _by_funder(day.cashback_now)),
            )
            for day in told.days
        ],
    )
    for title, rows in (("Members", told.members), ("Merchants", told.merchants)):
        show_table(
            f"{title} most affected",
            ("id", "refused now", "approved now", "won paid", "cashback"),
            [(one.id, one.refused, one.approved, one.won, one.cashback) for one in rows],
        )
    typer.echo(
        f"{told.payments:,} payments of {told.wallets:,} wallets in {told.seconds:.0f} s; as booked:"
        f" {told.as_booked:,}; no longer happen, for what they follow does not: {told.fell_away:,};"
        f" another amount: {told.other_amount:,}"
    )
    for line in told.modelled:
        typer.echo(f"  · {line}")


def _by_funder(won: dict[str, int]) -> str:
    return ", ".join(f"{funder} {part:,}" for funder, part in won.items())


def _show_examples(flips: tuple[FlipRow, ...]) -> None:
    rows = [
        (
            *(one.now, one.reason_then if one.now == "approved" else one.reason_now, each.when, each.rrn),
            *(each.kind, each.member, each.card, each.merchant, each.amount, each.limit, each.short),
        )
        for one in flips
        for each in one.examples
    ]
    columns = ("now", "reason", "when", "rrn", "kind", "member", "card", "merchant", "won", "limit", "short")
    show_table("Examples", columns, rows)


@programme.command("lint")
def programme_lint(
    context: typer.Context,
    file: File,
    books_too: Annotated[
        bool, typer.Option("--books", help="Ask the books too: members of groups, what last month cost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look for traps in a programme file that is correct as such. Exit code 0 whatever it finds.

    Example:  dure-switch programme lint config/programmes/seoro.toml --books
    """
    wanted = read_programme(file)
    facts = None
    if books_too:
        from switch.service.review.lint_books import facts_of

        with open_books(context) as books, books.engine.connect() as connection:
            at = find_programmes(connection).get(wanted.programme_id)
            if at is None:
                raise NotFoundError(f'"{wanted.programme_id}" is not in force: leave --books out')
            facts = facts_of(connection, at, books.now())
    found = lint(wanted, file.read_text(encoding="utf-8-sig"), facts)
    if as_json:
        show_json(found)
        return
    show_findings(found)
    if not found:
        typer.echo(f"{file}: no traps found")


def show_findings(found: tuple[Finding, ...], *, err: bool = False) -> None:
    """Each finding on a line of its own."""
    for one in found:
        typer.echo(str(one), err=err)


@shadow.command("start")
def shadow_start(context: typer.Context, file: File, programme_id: Programme, name: Name) -> None:
    """Let a programme file judge every payment from now on, beside the rules in force.

    Start its follower then. Example:

        dure-switch programme shadow start new.toml --programme seoro --name tighter
    """
    wanted = read_programme(file)
    with open_books(context) as books:
        one = start(books.engine, programme_id, wanted, name, operator(), books.now())
    typer.echo(
        f"{one.name}: started; now let it follow:"
        f" dure-switch programme shadow run --programme {programme_id} --name {name}"
    )


@shadow.command("stop")
def shadow_stop(context: typer.Context, programme_id: Programme, name: Name) -> None:
    """End a shadow; what it found stays, and its follower ends by itself.

    Example:  dure-switch programme shadow stop --programme seoro --name tighter
    """
    with open_books(context) as books:
        one = stop(books.engine, programme_id, name, books.now())
    ended = one.stopped_at.isoformat(timespec="seconds") if one.stopped_at else ""
    typer.echo(f"{one.name}: stopped {ended}")


@shadow.command("run")
def shadow_run(
    context: typer.Context,
    programme_id: Programme,
    name: Name,
    every: Annotated[float, typer.Option(min=0.1, max=3_600, help="Seconds between two looks.")] = 10.0,
    once: Annotated[bool, typer.Option("--once", help="Judge what waits, then end.")] = False,
) -> None:
    """Follow: judge what is committed until SIGTERM or SIGINT. A process beside `serve`, one for each shadow.

    After a kill start it again: it goes on where it was, and nothing is judged twice. Example:

        dure-switch programme shadow run --programme seoro --name tighter
    """
    from switch.service.review.shadow import Follower
    from switch.service.review.shadow_run import follow

    try:
        with open_books(context) as books:
            if not once:
                follow(books.engine, programme_id, name, books.now, every)
                return
            follower = Follower(books.engine, find(books.engine, programme_id, name))
            try:
                judged = follower.round(books.now())
            finally:
                follower.close()
            typer.echo(f"{name}: {judged:,} payments judged")
    except AlreadyFollowedError as error:
        raise UnavailableError(str(error)) from None


@shadow.command("report")
def shadow_report(
    context: typer.Context,
    programme_id: Programme,
    name: Name,
    last: Annotated[int, typer.Option(min=0, max=1_000, help="Payments to show, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show how a shadow differs from the rules in force so far.

    Example:  dure-switch programme shadow report --programme seoro --name tighter
    """
    with open_books(context) as books:
        told = report(books.engine, find(books.engine, programme_id, name), last)
    show_json(told) if as_json else _show_shadow(told)


def _show_shadow(told: ShadowReport) -> None:
    one = told.shadow
    state = "stopped" if one.stopped_at else "running"
    typer.echo(f"{one.name} of {one.programme}, {state}, {told.behind:,} wallets to be judged")
    show_table(
        "Days",
        ("day", "payments", "declined live", "by the shadow", "cashback live", "by the shadow"),
        [
            (
                *(day.day, day.payments, day.live_declined, day.declined),
                *(day.live_cashback, day.cashback),
            )
            for day in told.days
        ],
    )
    show_table(
        "Answers that differ",
        ("reason live", "by the shadow", "payments", "won"),
        [(flip.live, flip.shadow, flip.payments, flip.won) for flip in told.flips],
    )
    show_table(
        "Budgets",
        ("budget", "funder", "month", "taken", "missed", "ended"),
        [
            (pool.code, pool.funder, f"{pool.month or ''}", pool.taken, pool.missed, pool.ended or "never")
            for pool in told.budgets
        ],
    )
    columns = ("when", "member", "kind", "won", "live", "shadow", "cashback live", "by the shadow")
    show_table(
        f"Last payments that differ ({told.rated_otherwise:,} are rated otherwise only)",
        columns,
        [
            (
                *(each.when, each.member, each.kind, each.amount, each.live, each.shadow),
                *(each.live_cashback, each.cashback),
            )
            for each in told.last
        ],
    )
