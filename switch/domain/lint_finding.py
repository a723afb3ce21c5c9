"""What the linter of programme files says, and what it may know of the books."""

from collections.abc import Iterable

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """A trap in a programme file that is correct as such: what it is, why it hurts, what to do.

    severity is "warning" or "info"; `where` names the place in words, `anchors` are the names on the way
    to it (version, code), by which its line is found; `line` 0 is not known.
    """

    severity: str
    where: str
    what: str
    why: str
    fix: str
    anchors: tuple[str, ...] = ()
    line: int = 0

    def __str__(self) -> str:
        at = f"line {self.line}: " if self.line else ""
        return f"{self.severity}: {at}{self.where}: {self.what}. {_sentence(self.why)} {_sentence(self.fix)}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def warning(where: str, what: str, why: str, fix: str, *anchors: str) -> Finding:
    """A finding that most probably costs somebody money."""
    return Finding("warning", where, what, why, fix, anchors)


def info(where: str, what: str, why: str, fix: str, *anchors: str) -> Finding:
    """A finding that may be meant."""
    return Finding("info", where, what, why, fix, anchors)


class Facts(msgspec.Struct, frozen=True):
    """What the books say beside the file: merchants by group today, members by tag, merchants by category,
    and won of cashback by (budget code, funder id) in the last whole month."""

    groups: dict[str, int]
    tags: dict[str, int]
    categories: dict[str, int]
    burned: dict[tuple[str, str], int]


def located(findings: Iterable[Finding], text: str) -> tuple[Finding, ...]:
    """Findings with the lines of the file that they are about: the last anchor, after those before it."""
    lines = text.splitlines()
    return tuple([msgspec.structs.replace(one, line=_line(lines, one.anchors)) for one in findings])


def _line(lines: list[str], anchors: tuple[str, ...]) -> int:
    at = 0
    for anchor in anchors:
        for number in range(at, len(lines)):
            name, _, value = lines[number].partition("=")
            if name.strip() in ("version", "code", "id") and value.strip().startswith(f'"{anchor}"'):
                at = number
                break
        else:
            return at + 1 if at else 0
    return at + 1 if anchors else 0
