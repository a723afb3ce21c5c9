"""Strict reading of an operator's TOML: every fault is collected, with its line, its key and the fix.

tomllib keeps no line numbers, so they are found again in the text. Getters record a problem and go on with
a harmless stand-in, so that one reading shows all faults at once; nothing built from a document that has
problems may be used (see Document.problems).
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec

CHARACTERS_MAX = 1_000_000
"""The longest document that is read."""

PROBLEMS_MAX = 100
"""Problems reported of one document; whoever has more will read it again anyway."""

Path = tuple[str | int, ...]
"""Where a value stands: table names and, from 0, the number in an array of tables."""

_HEADER = re.compile(r"\s*(\[\[|\[)\s*([A-Za-z0-9_.\s\"'-]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")
_AT_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_PERCENT = re.compile(r"(\d{1,3})(?:\.(\d{1,4}))? ?%")


# bool before int: in Python a bool is an int.
_KINDS: tuple[tuple[type, str], ...] = (
    (str, "text"),
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number with a point"),
    (list, "a list"),
    (dict, "a table"),
)


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One fault: file, line from 1 (0 = unknown), key path, what is wrong, what to do."""

    file: str
    line: int
    key: str
    message: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}. Fix: {self.fix}"


def percent(rate_ppm: int) -> str:
    """Write ppm as an exact percentage: 1_500 → "0.15 %"."""
    whole, part = divmod(rate_ppm, 10_000)
    digits = f"{part:04d}".rstrip("0")
    return f"{whole}.{digits} %" if digits else f"{whole} %"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a fix for an unknown word: the known one it most resembles, or all of them."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f'did you mean "{close[0]}"?'
    return f"use one of {', '.join(names)}" if names else "remove it"


class Document:
    """A TOML text read once, its lines, and the problems found so far."""

    def __init__(self, text: str, filename: str) -> None:
        self.filename = filename
        self.problems: list[Problem] = []
        self._lines: dict[Path, int] = {}
        data: dict[str, Any] = {}
        if len(text) > CHARACTERS_MAX:
            self.report((), f"the file has more than {CHARACTERS_MAX:,} characters", "split it")
        else:
            try:
                data = tomllib.loads(text)
                self._lines = _find_lines(text)
            except (ValueError, RecursionError) as error:
                # ValueError is TOMLDecodeError's parent; tomllib lets it through for endless numbers.
                self._report_syntax(str(error))
        self.root = Table(self, data, ())

    def report(self, path: Path, message: str, fix: str) -> None:
        """Record a problem at `path`; beyond PROBLEMS_MAX it is dropped."""
        if len(self.problems) < PROBLEMS_MAX:
            line = next(
                (self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), 0
            )
            self.problems.append(Problem(self.filename, line, key_text(path), message, fix))

    def _report_syntax(self, error: str) -> None:
        found = _AT_LINE.search(error)
        line = int(found.group(1)) if found else 0
        message = _AT_LINE.sub("", error).strip()
        fix = "correct the TOML here: text in double quotes, one key once, brackets closed"
        self.problems.append(Problem(self.filename, line, "(syntax)", message, fix))


def key_text(path: Path) -> str:
    """Write a path as people count: policy[2].tier[1].rate is the first tier of the second policy."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step + 1}]"
        else:
            text += f".{step}" if text else step
    return text or "(file)"


class Table:
    """One TOML table: typed getters that remember what was asked for, so that the rest is unknown.

    `fallback` makes a key optional; without it a missing key is a problem.
    """

    def __init__(self, document: Document, data: dict[str, Any], path: Path) -> None:
        self.document = document
        self.path = path
        self._data = data
        self._asked: set[str] = set()
        self._problems_before = len(document.problems)

    @property
    def is_clean(self) -> bool:
        """No problem was recorded in the document since this table was opened."""
        return len(self.document.problems) == self._problems_before

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def names(self) -> list[str]:
        """Return the keys as written, in order."""
        return list(self._data)

    def report(self, key: str, message: str, fix: str) -> None:
        """Record a problem at a key of this table ("" = the table itself)."""
        self.document.report((*self.path, key) if key else self.path, message, fix)

    def finish(self) -> None:
        """Record every key that nobody asked for."""
        for key in self._data:
            if key not in self._asked:
                free = sorted(self._asked - self._data.keys())
                fix = nearest(key, free or sorted(self._asked))
                self.report(key, f'unknown key "{key}"', fix)

    def allow(self, *keys: str) -> None:
        """Say that these keys may stand here, whether anybody reads them or not."""
        self._asked.update(keys)

    def value(self, key: str, required: bool, example: str) -> Any:
        """Return the raw value or None; a missing required key is a problem whose fix shows `example`."""
        self._asked.add(key)
        if key not in self._data:
            if required:
                self.document.report(self.path, f'the key "{key}" is missing', f"add {key} = {example}")
            return None
        return self._data[key]

    def text(self, key: str, form: re.Pattern[str], form_text: str, fallback: str | None = None) -> str:
        """Return a string that has the form wholly."""
        value = self.value(key, fallback is None, f'"…" ({form_text})')
        if value is None:
            return fallback or ""
        return self._formed(key, value, form, form_text)

    def _formed(self, key: str, value: object, form: re.Pattern[str], form_text: str) -> str:
        if not isinstance(value, str):
            self.report(key, f"must be text, not {_kind(value)}", f'write it in quotes: "{value}"')
            return ""
        if not form.fullmatch(value):
            self.report(key, f'"{value}" has not the form wanted', f"write {form_text}")
            return ""
        return value

    def choice(self, key: str, known: Collection[str], fallback: str) -> str:
        """Return one of the known words, or the fallback."""
        value = self.value(key, False, "")
        if value is None:
            return fallback
        if value not in known:
            self.report(key, f'"{value}" is not known here', nearest(str(value), known))
            return fallback
        return str(value)

    def integer(self, key: str, least: int, most: int, fallback: int | None = None) -> int:
        """Return an int in least..most; a float is refused however whole it is."""
        value = self.value(key, fallback is None, f"{least}")
        if value is None:
            return fallback or 0
        if type(value) is not int:
            fix = "write digits only, without quotes or a point; 1_000_000 is allowed"
            self.report(key, f"must be a whole number, not {_kind(value)}", fix)
            return least
        if not least <= value <= most:
            self.report(key, f"{value:,} is out of range", f"write a number from {least:,} to {most:,}")
            return least
        return value

    def flag(self, key: str, fallback: bool) -> bool:
        """Return true or false."""
        value = self.value(key, False, "")
        if value is None:
            return fallback
        if not isinstance(value, bool):
            self.report(key, f"must be true or false, not {_kind(value)}", f"write {key} = true or false")
            return fallback
        return value

    def rate(self, key: str) -> int:
        """Return ppm of a percentage written as text, at most 100 %, exact to 0.0001 %."""
        value = self.value(key, True, '"10 %"')
        if value is None:
            return 0
        found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            wrong = f'"{value}"' if isinstance(value, str) else _kind(value)
            fix = 'write a percentage in quotes with at most four decimals, for example "0.15 %"'
            self.report(key, f"a rate cannot be {wrong}", fix)
            return 0
        rate_ppm = int(found.group(1)) * 10_000 + int((found.group(2) or "").ljust(4, "0"))
        if rate_ppm > 1_000_000:
            self.report(key, f"{percent(rate_ppm)} is more than the whole", "write at most 100 %")
            return 0
        return rate_ppm

    def words(
        self, key: str, *, known: Collection[str] = (), form: re.Pattern[str] | None = None,
        form_text: str = "", fallback: tuple[str, ...] | None = None, most: int = 100,
    ) -> tuple[str, ...]:  # fmt: skip
        """Return a list of different words, each one of `known` or of the form, not empty."""
        value = self.value(key, fallback is None, "[…]")
        if value is None:
            return fallback or ()
        if not isinstance(value, list) or not value or len(value) > most:
            self.report(key, f"must be a list of 1 to {most} entries", f'write {key} = ["…", "…"]')
            return ()
        for word in value:
            if not isinstance(word, str):
                self.report(key, f"must hold text, not {_kind(word)}", f'write it in quotes: "{word}"')
            elif known and word not in known:
                self.report(key, f'"{word}" is not known here', nearest(word, known))
            elif form is not None:
                self._formed(key, word, form, form_text)
        if len({str(word) for word in value}) < len(value):
            self.report(key, "an entry stands twice", "name each entry once")
        return tuple(str(word) for word in value)

    def table(self, key: str, required: bool = True) -> "Table":
        """Return a table inside this one (an empty one if it is missing)."""
        value = self.value(key, required, "{ … }")
        if value is not None and not isinstance(value, dict):
            self.report(key, f"must be a table, not {_kind(value)}", f"write {key} = {{ … }}")
            value = None
        return Table(self.document, value or {}, (*self.path, key))

    def tables(self, key: str, most: int, required: bool = True) -> "Iterator[Table]":
        """Yield the tables of an array of tables, at most `most` and, if required, at least one.

        Each is opened only when its turn comes, so that its is_clean speaks of itself alone.
        """
        self._asked.add(key)
        value = self._data.get(key, [])
        name = ".".join([*(step for step in self.path if isinstance(step, str)), key])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.report(key, "must be an array of tables", f"head each one with [[{name}]]")
            return
        if required and not value:
            self.report(key, f"there is no {key}", f"add a table headed [[{name}]]")
        if len(value) > most:
            self.report(key, f"there are {len(value):,} of them", f"keep to {most:,} at most")
        for number, item in enumerate(value[:most]):
            yield Table(self.document, item, (*self.path, key, number))


def _kind(value: object) -> str:
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "a date or a time"


def _find_lines(text: str) -> dict[Path, int]:
    """Map key paths to line numbers; a key inside an inline table is found at its parent."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            names = [name.strip().strip("\"'") for name in header.group(2).split(".")]
            is_array = header.group(1) == "[["
            here = _resolve(names[:-1] if is_array else names, counts)
            if is_array:
                array: Path = (*here, names[-1])
                counts[array] = counts.get(array, 0) + 1
                lines.setdefault(array, number)
                here = (*array, counts[array] - 1)
            lines.setdefault(here, number)
        elif key := _KEY.match(line):
            path: Path = here
            for name in key.group(1).split("."):
                path = (*path, name.strip())
                lines.setdefault(path, number)
    return lines


def _resolve(names: list[str], counts: dict[Path, int]) -> Path:
    path: Path = ()
    for name in names:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path] - 1)
    return path
