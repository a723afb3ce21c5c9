"""Which forms a paper takes, and how its files come to lie in a folder: whole or not at all."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from settlement.disk import draft_of
from settlement.errors import UsageError
from settlement.papers.as_csv import write_csv
from settlement.papers.as_pdf import pdf
from settlement.papers.as_xlsx import write_xlsx
from settlement.papers.paper import Paper


class Form(StrEnum):
    """A form that a paper can take as a file; the value is the ending of its name."""

    PDF = "pdf"
    XLSX = "xlsx"
    CSV = "csv"


def forms_of(text: str) -> tuple[Form, ...]:
    """The forms named, with commas between. Raises UsageError."""
    try:
        found = tuple(dict.fromkeys(Form(part.strip()) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"--form {text!r}: name some of {', '.join(Form)}, with commas between") from None
    return found


def write(make: Callable[[], Paper], forms: Sequence[Form], folder: Path) -> list[Path]:
    """Write a paper into a folder in each form; `make` makes it anew for each, since tables may be streams.

    A file of the same name is replaced: it is the same paper. Raises UsageError where the folder cannot be
    written to.
    """
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for form in forms:
            paper = make()
            path = folder / f"{paper.stem}.{form.value}"
            draft = draft_of(path)
            try:
                _fill(paper, form, draft)
                draft.rename(path)
            finally:
                draft.unlink(missing_ok=True)
            written.append(path)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}): name another with --to") from None
    return written


def _fill(paper: Paper, form: Form, draft: Path) -> None:
    match form:
        case Form.PDF:
            draft.write_bytes(pdf(paper))
        case Form.XLSX:
            write_xlsx(paper, draft)
        case Form.CSV:
            with draft.open("wb") as sink:
                write_csv(paper, sink)


def as_json(paper: Paper) -> bytes:
    """The paper's facts and tables as JSON, indented; amounts are won, rates are ppm."""
    content = {
        "title": paper.title,
        "subtitle": paper.subtitle,
        "facts": {fact.label: fact.value for fact in paper.facts},
        "tables": [
            {
                "title": table.title,
                "columns": [column.label for column in table.columns],
                "rows": [list(row) for row in table.rows],
                "totals": None if table.totals is None else list(table.totals),
                "notes": table.notes,
            }
            for table in paper.tables
        ],
        "notes": paper.notes,
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2)
