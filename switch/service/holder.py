"""The reference data in force, and the one way to renew them."""

import asyncio

from sqlalchemy import Engine

from switch.store.reference import Reference, load_reference


class ReferenceHolder:
    """`current` is always whole; `refresh` reads anew in a thread, once for all who ask at the same time."""

    def __init__(self, engine: Engine, first: Reference) -> None:
        self._engine = engine
        self._running: asyncio.Task[Reference] | None = None
        self.current = first

    async def refresh(self) -> Reference:
        """Read the reference data as they are now."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(asyncio.to_thread(load_reference, self._engine))
        self.current = await asyncio.shield(self._running)
        return self.current
