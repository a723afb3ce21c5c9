"""The steps that wait for people and for the bank, for every run that is not through with them.

Each is entered at every run of the program until it is done, oldest run first, and does what can be done. A
step is done only after the one before it; what hinders one run does not hinder the others.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection, select

from settlement.delivery.fetching import fetch_answers
from settlement.domain.run import LATER, State, Step
from settlement.errors import ControlMismatchError, ExitCode, gravest
from settlement.frame import Frame
from settlement.report import LaterRun
from settlement.steps import acknowledge, approve, deliver, inbox, reconcile
from settlement.store.runs import RunKey, StepRecord, begin_step, end_step, find_run, steps_of
from settlement.store.schema import settlement_step

WORK: dict[Step, Any] = {
    Step.APPROVE: approve.run,
    Step.DELIVER: deliver.run,
    Step.ACKNOWLEDGE: acknowledge.run,
    Step.RECONCILE: reconcile.run,
}
_LOOK = {**WORK, Step.DELIVER: deliver.stands}
_BEFORE = dict(zip(LATER, (Step.EMIT_FILES, *LATER), strict=False))


def unfinished(connection: Connection, programme_no: int) -> list[RunKey]:
    """The runs whose files are made and whose money the bank has not accounted for to the end."""
    table = settlement_step
    through = (
        select(table.c.business_date, table.c.cycle)
        .where(
            table.c.programme_no == programme_no,
            table.c.step == Step.RECONCILE.value,
            table.c.state == State.DONE.value,
        )
        .subquery()
    )
    rows = connection.execute(
        select(table.c.business_date, table.c.cycle)
        .outerjoin(
            through,
            (through.c.business_date == table.c.business_date) & (through.c.cycle == table.c.cycle),
        )
        .where(
            table.c.programme_no == programme_no,
            table.c.step == Step.EMIT_FILES.value,
            table.c.state == State.DONE.value,
            through.c.cycle.is_(None),
        )
        .order_by(table.c.business_date, table.c.cycle)
    )
    return [RunKey(programme_no, row.business_date, row.cycle) for row in rows]


class Later(msgspec.Struct):
    """How far every unfinished run has come; `problems` are lines that a person must look at."""

    runs: list[LaterRun] = []
    problems: list[str] = []
    code: ExitCode = ExitCode.DONE


def advance(frame: Frame, until: Step = Step.RECONCILE, told: Later | None = None) -> Later:
    """Take every unfinished run of the frame's programme as far as it goes, up to and including `until`.

    First what goes to the bank, of all runs; then what has come from it; then what that means for the runs.
    Raises ControlMismatchError, once all runs have been tried, if a control did not agree for one of them.
    """
    told = Later() if told is None else told
    refused: list[str] = []
    frames = _frames(frame)
    entered = [(own, LaterRun(own.key.business_date, own.key.cycle)) for own in frames]
    for part in (LATER[:2], LATER[2:]):
        wanted = [step for step in part if LATER.index(step) <= LATER.index(until)]
        if not wanted:
            break
        if Step.ACKNOWLEDGE in wanted:
            take_in(frame, told)
        for own, run in entered:
            try:
                for step in wanted:
                    _enter(own, step, run, told)
            except ControlMismatchError as error:
                refused.append(str(error))
    if refused:
        raise ControlMismatchError("; ".join(refused))
    told.runs = [run for _, run in entered]
    return told


def look(frame: Frame, *steps: Step) -> Later:
    """How these steps of every unfinished run stand by now, for the record; nothing is sent or fetched."""
    told = Later()
    for own in _frames(frame):
        run = LaterRun(own.key.business_date, own.key.cycle)
        for step in steps:
            _enter(own, step, run, told, _LOOK)
        told.runs.append(run)
    return told


def record(frame: Frame, step: Step, outcome: Any) -> None:
    """Put on record what a step of the frame's run has told to somebody who entered it by hand."""
    with frame.connection.begin():
        waiting = frame.key in unfinished(frame.connection, frame.key.programme_no)
        known = steps_of(frame.connection, frame.key)
    if waiting and (step not in known or known[step].state is not State.DONE):
        _conclude(frame, step, known, outcome)


def _frames(frame: Frame) -> list[Frame]:
    found: list[Frame] = []
    with frame.connection.begin():
        for key in unfinished(frame.connection, frame.key.programme_no):
            run = find_run(frame.connection, key)
            if run is None:
                raise ControlMismatchError(
                    f"the run of {key.business_date} has steps but no record: restore it"
                )
            found.append(frame.of_run(run))
    return found


def take_in(frame: Frame, told: Later) -> None:
    """What the bank has left for us: into the inbox, into the archive, into the books."""
    told.problems += fetch_answers(frame).problems
    taken = inbox.take(frame)
    told.problems += taken.problems
    told.code = gravest([told.code, taken.code])


def _enter(frame: Frame, step: Step, run: LaterRun, told: Later, work: dict[Step, Any] | None = None) -> None:
    """One step of one run, unless it is done; how it stands is on record where that has changed."""
    with frame.connection.begin():
        known = steps_of(frame.connection, frame.key)
    if step in known and known[step].state is State.DONE:
        run.states[step.value] = State.DONE.value
        return
    try:
        outcome = (work or WORK)[step](frame)
    except ControlMismatchError as error:
        frame.connection.rollback()
        run.states[step.value] = State.REFUSED.value
        _note(frame, step, known.get(step), State.REFUSED, {"problem": str(error)})
        raise
    told.problems += getattr(outcome, "exceptions", ())
    state = _conclude(frame, step, known, outcome)
    run.states[step.value] = state.value
    run.outcomes[step.value] = msgspec.to_builtins(outcome)
    if outcome.waits:
        run.waits[step.value] = outcome.waits
    frame.observer.reached(f"{step.value}:{state.value}")


def _conclude(frame: Frame, step: Step, known: dict[Step, StepRecord], outcome: Any) -> State:
    before = known.get(_BEFORE[step])
    through = not outcome.waits and before is not None and before.state is State.DONE
    state = State.DONE if through else State.WAITING
    _note(frame, step, known.get(step), state, outcome)
    return state


def _note(frame: Frame, step: Step, known: StepRecord | None, state: State, outcome: object) -> None:
    if known is not None and (known.state, known.outcome) == (state, msgspec.json.encode(outcome)):
        return
    with frame.connection.begin():
        begin_step(frame.connection, frame.key, step, frame.now(), "")
        end_step(frame.connection, frame.key, step, frame.now(), state, outcome)
