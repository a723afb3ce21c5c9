"""Commands of the watch for illegal discounting (깡): follow, scan, look, judge, export."""

import json
import signal
import threading
from datetime import date
from pathlib import Path
from typing import Annotated, cast

import typer

from switch.cli.options import AsJson, Programme, read_day
from switch.cli.output import progress, show_json, show_table
from switch.cli.runtime import UnavailableError, open_books, operator
from switch.service.watch.review import FlagView, State

watch = typer.Typer(no_args_is_help=True, help="Watching for illegal discounting: rules flag, people judge.")

FlagNo = Annotated[
    int, typer.Argument(metavar="FLAG", min=1, help="The flag's number, as `watch list` has it.")
]
By = Annotated[str, typer.Option("--by", help="Who judges; the login of this machine if left out.")]
Note = Annotated[str, typer.Option("--note", help="Why: it stays with the flag.")]
STATES = ("open", "cleared", "confirmed")


@watch.command("run")
def run(
    context: typer.Context,
    poll_s: Annotated[float, typer.Option("--poll", min=0.1, max=60, help="Seconds between looks.")] = 2.0,
    metrics_port: Annotated[int, typer.Option(min=0, max=65_535, help="Show metrics here; 0 not.")] = 0,
) -> None:
    """Follow committed payments until SIGTERM or SIGINT, and flag what the programmes' rules find.

    A process beside `serve`, which it never delays; several may run, one watches. A kill loses and doubles
    nothing. Example:

        dure-switch watch run
    """
    import prometheus_client

    from switch.log import configure_logging
    from switch.service.watch.follow import follow

    stop = threading.Event()
    with open_books(context) as books:
        configure_logging(books.settings.log.level, program="dure-switch watch")
        if metrics_port:
            try:
                prometheus_client.start_http_server(metrics_port, books.settings.metrics.host)
            except OSError as error:
                raise UnavailableError(
                    f"cannot show metrics on port {metrics_port} ({error.strerror}): set another port"
                ) from None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        typer.echo(json.dumps({"watch": {"poll_s": poll_s}, "metrics": {"port": metrics_port}}))
        follow(books.engine, books.now, stop, poll_s=poll_s)


@watch.command("scan")
def scan(
    context: typer.Context,
    programme: Programme,
    first: Annotated[str, typer.Option("--from", help="First local day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last local day, YYYY-MM-DD.")],
    as_json: AsJson = False,
) -> None:
    """Look through history with the rules in force. What is flagged already stays one flag.

    Example:  dure-switch watch scan --programme seoro --from 2026-11-01 --to 2026-11-20
    """
    from switch.service.watch.scan import scan as scan_history

    start, end = read_day(first) or date.min, read_day(last) or date.min
    with open_books(context) as books, progress("scan") as advance:
        done = scan_history(books.engine, programme, start, end, books.now(), advance)
    if as_json:
        show_json(done)
        return
    facts: list[tuple[str, object]] = [
        ("payments read", done.payments),
        *((f"flags opened by {name}", count) for name, count in sorted(done.opened.items())),
        ("flags added to", done.extended),
        ("stops", done.stopped),
    ]
    show_table(f"Scan of {programme}, {start} to {end}", ("", ""), facts)


@watch.command("list")
def flags(
    context: typer.Context,
    programme: Annotated[str | None, typer.Option(help="Of this programme.")] = None,
    state: Annotated[str | None, typer.Option(help="open, cleared or confirmed.")] = None,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List flags, the newest last.

    Example:  dure-switch watch list --programme seoro --state open
    """
    from switch.service.watch.review import flag_list

    with open_books(context) as books:
        found = flag_list(books.engine, programme, read_state(state), last)
    if as_json:
        show_json(found)
        return
    show_table(
        "Flags",
        ("programme", "flag", "rule", "about", "who", "from", "to", "won", "count", "state", "stopped until"),
        [
            (
                *(one.programme, f"{one.flag_no}", one.detector, one.about, one.subject),
                *(_day(one.first_at), _day(one.last_at), one.figures["won"], one.figures["count"]),
                *(one.state, _day(one.stopped_until * 1_000_000)),
            )
            for one in found
        ],
    )


@watch.command("show")
def show(context: typer.Context, flag_no: FlagNo, programme: Programme, as_json: AsJson = False) -> None:
    """Show a flag: the rule in words, its figures, and the payments that speak for it.

    Example:  dure-switch watch show 12 --programme seoro
    """
    from switch.service.watch.review import flag_view

    with open_books(context) as books:
        found, payments = flag_view(books.engine, programme, flag_no)
    if as_json:
        show_json({"flag": found, "payments": payments})
        return
    _show_flag(found)
    show_table(
        "Payments",
        ("day", "time", "kind", "member", "card", "merchant", "terminal", "stan", "won", "returned"),
        [
            (
                *(one.local_day, one.local_time, one.kind, one.member, one.card, one.merchant),
                *(one.terminal, one.stan, one.won, one.returned),
            )
            for one in payments
        ],
    )


@watch.command("clear")
def clear(context: typer.Context, flag_no: FlagNo, programme: Programme, note: Note, by: By = "") -> None:
    """Clear a flag: there is nothing in it. Its stop is lifted at once.

    Example:  dure-switch watch clear 12 --programme seoro --by kim --note "a wedding"
    """
    _judge(context, programme, flag_no, "cleared", by, note)


@watch.command("confirm")
def confirm(context: typer.Context, flag_no: FlagNo, programme: Programme, note: Note, by: By = "") -> None:
    """Confirm a flag: somebody has looked, and it is what it looks like. Its stop stands.

    Example:  dure-switch watch confirm 12 --programme seoro --by kim --note "admitted by the owner"
    """
    _judge(context, programme, flag_no, "confirmed", by, note)


@watch.command("export")
def export(
    context: typer.Context,
    programme: Programme,
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    flag: Annotated[
        list[int] | None, typer.Option("--flag", min=1, help="This flag; may be repeated.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="Flags in this state.")] = None,
) -> None:
    """Write the evidence: flags and payments as CSV, the rules in words, and the SHA-256 of each file.

    Example:  dure-switch watch export --programme seoro --state confirmed --out evidence
    """
    from switch.service.watch.export import export_evidence

    with open_books(context) as books:
        files = export_evidence(
            books.engine, programme, out, flags=tuple(flag or ()), state=read_state(state)
        )
    for file in files:
        typer.echo(f"{file}")


def read_state(text: str | None) -> State | None:
    """The state that an option names. Raises typer.BadParameter."""
    if text is not None and text not in STATES:
        raise typer.BadParameter(f"{text!r} is no state: write open, cleared or confirmed")
    return cast("State | None", text)


def _judge(context: typer.Context, programme: str, flag_no: int, state: State, by: str, note: str) -> None:
    from switch.service.watch.review import judge

    with open_books(context) as books:
        found = judge(books.engine, programme, flag_no, state, by or operator(), note, books.now())
    stopped = f", stopped until {_day(found.stopped_until * 1_000_000)}" if found.stopped_until else ""
    typer.echo(f"flag {flag_no} on {found.about} {found.subject}: {found.state}{stopped}")


def _show_flag(found: FlagView) -> None:
    facts: list[tuple[str, object]] = [
        (found.about, found.subject),
        ("rule", f"{found.detector}: {found.rule}"),
        ("from", _instant(found.first_at)),
        ("to", _instant(found.last_at)),
        *((name, value) for name, value in found.figures.items()),
        ("state", found.state),
        ("noted", found.noted_at),
    ]
    if found.stopped_until:
        facts.append(("payments declined until", _day(found.stopped_until * 1_000_000)))
    if found.judged_by:
        facts += [("judged by", found.judged_by), ("on", found.judged_at), ("because", found.note)]
    show_table(f"Flag {found.flag_no} ({found.programme})", ("", ""), facts)


def _day(moment: int) -> str:
    day = f"{moment // 1_000_000:08d}"
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if moment else ""


def _instant(moment: int) -> str:
    clock = f"{moment % 1_000_000:06d}"
    return f"{_day(moment)} {clock[:2]}:{clock[2:4]}:{clock[4:]}"
