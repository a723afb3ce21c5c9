"""The time by which the switch decides: the machine's, or an instant that a simulation sets.

Whoever needs the time is handed a clock; nothing in the switch asks the machine by itself.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Protocol

from switch.domain.calendar import SEOUL

_INSTANT_MAX = 64  # bytes of an ISO instant, with room


class ClockError(Exception):
    """A clock that cannot be used: what is wrong and what to do, in one line."""


class Clock(Protocol):
    """Says what time it is, as an aware datetime in Asia/Seoul."""

    def now(self) -> datetime:
        """The present instant."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now(self) -> datetime:
        """The present instant, in Asia/Seoul."""
        return datetime.now(SEOUL)


class SimulatedClock:
    """A clock that stands where its file says until the file is replaced (see set_simulated)."""

    __slots__ = ("_file", "_instant", "_stamp")

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._instant = datetime.min.replace(tzinfo=SEOUL)
        self.now()

    def now(self) -> datetime:
        """The instant in the file; the file is read again only when it has changed. Raises ClockError."""
        try:
            status = os.stat(self._file)  # asked for every payment, so no Path
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._instant = parse_instant(
                    self._file.read_bytes()[:_INSTANT_MAX].decode("ascii", "replace")
                )
                self._stamp = stamp
        except OSError as error:
            raise ClockError(
                f"{self._file}: the simulated clock cannot be read ({type(error).__name__}):"
                " set it with `dure-switch clock set INSTANT`"
            ) from None
        return self._instant


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant with offset, as Asia/Seoul. Raises ClockError."""
    example = "2026-11-20T12:00:00+09:00"
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ClockError(f"{text.strip()[:40]!r} is no instant: write it as {example}") from None
    if instant.tzinfo is None:
        raise ClockError(f"{text.strip()} has no offset from UTC: write it as {example}")
    return instant.astimezone(SEOUL)


def set_simulated(file: Path, instant: datetime) -> None:
    """Set a simulated clock. Readers see the old instant or the new one, never half of it."""
    if instant.tzinfo is None:
        raise ClockError("an instant needs its offset from UTC")
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    draft.write_text(instant.astimezone(SEOUL).isoformat() + "\n", encoding="ascii")
    draft.replace(file)


def open_clock(mode: str, file: str, *, simulation: bool) -> Clock:
    """The clock that the settings ask for; `simulation` is the database's own mark.

    Raises ClockError: a simulated clock must never decide over real money.
    """
    if mode == "system":
        return SystemClock()
    if not simulation:
        raise ClockError(
            'clock.mode = "simulated" is refused: this database is not marked as a simulation;'
            ' set mode = "system", or make a fresh database with `dure-switch init --simulation`'
        )
    return SimulatedClock(Path(file))
