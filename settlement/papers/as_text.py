"""A paper on a terminal: at most 120 columns; a table that is wider is broken into several."""

import unicodedata
from collections.abc import Iterator

from settlement.papers.paper import NUMBERS, Paper, Table, lean, shown

WIDTH_MAX = 120
ROWS_MAX = 2_000
_GAP = "  "


def as_text(paper: Paper) -> str:
    """The whole paper as lines of text."""
    lines = [paper.title, paper.subtitle, ""]
    label_width = max((width(fact.label) for fact in paper.facts), default=0)
    lines += [
        f"  {_pad(fact.label, label_width)}  {shown(fact.value, fact.kind)}".rstrip() for fact in paper.facts
    ]
    for table in paper.tables:
        lines += ["", *_table(lean(table))]
    if paper.notes:
        lines += ["", *(f"* {note}" for note in paper.notes)]
    return "\n".join(line for text in lines for line in _folded(text))


def width(text: str) -> int:
    """Columns that a text takes: Hangul and other wide letters take two."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def _table(table: Table) -> Iterator[str]:
    rows = list(table.rows)
    cells = [[shown(value, col.kind) for value, col in zip(row, table.columns, strict=True)] for row in rows]
    more = len(cells) - ROWS_MAX
    cells = cells[:ROWS_MAX]
    if table.totals is not None and rows:
        pairs = zip(table.totals, table.columns, strict=True)
        cells.append([shown(value, column.kind) for value, column in pairs])
    yield table.title if rows else f"{table.title}: -"
    if rows:
        yield from _blocks(table, cells)
    if more > 0:
        yield f"  … {more:,} more rows: they stand in the CSV and XLSX forms"
    yield from (f"  {note}" for note in table.notes)


def _blocks(table: Table, cells: list[list[str]]) -> Iterator[str]:
    labels = [column.label for column in table.columns]
    widths = [max(width(line[at]) for line in [labels, *cells]) for at in range(len(labels))]
    first = 1
    while True:
        chosen, room = [0], WIDTH_MAX - 2 - widths[0]
        for at in range(first, len(labels)):
            if room < widths[at] + len(_GAP) and len(chosen) > 1:
                break
            chosen.append(at)
            room -= widths[at] + len(_GAP)
        for line in [labels, *cells]:
            parts = [_pad(line[at], widths[at], table.columns[at].kind in NUMBERS) for at in chosen]
            yield ("  " + _GAP.join(parts)).rstrip()
        first = chosen[-1] + 1
        if first >= len(labels):
            return
        yield ""


def _pad(cell: str, room: int, to_right: bool = False) -> str:
    space = " " * max(room - width(cell), 0)
    return space + cell if to_right else cell + space


def _folded(line: str) -> Iterator[str]:
    """A line, broken where it is too long (notes; names without end)."""
    indent = line[: len(line) - len(line.lstrip(" *"))].replace("*", " ")
    while width(line) > WIDTH_MAX:
        room, cut = WIDTH_MAX, 0
        for cut, letter in enumerate(line):  # noqa: B007 (the place where it no longer fits)
            room -= width(letter)
            if room < 0:
                break
        space = line.rfind(" ", len(indent) + 1, cut + 1)
        cut = space if space > 0 else cut
        yield line[:cut].rstrip()
        line = indent + line[cut:].lstrip()
    yield line
