"""The TCP server: frames in, replies out, each connection for itself.

Commands are answered where they arrive, in order, for none of them waits for anything. A connection that sent
more than its share of one turn waits for the others; one that does not read its replies is not read either.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import structlog

from hsm_sim.handlers import answer
from hsm_sim.keys import Keys
from hsm_sim.settings import Settings
from switch.hsm.framing import LENGTH_BYTES, FrameError, FrameSplitter

_IDLE_CHECKS: Final = 4  # within one idle time-out
_log = structlog.get_logger()


class HsmServer:
    """Listens, and holds what all connections share."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.settings = settings
        self.keys = keys
        self.connections: set[Connection] = set()
        self._connect: Callable[[], Connection] = lambda: Connection(self)
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()
        self._idle_task: asyncio.Task[None] | None = None

    def connect_by(self, connect: "Callable[[], Connection]") -> None:
        """Lets connections be of another kind, before the start."""
        self._connect = connect

    async def start(self) -> int:
        """Listens; returns the port. Raises OSError if the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, self.settings.host, self.settings.port)
        self._idle_task = loop.create_task(self._close_idle(), name="idle-connections")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Takes no more connections, answers what has arrived, closes. Bounded by stop_timeout_s."""
        if self._server is None or self._idle_task is None:
            return
        self._server.close()
        self._idle_task.cancel()
        await asyncio.gather(self._idle_task, return_exceptions=True)
        for connection in tuple(self.connections):
            connection.finish()
        if not self.connections:
            self._empty.set()
        try:
            async with asyncio.timeout(self.settings.stop_timeout_s):
                await self._empty.wait()
        except TimeoutError:
            for connection in tuple(self.connections):
                connection.abort()
        self._server = None

    def lost(self, connection: "Connection") -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if not self.connections and self._server is not None and not self._server.is_serving():
            self._empty.set()

    async def _close_idle(self) -> None:
        """Closes connections that say nothing, and those that begin a frame and never end it."""
        loop = asyncio.get_running_loop()
        idle_s, frame_s = self.settings.idle_timeout_s, self.settings.frame_timeout_s
        while True:
            await asyncio.sleep(min(idle_s, frame_s) / _IDLE_CHECKS)
            now = loop.time()
            for connection in tuple(self.connections):
                begun_s = connection.frame_begun_s
                if begun_s is not None and now - begun_s > frame_s:
                    _log.warning("slow_frame", peer=connection.peer)
                    connection.abort()
                elif now - connection.last_heard_s > idle_s and not connection.busy:
                    _log.info("idle_connection_closed", peer=connection.peer)
                    connection.abort()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: HsmServer) -> None:
        self._server = server
        settings = server.settings
        self._header_bytes = settings.header_bytes
        self._per_turn = settings.commands_per_turn
        self._splitter = FrameSplitter(length_min=settings.header_bytes, length_max=settings.frame_bytes_max)
        self._backlog: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._client_reads = True
        self._reading = True
        self.last_heard_s = self._loop.time()
        self.frame_begun_s: float | None = None  # since when the stream stands inside a frame
        self.peer = "?"

    @property
    def busy(self) -> bool:
        """Whether it has commands that wait."""
        return bool(self._backlog)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport, though they are ones.
        stream = cast("asyncio.Transport", transport)
        self.peer = str(stream.get_extra_info("peername"))
        if len(self._server.connections) >= self._server.settings.connections_max:
            _log.warning("too_many_connections", peer=self.peer)
            stream.abort()
            return
        self._transport = stream
        stream.set_write_buffer_limits(high=self._server.settings.unread_bytes_max)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._backlog.clear()
        self._server.lost(self)

    def data_received(self, data: bytes) -> None:
        self.last_heard_s = self._loop.time()
        try:
            messages = self._splitter.feed(data)
        except FrameError as error:
            # After a length that lies nothing of this stream means anything.
            _log.warning("bad_frame", peer=self.peer, error=str(error))
            self.abort()
            return
        if not self._splitter.partial:
            self.frame_begun_s = None
        elif messages or self.frame_begun_s is None:
            self.frame_begun_s = self.last_heard_s
        self._backlog.extend(messages)
        if self._reading:
            self._answer_some()

    def pause_writing(self) -> None:
        self._client_reads = False

    def resume_writing(self) -> None:
        self._client_reads = True
        self._answer_some()

    def _answer_some(self) -> None:
        """Answers up to one turn's share with a single write, then lets the other connections work."""
        transport = self._transport
        if transport is None:
            return
        backlog, keys, header_bytes = self._backlog, self._server.keys, self._header_bytes
        replies: list[bytes] = []
        for _ in range(min(self._per_turn, len(backlog)) if self._client_reads else 0):
            reply = answer(keys, backlog.popleft(), header_bytes)
            replies.append(len(reply).to_bytes(LENGTH_BYTES))
            replies.append(reply)
        if replies:
            transport.write(b"".join(replies))
        if backlog or not self._client_reads:
            self._pause(transport)
            if self._client_reads:
                self._loop.call_soon(self._answer_some)
        else:
            self._resume(transport)

    def _pause(self, transport: asyncio.Transport) -> None:
        if self._reading and not transport.is_closing():
            self._reading = False
            transport.pause_reading()

    def _resume(self, transport: asyncio.Transport) -> None:
        if not self._reading and not transport.is_closing():
            self._reading = True
            transport.resume_reading()

    def finish(self) -> None:
        """Answers all that has arrived and closes once the client has it."""
        self._per_turn = max(len(self._backlog), 1)
        self._answer_some()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()
