"""The chain of the audit log: each line holds the fingerprint of the one before, so none can change unseen.

A line's fingerprint is SHA-256 over the fingerprint before it and the line as canonical JSON (UTF-8, keys
sorted, no spaces). The chain cannot show that its last lines were cut off: whoever wants to know keeps the
number and the fingerprint of a line elsewhere, and has them looked for.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

GENESIS = "0" * 64
"""What stands before the first line."""


class ChainError(ValueError):
    """The log is not what was written."""


class Line(msgspec.Struct, frozen=True):
    """One act on `subject`; `detail` is canonical JSON. Numbers run from 1 without a gap."""

    audit_no: int
    at: datetime
    actor: str
    act: str
    subject: str
    detail: str
    previous_sha256: str
    sha256: str = ""


def canonical(detail: dict[str, object]) -> str:
    """JSON that is the same for the same content. Raises TypeError for what JSON has no form for."""
    return msgspec.json.encode(detail, order="sorted").decode()


def fingerprint(line: Line) -> str:
    """Hex SHA-256 of a line and of all before it."""
    fields: dict[str, object] = {
        "act": line.act,
        "actor": line.actor,
        "at": line.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "audit_no": line.audit_no,
        "detail": line.detail,
        "subject": line.subject,
    }
    return hashlib.sha256(f"{line.previous_sha256}\n{canonical(fields)}".encode()).hexdigest()


def link(previous: Line | None, at: datetime, actor: str, act: str, subject: str, detail: str) -> Line:
    """The line that follows `previous` (None: the log is empty)."""
    number, before = (previous.audit_no + 1, previous.sha256) if previous else (1, GENESIS)
    line = Line(number, at, actor, act, subject, detail, before)
    return msgspec.structs.replace(line, sha256=fingerprint(line))


def follow(lines: Iterable[Line], previous: Line | None = None) -> Line | None:
    """Walk lines in their order and return the last one. Raises ChainError at the first that does not fit."""
    for line in lines:
        expected = previous.audit_no + 1 if previous else 1
        if line.audit_no != expected:
            raise ChainError(f"line {expected} is missing: the next one is {line.audit_no}")
        if line.previous_sha256 != (previous.sha256 if previous else GENESIS):
            raise ChainError(f"line {line.audit_no} does not follow the line before it")
        if line.sha256 != fingerprint(line):
            raise ChainError(f"line {line.audit_no} is not what was written")
        previous = line
    return previous
