"""Funders' gifts to merchants: a file checked as a whole, approved by another person, paid by a run."""

import csv
import io
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, insert, text

from settlement.errors import UsageError
from settlement.people.audit import note
from settlement.people.identity import Actor
from settlement.reference import Facts
from settlement.store.schema_merchants import merchant_subsidy
from switch.domain.money import WON_MAX

COLUMNS = ("reference", "merchant", "funder", "won", "about")
FILE_BYTES_MAX = 20_000_000
ROWS_MAX = 100_000
FAULTS_SHOWN_MAX = 10
LOCK_SPACE = 0x53554253  # "SUBS": one import at a time
_REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,40}")
_WON = re.compile(r"[1-9][0-9]{0,11}")
_ABOUT_MAX = 140

_MERCHANTS = text(
    "SELECT merchant_id, merchant_no FROM merchant WHERE programme_no = :no AND merchant_id = ANY(:ids)"
)
_KNOWN = text("SELECT * FROM merchant_subsidy WHERE programme_no = :no AND reference = ANY(:ids)")
_WAITING = text("""
    SELECT s.reference, m.merchant_id, m.name, f.funder_id, s.won, s.about, s.proposed_by
    FROM merchant_subsidy s JOIN merchant m USING (merchant_no) JOIN funder f USING (funder_no)
    WHERE s.programme_no = :programme_no AND s.approved_at IS NULL ORDER BY s.reference
""")
_APPROVE = text("""
    WITH approved AS (
        UPDATE merchant_subsidy SET approved_by = :actor, approved_at = :at
        WHERE programme_no = :programme_no AND approved_at IS NULL AND lower(proposed_by) <> lower(:actor)
          AND (CAST(:reference AS text) IS NULL OR reference = :reference)
        RETURNING won)
    SELECT count(*) AS items, coalesce(sum(won), 0)::bigint AS won FROM approved
""")


class Subsidy(msgspec.Struct, frozen=True):
    """One gift as the file has it."""

    reference: str
    merchant: str
    funder: str
    won: int
    about: str


class Waiting(msgspec.Struct, frozen=True):
    """One gift that waits for approval."""

    reference: str
    merchant: str
    name: str
    funder: str
    won: int
    about: str
    proposed_by: str


class Imported(msgspec.Struct, frozen=True):
    """What an import has added; `known` were there before, the same to the letter."""

    added: int
    won: int
    known: int


def read(path: Path) -> list[Subsidy]:
    """The gifts of a CSV file (UTF-8, with the heading of COLUMNS). Raises UsageError: every fault's line."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError(f"{path}: larger than {FILE_BYTES_MAX:,} bytes: import it in parts")
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8: save it as UTF-8 text") from None
    rows = csv.reader(io.StringIO(content, newline=""), strict=True)
    faults: list[str] = []
    found: list[Subsidy] = []
    seen: dict[str, int] = {}
    try:
        head = next(rows, [])
        if tuple(one.strip() for one in head) != COLUMNS:
            raise UsageError(f"{path}: its first line must be {','.join(COLUMNS)}")
        for row in rows:
            if not row:
                continue
            fault = _fault(row) or (
                f"reference {row[0]} is in line {seen[row[0]]} too" if row[0] in seen else ""
            )
            if fault:
                faults.append(f"line {rows.line_num}: {fault}")
                continue
            seen[row[0]] = rows.line_num
            found.append(Subsidy(row[0], row[1], row[2], int(row[3]), row[4].strip()))
            if len(found) > ROWS_MAX:
                raise UsageError(f"{path}: more than {ROWS_MAX:,} lines: import it in parts")
    except csv.Error as error:
        raise UsageError(f"{path}: line {rows.line_num}: {error}") from None
    _refuse(path, faults)
    return found


def _fault(row: Sequence[str]) -> str:
    if len(row) != len(COLUMNS):
        return f"has {len(row)} fields, not {len(COLUMNS)}"
    if not _REFERENCE.fullmatch(row[0]):
        return f"reference {row[0][:60]!r}: 1 to 40 letters, digits and . _ : -"
    if not _WON.fullmatch(row[3]) or int(row[3]) > WON_MAX:
        return f"won {row[3][:30]!r} is no whole number of won above 0, without commas"
    if not 0 < len(row[4].strip()) <= _ABOUT_MAX or not row[4].isprintable():
        return f"about must be 1 to {_ABOUT_MAX} printable characters"
    return ""


def _refuse(path: Path, faults: list[str]) -> None:
    if not faults:
        return
    more = f"; and {len(faults) - FAULTS_SHOWN_MAX:,} more" if len(faults) > FAULTS_SHOWN_MAX else ""
    raise UsageError(f"{path}: nothing was imported: {'; '.join(faults[:FAULTS_SHOWN_MAX])}{more}")


def add(
    connection: Connection, facts: Facts, path: Path, found: list[Subsidy], actor: Actor, at: datetime
) -> Imported:
    """Propose a file's gifts, all or none, in the caller's transaction. The same again changes nothing.

    Raises UsageError for an unknown merchant or funder, or a reference that stands for something else.
    """
    programme = facts.programme_no
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:space, :programme_no)"),
        {"space": LOCK_SPACE, "programme_no": programme},
    )
    merchants = connection.execute(_MERCHANTS, {"no": programme, "ids": [one.merchant for one in found]})
    numbers = {row.merchant_id: row.merchant_no for row in merchants}
    there_are = connection.execute(_KNOWN, {"no": programme, "ids": [one.reference for one in found]})
    known = {row.reference: row for row in there_are}
    faults: list[str] = []
    rows: list[dict[str, object]] = []
    for one in found:
        if one.merchant not in numbers:
            faults.append(f"{one.reference}: {facts.programme_id} has no merchant {one.merchant[:60]!r}")
        elif one.funder not in facts.funder_no:
            faults.append(f"{one.reference}: {facts.programme_id} has no funder {one.funder[:60]!r}")
        elif one.reference in known:
            there = known[one.reference]
            same = (numbers[one.merchant], facts.funder_no[one.funder], one.won, one.about)
            if (there.merchant_no, there.funder_no, there.won, there.about) != same:
                faults.append(f"{one.reference}: was imported before with other content")
        else:
            rows.append(
                {
                    "programme_no": programme,
                    "reference": one.reference,
                    "merchant_no": numbers[one.merchant],
                    "funder_no": facts.funder_no[one.funder],
                    "won": one.won,
                    "about": one.about,
                    "proposed_by": actor.name,
                    "proposed_at": at,
                }
            )
    _refuse(path, faults)
    won = sum(one.won for one in found if one.reference not in known)
    imported = Imported(len(rows), won, len(found) - len(rows))
    if rows:
        connection.execute(insert(merchant_subsidy), rows)
        detail = {"file": path.name[:200], **msgspec.structs.asdict(imported)}
        note(connection, at, actor.name, "subsidy:import", facts.programme_id, detail)
    return imported


def waiting_for_approval(connection: Connection, facts: Facts) -> list[Waiting]:
    """What is proposed and not approved, by reference."""
    return [Waiting(*row) for row in connection.execute(_WAITING, {"programme_no": facts.programme_no})]


def approve(
    connection: Connection,
    facts: Facts,
    won: int,
    actor: Actor,
    at: datetime,
    *,
    reference: str | None = None,
) -> int:
    """Approve what others have proposed, all of it or one gift; the next run pays it. Returns how many.

    `won` is the sum that the approver has seen. Raises UsageError if it is another.
    """
    done = connection.execute(
        _APPROVE,
        {"programme_no": facts.programme_no, "actor": actor.name, "at": at, "reference": reference},
    ).one()
    if not done.items:
        raise UsageError("no subsidy of another person's waits for approval: `subsidy list` shows what waits")
    if done.won != won:
        raise UsageError(
            f"what waits comes to {done.won:,} won, not to {won:,}: look at `subsidy list` again"
        )
    detail: dict[str, object] = {"items": done.items, "won": done.won}
    note(connection, at, actor.name, "subsidy:approve", facts.programme_id, detail)
    return int(done.items)
