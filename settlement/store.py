"""The night's tables (SQLAlchemy Core), and the record of runs and steps in them.

Migration 0002 builds exactly these. Every function works on the caller's connection and transaction.
"""

from datetime import date, datetime

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    DateTime,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from settlement.domain.bankdays import CalendarFacts
from settlement.domain.run import State, Step, move
from settlement.errors import RetryLaterError
from switch.domain.calendar import day_of_date
from switch.store.schema import business_day, entry, house_entry, programme

metadata = MetaData()
CYCLE = 1

settlement_run = Table(
    "settlement_run",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),  # the creation time in every file
    Column("calendar", Text, nullable=False),  # JSON: CalendarFacts
    PrimaryKeyConstraint("programme_no", "business_date", "cycle"),
)

settlement_step = Table(
    "settlement_step",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("step", Text, nullable=False),
    Column("state", Text, nullable=False),  # settlement.domain.run.State
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("inputs_sha256", Text, nullable=False, server_default=""),
    Column("booked_on", Date),  # the open date of its postings, where one transaction books them all
    Column("outcome", Text, nullable=False, server_default="{}"),  # JSON
    PrimaryKeyConstraint("programme_no", "business_date", "cycle", "step"),
)

merchant_net = Table(
    "merchant_net",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("sales", BigInteger, nullable=False),
    Column("refunds", BigInteger, nullable=False),
    Column("fee_rate_ppm", Integer, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("carried_in", BigInteger, nullable=False),
    Column("paid", BigInteger, nullable=False),
    Column("carried_out", BigInteger, nullable=False),
    PrimaryKeyConstraint("programme_no", "business_date", "cycle", "merchant_no"),
)

payout = Table(
    "payout",
    metadata,
    Column("programme_no", SmallInteger, nullable=False),
    Column("business_date", Date, nullable=False),
    Column("cycle", SmallInteger, nullable=False),
    Column("merchant_no", Integer, nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("pay_on", Date, nullable=False),
    Column("won", BigInteger, nullable=False),
    Column("end_to_end_id", Text, nullable=False),
    Column("bank_code", Text, nullable=False),
    Column("account_no", Text, nullable=False),
    Column("account_holder", Text, nullable=False),
    PrimaryKeyConstraint("programme_no", "business_date", "cycle", "merchant_no", "attempt"),
    UniqueConstraint("end_to_end_id"),
)

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


def _run_is(table: Table, key: RunKey):  # type: ignore[no-untyped-def]
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
    """The first closed business date before `before` whose payouts have not been booked."""
    table = settlement_step
    paid = (
        select(table.c.step)
        .where(
            table.c.programme_no == business_day.c.programme_no,
            table.c.business_date == business_day.c.business_date,
            table.c.step == Step.PAY_MERCHANTS.value,
            table.c.state == State.DONE.value,
        )
        .exists()
    )
    return connection.execute(
        select(func.min(business_day.c.business_date)).where(
            business_day.c.programme_no == programme_no, business_day.c.business_date < before, ~paid
        )
    ).scalar()


def previous_run_date(connection: Connection, key: RunKey) -> date | None:
    """The business date of the programme's last run before this one that paid its merchants."""
    table = settlement_step
    return connection.execute(
        select(func.max(table.c.business_date)).where(
            table.c.programme_no == key.programme_no,
            table.c.business_date < key.business_date,
            table.c.step == Step.PAY_MERCHANTS.value,
            table.c.state == State.DONE.value,
        )
    ).scalar()


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
