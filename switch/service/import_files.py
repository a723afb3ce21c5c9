"""Reading an operator's CSV: UTF-8 with a header row, every fault with line, column and what to do.

A file is checked whole before anything is written. Faults are collected, so that one reading shows them all
(up to PROBLEMS_MAX); what quotes the file goes through the redaction first, because a shifted column may hold
a card number.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from switch.domain.toml_reader import nearest
from switch.wire.redact import redact

PROBLEMS_MAX = 20
ROWS_MAX = 1_000_000
FILE_BYTES_MAX = 500_000_000
PROGRESS_EVERY = 5_000
# What spreadsheets of some locales write under the name of CSV.
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
COMMAS = 'save it with commas, as "CSV UTF-8 (comma delimited)"'

Progress = Callable[[str, int, int], None]
"""Told (what is being done, rows done, rows in all or 0) every few thousand rows."""


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Where nobody watches."""


class ImportRefusedError(Exception):
    """A file of which nothing was imported; `problems` are lines for people."""

    def __init__(self, problems: list[str], more: int = 0) -> None:
        lines = [*problems, f"… and {more} more"] if more else problems
        super().__init__("\n".join(lines))
        self.problems = problems
        self.more = more


class CellError(ValueError):
    """What is wrong with one value, and what to do about it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


class Problems:
    """The faults of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: list[str] = []
        self.count = 0

    def add(self, line: int, column: str, what: str, fix: str) -> None:
        """Note a fault; line 0 and an empty column stand for the file as a whole."""
        self.count += 1
        if len(self.lines) < PROBLEMS_MAX:
            place = ":".join(
                part for part in (self.file, str(line or ""), f" {column}" if column else "") if part
            )
            self.lines.append(redact(f"{place}: {what}: {fix}"))

    def raise_any(self) -> None:
        """Raise ImportRefusedError if there is a fault."""
        if self.count:
            raise ImportRefusedError(self.lines, self.count - len(self.lines))


class Column(msgspec.Struct, frozen=True):
    """A column: its name, how a cell becomes a value (raises CellError), and whether it may be missing."""

    name: str
    parse: Callable[[str], Any]
    optional: bool = False


def read_rows(
    path: Path, columns: Sequence[Column], problems: Problems, progress: Progress = no_progress
) -> list[tuple[Any, ...]]:
    """All rows of `each_row`, for files of which there is room in memory."""
    return list(each_row(path, columns, problems, progress))


def each_row(
    path: Path, columns: Sequence[Column], problems: Problems, progress: Progress = no_progress
) -> Iterator[tuple[Any, ...]]:
    """(line, value, …) of every row, values in the order of `columns`; None for a missing optional column.

    Faults go to `problems`; a row with a fault is left out.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            problems.add(0, "", f"more than {FILE_BYTES_MAX:,} bytes", "split it into smaller files")
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(csv.reader(file, strict=True), columns, problems, progress)
    except FileNotFoundError:
        problems.add(0, "", "there is no such file", "check the path")
    except UnicodeDecodeError:
        problems.add(0, "", "is not UTF-8", 'save it as "CSV UTF-8"')
    except csv.Error as error:
        problems.add(0, "", f"is no CSV ({error})", "close every quote, separate with commas")
    except OSError as error:
        problems.add(0, "", f"cannot be read ({type(error).__name__})", "check the path and its rights")


def _rows(
    reader: Any, columns: Sequence[Column], problems: Problems, progress: Progress
) -> Iterator[tuple[Any, ...]]:
    lines: Iterator[list[str]] = reader
    header = next(lines, None)
    places = _places(header or [], columns, problems)
    if places is None or header is None:
        return
    width = len(header)
    fields = [(column, place) for column, place in zip(columns, places, strict=True)]
    rows = 0
    for cells in lines:
        if not cells:
            continue
        line = reader.line_num
        if len(cells) != width:
            problems.add(
                line, "", f"{len(cells)} cells, but the header has {width}", "check commas and quotes"
            )
            continue
        if rows >= ROWS_MAX:
            problems.add(line, "", f"more than {ROWS_MAX:,} rows", "split it into smaller files")
            break
        row = _row(line, cells, fields, problems)
        if row is not None:
            yield row
            rows += 1
            if not rows % PROGRESS_EVERY:
                progress("reading", rows, 0)


def _row(
    line: int, cells: list[str], fields: list[tuple[Column, int]], problems: Problems
) -> tuple[Any, ...] | None:
    values: list[Any] = [line]
    good = True
    for column, place in fields:
        if place < 0:
            values.append(None)
            continue
        try:
            values.append(column.parse(cells[place].strip()))
        except CellError as error:
            problems.add(line, column.name, error.what, error.fix)
            good = False
    return tuple(values) if good else None


def _places(header: list[str], columns: Sequence[Column], problems: Problems) -> list[int] | None:
    """Where each column stands in the file, -1 for an optional one that is missing."""
    names = [cell.strip() for cell in header]
    known = [column.name for column in columns]
    before = problems.count
    other = next((mark for mark in OTHER_SEPARATORS if len(names) == 1 and mark in names[0]), None)
    if other is not None:
        problems.add(1, "", f"separated by {OTHER_SEPARATORS[other]}, not by commas", COMMAS)
        return None
    if not any(name in known for name in names):
        problems.add(1, "", "has no header row", f"the first line must be {','.join(known)}")
        return None
    for name in names:
        if name not in known:
            problems.add(1, "", f'unknown column "{name}"', nearest(name, known))
        elif names.count(name) > 1:
            problems.add(1, name, "stands twice in the header", "keep one")
    for column in columns:
        if not column.optional and column.name not in names:
            problems.add(1, column.name, "the column is missing", "add it to the header and to every row")
    if problems.count > before:
        return None
    return [names.index(name) if name in names else -1 for name in known]
