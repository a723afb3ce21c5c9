"""A paper as a workbook (XLSX): a sheet of facts and notes, then one sheet a table with its head in sight.

Numbers are numbers, sums are our own as values: what a spreadsheet adds up must come to the same. Rows go to
the disk as they come (constant memory). The same paper gives the same bytes.
"""

import re
from datetime import datetime, time
from pathlib import Path
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from settlement.errors import UsageError
from settlement.papers.as_text import width
from settlement.papers.paper import NUMBERS, Cell, Column, Fact, Kind, Paper, Table

PPM = 1_000_000
ROWS_MAX = 1_000_000  # of a sheet, its head and sum aside (the format ends at 1,048,576)
_SHEET_NAME_MAX = 31
_NUMBER = "#,##0"
_RATE = "0.00##%"
_WIDTHS = {Kind.WON: 16, Kind.COUNT: 12, Kind.DATE: 13, Kind.RATE: 10, Kind.TEXT: 22}
_WIDE = 48
_FONT = "맑은 고딕"


def write_xlsx(paper: Paper, path: Path) -> None:
    """Write the workbook to a path. Raises UsageError where a table is too long for a sheet."""
    book = xlsxwriter.Workbook(
        str(path),
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    book.set_properties({"title": paper.title, "created": datetime.combine(paper.dated, time())})
    formats = _Formats(book)
    try:
        names = _sheet_names(paper)
        _summary(book.add_worksheet(names[0]), paper, formats)
        for name, table in zip(names[1:], paper.tables, strict=True):
            _sheet(book.add_worksheet(name), table, formats)
    finally:
        book.close()


class _Formats:
    def __init__(self, book: Any) -> None:
        base = {"font_name": _FONT, "font_size": 11, "valign": "top"}
        self.title = book.add_format({**base, "bold": True, "font_size": 16})
        self.label = book.add_format({**base, "font_color": "#555555"})
        self.text = book.add_format(base)
        self.note = book.add_format({**base, "text_wrap": True})
        self.number = book.add_format({**base, "num_format": _NUMBER})
        self.rate = book.add_format({**base, "num_format": _RATE})
        self.day = book.add_format({**base, "num_format": "yyyy-mm-dd", "align": "left"})
        head = {**base, "bold": True, "bg_color": "#E8EEF4", "bottom": 1, "text_wrap": True}
        self.head = book.add_format(head)
        self.head_right = book.add_format({**head, "align": "right"})
        total = {**base, "bold": True, "top": 1}
        self.total = book.add_format(total)
        self.total_number = book.add_format({**total, "num_format": _NUMBER})


def _sheet_names(paper: Paper) -> list[str]:
    """Names that the format takes, each once."""
    names: list[str] = []
    for title in (paper.unit, *(table.title for table in paper.tables)):
        plain = re.sub(r"[\[\]:*?/\\']", " ", title).strip()[:_SHEET_NAME_MAX] or "-"
        name, again = plain, 2
        while name.lower() in {one.lower() for one in names}:
            name = f"{plain[: _SHEET_NAME_MAX - 4]} ({again})"
            again += 1
        names.append(name)
    return names


def _summary(sheet: Any, paper: Paper, formats: _Formats) -> None:
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 60)
    sheet.write_string(0, 0, paper.title, formats.title)
    sheet.write_string(1, 0, paper.subtitle, formats.text)
    at = 3
    for fact in paper.facts:
        sheet.write_string(at, 0, fact.label, formats.label)
        _write_fact(sheet, at, fact, formats)
        at += 1
    for note in paper.notes:
        at += 1
        sheet.set_row(at, 16 * (1 + width(note) // 100))
        sheet.merge_range(at, 0, at, 1, "", formats.note)
        sheet.write_string(at, 0, note, formats.note)
    sheet.fit_to_pages(1, 0)
    sheet.set_paper(9)


def _write_fact(sheet: Any, at: int, fact: Fact, formats: _Formats) -> None:
    if isinstance(fact.value, int) and fact.kind is not Kind.RATE:
        sheet.write_number(at, 1, fact.value, formats.number)
        return
    _write(sheet, at, 1, fact.value, fact.kind, formats.text, formats.text, formats)


def _sheet(sheet: Any, table: Table, formats: _Formats) -> None:
    for at, column in enumerate(table.columns):
        sheet.set_column(at, at, _column_width(column))
    for at, column in enumerate(table.columns):
        kind = formats.head_right if column.kind in NUMBERS else formats.head
        sheet.write_string(0, at, column.label, kind)
    sheet.freeze_panes(1, 1)
    sheet.repeat_rows(0)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    line = 0
    for line, row in enumerate(table.rows, 1):
        if line > ROWS_MAX:
            raise UsageError(f"{table.title}: more than {ROWS_MAX:,} rows: choose --form csv or fewer days")
        for at, (value, column) in enumerate(zip(row, table.columns, strict=True)):
            _write(sheet, line, at, value, column.kind, formats.text, formats.number, formats)
    if table.totals is not None:
        line += 1
        for at, (value, column) in enumerate(zip(table.totals, table.columns, strict=True)):
            _write(sheet, line, at, value, column.kind, formats.total, formats.total_number, formats)
    line += 1
    for note in table.notes:
        line += 1
        sheet.write_string(line, 0, note, formats.text)


def _column_width(column: Column) -> int:
    return max(_WIDE if column.wide else _WIDTHS[column.kind], width(column.label) + 2)


def _write(
    sheet: Any, line: int, at: int, value: Cell, kind: Kind, text: Any, number: Any, formats: _Formats
) -> None:
    if value is None or value == "":
        sheet.write_blank(line, at, None, text)
    elif isinstance(value, str):
        sheet.write_string(line, at, value, text)
    elif isinstance(value, int):
        if kind is Kind.RATE:
            sheet.write_number(line, at, value / PPM, formats.rate)
        else:
            sheet.write_number(line, at, value, number)
    else:
        sheet.write_datetime(line, at, datetime.combine(value, time()), formats.day)
