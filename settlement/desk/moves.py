"""A holiday declared later moves what is pending: payouts and transfers whose bank day is closed by now.

So does a day that was over before they stood in a file, because no night ran. What has not left gets the next
open day. A file that names a payout of a closed day is voided as a whole, its approval with it: its bytes say
the wrong day. The other payouts of the file keep theirs and come into a new file. What has left is the bank's
to move; so is a file that people carry, once it is approved, unless they take the approval back. A day that
opens again moves nothing: nobody is paid earlier than was told.
"""

from collections.abc import Iterable
from datetime import date

import msgspec
from sqlalchemy import Connection, select, text, update

from settlement.domain.bankdays import facts
from settlement.domain.bankfiles import FileState, move
from settlement.domain.payouts import PayoutEvent
from settlement.frame import Frame
from settlement.people.approvals import void as void_approval
from settlement.people.audit import note
from settlement.store.schema_bank import bank_file
from switch.domain.calendar import BankCalendar

_MAY_BE_GONE = (
    "{name} is approved and may be on its way by hand, and banks are closed on {day}: if it is not,"
    " run dure-settlement approve --withdraw {name}, then run again"
)
_WITHDRAWN_MAX = 10_000

_ITEMS = """(
    SELECT programme_no, end_to_end_id, pay_on, won, state FROM payout WHERE state <> 'booked'
    UNION ALL
    SELECT programme_no, end_to_end_id, pay_on, won, state FROM house_transfer WHERE state <> 'booked'
)"""
_DAYS = text(f"""
    SELECT DISTINCT pay_on, state = 'ordered' AS pending FROM {_ITEMS} i
    WHERE programme_no = :programme_no
      AND (state = 'ordered' OR (state IN ('sent', 'accepted') AND pay_on >= :today))
""")  # noqa: S608 (our own text)
# A payout is in at most one file that is not voided; where that file is on its way, so is the payout.
_FILES = text(f"""
    SELECT DISTINCT f.file_no FROM {_ITEMS} i
    JOIN bank_file_line l USING (programme_no, end_to_end_id) JOIN bank_file f USING (programme_no, file_no)
    WHERE programme_no = :programme_no AND i.state = 'ordered' AND i.pay_on = :day
      AND f.state IN ('emitted', 'approved') ORDER BY f.file_no
""")  # noqa: S608
_LEFT = text(f"""
    SELECT count(*) AS items, coalesce(sum(won), 0)::bigint AS won FROM {_ITEMS} i
    WHERE programme_no = :programme_no AND pay_on = :day AND (state IN ('sent', 'accepted') OR (
        state = 'ordered' AND EXISTS (
            SELECT FROM bank_file_line l JOIN bank_file f USING (programme_no, file_no)
            WHERE l.programme_no = i.programme_no AND l.end_to_end_id = i.end_to_end_id
              AND f.state NOT IN ('emitted', 'approved', 'voided'))))
""")  # noqa: S608
_MOVE = tuple(
    text(f"""
        WITH moved AS (
            UPDATE {table} i SET pay_on = :to
            WHERE programme_no = :programme_no AND state = 'ordered' AND pay_on = :day AND NOT EXISTS (
                SELECT FROM bank_file_line l JOIN bank_file f USING (programme_no, file_no)
                WHERE l.programme_no = i.programme_no AND l.end_to_end_id = i.end_to_end_id
                  AND f.state <> 'voided')
            RETURNING programme_no, end_to_end_id, won
        ), told AS (
            INSERT INTO payout_event (programme_no, end_to_end_id, event_no, event, at, told)
            SELECT programme_no, end_to_end_id,
                   (SELECT coalesce(max(event_no), 0) + 1 FROM payout_event e
                    WHERE e.programme_no = m.programme_no AND e.end_to_end_id = m.end_to_end_id),
                   '{PayoutEvent.MOVED.value}', :at, :told
            FROM moved m
        )
        SELECT count(*) AS items, coalesce(sum(won), 0)::bigint AS won FROM moved
    """)  # noqa: S608 (our own two names)
    for table in ("payout", "house_transfer")
)


class Move(msgspec.Struct, frozen=True):
    """What moved from one bank day to another: payouts and transfers, won."""

    day: date
    to: date
    items: int
    won: int


class Moves(msgspec.Struct, frozen=True):
    """What a declared holiday has changed; `exceptions` are what a person must know, one line each."""

    moved: tuple[Move, ...] = ()
    voided: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()


def move_pending(frame: Frame) -> Moves:
    """Move what stands on a day that is closed by today's settings, or over, in one transaction of its own.

    To be called under the programme's run lock, before files are made. A second call finds nothing to do.
    """
    connection = frame.connection
    moved: list[Move] = []
    voided: list[str] = []
    told: list[str] = []
    exceptions: list[str] = []
    with connection.begin():
        for day, to, pending, is_open in _days(frame):
            if pending:
                if not is_open:
                    gone, kept = _void(frame, day)
                    voided += gone
                    exceptions += [_MAY_BE_GONE.format(name=name, day=day) for name in kept]
                items, won = _move(frame, day, to)
                if items:
                    moved.append(Move(day, to, items, won))
                    why = "that day is over" if is_open else "banks are closed"
                    told.append(f"{items:,} payments of {won:,} won moved from {day} to {to}: {why}")
            if is_open:
                continue
            left = connection.execute(_LEFT, {"programme_no": frame.key.programme_no, "day": day}).one()
            if left.items:
                exceptions.append(
                    f"{left.items:,} payments of {left.won:,} won for {day} have left already, and banks are"
                    " closed then: the bank moves them by its own calendar, expect its answer later"
                )
        exceptions += told
        exceptions += [f"{name} was voided: its day is closed; a new file takes its place" for name in voided]
        frame.observer.reached("moves:written")
    _withdraw(frame)
    return Moves(tuple(moved), tuple(voided), tuple(exceptions))


def today_calendar(frame: Frame, day: date) -> BankCalendar:
    """The bank days from `day` on, as the settings have them today."""
    calendar = frame.settings.calendar
    return facts(day, calendar.extra_closed, calendar.extra_open).calendar()


def _days(frame: Frame) -> Iterable[tuple[date, date, bool, bool]]:
    """Days to move from: the day, the next open one, whether something is pending, whether it is open."""
    rows = frame.connection.execute(
        _DAYS, {"programme_no": frame.key.programme_no, "today": frame.ordered_on}
    ).all()
    pending: dict[date, bool] = {}
    for row in rows:
        pending[row.pay_on] = pending.get(row.pay_on, False) or row.pending
    first = today_calendar(frame, frame.ordered_on).add_open_days(frame.ordered_on, 0)
    for day in sorted(pending):
        calendar = today_calendar(frame, day)
        is_open = calendar.is_open(day)
        if not is_open or (pending[day] and day < frame.ordered_on):
            yield day, max(calendar.add_open_days(day, 0), first), pending[day], is_open


def _void(frame: Frame, day: date) -> tuple[list[str], list[str]]:
    """Void the files that have not left and name something on that day. Their names; those of files that
    nobody knows it of."""
    connection, number = frame.connection, frame.key.programme_no
    by_hand = frame.settings.delivery.channel == "none"
    names: list[str] = []
    kept: list[str] = []
    for file_no in connection.execute(_FILES, {"programme_no": number, "day": day}).scalars().all():
        own = (bank_file.c.programme_no == number) & (bank_file.c.file_no == file_no)
        file = connection.execute(select(bank_file).where(own).with_for_update()).one()
        if file.state == FileState.APPROVED and by_hand:
            kept.append(file.name)
            continue
        if file.state not in (FileState.EMITTED, FileState.APPROVED):  # left while we looked
            continue
        why = f"banks are closed on {day}"
        if file.state == FileState.APPROVED:
            void_approval(connection, number, file_no, frame.now(), frame.actor, why)
        state = move(FileState.EMITTED, FileState.VOIDED)
        connection.execute(update(bank_file).where(own).values(state=state.value))
        note(connection, frame.now(), frame.actor, "file:replace", file.name, {"reason": why})
        names.append(file.name)
    return names, kept


def _move(frame: Frame, day: date, to: date) -> tuple[int, int]:
    parameters = {
        "programme_no": frame.key.programme_no,
        "day": day,
        "to": to,
        "at": frame.now(),
        "told": f"{day} to {to}",
    }
    found = [frame.connection.execute(statement, parameters).one() for statement in _MOVE]
    return sum(row.items for row in found), sum(row.won for row in found)


def _withdraw(frame: Frame) -> None:
    """Take voided files out of the outbox; the archive keeps them. Nothing there is as good."""
    for name in _voided_names(frame.connection, frame.key.programme_no):
        path = frame.outbox / name
        for gone in (path.with_name(f"{name}.done"), path.with_name(f"{name}.sha256"), path):
            gone.unlink(missing_ok=True)
            frame.observer.reached("moves:withdrawn")


def _voided_names(connection: Connection, programme_no: int) -> list[str]:
    with connection.begin():
        return list(
            connection.execute(
                select(bank_file.c.name)
                .where(bank_file.c.programme_no == programme_no, bank_file.c.state == FileState.VOIDED.value)
                .order_by(bank_file.c.file_no.desc())
                .limit(_WITHDRAWN_MAX)
            ).scalars()
        )
