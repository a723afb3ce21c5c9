"""Watches how many terminals have keys that ended, end soon, or are old, and shows it on the metrics page."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from switch.service import metrics
from switch.store.keystore import KeyAges, key_ages

WATCH_S: Final = 60.0

log = structlog.get_logger()


class KeyWatch:
    """Looks at the books once a minute, beside the payments. One per process."""

    def __init__(
        self, engine: Engine, now: Callable[[], datetime], *, warn_hours: int, master_days: int
    ) -> None:
        """`warn_hours`: hours before the end of session keys; `master_days`: days after which a master key
        is old."""
        self._engine = engine
        self._now = now
        self._warn = timedelta(hours=warn_hours)
        self._master = timedelta(days=master_days)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                self._show(await asyncio.to_thread(self._look))
            except SQLAlchemyError as error:
                log.warning("keys of terminals cannot be looked at", error=type(error).__name__)
            await asyncio.sleep(WATCH_S)

    def _look(self) -> KeyAges:
        now = self._now()
        with self._engine.connect() as connection:
            return key_ages(connection, now, ending_before=now + self._warn, loaded_before=now - self._master)

    def _show(self, ages: KeyAges) -> None:
        metrics.TERMINAL_KEYS.labels("ended").set(ages.ended)
        metrics.TERMINAL_KEYS.labels("ending").set(ages.ending)
        metrics.TERMINAL_KEYS.labels("master_old").set(ages.master_old)
