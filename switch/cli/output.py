"""How results are shown: tables for people, JSON for machines, progress for who watches."""

import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import typer

from switch.service.import_files import no_progress


def show_json(value: Any) -> None:
    """Write a value as one indented JSON document to stdout."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def show_json_rows(values: Iterable[Any]) -> None:
    """Write values to stdout as one JSON array, one a line, as they come: there may be very many."""
    between = "[\n"
    for value in values:
        typer.echo(between + msgspec.json.encode(value, enc_hook=str).decode(), nl=False)
        between = ",\n"
    typer.echo("[]" if between == "[\n" else "\n]")


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table to stdout: ruled on a terminal, plain elsewhere. Numbers get separators."""
    shown = [[_cell(value) for value in row] for row in rows]
    right = [bool(rows) and all(isinstance(row[at], int) for row in rows) for at in range(len(columns))]
    if sys.stdout.isatty():
        _ruled(title, columns, shown, right)
        return
    widths = [max([_width(name), *(_width(row[at]) for row in shown)]) for at, name in enumerate(columns)]
    typer.echo(f"{title}:" if shown else f"{title}: none")
    for row in [list(columns), *shown] if shown else []:
        cells = [
            _pad(cell, width, to_right) for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        typer.echo("  " + "  ".join(cells).rstrip())


def _width(text: str) -> int:
    """Columns that a text takes: Hangul and other wide letters take two."""
    return len(text) + sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)


def _pad(cell: str, width: int, to_right: bool) -> str:
    room = " " * (width - _width(cell))
    return room + cell if to_right else cell + room


def _ruled(title: str, columns: Sequence[str], rows: list[list[str]], right: list[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for name, to_right in zip(columns, right, strict=True):
        table.add_column(name, justify="right" if to_right else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # text, not markup: it comes from operators' files
    Console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(what: str, done: int, total: int) -> None:
            bar.update(task, description=f"{title}: {what}", completed=done, total=total or None)

        yield advance
