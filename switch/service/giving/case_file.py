"""Donation cases as an operator writes them: a CSV file, or the options of a command."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from switch.domain.money import WON_MAX
from switch.service.admin import RefusedError
from switch.service.import_files import CellError, Column, Problems, read_rows

TEXT_LENGTH_MAX = 4_000


class NewCase(msgspec.Struct, frozen=True):
    """A case to be opened: `target` in won, `deadline` the last day; `line` of the file, 0 without one."""

    line: int
    code: str
    kind: str
    title: str
    text: str
    target: int
    deadline: date
    merchant: str


def _code(cell: str) -> str:
    plain = cell.replace("-", "")
    if not 1 <= len(cell) <= 20 or (
        plain and not (plain.isascii() and plain.isalnum() and plain == plain.upper())
    ):
        raise CellError(f"{cell[:40]!r} is no code", "write 1 to 20 of A-Z, 0-9 and -")
    return cell


def _line(most: int) -> Any:
    def parse(cell: str) -> str:
        if not 1 <= len(cell) <= most or not cell.isprintable():
            raise CellError("is empty or too long", f"write 1 to {most} characters on one line")
        return cell

    return parse


def _text(cell: str) -> str:
    if len(cell) > TEXT_LENGTH_MAX or not cell.replace("\n", "").replace("\r", "").isprintable():
        raise CellError("is too long or not printable", f"write at most {TEXT_LENGTH_MAX:,} characters")
    return cell


def _won(cell: str) -> int:
    if not (cell.isascii() and cell.isdecimal() and len(cell) <= 12 and 1 <= int(cell) <= WON_MAX):
        raise CellError(f"{cell[:20]!r} is no amount of won", f"write 1 to {WON_MAX:,}, digits only")
    return int(cell)


def _day(cell: str) -> date:
    try:
        if len(cell) != 10:
            raise ValueError
        return date.fromisoformat(cell)
    except ValueError:
        raise CellError(f"{cell[:20]!r} is no day", "write it as YYYY-MM-DD") from None


CASES = (
    Column("code", _code),
    Column("kind", _line(40)),
    Column("title", _line(200)),
    Column("text", _text),
    Column("target", _won),
    Column("deadline", _day),
    Column("merchant_id", _line(15)),
)


def read_cases(path: Path) -> tuple[list[NewCase], Problems]:
    """The cases of a file, with what is wrong so far."""
    problems = Problems(path.name)
    return [NewCase(*row) for row in read_rows(path, CASES, problems)], problems


def case_of(options: Mapping[str, str]) -> NewCase:
    """One case from the values of a command's options, named as the columns are. Raises RefusedError."""
    values: list[Any] = []
    for column in CASES:
        try:
            values.append(column.parse(options[column.name].strip()))
        except CellError as error:
            name = column.name.removesuffix("_id")
            raise RefusedError(f"--{name}: {error.what}: {error.fix}") from None
    return NewCase(0, *values)
