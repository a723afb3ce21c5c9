"""What a process has learnt of terminals' keys and has not written down yet: written soon, and in bulk.

No payment waits for it. What a crash loses is learnt again: a set that came into use is seen in use by the
next message, and a key serial number counts on from the last that was written.
"""

import asyncio
from datetime import datetime
from typing import Final

import structlog

from switch.store.lookup import Lookup, LookupUnavailableError

FLUSH_AFTER_S: Final = 0.1
TRY_AGAIN_S: Final = 1.0
MARKS_MAX: Final = 200_000  # terminals; beyond it a mark is dropped, and learnt again
_A_STATEMENT: Final = 5_000

log = structlog.get_logger()


class KeyMarks:
    """Collects marks of terminals and writes them. One per process."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._seen: dict[str, tuple[str, datetime | None]] = {}
        self._counters: dict[tuple[str, str], int] = {}
        self._task: asyncio.Task[None] | None = None

    def seen(self, terminal_id: str, tak: str, old_until: datetime | None) -> None:
        """The set of this MAC key is in use; the one before it ends at `old_until`."""
        if len(self._seen) < MARKS_MAX or terminal_id in self._seen:
            self._seen[terminal_id] = (tak, old_until)
            self._wake()

    def seen_of(self, terminal_id: str) -> tuple[str, datetime | None] | None:
        """A mark that is not yet surely written: the MAC key, the end of the set before it."""
        return self._seen.get(terminal_id)

    def counted(self, terminal_id: str, ksn_id: str, counter: int) -> None:
        """A key serial number with this counter was taken."""
        key = (terminal_id, ksn_id)
        if counter > self._counters.get(key, -1):
            self._counters[key] = counter
            self._wake()

    def counter_of(self, terminal_id: str, ksn_id: str) -> int:
        """The highest counter that is not yet surely written; -1 when there is none."""
        return self._counters.get((terminal_id, ksn_id), -1)

    async def close(self) -> None:
        """Write what is left, once; a database that is away is not waited for."""
        if self._task is not None:
            self._task.cancel()
        try:
            await self._write()
        except LookupUnavailableError:
            log.warning("marks of terminals' keys are left unwritten", terminals=len(self._seen))

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._seen or self._counters:
            await asyncio.sleep(FLUSH_AFTER_S)
            try:
                await self._write()
            except LookupUnavailableError:
                await asyncio.sleep(TRY_AGAIN_S)

    async def _write(self) -> None:
        """Raises LookupUnavailableError; what was not written stays to be written."""
        while self._seen:
            seen = list(self._seen.items())[:_A_STATEMENT]
            await self._lookup.save_seen([(terminal, tak, until) for terminal, (tak, until) in seen])
            for terminal, mark in seen:
                if self._seen.get(terminal) == mark:
                    del self._seen[terminal]
        while self._counters:
            counters = list(self._counters.items())[:_A_STATEMENT]
            await self._lookup.save_counters([(*key, counter) for key, counter in counters])
            for key, counter in counters:
                if self._counters.get(key) == counter:
                    del self._counters[key]
