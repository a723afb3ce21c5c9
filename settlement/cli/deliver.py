"""`deliver`: approved files to the bank, and what people know of files whose delivery is not clear."""

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Connection, select

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    exits,
    observer,
    opened,
    show_json,
)
from settlement.domain.bankfiles import FileState
from settlement.domain.roles import Role
from settlement.domain.run import Step
from settlement.errors import ControlMismatchError, ExitCode, UsageError
from settlement.frame import Frame
from settlement.pipeline import clock_of, run_lock
from settlement.reference import Facts, load_all
from settlement.report import DeliverOutcome
from settlement.steps import deliver as step
from settlement.steps import later
from settlement.store.runs import Run, RunKey, find_run
from settlement.store.schema_bank import bank_file

OPEN = tuple(state.value for state in (FileState.EMITTED, FileState.APPROVED, FileState.DELIVERING))
NAME_WIDTH = 46
COLUMNS = 120


@app.command()
def deliver(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]…", help="Names of files. Default: all that are approved."),
    ] = None,
    fetched: Annotated[
        bool,
        typer.Option("--fetched", help="The bank has the named files: fetched by hand, or it was asked."),
    ] = False,
    resend: Annotated[
        bool, typer.Option("--resend", help="The bank was asked and has not got the named files.")
    ] = False,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Bring approved files to the bank, and find out about those whose delivery is not known. Safe to repeat.

    A file whose connection broke off is looked for at the bank before anything else is done; where nothing
    can tell whether the bank took it, it is not sent again until a person has asked the bank: --fetched or
    --resend then says what the bank answered.
    """
    with exits():
        names = frozenset(files or ())
        if (fetched or resend) and not names:
            raise UsageError("name the files that you mean: deliver --fetched FILE")
        if fetched and resend:
            raise UsageError("--fetched says that the bank has it, --resend that it has not: keep one")
        work = _one_by_one(step.fetched if fetched else step.resend) if fetched or resend else step.run
        with opened(config) as (settings, connection), observer() as watching:
            clock = clock_of(connection, settings)
            actor = acting(settings, connection, as_operator, Role.DELIVERER)

            def frame_of(facts: Facts, run: Run) -> Frame:
                return Frame(connection, facts, run, settings, clock, watching, actor.name)

            outcomes = _each(connection, names, frame_of, work)
    _show(outcomes, names, as_json=as_json)


Work = Callable[[Frame, frozenset[str]], DeliverOutcome]


def _each(
    connection: Connection, names: frozenset[str], frame_of: Callable[[Facts, Run], Frame], work: Work
) -> list[DeliverOutcome]:
    """Do the work for each run that has such files, as the only one at its programme."""
    keys = _runs(connection, names)
    with connection.begin():
        programmes = load_all(connection, None)
    outcomes: list[DeliverOutcome] = []
    for facts in programmes:
        mine = [key for key in keys if key.programme_no == facts.programme_no]
        if not mine:
            continue
        with run_lock(connection, facts.programme_no):
            done: list[tuple[Frame, DeliverOutcome]] = []
            for key in mine:
                with connection.begin():
                    run = find_run(connection, key)
                if run is None:
                    raise ControlMismatchError(f"the run of {key.business_date} has files but no record")
                frame = frame_of(facts, run)
                done.append((frame, work(frame, names)))
            _record(done)
            outcomes += [outcome for _, outcome in done]
    return outcomes


def _record(done: list[tuple[Frame, DeliverOutcome]]) -> None:
    """How the runs stand after this, for `status`."""
    later.look(done[0][0], Step.APPROVE)
    for frame, outcome in done:
        later.record(frame, Step.DELIVER, outcome)
    later.look(done[0][0], Step.ACKNOWLEDGE, Step.RECONCILE)


def _one_by_one(act: Callable[[Frame, str], DeliverOutcome]) -> Work:
    """An act on one named file as one on those of the names that the frame's run has."""

    def work(frame: Frame, names: frozenset[str]) -> DeliverOutcome:
        with frame.connection.begin():
            mine = frame.connection.scalars(
                select(bank_file.c.name).where(
                    bank_file.c.name.in_(names),
                    bank_file.c.programme_no == frame.key.programme_no,
                    bank_file.c.business_date == frame.key.business_date,
                    bank_file.c.cycle == frame.key.cycle,
                )
            ).all()
        outcomes = [act(frame, name) for name in sorted(mine)]
        exceptions = tuple(line for outcome in outcomes for line in outcome.exceptions)
        return msgspec.structs.replace(outcomes[-1], exceptions=exceptions)

    return work


def _runs(connection: Connection, names: frozenset[str]) -> list[RunKey]:
    """The runs of the files named, or all runs with files that are not at the bank, oldest first."""
    table = bank_file.c
    wanted = table.name.in_(names) if names else table.state.in_(OPEN)
    with connection.begin():
        if names:
            known = set(connection.scalars(select(table.name).where(wanted)))
            if names - known:
                raise UsageError(f"{min(names - known)}: no such file was made: see `files list`")
        rows = connection.execute(
            select(table.programme_no, table.business_date, table.cycle)
            .where(wanted)
            .distinct()
            .order_by(table.business_date, table.cycle, table.programme_no)
        ).all()
    return [RunKey(row.programme_no, row.business_date, row.cycle) for row in rows]


def _show(outcomes: list[DeliverOutcome], names: frozenset[str], *, as_json: bool) -> None:
    exceptions = [line for outcome in outcomes for line in outcome.exceptions]
    if as_json:
        show_json(outcomes)
    else:
        lines = [line for outcome in outcomes for line in outcome.files if not names or line.name in names]
        width = max((len(line.name) for line in lines), default=NAME_WIDTH)
        typer.echo(f"{'file':<{width}}  {'state':<10}  about" if lines else "no file waits to be delivered")
        for line in lines:
            told = f"{line.name:<{width}}  {line.state:<10}  {line.about}".rstrip()
            typer.echo(told if len(told) <= COLUMNS else f"{line.name}  {line.state}\n    {line.about}")
        for outcome in outcomes:
            if outcome.waits:
                typer.echo(f"waits: {outcome.waits}")
    for exception in exceptions:
        typer.echo(f"dure-settlement: {exception}", err=True)
    raise typer.Exit(int(_code(outcomes)))


def _code(outcomes: list[DeliverOutcome]) -> ExitCode:
    """3 where a person must look; 75 where the bank's server was away; else 0, also while some wait."""
    if any(outcome.exceptions for outcome in outcomes):
        return ExitCode.EXCEPTIONS
    if any(outcome.away for outcome in outcomes):
        return ExitCode.RETRY
    return ExitCode.DONE
