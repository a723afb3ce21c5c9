"""Days that leave the database: which, how, and whether their files still say what the books said.

A day leaves when it is older than the settings keep it, closed, and settled to the end at every programme.
Its rows are written into two files, read back, and compared with the database and with the fingerprint under
which the date was closed; then, in one transaction, their sums go into the opening tables and the partitions
go. What something still speaks of stays behind in a small partition (see migration 0016). A crash anywhere
leaves the day where it was, or gone with its files complete; run again.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from settlement.errors import ControlMismatchError, RetryLaterError, UsageError
from settlement.frame import Observer
from settlement.people.audit import note
from settlement.reference import load_all
from settlement.settings import Settings
from settlement.store.schema_archive import archived_date, archived_day
from settlement.upkeep import dayfiles
from settlement.upkeep.dayfiles import ENTRY, PAYMENT, Told
from switch.store.dayhash import GENESIS, BucketDigest, chain, day_digest

_PARTITIONS = text("""
    SELECT DISTINCT to_date(substring(c.relname FROM '[0-9]{8}$'), 'YYYYMMDD') AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('payment'::regclass, 'entry'::regclass) AND c.relname ~ '^(payment|entry)_[0-9]{8}$'
    ORDER BY 1
""")
_HINDRANCES = text("""
    SELECT p.programme_id, why FROM programme p CROSS JOIN LATERAL (
        SELECT 'is not closed' WHERE coalesce(p.closed_through < :day, true)
            AND (EXISTS (SELECT FROM entry e WHERE e.programme_no = p.programme_no AND e.business_date = :day)
                 OR EXISTS (SELECT FROM payment t
                            WHERE t.programme_no = p.programme_no AND t.local_day = :day))
        UNION ALL
        SELECT 'is not settled to the end' FROM business_day b
        WHERE b.programme_no = p.programme_no AND b.business_date = :day
          AND (NOT EXISTS (SELECT FROM settlement_run r
                           WHERE r.programme_no = p.programme_no AND r.business_date = :day)
               OR EXISTS (SELECT FROM settlement_run r
                          WHERE r.programme_no = p.programme_no AND r.business_date = :day
                            AND NOT EXISTS (SELECT FROM settlement_step s
                                WHERE s.programme_no = r.programme_no AND s.business_date = r.business_date
                                  AND s.cycle = r.cycle AND s.step = 'reconcile' AND s.state = 'done')))
        UNION ALL
        SELECT 'has cashback that is not credited' WHERE EXISTS (
            SELECT FROM credit_mark m WHERE m.programme_no = p.programme_no AND m.credited_through < :day)
            OR EXISTS (SELECT FROM funding_stop f WHERE f.programme_no = p.programme_no
                       AND f.business_date <= :day AND f.credited_by IS NULL)
    ) AS w (why) ORDER BY 1, 2 LIMIT 1
""")
_CLOSED = text("""
    SELECT b.programme_no, b.payments, b.entries, b.won, b.previous_sha256, b.sha256
    FROM business_day b WHERE b.business_date = :day ORDER BY 1
""")
_TAKE_OUT = text("""
    SELECT dure_archive_day(:day, :at, :by, :payment_sha256, :payments, :payments_won,
                            :entry_sha256, :entries, :entries_won)
""")


class DayPlan(msgspec.Struct, frozen=True):
    """A day of the database that is old enough, and what keeps it there: empty where nothing does."""

    day: date
    hindrance: str = ""


class DayDone(msgspec.Struct, frozen=True):
    """A day in the archive: rows and won of its payments and entries, and how many rows stay besides."""

    day: date
    payments: int
    payments_won: int
    entries: int
    entries_won: int
    kept: int


class Verified(msgspec.Struct, frozen=True):
    """A day's files held against what was noted of them: `problem` is empty where they agree."""

    day: date
    payments: int = 0
    entries: int = 0
    problem: str = ""


def plan(connection: Connection, settings: Settings, now: datetime) -> list[DayPlan]:
    """The days that are old enough, oldest first, in the caller's transaction."""
    programmes = load_all(connection, None)
    if not programmes:
        return []
    last = min(facts.open_date(now) for facts in programmes) - timedelta(days=settings.retention.days)
    gone = set(connection.scalars(select(archived_day.c.day)))
    days = [row.day for row in connection.execute(_PARTITIONS) if row.day <= last and row.day not in gone]
    return [DayPlan(day, _hindrance(connection, day)) for day in days]


def _hindrance(connection: Connection, day: date) -> str:
    found = connection.execute(_HINDRANCES, {"day": day}).first()
    return f"{found.programme_id} {found.why}" if found else ""


def run_day(
    connection: Connection,
    settings: Settings,
    day: date,
    now: Callable[[], datetime],
    actor: str,
    observer: Observer,
) -> DayDone:
    """Archive one day of the plan, in transactions of its own. The caller keeps settlements out.

    Raises UsageError (the day must stay), ControlMismatchError (files, books and fingerprint do not agree:
    nothing was taken out), RetryLaterError (others would not let go of the tables).
    """
    with connection.begin():
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        waiting = {one.day: one.hindrance for one in plan(connection, settings, now())}
        if waiting.get(day, "is no day that may leave: archive plan shows them"):
            raise UsageError(
                f"{day}: {waiting.get(day, 'is no day that may leave: archive plan shows them')}"
            )
        contents = as_closed(connection, day)
        payments = dayfiles.write(connection, settings.files.archive, PAYMENT, day)
        observer.reached("archive:payments")
        entries = dayfiles.write(connection, settings.files.archive, ENTRY, day)
        observer.reached("archive:entries")
    try:
        with connection.begin():
            for programme_no, content in contents.items():
                connection.execute(
                    text("SELECT dure_archive_date(CAST(:no AS smallint), :day, :content)"),
                    {"no": programme_no, "day": day, "content": content},
                )
            connection.execute(_TAKE_OUT, _row(day, now(), actor, payments, entries))
            done = _done(connection.execute(select(archived_day).where(archived_day.c.day == day)).one())
            detail = {"payments": done.payments, "entries": done.entries, "sha256": entries.sha256}
            note(connection, now(), actor, "archive:day", day.isoformat(), detail)
            observer.reached("archive:booked")
    except DBAPIError as error:
        told = str(error.orig).strip().splitlines()[0]
        raise RetryLaterError(f"{day} stays where it was: {told}: run again") from error
    observer.reached("archive:done")
    return done


def _row(day: date, at: datetime, by: str, payments: Told, entries: Told) -> dict[str, object]:
    return {
        "day": day,
        "at": at,
        "by": by,
        "payment_sha256": payments.sha256,
        "payments": payments.rows,
        "payments_won": payments.won,
        "entry_sha256": entries.sha256,
        "entries": entries.rows,
        "entries_won": entries.won,
    }


def _done(row: Any) -> DayDone:
    kept = row.payments_kept + row.entries_kept
    return DayDone(row.day, row.payments, row.payments_won, row.entries, row.entries_won, kept)


def as_closed(connection: Connection, day: date) -> dict[int, str]:
    """Each programme's fingerprint of the date, if it is the one that it was closed under."""
    contents: dict[int, str] = {}
    for row in connection.execute(_CLOSED, {"day": day}).all():
        digest = day_digest(connection, row.programme_no, day)
        told = (row.payments, row.entries, row.won, row.sha256)
        if told != (
            digest.payments,
            digest.entries,
            digest.won,
            chain(row.previous_sha256 or GENESIS, digest),
        ):
            raise ControlMismatchError(
                f"{day} of programme {row.programme_no} is not as it was closed: run dure-switch proof"
            )
        contents[row.programme_no] = digest.sha256
    return contents


def done_days(connection: Connection) -> list[DayDone]:
    """What is archived, oldest first."""
    return [_done(row) for row in connection.execute(select(archived_day).order_by(archived_day.c.day))]


def verify(connection: Connection, settings: Settings, day: date) -> Verified:
    """Hold a day's files against what was noted, and its entries against each closed date's fingerprint."""
    row = connection.execute(select(archived_day).where(archived_day.c.day == day)).first()
    if row is None:
        raise UsageError(f"{day} is not archived: archive plan shows what is")
    archive = settings.files.archive
    try:
        payments, _ = dayfiles.read(dayfiles.path_of(archive, PAYMENT, day), PAYMENT)
        entries, programmes = dayfiles.read(dayfiles.path_of(archive, ENTRY, day), ENTRY)
    except ControlMismatchError as error:
        return Verified(day, problem=str(error))
    if payments != Told(row.payments, row.payments_won, row.payment_sha256):
        return Verified(
            day, payments.rows, entries.rows, "the payments' file is not the one that was written"
        )
    if entries != Told(row.entries, row.entries_won, row.entry_sha256):
        return Verified(day, payments.rows, entries.rows, "the entries' file is not the one that was written")
    for date_row in connection.execute(select(archived_date).where(archived_date.c.business_date == day)):
        buckets = sorted(programmes.get(date_row.programme_no, {}).items())
        parts = [BucketDigest(number, one.rows, one.won, one.digest.hexdigest()) for number, one in buckets]
        digest = day_digest(connection, date_row.programme_no, day, payments=date_row.payments, buckets=parts)
        if digest.sha256 != date_row.content_sha256:
            told = f"the entries of programme {date_row.programme_no} are not those that were closed"
            return Verified(day, payments.rows, entries.rows, told)
    return Verified(day, payments.rows, entries.rows)


def restore(connection: Connection, settings: Settings, day: date) -> DayDone:
    """Put a day back for looking, into restored.payment_YYYYMMDD and restored.entry_YYYYMMDD.

    Works in the caller's transaction. Raises UsageError, ControlMismatchError.
    """
    found = verify(connection, settings, day)
    if found.problem:
        raise ControlMismatchError(f"{day} is not put back: {found.problem}")
    connection.execute(text("SELECT dure_restore_day(:day)"), {"day": day})
    for table in (PAYMENT, ENTRY):
        dayfiles.put_back(connection, settings.files.archive, table, day)
    row = connection.execute(select(archived_day).where(archived_day.c.day == day)).one()
    return _done(row)
