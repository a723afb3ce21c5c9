"""The list of files that came from the bank: each known by its content, numbered without a gap."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, text, update

from settlement.store.schema_bank import inbound_file
from switch.domain.calendar import SEOUL

LOCK_SPACE = 0x494E424F  # "INBO": the first key of the lock that keeps the numbers gapless
LOCK_WAIT_S = 20

ARCHIVED, APPLIED, REFUSED = "archived", "applied", "refused"


class Inbound(msgspec.Struct, frozen=True):
    """One file. `programme_no` 0 until it is known; `archived` is its path below the archive."""

    inbound_no: int
    programme_no: int
    name: str
    sha256: str
    archived: str
    state: str
    problem: str


def _inbound(row: "Row[tuple[object, ...]]") -> Inbound:
    return Inbound(
        row.inbound_no, row.programme_no, row.name, row.sha256, row.archived, row.state, row.problem
    )


def receive(connection: Connection, name: str, sha256: str, size: int, at: datetime) -> tuple[Inbound, bool]:
    """The row of these bytes, and whether it is new, in the caller's transaction.

    One that had been refused is put to another try: what it lacked may be there now.
    """
    table = inbound_file
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'"))
    connection.execute(select(func.pg_advisory_xact_lock(LOCK_SPACE, 0)))
    known = connection.execute(select(table).where(table.c.sha256 == sha256)).first()
    if known is not None:
        if known.state == REFUSED:
            settle(connection, known.inbound_no, ARCHIVED)
        return _inbound(known), False
    last = connection.execute(select(func.max(table.c.inbound_no))).scalar() or 0
    day = at.astimezone(SEOUL)
    number = last + 1
    new = Inbound(number, 0, name, sha256, f"in/{day:%Y/%m/%d}/{number}_{name}", ARCHIVED, "")
    row = {**msgspec.structs.asdict(new), "size": size, "received_at": at}
    connection.execute(insert(table).values(row))
    return new, True


def pending(connection: Connection, programme_no: int) -> list[Inbound]:
    """Files that are archived and not applied, and are the programme's or nobody's yet."""
    table = inbound_file
    rows = connection.execute(
        select(table)
        .where(table.c.state == ARCHIVED, table.c.programme_no.in_((0, programme_no)))
        .order_by(table.c.inbound_no)
    )
    return [_inbound(row) for row in rows]


def find(connection: Connection, inbound_no: int) -> Inbound:
    """One file's row as it is now."""
    return _inbound(
        connection.execute(select(inbound_file).where(inbound_file.c.inbound_no == inbound_no)).one()
    )


def identify(
    connection: Connection, inbound_no: int, kind: str, message_id: str, programme_no: int = 0
) -> None:
    """Note what a file is, and whose: 0 where it is several programmes'."""
    connection.execute(
        update(inbound_file)
        .where(inbound_file.c.inbound_no == inbound_no)
        .values(kind=kind, message_id=message_id, programme_no=programme_no)
    )


def settle(connection: Connection, inbound_no: int, state: str, problem: str = "") -> None:
    """Note what became of a file."""
    connection.execute(
        update(inbound_file)
        .where(inbound_file.c.inbound_no == inbound_no)
        .values(state=state, problem=problem)
    )
