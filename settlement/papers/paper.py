"""A paper: a heading, facts, tables and notes, whatever form it takes (text, CSV, XLSX, PDF).

What a paper says is made once, as values; each form beside this module only sets it. Amounts stay integers
of won, rates integers of ppm, until they are set.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum

import msgspec

Cell = str | int | date | None


class Kind(StrEnum):
    """What a column holds, and so how it is set."""

    TEXT = "text"
    WON = "won"
    COUNT = "count"
    DATE = "date"
    RATE = "rate"  # ppm, shown as a percentage


NUMBERS = frozenset({Kind.WON, Kind.COUNT, Kind.RATE})


class Column(msgspec.Struct, frozen=True):
    """One column. One that is `spare` is left out of pages to read while it holds nothing but 0.

    `wide`: its texts are long and may be broken over lines.
    """

    label: str
    kind: Kind = Kind.TEXT
    spare: bool = False
    wide: bool = False


class Table(msgspec.Struct, frozen=True):
    """Rows under columns. `rows` may be a stream, which is read once; `totals` is set as its last row."""

    title: str
    columns: tuple[Column, ...]
    rows: Iterable[Sequence[Cell]]
    totals: Sequence[Cell] | None = None
    notes: tuple[str, ...] = ()


class Fact(msgspec.Struct, frozen=True):
    """A labelled value at the head of a paper."""

    label: str
    value: Cell
    kind: Kind = Kind.TEXT


class Paper(msgspec.Struct, frozen=True):
    """One paper. `stem` is its file name without the ending; `dated` stands in the files for their making,
    so that the same paper has the same bytes whenever it is made. `page_of` is "{} / {}" in its language."""

    stem: str
    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    lang: str
    dated: date
    page_of: str
    unit: str


def shown(value: Cell, kind: Kind) -> str:
    """A value as people read it: thousands apart, rates as a percentage with no more digits than it needs."""
    if value is None or value == "":
        return ""
    if kind is Kind.RATE and isinstance(value, int):
        return percent(value)
    if kind in NUMBERS and isinstance(value, int):
        return f"{value:,}"
    return str(value)


def percent(ppm: int) -> str:
    """A rate in ppm as a percentage: 1500 is 0.15 %."""
    whole, rest = divmod(abs(ppm), 10_000)
    digits = f"{rest:04d}".rstrip("0")
    return f"{'-' if ppm < 0 else ''}{whole}{'.' + digits if digits else ''} %"


def lean(table: Table) -> Table:
    """The same table, its rows read, without spare columns that hold nothing but 0."""
    rows = [tuple(row) for row in table.rows]
    keep = [
        at
        for at, column in enumerate(table.columns)
        if not column.spare or any(row[at] not in (0, None, "") for row in rows)
    ]
    return Table(
        table.title,
        tuple(table.columns[at] for at in keep),
        [tuple(row[at] for at in keep) for row in rows],
        None if table.totals is None else tuple(table.totals[at] for at in keep),
        table.notes,
    )
