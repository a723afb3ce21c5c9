"""Payouts and transfers between own accounts as the bank speaks of them: by EndToEndId, file by file.

Both move through the same states (settlement.domain.payouts) and are found, moved and noted together here.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Connection, Integer, Row, Text, any_, cast, or_, select, text, update

from settlement.domain.bankfiles import FileState
from settlement.domain.matching import Item
from settlement.domain.payouts import PayoutEvent, PayoutState
from settlement.errors import ControlMismatchError
from settlement.store.schema_bank import bank_file, bank_file_line


class BankFile(msgspec.Struct, frozen=True):
    """A file that the bank may speak of."""

    programme_no: int
    file_no: int
    name: str
    message_id: str
    payment_information_id: str
    debtor: str
    state: FileState


# Both tables as one, looked up by their names: a plan that needs no statistics of rows just written.
_ITEMS = """
    SELECT p.end_to_end_id, p.merchant_no, 0 AS funder_no, p.won, p.state, 'safeguarded' AS debtor,
           '' AS payee, p.booked_on, p.returned_on AS received_on, f.file_no, {announced} AS announced
    FROM payout p {join} WHERE p.programme_no = :programme_no AND {where}
    UNION ALL
    SELECT p.end_to_end_id, 0, p.funder_no, p.won, p.state, p.debtor, p.payee,
           p.booked_on, p.received_on, f.file_no, false
    FROM house_transfer p {join} WHERE p.programme_no = :programme_no AND {where}
"""
_ANNOUNCED = """EXISTS (SELECT FROM payout_event e WHERE e.programme_no = p.programme_no
           AND e.end_to_end_id = p.end_to_end_id AND e.event = 'announced')"""
_LIVE = """
    LEFT JOIN bank_file_line l ON l.end_to_end_id = p.end_to_end_id AND l.programme_no = p.programme_no
    LEFT JOIN bank_file f
        ON f.programme_no = l.programme_no AND f.file_no = l.file_no AND f.state <> 'voided'
"""
_NAMED = text(
    _ITEMS.format(
        announced=_ANNOUNCED,
        join=_LIVE,
        where="p.end_to_end_id = ANY(CAST(:names AS text[]))",
    )
)


def _item(row: "Row[tuple[object, ...]]") -> Item:
    return Item(
        row.end_to_end_id,
        row.merchant_no,
        row.funder_no,
        row.won,
        PayoutState(row.state),
        row.debtor,
        row.payee,
        row.booked_on,
        row.received_on,
        row.file_no or 0,
        row.announced,
    )


def items_named(connection: Connection, programme_no: int, names: Iterable[str]) -> dict[str, Item]:
    """Those of the names that are ours. One that no live file holds has the file number 0."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    rows = connection.execute(_NAMED, {"programme_no": programme_no, "names": wanted})
    found: dict[str, Item] = {}
    for row in rows:  # a voided file's line gives a row without a file beside that of the live one
        one = _item(row)
        if one.file_no or one.end_to_end_id not in found:
            found[one.end_to_end_id] = one
    return found


def items_of_file(connection: Connection, programme_no: int, file_no: int) -> dict[str, Item]:
    """A live file's payments in their order."""
    table = bank_file_line
    names = connection.execute(
        select(table.c.end_to_end_id)
        .where(table.c.programme_no == programme_no, table.c.file_no == file_no)
        .order_by(table.c.line)
    ).scalars()
    wanted = list(names)
    found = items_named(connection, programme_no, wanted)
    return {name: found[name] for name in wanted if name in found and found[name].file_no == file_no}


def find_file(
    connection: Connection, *, message_id: str = "", payment_information_id: str = "", held: bool = False
) -> BankFile | None:
    """The file of that identity, of whichever programme; `held`: nobody else changes it meanwhile."""
    table = bank_file
    query = select(table)
    if message_id:
        query = query.where(table.c.message_id == message_id)
    else:
        query = query.where(table.c.payment_information_id == payment_information_id)
    row = connection.execute(query.with_for_update() if held else query).first()
    if row is None:
        return None
    return _file(row)


def _file(row: Any) -> BankFile:
    return BankFile(
        row.programme_no,
        row.file_no,
        row.name,
        row.message_id,
        row.payment_information_id,
        row.debtor,
        FileState(row.state),
    )


class Moved(msgspec.Struct, frozen=True, gc=False):
    """A payment that changes its state, with the bank's reason where it has one."""

    item: Item
    reason: str = ""
    told: str = ""


def move(
    connection: Connection,
    programme_no: int,
    changes: Sequence[Moved],
    to: PayoutState,
    *,
    booked_on: date | None = None,
    returned_on: date | None = None,
) -> None:
    """Move payments to a state, each from the state that it was read in.

    Raises ControlMismatchError if one has moved meanwhile: nothing of the transaction stands then.
    """
    for table, payouts in (("payout", True), ("house_transfer", False)):
        own = [one for one in changes if (one.item.merchant_no > 0) is payouts]
        if not own:
            continue
        came_back = ", returned_on = coalesce(:returned_on, p.returned_on)" if payouts else ""
        done = connection.execute(
            text(
                f"UPDATE {table} p SET state = :to, reason = v.reason,"  # noqa: S608 (two names of our own)
                f" booked_on = coalesce(:booked_on, p.booked_on){came_back}"
                " FROM unnest(CAST(:names AS text[]), CAST(:was AS text[]), CAST(:reasons AS text[]))"
                " AS v(name, was, reason)"
                " WHERE p.programme_no = :programme_no AND p.end_to_end_id = v.name AND p.state = v.was"
            ),
            {
                "to": to.value,
                "booked_on": booked_on,
                **({"returned_on": returned_on} if payouts else {}),
                "names": [one.item.end_to_end_id for one in own],
                "was": [one.item.state.value for one in own],
                "reasons": [one.reason for one in own],
                "programme_no": programme_no,
            },
        )
        if done.rowcount != len(own):
            raise ControlMismatchError(
                f"{len(own) - done.rowcount} of {len(own)} payments moved meanwhile: run the same again"
            )


def note(
    connection: Connection,
    programme_no: int,
    event: PayoutEvent,
    at: datetime,
    inbound_no: int,
    changes: Sequence[Moved],
) -> None:
    """Note one event of each of these payments; the same conflict is noted once."""
    if not changes:
        return
    connection.execute(
        text(
            "INSERT INTO payout_event"
            " SELECT :programme_no, v.name, 1 + coalesce((SELECT max(e.event_no) FROM payout_event e"
            "   WHERE e.programme_no = :programme_no AND e.end_to_end_id = v.name), 0),"
            " :event, :at, :inbound_no, v.reason, v.told"
            " FROM unnest(CAST(:names AS text[]), CAST(:reasons AS text[]), CAST(:told AS text[]))"
            " AS v(name, reason, told)"
            " WHERE :event <> 'conflict' OR NOT EXISTS (SELECT FROM payout_event e"
            "   WHERE e.programme_no = :programme_no AND e.end_to_end_id = v.name AND e.event = :event"
            "   AND e.reason = v.reason AND e.told = v.told)"
        ),
        {
            "programme_no": programme_no,
            "event": event.value,
            "at": at,
            "inbound_no": inbound_no,
            "names": [one.item.end_to_end_id for one in changes],
            "reasons": [one.reason for one in changes],
            "told": [one.told for one in changes],
        },
    )


def arrived(connection: Connection, file: BankFile, at: datetime) -> BankFile:
    """A file that was on its way, and of which the bank speaks, is there: note it as delivered."""
    if file.state is not FileState.DELIVERING:
        return file
    where = {"programme_no": file.programme_no, "file_no": file.file_no}
    connection.execute(
        text(
            "UPDATE file_delivery SET ended_at = :at, outcome = 'delivered',"
            " told = 'the bank has answered it'"
            " WHERE programme_no = :programme_no AND file_no = :file_no AND try_no = (SELECT max(try_no)"
            " FROM file_delivery WHERE programme_no = :programme_no AND file_no = :file_no)"
        ),
        {**where, "at": at},
    )
    connection.execute(
        update(bank_file)
        .where(
            bank_file.c.programme_no == file.programme_no,
            bank_file.c.file_no == file.file_no,
            bank_file.c.state == FileState.DELIVERING.value,
        )
        .values(state=FileState.DELIVERED.value)
    )
    for table in ("payout", "house_transfer"):
        connection.execute(
            text(
                f"UPDATE {table} p SET state = 'sent' FROM bank_file_line l"  # noqa: S608 (as above)
                " WHERE l.programme_no = :programme_no AND l.file_no = :file_no AND p.state = 'ordered'"
                " AND p.programme_no = l.programme_no AND p.end_to_end_id = l.end_to_end_id"
            ),
            where,
        )
    return msgspec.structs.replace(file, state=FileState.DELIVERED)


def mark_answered(connection: Connection, programme_no: int) -> None:
    """Files at the bank of which no payment waits for a word any more are answered."""
    connection.execute(
        text(
            "UPDATE bank_file f SET state = 'answered' WHERE f.programme_no = :programme_no"
            " AND f.state = 'delivered' AND NOT EXISTS (SELECT FROM bank_file_line l"
            " JOIN payout p ON p.programme_no = l.programme_no AND p.end_to_end_id = l.end_to_end_id"
            " WHERE l.programme_no = f.programme_no AND l.file_no = f.file_no"
            " AND p.state IN ('ordered', 'sent')) AND NOT EXISTS (SELECT FROM bank_file_line l"
            " JOIN house_transfer p ON p.programme_no = l.programme_no AND p.end_to_end_id = l.end_to_end_id"
            " WHERE l.programme_no = f.programme_no AND l.file_no = f.file_no"
            " AND p.state IN ('ordered', 'sent'))"
        ),
        {"programme_no": programme_no},
    )


def received(connection: Connection, programme_no: int, changes: Sequence[Moved], on: date) -> None:
    """Transfers between own accounts have come in on the payee's account."""
    done = connection.execute(
        text(
            "UPDATE house_transfer SET received_on = :on WHERE programme_no = :programme_no"
            " AND end_to_end_id = ANY(CAST(:names AS text[])) AND received_on IS NULL"
        ),
        {
            "on": on,
            "programme_no": programme_no,
            "names": [one.item.end_to_end_id for one in changes],
        },
    )
    if done.rowcount != len(changes):
        raise ControlMismatchError("a transfer has come in meanwhile: run the same again")


def files_of(
    connection: Connection, programme_no: int, names: Iterable[str], numbers: Iterable[int]
) -> list[BankFile]:
    """The live files with one of these identities or numbers."""
    table = bank_file
    wanted = sorted(set(names))
    rows = connection.execute(
        select(table)
        .where(
            table.c.programme_no == programme_no,
            table.c.state != FileState.VOIDED.value,
            or_(
                table.c.message_id == any_(cast(wanted, ARRAY(Text))),
                table.c.payment_information_id == any_(cast(wanted, ARRAY(Text))),
                table.c.file_no == any_(cast(sorted(set(numbers)), ARRAY(Integer))),
            ),
        )
        .order_by(table.c.file_no)
    )
    return [_file(row) for row in rows]


def programme_of(connection: Connection, names: Sequence[str]) -> str | None:
    """The programme's id of the first of these payments that is ours."""
    row = connection.execute(
        text(
            "SELECT g.programme_id FROM (SELECT programme_no FROM payout WHERE end_to_end_id = ANY(:names)"
            " UNION ALL SELECT programme_no FROM house_transfer WHERE end_to_end_id = ANY(:names)) i"
            " JOIN programme g ON g.programme_no = i.programme_no ORDER BY g.programme_no LIMIT 1"
        ),
        {"names": list(names)},
    ).first()
    return row.programme_id if row else None


def programme_no_of(connection: Connection, programme_id: str) -> int:
    """A programme's number, -1 for one that the database does not have."""
    found = connection.execute(
        text("SELECT programme_no FROM programme WHERE programme_id = :id"), {"id": programme_id}
    ).scalar()
    return -1 if found is None else int(found)


def programme_ids(connection: Connection) -> frozenset[str]:
    """The ids of all programmes that there are."""
    return frozenset(connection.execute(text("SELECT programme_id FROM programme")).scalars())
