"""All listeners of a process: opened, swept, reloaded, and stopped without losing an answer."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from switch.server.connection import Connection
from switch.server.gate import Gate
from switch.server.listener import Listener
from switch.server.tls import load_tls
from switch.service import metrics
from switch.service.desk import Desk
from switch.service.line import Line, Speakers
from switch.settings import Limits
from switch.settings import Listener as Settings
from switch.wire.dialect import CODECS

STOP_CLOSE_S: Final = 1.0
"""The least that the last answers get to leave when the switch stops."""
SWEEP_S: Final = 1.0


class Server:
    """All listeners of a process. `now` gives the switch's own time, for the lines."""

    def __init__(self, desk: Desk, now: Callable[[], datetime], limits: Limits) -> None:
        self._desk = desk
        self._now = now
        self._listeners: list[Listener] = []
        self._speakers = Speakers()
        self._gate = Gate(limits)
        self._numbers = itertools.count(1)
        self._reload_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def listen(self, settings: Settings) -> tuple[str, int]:
        """Open a listener; returns where it really listens.

        Raises OSError when the address cannot be had, ConfigError for certificates that do not fit together.
        """
        loop = asyncio.get_running_loop()
        material = await asyncio.to_thread(load_tls, settings.tls) if settings.tls is not None else None
        codec = CODECS[settings.dialect]

        def line(connection: Connection) -> Line:
            identity = connection.identity
            return Line(
                codec=codec,
                number=next(self._numbers),
                opened_at=self._now(),
                speakers=self._speakers,
                permitted=identity.terminals if identity is not None else None,
                on_superseded=connection.superseded,
            )

        listener = Listener(settings, self._desk, self._gate, line, material)
        where = await listener.open()
        self._listeners.append(listener)
        if not self._tasks:
            self._tasks += [loop.create_task(self._sweep()), loop.create_task(self._reload())]
        if settings.tls is not None:
            self._tasks.append(loop.create_task(listener.watch()))
        return where

    def reload_soon(self) -> None:
        """Read every listener's certificates again; connections stand, those of revoked certificates end."""
        self._reload_wanted.set()

    async def _reload(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()  # whoever asks from here on wants another look
            for listener in self._listeners:
                await listener.reload()

    async def stop(self, drain_s: float) -> None:
        """Take nothing new, finish what is in flight (at most `drain_s` seconds), then close the sockets."""
        for listener in self._listeners:
            listener.stop_accepting()
        for connection in self._connections():
            connection.stop_reading()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + drain_s
        while any(c.busy for c in self._connections()) and loop.time() < deadline:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.01)
        for connection in list(self._connections()):
            connection.close()
        deadline = max(deadline, loop.time() + STOP_CLOSE_S)
        while any(self._connections()) and loop.time() < deadline:  # noqa: ASYNC110 - what was written must leave
            await asyncio.sleep(0.01)
        for connection in list(self._connections()):
            connection.abort()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _connections(self) -> Iterator[Connection]:
        for listener in self._listeners:
            yield from listener.connections

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now, wall = loop.time(), time.time()
            metrics.CONNECTIONS.set(sum(len(listener.connections) for listener in self._listeners))
            metrics.REQUESTS_WAITING.set(self._gate.waiting)
            metrics.IN_FLIGHT.set(sum(c.in_flight for c in self._connections()))
            for listener in self._listeners:
                listener.sweep(now, wall)
