"""The record of runs and steps. Every function works on the caller's connection and transaction."""

from datetime import date, datetime

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from settlement.domain.bankdays import CalendarFacts
from settlement.domain.run import State, Step, move
from settlement.errors import RetryLaterError
from settlement.store.schema import settlement_run, settlement_step
from switch.domain.calendar import day_of_date
from switch.store.schema import business_day, entry, house_entry, programme

CYCLE = 1
LOCK_SPACE = 0x44555245  # "DURE": the first key of the lock that lets one settlement run per programme
LOCK_WAIT_S = 20


class RunKey(msgspec.Struct, frozen=True):
    """One run: a programme, a business date, and which try of paying that date it is."""

    programme_no: int
    business_date: date
    cycle: int = CYCLE

    def columns(self) -> dict[str, object]:
        return {"programme_no": self.programme_no, "business_date": self.business_date, "cycle": self.cycle}


class Run(msgspec.Struct, frozen=True):
    """What is frozen when a run is first created."""

    key: RunKey
    created_at: datetime
    facts: CalendarFacts


class StepRecord(msgspec.Struct, frozen=True):
    """How a step stands, and what it left behind (JSON)."""

    state: State
    outcome: bytes
    booked_on: date | None


def _run_is(table: Table, key: RunKey) -> ColumnElement[bool]:
    return and_(
        table.c.programme_no == key.programme_no,
        table.c.business_date == key.business_date,
        table.c.cycle == key.cycle,
    )


def take_run_lock(connection: Connection, programme_no: int) -> None:
    """Hold, for this database session, the right to settle a programme; raises after LOCK_WAIT_S."""
    with connection.begin():
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'"))
        connection.execute(select(func.pg_advisory_lock(LOCK_SPACE, programme_no)))


def release_run_lock(connection: Connection, programme_no: int) -> None:
    """Give that right back."""
    with connection.begin():
        connection.execute(select(func.pg_advisory_unlock(LOCK_SPACE, programme_no)))


def find_run(connection: Connection, key: RunKey) -> Run | None:
    """The run, if it was ever begun."""
    row = connection.execute(
        select(settlement_run.c.created_at, settlement_run.c.calendar).where(_run_is(settlement_run, key))
    ).first()
    return Run(key, row.created_at, msgspec.json.decode(row.calendar, type=CalendarFacts)) if row else None


def last_cycle(connection: Connection, key: RunKey) -> int | None:
    """The last cycle of a business date that was begun."""
    table = settlement_run.c
    return connection.execute(
        select(func.max(table.cycle)).where(
            table.programme_no == key.programme_no, table.business_date == key.business_date
        )
    ).scalar()


def create_run(connection: Connection, key: RunKey, now: datetime, facts: CalendarFacts) -> Run:
    """Begin the run, or return the one that was begun before with what it froze then."""
    connection.execute(
        upsert(settlement_run)
        .values(
            **key.columns(),
            created_at=now.replace(microsecond=0),
            calendar=msgspec.json.encode(facts).decode(),
        )
        .on_conflict_do_nothing()
    )
    found = find_run(connection, key)
    assert found is not None  # noqa: S101 (this transaction has just put it there)
    return found


def steps_of(connection: Connection, key: RunKey) -> dict[Step, StepRecord]:
    """The steps of a run that were ever begun."""
    table = settlement_step
    rows = connection.execute(
        select(table.c.step, table.c.state, table.c.outcome, table.c.booked_on).where(_run_is(table, key))
    )
    return {Step(row.step): StepRecord(State(row.state), row.outcome.encode(), row.booked_on) for row in rows}


def _state(connection: Connection, key: RunKey, step: Step) -> State | None:
    table = settlement_step
    found = connection.execute(
        select(table.c.state).where(_run_is(table, key), table.c.step == step.value)
    ).scalar()
    return State(found) if found else None


def begin_step(connection: Connection, key: RunKey, step: Step, now: datetime, inputs_sha256: str) -> None:
    """Note that a step has been entered (again)."""
    state = move(_state(connection, key, step), State.RUNNING)
    row = {**key.columns(), "step": step.value, "state": state.value}
    connection.execute(
        upsert(settlement_step)
        .values(**row, started_at=now, inputs_sha256=inputs_sha256)
        .on_conflict_do_update(
            constraint=settlement_step.primary_key,
            set_={"state": state.value, "inputs_sha256": inputs_sha256},
        )
    )


def end_step(
    connection: Connection,
    key: RunKey,
    step: Step,
    now: datetime,
    state: State,
    outcome: object,
    booked_on: date | None = None,
) -> None:
    """Note how a step has ended. DONE belongs into the same transaction as the step's last writing."""
    state = move(_state(connection, key, step), state)
    connection.execute(
        update(settlement_step)
        .where(_run_is(settlement_step, key), settlement_step.c.step == step.value)
        .values(
            state=state.value,
            ended_at=now,
            outcome=msgspec.json.encode(outcome).decode(),
            booked_on=booked_on,
        )
    )


def closed_through(connection: Connection, programme_no: int) -> date | None:
    """The programme's last closed business date."""
    return connection.execute(
        select(programme.c.closed_through).where(programme.c.programme_no == programme_no)
    ).scalar()


def open_for_booking(connection: Connection, programme_no: int, day: date) -> None:
    """Take part in a business date as the lanes do: it cannot be closed before this transaction ends.

    Raises RetryLaterError if it has been closed already.
    """
    connection.execute(select(func.pg_advisory_xact_lock_shared(programme_no, day_of_date(day))))
    closed = closed_through(connection, programme_no)
    if closed is not None and day <= closed:
        raise RetryLaterError(
            f"business date {day} is closed through {closed}: is the clock right? run again"
        )


def earliest_unclosed(connection: Connection, programme_no: int, before: date) -> date | None:
    """The first unclosed business date before `before` that has postings."""
    closed = closed_through(connection, programme_no)
    found: list[date] = []
    for table in (entry, house_entry):
        query = select(func.min(table.c.business_date)).where(
            table.c.programme_no == programme_no, table.c.business_date < before
        )
        if closed is not None:
            query = query.where(table.c.business_date > closed)
        earliest = connection.execute(query).scalar()
        if earliest is not None:
            found.append(earliest)
    return min(found, default=None)


def earliest_unfinished(connection: Connection, programme_no: int, before: date) -> date | None:
    """The first closed business date before `before` whose payouts have not been booked, in each cycle."""

    def paid(of: Table, cycle: ColumnElement[int]) -> ColumnElement[bool]:
        step = settlement_step.c
        return (
            select(step.step)
            .where(
                step.programme_no == of.c.programme_no,
                step.business_date == of.c.business_date,
                step.cycle == cycle,
                step.step == Step.PAY_MERCHANTS.value,
                step.state == State.DONE.value,
            )
            .exists()
        )

    found = [
        connection.execute(
            select(func.min(of.c.business_date)).where(
                of.c.programme_no == programme_no, of.c.business_date < before, ~paid(of, cycle)
            )
        ).scalar()
        for of, cycle in ((business_day, literal(CYCLE)), (settlement_run, settlement_run.c.cycle))
    ]
    return min((day for day in found if day is not None), default=None)


def insert_business_day(connection: Connection, row: dict[str, object]) -> None:
    """Store a closed date and move the programme's mark to it."""
    connection.execute(insert(business_day).values(**row))
    connection.execute(
        update(programme)
        .where(
            programme.c.programme_no == row["programme_no"],
            or_(programme.c.closed_through.is_(None), programme.c.closed_through < row["business_date"]),
        )
        .values(closed_through=row["business_date"])
    )
