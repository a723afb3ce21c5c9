"""What delivery needs of a way to the bank, and how such a way can fail.

A channel does single acts and decides nothing. Every act either succeeds, is refused (the other side said
no, and the line still stands) or ends unknown (no answer: it may have been done).
"""

import hashlib
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

BLOCK_BYTES = 256 * 1024
FILE_BYTES_MAX = 200_000_000
ANSWERS_MAX = 20_000
"""Names in the bank's folder of answers: more is a folder that nobody clears."""


class ChannelError(RuntimeError):
    """An act that did not succeed. The text says what the other side told, and no secret."""


class RefusedError(ChannelError):
    """The other side answered no: the act was not done."""


class LostError(ChannelError):
    """No answer came: nobody here can say whether the act was done."""


class AwayError(ChannelError):
    """There is no line at all, after some tries: no act was asked for."""


class Found(msgspec.Struct, frozen=True):
    """A file at the bank, read back whole. `place`: outbox (waits for the bank), taken, or part."""

    place: str
    size: int
    sha256: str


class Listed(msgspec.Struct, frozen=True):
    """A file in the bank's folder of answers: its size in bytes, and when it was changed (Unix seconds)."""

    name: str
    size: int
    changed: int


class Channel(Protocol):
    """A line to the bank, open until `close`. Every act raises ChannelError; ConfigurationError where the
    settings cannot be right (an unknown host, a key that is not taken, a folder that is not there).
    """

    name: str

    def look(self, name: str) -> Found | None:
        """What has this final name now: where the bank takes files, else where it keeps those taken."""
        ...

    def look_part(self, part: str) -> Found | None:
        """What has this temporary name now."""
        ...

    def upload(self, source: Path, part: str) -> Found:
        """Write a file under a temporary name that is not there yet, down to the disk; read it back."""
        ...

    def rename(self, part: str, name: str) -> None:
        """Give an uploaded file its final name, in one act."""
        ...

    def remove(self, part: str) -> None:
        """Remove a temporary file; one that is not there is as good."""
        ...

    def answers(self) -> list[Listed]:
        """The finished files that the bank has left for us, by name, whatever signs are in it."""
        ...

    def read(self, name: str, sink: BinaryIO) -> str:
        """Copy one of them, at most FILE_BYTES_MAX bytes; returns its hex SHA-256."""
        ...

    def close(self) -> None:
        """Hang up; raises nothing."""
        ...


class Meter:
    """Counts and hashes what is copied, and holds it to the largest size. Raises RefusedError."""

    def __init__(self, name: str, place: str = "") -> None:
        self._name, self._place = name, place
        self._size = 0
        self._digest = hashlib.sha256()

    def count(self, block: bytes) -> None:
        """Take part of the file in."""
        self._size += len(block)
        if self._size > FILE_BYTES_MAX:
            raise RefusedError(
                f"{self._name} is larger than {FILE_BYTES_MAX:,} bytes: it is left where it is"
            )
        self._digest.update(block)

    def found(self) -> Found:
        """What was copied."""
        return Found(self._place, self._size, self._digest.hexdigest())


def part_of(name: str, try_no: int) -> str:
    """The temporary name of one try: each has its own, so that a late echo of one cannot touch another."""
    return f"{name}.{try_no}.part"


def is_finished(name: str) -> bool:
    """Whether a name in the folder of answers is of a file that the bank has written to its end."""
    return not name.startswith(".") and not name.endswith((".part", ".tmp", ".filepart"))


def is_answer(name: str) -> bool:
    """Whether a finished file can be kept under its name here."""
    plain = name.isprintable() and "/" not in name and "\\" not in name and len(name.encode()) <= 200
    return bool(name) and plain and is_finished(name)
