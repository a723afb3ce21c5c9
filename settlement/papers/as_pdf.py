"""A paper as PDF, set by typst from a template and a type (with Hangul) of our own: always the same bytes."""

import importlib.util
from datetime import UTC, datetime, time
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import msgspec
import typst

from settlement.errors import ConfigurationError, UsageError
from settlement.papers.as_text import width
from settlement.papers.paper import NUMBERS, Paper, Table, lean, shown

ROWS_MAX = 5_000
SIZE_MAX, SIZE_UPRIGHT_MIN, SIZE_MIN = 10.0, 8.0, 5.0  # points of a table's type
_UPRIGHT_MM, _ACROSS_MM = 180, 267  # what an A4 page has between its margins
_LETTER_MM = 0.56 * 0.3528  # of a digit, for each point of the type
_CELL_MM = 3.4
_WIDE_LETTERS = 30
TYPE_PACKAGE = "cvttf_NotoSansCJK_Regular"
_TEMPLATE = "paper.typ"


def pdf(paper: Paper) -> bytes:
    """The paper as a PDF file. Raises UsageError where a table is too long to be read on paper."""
    content = msgspec.json.encode(_content(paper)).decode()
    made = _compiler().compile(
        files(__package__).joinpath(_TEMPLATE).read_bytes(),
        format="pdf",
        sys_inputs={"paper": content},
        timestamp=datetime.combine(paper.dated, time(), UTC),
    )
    if not isinstance(made, bytes):
        raise TypeError("a PDF is one file")  # the compiler's type is that of all its forms
    return made


@lru_cache(maxsize=1)
def _compiler() -> typst.Compiler:
    """One compiler for all papers: it reads the type (16 MB) once."""
    found = importlib.util.find_spec(TYPE_PACKAGE)  # a package that holds a type and nothing that we run
    if found is None or found.origin is None:
        raise ConfigurationError(
            "the type of the papers (cvttf-notosanscjk-regular) is not installed: install the package's"
            " dependencies again, or choose --form csv or xlsx"
        )
    folder = Path(found.origin).parent
    type_ = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)])
    return typst.Compiler(font_paths=type_, ignore_system_fonts=True)


def _content(paper: Paper) -> dict[str, object]:
    tables = [lean(table) for table in paper.tables]
    upright = all(_size(table, _UPRIGHT_MM) >= SIZE_UPRIGHT_MIN for table in tables)
    room = _UPRIGHT_MM if upright else _ACROSS_MM
    return {
        "across": not upright,
        "title": paper.title,
        "subtitle": paper.subtitle,
        "lang": paper.lang,
        "page_of": paper.page_of.split("{}"),
        "facts": [[fact.label, shown(fact.value, fact.kind)] for fact in paper.facts],
        "tables": [{**_table(table), "size": _size(table, room)} for table in tables],
        "notes": list(paper.notes),
    }


def _letters(table: Table) -> list[int]:
    """How many letters each column is wide."""
    found = []
    for at, column in enumerate(table.columns):
        texts = [column.label, *(shown(row[at], column.kind) for row in table.rows)]
        if table.totals is not None:
            texts.append(shown(table.totals[at], column.kind))
        widest = max(width(one) for one in texts)
        found.append(min(widest, _WIDE_LETTERS) if column.wide else widest)
    return found


def _size(table: Table, room_mm: int) -> float:
    """Points of the largest type in which a table's columns stand side by side."""
    letters = sum(_letters(table)) * _LETTER_MM
    fitting = (room_mm - _CELL_MM * len(table.columns)) / letters
    return max(SIZE_MIN, min(SIZE_MAX, fitting))


def _table(table: Table) -> dict[str, object]:
    rows = list(table.rows)
    if len(rows) > ROWS_MAX:
        raise UsageError(
            f"{table.title}: {len(rows):,} rows are too many for a PDF (at most {ROWS_MAX:,}):"
            " choose --form xlsx or csv, or fewer days"
        )
    kinds = [column.kind for column in table.columns]
    return {
        "title": table.title,
        "columns": [
            {"label": column.label, "right": column.kind in NUMBERS, "share": letters + 3}
            for column, letters in zip(table.columns, _letters(table), strict=True)
        ],
        "rows": [[shown(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows],
        "totals": None
        if table.totals is None
        else [shown(value, kind) for value, kind in zip(table.totals, kinds, strict=True)],
        "notes": list(table.notes),
    }
