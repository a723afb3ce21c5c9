"""Looks again at entries in suspense that carry a name of ours: what hindered them may have come since.

A batch that was booked without its rejects, for one, fits once the bank has told the rejects. The entries are
read anew from the archived file, for its details are kept nowhere else.
"""

from collections import defaultdict

from sqlalchemy import Row, text

from settlement.domain.statement import Statement
from settlement.files.camt import read_statements
from settlement.files.xml import UnsafeXmlError
from settlement.frame import Frame
from settlement.steps.accounts import ledger_of
from settlement.steps.entries import Placed, rebook
from settlement.steps.statements import match_entries
from settlement.store import statements
from settlement.store.runs import open_for_booking

_NEAR = text("""
    SELECT e.account, e.statement_id, e.entry_no, s.inbound_no, i.archived
    FROM bank_entry e
    JOIN bank_statement s USING (programme_no, account, statement_id)
    JOIN inbound_file i ON i.inbound_no = s.inbound_no
    WHERE e.programme_no = :programme_no AND e.state = 'suspense' AND e.carrier <> ''
    ORDER BY s.inbound_no, e.account, e.statement_id, e.entry_no
""")


def look_again(frame: Frame) -> list[str]:
    """Book what fits now; a line for each entry. Works in transactions of its own, one for each statement."""
    connection = frame.connection
    with connection.begin():
        rows = connection.execute(_NEAR, {"programme_no": frame.key.programme_no}).all()
    by_file: dict[str, list[Row[tuple[object, ...]]]] = defaultdict(list)
    for row in rows:
        by_file[row.archived].append(row)
    told: list[str] = []
    for archived, waiting in by_file.items():
        path = frame.settings.files.archive / archived
        try:
            with path.open("rb") as source:
                _, found = read_statements(source)
        except (OSError, UnsafeXmlError):
            continue  # the archive was damaged: a person resolves the entry
        for one in found:
            told += _again(frame, one, [row for row in waiting if row.statement_id == one.statement_id])
    return told


def _again(frame: Frame, one: Statement, waiting: list["Row[tuple[object, ...]]"]) -> list[str]:
    if not waiting:
        return []
    connection, number = frame.connection, frame.key.programme_no
    code = str(waiting[0].account)
    account, funder_no = ledger_of(frame.facts, code)
    wanted = {row.entry_no for row in waiting}
    entries = [entry for entry in one.entries if entry.entry_no in wanted]
    told: list[str] = []
    with connection.begin():
        open_for_booking(connection, number, frame.open_date())
        for entry, match in zip(entries, match_entries(frame, code, entries), strict=True):
            if not match.bookings:
                continue
            placed = Placed(code, one.statement_id, entry, match)
            statements.rematch(connection, number, code, one.statement_id, entry.entry_no, match)
            rebook(frame, placed, account, funder_no, int(waiting[0].inbound_no))
            told.append(f"{code} {one.statement_id}/{entry.entry_no}: is {match.kind} {match.matched_to} now")
        frame.observer.reached("inbox:again")
    return told
