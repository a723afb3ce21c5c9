"""Words, instants, rates and codes, as all parts of a programme file write them."""

import re
from datetime import datetime

from switch.domain.calendar import SEOUL
from switch.domain.toml_reader import Table, nearest, percent

Shares = tuple[tuple[str, int], ...]
"""(funder id, ppm)."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
NAME_FORM = "1 to 32 of a-z, 0-9 and _, a letter first"
WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
WORD_FORM = "1 to 32 of a-z, 0-9, _ and -"
LABEL = re.compile(r"\S(.{0,198}\S)?")
LABEL_FORM = "1 to 200 characters on one line"
NO_INSTANT = datetime(1970, 1, 1, tzinfo=SEOUL)
"""Stands in for an instant that could not be read."""


def read_instant(table: Table, key: str) -> datetime:
    """Read an instant with the Korean offset; NO_INSTANT after a fault."""
    example = "2025-01-01T00:00:00+09:00"
    value = table.value(key, True, example)
    if value is None:
        return NO_INSTANT
    if not isinstance(value, datetime):
        fix = f"write date, time and offset without quotes, for example {example}"
        table.report(key, "must be an instant", fix)
        return NO_INSTANT
    if not 2000 <= value.year <= 2200:
        table.report(key, f"the year {value.year} cannot be meant", "write a year after 2000")
        return NO_INSTANT
    if value.tzinfo is None:
        table.report(key, "has no offset from UTC", f"write {value.isoformat()}+09:00")
        return NO_INSTANT
    if value.utcoffset() != SEOUL.utcoffset(None):
        fix = f"write the same instant in Korean time: {value.astimezone(SEOUL).isoformat()}"
        table.report(key, "is not in Korean time (+09:00)", fix)
        return NO_INSTANT
    return value.astimezone(SEOUL)


def read_rate_and_shares(item: Table, funder_order: tuple[str, ...]) -> tuple[int, Shares]:
    """Read a rate and what each funder pays of it, in the programme's order of funders."""
    problems_before = len(item.document.problems)
    rate_ppm = item.rate("rate")
    shares = item.table("shares", required=rate_ppm > 0)
    found: dict[str, int] = {}
    for funder in shares.names():
        if funder in funder_order:
            found[funder] = shares.rate(funder)
        else:
            shares.report(funder, f'unknown funder "{funder}"', nearest(funder, funder_order))
    if len(item.document.problems) == problems_before and sum(found.values()) != rate_ppm:
        parts = ", ".join(f"{funder} {percent(ppm)}" for funder, ppm in found.items())
        total = percent(sum(found.values()))
        item.report(
            "rate",
            f"is {percent(rate_ppm)}, but its funders' shares add up to {total} ({parts or 'none'})",
            f'make the shares add up to {percent(rate_ppm)}, or write rate = "{total}"',
        )
    return rate_ppm, tuple((funder, found[funder]) for funder in funder_order if found.get(funder))


def read_code(item: Table, taken: list[str]) -> str:
    """Read the code of one of several like it; `taken` are those before it."""
    code = item.text("code", NAME, NAME_FORM)
    if code and code in taken:
        item.report("code", f'"{code}" stands twice in this version', "give each one a code of its own")
    return code
