"""Step 1: freeze a business date. After it, no posting can join the date, and its fingerprint is chained."""

from datetime import date
from itertools import chain as chain_of

from sqlalchemy import Connection, func, select

from settlement.domain.run import State, Step
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.report import DayOutcome
from settlement.steps.sessions import read_apart
from settlement.store.runs import begin_step, closed_through, end_step, insert_business_day
from switch.domain.calendar import day_of_date
from switch.store.dayhash import GENESIS, DayDigest, bucket_digests, chain, count_payments, day_digest
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


def _digest(frame: Frame) -> DayDigest:
    """The date's fingerprint; on a large date its buckets are shared out."""
    connection, programme_no, day = frame.connection, frame.key.programme_no, frame.day
    payments = count_payments(connection, programme_no, day)
    parts = read_apart(
        connection,
        payments,
        lambda session, first, last: bucket_digests(session, programme_no, day, first, last),
    )
    return day_digest(connection, programme_no, day, payments=payments, buckets=chain_of(*parts))


def preview(frame: Frame) -> DayOutcome:
    """The fingerprint that closing the date now would freeze."""
    digest = _digest(frame)
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
        digest = _digest(frame)
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


def entries(frame: Frame) -> int:
    """How many entries the date has; 0 where it is not closed yet."""
    table = business_day
    return (
        frame.connection.execute(
            select(table.c.entries).where(
                table.c.programme_no == frame.key.programme_no, table.c.business_date == frame.day
            )
        ).scalar()
        or 0
    )
