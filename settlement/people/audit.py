"""The audit log in the database: appended in the transaction of the act itself, without a gap.

Its writers stand in line for one lock until they commit, so `note` belongs to the end of a transaction.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, Row, func, insert, select, text

from settlement.domain.audit import ChainError, Line, canonical, follow, link
from settlement.errors import ControlMismatchError
from settlement.store.schema_people import settlement_audit

LOCK_SPACE = 0x41554454  # "AUDT": the first key of the lock that keeps the numbers gapless
LOCK_WAIT_S = 20
SUBJECT_MAX = 500
DETAIL_MAX = 20_000
CHUNK_ROWS = 2_000

# A chain whose end was cut off is whole in itself; the approvals still know of what was in it.
_UNNOTED = text("""
    SELECT f.name, a.approved_by FROM file_approval a JOIN bank_file f USING (programme_no, file_no)
    WHERE NOT EXISTS (SELECT FROM settlement_audit s WHERE s.subject = f.name AND s.act = 'file:approve'
                      AND s.actor = a.approved_by AND s.at = a.approved_at)
    ORDER BY a.programme_no, a.file_no, a.approval_no LIMIT 1
""")


def note(
    connection: Connection, at: datetime, actor: str, act: str, subject: str, detail: dict[str, object]
) -> Line:
    """Append one line in the caller's transaction; returns it. `detail`: what JSON can say, no secrets."""
    what = canonical(detail)
    if len(what) > DETAIL_MAX or len(subject) > SUBJECT_MAX:
        raise ValueError(f"the audit line of {act} is too long: name sums and hashes, not lists")
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'"))
    connection.execute(select(func.pg_advisory_xact_lock(LOCK_SPACE, 0)))
    table = settlement_audit
    last = connection.execute(select(table).order_by(table.c.audit_no.desc()).limit(1)).first()
    line = link(_line(last) if last else None, at, actor, act, subject, what)
    connection.execute(
        insert(table).values(
            audit_no=line.audit_no,
            at=line.at,
            actor=line.actor,
            act=line.act,
            subject=line.subject,
            detail=line.detail,
            previous_sha256=line.previous_sha256,
            sha256=line.sha256,
        )
    )
    return line


def verify(connection: Connection, known: tuple[int, str] | None = None) -> Line | None:
    """Walk the whole log in the caller's transaction; returns its last line.

    `known` is the number and fingerprint of a line noted elsewhere before: it must still be there; so must
    the line of every approval. Raises ControlMismatchError.
    """
    found = known is None
    last: Line | None = None
    try:
        for lines in _chunks(connection):
            last = follow(lines, last)
            found = found or any((line.audit_no, line.sha256) == known for line in lines)
    except ChainError as error:
        raise ControlMismatchError(
            f"the audit log is damaged: {error}: restore a backup, find who"
        ) from error
    if known is not None and not found:
        raise ControlMismatchError(
            f"the audit log is damaged: line {known[0]} with sha256 {known[1][:16]}… is not in it"
        )
    unnoted = connection.execute(_UNNOTED).first()
    if unnoted is not None:
        raise ControlMismatchError(
            f"the audit log is damaged: {unnoted.approved_by} approved {unnoted.name}, and no line says so:"
            " restore a backup, find who"
        )
    return last


def latest(connection: Connection, most: int, subject: str | None = None) -> list[Line]:
    """The last lines, newest first; those about one subject, or all."""
    table = settlement_audit
    query = select(table).order_by(table.c.audit_no.desc()).limit(most)
    if subject is not None:
        query = query.where(table.c.subject == subject)
    return [_line(row) for row in connection.execute(query)]


def _chunks(connection: Connection) -> Iterator[list[Line]]:
    query = select(settlement_audit).order_by(settlement_audit.c.audit_no)
    rows = connection.execute(query, execution_options={"yield_per": CHUNK_ROWS})
    for part in rows.partitions(CHUNK_ROWS):
        yield [_line(row) for row in part]


def _line(row: Row[tuple[object, ...]]) -> Line:
    return Line(
        row.audit_no,
        row.at,
        row.actor,
        row.act,
        row.subject,
        row.detail,
        row.previous_sha256,
        row.sha256,
    )
