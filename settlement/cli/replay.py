"""`replay`: a past run made again and held against what is stored."""

import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection, select, text

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    exits,
    observer,
    opened,
    read_date,
    show_json,
)
from settlement.desk.replay import Replay, Replayed, replay
from settlement.domain.run import State, Step
from settlement.errors import ExitCode, UsageError
from settlement.frame import Frame
from settlement.pipeline import clock_of
from settlement.reference import load_all
from settlement.store.runs import Run, RunKey, find_run
from settlement.store.schema import settlement_step


@app.command("replay")
def replay_run(
    date_text: Annotated[
        str, typer.Option("--date", metavar="YYYY-MM-DD", help="The business date of the run.")
    ],
    cycle: Annotated[int | None, typer.Option(min=1, help="Its cycle. Default: all of the date.")] = None,
    programme: Annotated[str | None, typer.Option(help="One programme's id. Default: all of them.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Make a past run again from the journal and its frozen rows, and compare nets, payouts and bytes.

    Reads only; may be called at any time. Exit 4 if anything differs.
    """
    with exits():
        day = read_date(date_text)
        with opened(config) as (settings, connection), observer() as watching:
            clock = clock_of(connection, settings)
            with connection.begin(), tempfile.TemporaryDirectory(prefix="dure-replay-") as folder:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
                frames = [
                    Frame(connection, facts, run, settings, clock, watching)
                    for facts in load_all(connection, programme)
                    for run in _runs(connection, facts.programme_no, day, cycle)
                ]
                if not frames:
                    raise UsageError(
                        f"no such run of {day} has paid its merchants: see dure-settlement status"
                    )
                found = [replay(frame, Path(folder) / frame.facts.programme_id) for frame in frames]
    if as_json:
        show_json(found)
    else:
        typer.echo("\n\n".join(map(_page, found)))
    raise typer.Exit(int(ExitCode.DONE if all(one.agrees for one in found) else ExitCode.MISMATCH))


def _runs(connection: Connection, programme_no: int, day: date | None, cycle: int | None) -> list[Run]:
    """The date's runs that have paid their merchants, in order."""
    table = settlement_step.c
    query = select(table.cycle).where(
        table.programme_no == programme_no,
        table.business_date == day,
        table.step == Step.PAY_MERCHANTS.value,
        table.state == State.DONE.value,
    )
    if cycle is not None:
        query = query.where(table.cycle == cycle)
    cycles = connection.execute(query.order_by(table.cycle)).scalars().all()
    runs = [find_run(connection, RunKey(programme_no, day, one)) for one in cycles] if day else []
    return [run for run in runs if run is not None]


def _page(one: Replay) -> str:
    lines = [f"replay of {one.programme} {one.business_date} cycle {one.cycle}"]
    for part in one.parts:
        lines.append(_line(part))
        lines += [f"      {difference}" for difference in part.differences]
    return "\n".join([*lines, "everything agrees" if one.agrees else "NOT EVERYTHING AGREES"])


def _line(part: Replayed) -> str:
    verdict = "DIFFERS" if part.differences else "agrees"
    noun = {"netting": "merchants", "payouts": "payouts"}.get(part.what, "payments")
    return f"  {verdict}  {part.what:<55} {part.count:>8,} {noun}{part.won:>18,} won"
