"""The record of a file's way to the bank: tries, and what becomes of the file with each.

Every function is a few statements on the caller's connection, in the caller's transaction. A try is open from
before its first byte until its outcome is known; a file in `delivering` has exactly one open try.
"""

from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from settlement.domain.bankfiles import FileState, move
from settlement.domain.payouts import PayoutState
from settlement.errors import ControlMismatchError
from settlement.people.audit import note
from settlement.store.runs import RunKey
from settlement.store.schema import payout
from settlement.store.schema_bank import (
    bank_file,
    bank_file_line,
    file_delivery,
    house_transfer,
)


class Outcome(StrEnum):
    """How a try stands. The first two are open. The names are stored; never rename."""

    STARTED = "started"  # bytes may be there under the temporary name; the final name was not asked for
    UPLOADED = "uploaded"  # all bytes are there; whether the final name was given is not known
    DELIVERED = "delivered"
    ABSENT = "absent"  # asked: it is not there, and never had its final name
    REFUSED = "refused"  # the bank's side said no
    UNKNOWN = "unknown"  # nobody could tell; a person asked the bank and had it sent again


class BankFile(msgspec.Struct, frozen=True):
    """A file for the bank as far as delivery needs it."""

    key: RunKey
    file_no: int
    name: str
    message_id: str
    sha256: str
    state: FileState


class Try(msgspec.Struct, frozen=True):
    """An open try."""

    try_no: int
    outcome: Outcome
    started_at: datetime
    told: str


def files_of(connection: Connection, key: RunKey) -> list[BankFile]:
    """The files that a run made, by number; those not written yet are left out."""
    table = bank_file.c
    rows = connection.execute(
        select(bank_file)
        .where(
            table.programme_no == key.programme_no,
            table.business_date == key.business_date,
            table.cycle == key.cycle,
            table.sha256.is_not(None),
        )
        .order_by(table.file_no)
    )
    return [_file(row) for row in rows]


def find(connection: Connection, programme_no: int, file_no: int) -> BankFile:
    """One file as it stands now."""
    table = bank_file.c
    query = select(bank_file).where(table.programme_no == programme_no, table.file_no == file_no)
    return _file(connection.execute(query).one())


def _file(row: Row[tuple[object, ...]]) -> BankFile:
    key = RunKey(row.programme_no, row.business_date, row.cycle)
    return BankFile(key, row.file_no, row.name, row.message_id, row.sha256, FileState(row.state))


def open_try(connection: Connection, file: BankFile) -> Try:
    """The open try of a file in `delivering`. Raises ControlMismatchError where the record is damaged."""
    table = file_delivery.c
    rows = connection.execute(
        select(file_delivery).where(
            table.programme_no == file.key.programme_no,
            table.file_no == file.file_no,
            table.ended_at.is_(None),
        )
    ).all()
    if len(rows) != 1:
        raise ControlMismatchError(
            f"{file.name} is being delivered, but {len(rows)} of its tries are open: the record is damaged"
        )
    row = rows[0]
    return Try(row.try_no, Outcome(row.outcome), row.started_at, row.told)


def begin(connection: Connection, file: BankFile, channel: str, at: datetime, by: str) -> Try:
    """Note a try before its first byte leaves."""
    table = file_delivery.c
    last = connection.execute(
        select(func.max(table.try_no)).where(
            table.programme_no == file.key.programme_no, table.file_no == file.file_no
        )
    ).scalar()
    try_no = (last or 0) + 1
    _become(connection, file, FileState.DELIVERING)
    connection.execute(
        insert(file_delivery).values(
            programme_no=file.key.programme_no,
            file_no=file.file_no,
            try_no=try_no,
            channel=channel,
            by=by,
            started_at=at,
            outcome=Outcome.STARTED.value,
        )
    )
    detail = {"channel": channel, "try": try_no, "sha256": file.sha256}
    note(connection, at, by, "file:send", file.name, detail)
    return Try(try_no, Outcome.STARTED, at, "")


def uploaded(connection: Connection, file: BankFile, attempt: Try) -> Try:
    """Note that all bytes are there, before the final name is asked for."""
    _change(connection, file, attempt, {"outcome": Outcome.UPLOADED.value})
    return msgspec.structs.replace(attempt, outcome=Outcome.UPLOADED)


def told(connection: Connection, file: BankFile, attempt: Try, what: str) -> None:
    """Note what is known of a try that stays open."""
    _change(connection, file, attempt, {"told": what})


def back(
    connection: Connection, file: BankFile, attempt: Try, outcome: Outcome, at: datetime, by: str, what: str
) -> BankFile:
    """End a try that brought nothing to the bank: the file may be tried again."""
    _end(connection, file, attempt, outcome, at, what)
    note(connection, at, by, f"file:send:{outcome.value}", file.name, {"try": attempt.try_no, "told": what})
    return _become(connection, file, FileState.APPROVED)


def arrived(connection: Connection, file: BankFile, at: datetime, by: str, what: str) -> BankFile:
    """End the open try of a file that is at the bank. Its payouts and transfers are sent with it.

    Also for whoever learns it elsewhere: an answer of the bank that names a file still in `delivering`.
    """
    attempt = open_try(connection, file)
    _end(connection, file, attempt, Outcome.DELIVERED, at, what)
    for table in (payout, house_transfer):
        inside = select(bank_file_line.c.end_to_end_id).where(
            bank_file_line.c.programme_no == file.key.programme_no,
            bank_file_line.c.file_no == file.file_no,
        )
        connection.execute(
            update(table)
            .where(
                table.c.programme_no == file.key.programme_no,
                table.c.end_to_end_id.in_(inside),
                table.c.state == PayoutState.ORDERED.value,
            )
            .values(state=PayoutState.SENT.value)
        )
    note(connection, at, by, "file:delivered", file.name, {"try": attempt.try_no, "told": what})
    return _become(connection, file, FileState.DELIVERED)


def _end(
    connection: Connection, file: BankFile, attempt: Try, outcome: Outcome, at: datetime, what: str
) -> None:
    _change(connection, file, attempt, {"outcome": outcome.value, "ended_at": at, "told": what})


def _change(connection: Connection, file: BankFile, attempt: Try, values: dict[str, object]) -> None:
    table = file_delivery.c
    done = connection.execute(
        update(file_delivery)
        .where(
            table.programme_no == file.key.programme_no,
            table.file_no == file.file_no,
            table.try_no == attempt.try_no,
            table.ended_at.is_(None),
        )
        .values(**values)
    )
    if done.rowcount != 1:
        raise ControlMismatchError(f"{file.name}: its try {attempt.try_no} was ended by somebody else: look")


def _become(connection: Connection, file: BankFile, state: FileState) -> BankFile:
    move(file.state, state)
    table = bank_file.c
    done = connection.execute(
        update(bank_file)
        .where(
            table.programme_no == file.key.programme_no,
            table.file_no == file.file_no,
            table.state == file.state.value,
        )
        .values(state=state.value)
    )
    if done.rowcount != 1:
        raise ControlMismatchError(f"{file.name} is no longer {file.state.value}: run again, and look")
    return msgspec.structs.replace(file, state=state)
