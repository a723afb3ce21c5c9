"""Step 1: freeze a business date. After it, no posting can join the date, and its fingerprint is chained."""

from datetime import date

from sqlalchemy import Connection, func, select

from settlement.domain.run import State, Step
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.report import DayOutcome
from settlement.store.runs import begin_step, closed_through, end_step, insert_business_day
from switch.domain.calendar import day_of_date
from switch.store.dayhash import GENESIS, chain, day_digest
from switch.store.schema import business_day


def _previous(connection: Connection, programme_no: int, day: date) -> str:
    table = business_day
    found = connection.execute(
        select(table.c.sha256)
        .where(table.c.programme_no == programme_no, table.c.business_date < day)
        .order_by(table.c.business_date.desc())
        .limit(1)
    ).scalar()
    return found or GENESIS


def preview(frame: Frame) -> DayOutcome:
    """The fingerprint that closing the date now would freeze."""
    digest = day_digest(frame.connection, frame.key.programme_no, frame.day)
    link = chain(_previous(frame.connection, frame.key.programme_no, frame.day), digest)
    return DayOutcome(digest.payments, digest.entries, digest.won, link)


def run(frame: Frame) -> DayOutcome:
    """Close the date in one transaction. Raises ControlMismatchError if a later date was closed before it."""
    connection, key, now = frame.connection, frame.key, frame.now()
    with connection.begin():
        # Whoever books on this date holds the shared side until it commits, so from here on the rows stand.
        connection.execute(select(func.pg_advisory_xact_lock(key.programme_no, day_of_date(frame.day))))
        closed = closed_through(connection, key.programme_no)
        if closed is not None and closed >= frame.day:
            raise ControlMismatchError(
                f"{frame.day} lies before closed {closed} and was never closed: run dure-switch proof"
            )
        begin_step(connection, key, Step.CLOSE_DAY, now, "")
        previous = _previous(connection, key.programme_no, frame.day)
        digest = day_digest(connection, key.programme_no, frame.day)
        frame.observer.reached("close_day:hashed")
        link = chain(previous, digest)
        insert_business_day(
            connection,
            {
                "programme_no": key.programme_no,
                "business_date": frame.day,
                "closed_at": now,
                "payments": digest.payments,
                "entries": digest.entries,
                "won": digest.won,
                "previous_sha256": previous,
                "sha256": link,
            },
        )
        outcome = DayOutcome(digest.payments, digest.entries, digest.won, link)
        end_step(connection, key, Step.CLOSE_DAY, now, State.DONE, outcome)
        frame.observer.reached("close_day:written")
    return outcome


def frozen_sha256(frame: Frame) -> str:
    """The link of the closed date: what every later step works from."""
    table = business_day
    found: str = frame.connection.execute(
        select(table.c.sha256).where(
            table.c.programme_no == frame.key.programme_no, table.c.business_date == frame.day
        )
    ).scalar_one()
    return found
