"""The steps that wait for people and for the bank, for every run that is not through with them.

Each is entered at every run of the program until it is done, oldest run first, and does what can be done. A
step is done only after the one before it; what hinders one run does not hinder the others.
"""

import importlib
import importlib.util
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from settlement.domain.run import LATER, State, Step
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.report import LaterRun
from settlement.store.runs import RunKey, begin_step, end_step, find_run, steps_of
from settlement.store.schema import settlement_step


def _work(step: Step) -> Any:
    return importlib.import_module(f"settlement.steps.{step.value}").run


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


def advance(frame: Frame, until: Step = Step.RECONCILE) -> list[LaterRun]:
    """Take every unfinished run of the frame's programme as far as it goes, up to and including `until`.

    Raises ControlMismatchError, once all runs have been tried, if a control did not agree for one of them.
    """
    with frame.connection.begin():
        keys = unfinished(frame.connection, frame.key.programme_no)
    told: list[LaterRun] = []
    refused: list[str] = []
    for key in keys:
        with frame.connection.begin():
            run = find_run(frame.connection, key)
        if run is None:
            raise ControlMismatchError(f"the run of {key.business_date} has steps but no record: restore it")
        try:
            told.append(_one(frame.of_run(run), until))
        except ControlMismatchError as error:
            refused.append(str(error))
    if refused:
        raise ControlMismatchError("; ".join(refused))
    return told


def _one(frame: Frame, until: Step) -> LaterRun:
    connection, key = frame.connection, frame.key
    with connection.begin():
        known = {step: record.state for step, record in steps_of(connection, key).items()}
    told = LaterRun(key.business_date, key.cycle)
    before = Step.EMIT_FILES
    for step in LATER[: LATER.index(until) + 1]:
        if importlib.util.find_spec(f"settlement.steps.{step.value}") is None:
            break
        if known.get(step) is not State.DONE:
            known[step] = _enter(frame, step, known[before], told)
        told.states[step.value] = known[step].value
        before = step
    return told


def _enter(frame: Frame, step: Step, before: State, told: LaterRun) -> State:
    connection, key = frame.connection, frame.key
    with connection.begin():
        begin_step(connection, key, step, frame.now(), "")
    try:
        outcome = _work(step)(frame)
    except ControlMismatchError as error:
        connection.rollback()
        with connection.begin():
            end_step(connection, key, step, frame.now(), State.REFUSED, {"problem": str(error)})
        raise
    waits = outcome.waits
    if not waits and before is not State.DONE:
        waits = "the step before it is not done"
    state = State.WAITING if waits else State.DONE
    told.outcomes[step.value] = msgspec.to_builtins(outcome)
    if outcome.waits:
        told.waits[step.value] = outcome.waits
    with connection.begin():
        end_step(connection, key, step, frame.now(), state, outcome)
    frame.observer.reached(f"{step.value}:{state.value}")
    return state
