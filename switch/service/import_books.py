"""What all imports share: the report, and what they ask of the books.

An import is one file and one transaction, all or nothing, and safe to run again. It checks the file whole
(import_files, import_rows), asks the books what is there already, and writes only the difference. A row that
is there as it stands counts as unchanged; a row that contradicts the books is a fault of the file, and then
nothing of it is imported.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from switch.domain.toml_reader import nearest
from switch.service.import_files import Problems
from switch.service.import_rows import CardRow, FundingRow, MemberRow
from switch.store import cards as card_store
from switch.store import reference_write as reference
from switch.store.cards import MemberAt
from switch.store.reference_write import ProgrammeAt


class ImportReport(msgspec.Struct, frozen=True):
    """What an import did: rows in the file; how many were new, changed, or there already; won booked."""

    kind: str
    file: str
    rows: int
    new: int
    changed: int
    unchanged: int
    won: int = 0

    def __str__(self) -> str:
        booked = f", {self.won:,} won booked" if self.kind == "funding" else ""
        return (
            f"{self.file}: {self.new:,} new, {self.changed:,} changed, {self.unchanged:,} unchanged{booked}"
        )


class Books:
    """What the imports ask of the books: programmes by name, members by programme."""

    def __init__(self, connection: Connection, problems: Problems) -> None:
        self.connection = connection
        self.problems = problems
        self.programmes = reference.find_programmes(connection)

    def programme(self, line: int, name: str) -> ProgrammeAt | None:
        """The programme that a line names; None, and a problem, where there is none."""
        found = self.programmes.get(name)
        if found is None:
            fix = nearest(name, self.programmes) if self.programmes else "apply its file first"
            self.problems.add(line, "programme", f'no programme "{name}"', fix)
        return found

    def members(self, rows: Iterable[MemberRow | CardRow | FundingRow]) -> dict[tuple[str, str], MemberAt]:
        """The known members among the rows, by (programme, member id)."""
        wanted: dict[str, set[str]] = {}
        for row in rows:
            wanted.setdefault(row.programme, set()).add(row.member_id)
        return {
            (name, member_id): found
            for name, ids in wanted.items()
            if name in self.programmes
            for member_id, found in card_store.find_members(
                self.connection, self.programmes[name].programme_no, sorted(ids)
            ).items()
        }

    def member(self, row: CardRow | FundingRow, members: dict[tuple[str, str], MemberAt]) -> MemberAt | None:
        """The member of a row; None, and a problem, where there is none."""
        found = members.get((row.programme, row.member_id))
        if found is None and self.programme(row.line, row.programme) is not None:
            self.problems.add(
                row.line,
                "member_id",
                f'programme {row.programme} has no member "{row.member_id}"',
                "import it first",
            )
        return found


def refuse_twice(problems: Problems, column: str, keys: Iterable[tuple[int, object]]) -> None:
    """Note every key, given as (line, key), that an earlier line has already."""
    first: dict[object, int] = {}
    for line, key in keys:
        if key in first:
            problems.add(line, column, f"stands on line {first[key]} already", "keep one of the two")
        else:
            first[key] = line


def report(kind: str, path: Path, rows: int, new: int, changed: int, won: int = 0) -> ImportReport:
    """What an import of `rows` rows did; those neither new nor changed were there already."""
    return ImportReport(kind, path.name, rows, new, changed, rows - new - changed, won)
