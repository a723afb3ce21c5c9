"""A paper as CSV (RFC 4180) that spreadsheets open as it is: UTF-8 with a byte order mark, numbers plain.

One file holds all of it: facts, then each table under its title, an empty line between. A text that a
spreadsheet would take for a formula gets an apostrophe before it.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date
from typing import BinaryIO

from settlement.papers.paper import Cell, Kind, Paper, percent

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "=", "+", "-", "@")
FLUSH_ROWS = 1_000


def defused(text: str) -> str:
    """The text so that no spreadsheet computes it."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) or text.startswith(_FORMULA) else text


def write_csv(paper: Paper, sink: BinaryIO) -> None:
    """Write the paper, row by row: memory does not grow with a table that is a stream."""
    sink.write(b"\xef\xbb\xbf")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    for at, row in enumerate(_rows(paper)):
        writer.writerow(row)
        if at % FLUSH_ROWS == 0:
            _drain(text, sink)
    _drain(text, sink)


def _drain(text: io.StringIO, sink: BinaryIO) -> None:
    sink.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()


def _rows(paper: Paper) -> Iterator[list[str]]:
    yield [defused(paper.title)]
    yield [defused(paper.subtitle)]
    for fact in paper.facts:
        yield [defused(fact.label), _cell(fact.value, fact.kind)]
    for table in paper.tables:
        kinds = [column.kind for column in table.columns]
        yield []
        yield [defused(table.title)]
        yield [defused(column.label) for column in table.columns]
        for row in table.rows:
            yield _cells(row, kinds)
        if table.totals is not None:
            yield _cells(table.totals, kinds)
        for note in table.notes:
            yield [defused(note)]
    if paper.notes:
        yield []
    for note in paper.notes:
        yield [defused(note)]


def _cells(row: Sequence[Cell], kinds: list[Kind]) -> list[str]:
    return [_cell(value, kind) for value, kind in zip(row, kinds, strict=True)]


def _cell(value: Cell, kind: Kind) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return percent(value) if kind is Kind.RATE else str(value)
    return defused(value)
