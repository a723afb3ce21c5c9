"""The audit file: one line for each act of a ceremony, each holding the fingerprint of the line before it.

Who did what, when, with which check value; nothing secret. A line that is changed, removed or put in between
breaks the chain at the next one. That the last lines were cut off shows by the fingerprint of the last line,
which `audit verify` prints: note it down after each ceremony.
"""

import fcntl
import getpass
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

FIRST: Final = "0" * 64  # what stands before the first line
FILE_BYTES_MAX: Final = 16_777_216


class AuditError(Exception):
    """The audit file cannot be written or does not hold together; the text says what to do."""


def append(path: Path, act: str, *, who: list[str], subject: str, check_value: str) -> str:
    """Writes one act to the end of the file and to the disk; returns the line's fingerprint.

    `who` are the custodians, `subject` what was made. Raises AuditError; then the act must not take place.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise AuditError(f"{path}: cannot be written ({error.strerror}): nothing was done") from None
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        last, count = _follow(path, file.read())
        line = json.dumps(
            {
                "number": count + 1,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "act": act,
                "who": who,
                "account": _account(),
                "subject": subject,
                "check_value": check_value,
                "before": last,
            },
            ensure_ascii=False,
        ).encode("utf-8")
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(line).hexdigest()


def verify(path: Path) -> tuple[int, str]:
    """How many acts the file holds and the fingerprint of the last. Raises AuditError naming the bad line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AuditError(f"{path}: cannot be read ({error.strerror}): name the audit file") from None
    last, count = _follow(path, data)
    return count, last


def _follow(path: Path, data: bytes) -> tuple[str, int]:
    """The fingerprint of the last line and the number of lines."""
    if len(data) > FILE_BYTES_MAX:
        raise AuditError(f"{path}: larger than {FILE_BYTES_MAX:,} bytes: put it away and begin a new one")
    last, count = FIRST, 0
    if data and not data.endswith(b"\n"):
        raise AuditError(f"{path}: its last line is cut: keep this file as it is and find out why")
    for line in data.splitlines():
        count += 1
        try:
            entry = json.loads(line)
            holds = entry["before"] == last and entry["number"] == count
        except (ValueError, KeyError, TypeError):
            holds = False
        if not holds:
            raise AuditError(
                f"{path}: line {count} does not follow from the one before it: something was changed, removed"
                " or added there; keep this file as it is and find out why"
            )
        last = hashlib.sha256(line).hexdigest()
    return last, count


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
