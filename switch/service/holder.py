"""The reference data in force, and the one way to renew them."""

import asyncio

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from switch.store.reference import Reference, load_reference, read_epoch

RENEW_EVERY_S = 0.2  # who is not known is asked about at most so often, whoever asks


class ReferenceHolder:
    """`current` is always whole; `refresh` reads anew in a thread, once for all who ask at the same time."""

    def __init__(self, engine: Engine, first: Reference) -> None:
        self._engine = engine
        self._running: asyncio.Task[Reference] | None = None
        self.current = first
        self._renewed_at = float("-inf")
        self._renewing: asyncio.Task[bool] | None = None

    async def refresh(self) -> Reference:
        """Read the reference data as they are now."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(asyncio.to_thread(load_reference, self._engine))
        self.current = await asyncio.shield(self._running)
        return self.current

    async def renew(self) -> bool:
        """Read anew if an operator has changed something since; returns whether there is something new.

        A lane looks at the epoch with every batch; this is for the door, before it refuses whom it does not
        know. Errors of the database are the lanes' to tell: here they mean that nothing is new.
        """
        now = asyncio.get_running_loop().time()
        if self._renewing is None or self._renewing.done():
            if now - self._renewed_at < RENEW_EVERY_S:
                return False
            self._renewed_at = now
            self._renewing = asyncio.create_task(self._renew())
        # Whoever asks meanwhile gets the same answer: a reversal beside its payment must not be refused.
        return await asyncio.shield(self._renewing)

    async def _renew(self) -> bool:
        try:
            if await asyncio.to_thread(read_epoch, self._engine) == self.current.epoch:
                return False
            await self.refresh()
        except SQLAlchemyError:
            return False
        return True
