"""Listeners: bytes in, payloads to the desk, answers out. One protocol object a connection.

Everything is bounded: connections, frame size, requests in flight a connection, idle time, the time that
half a frame may wait. Whoever breaks a bound loses this connection, and nothing else.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import cast

import msgspec
import structlog

from switch.service import metrics
from switch.service.desk import Desk, NoAnswerError
from switch.wire.framing import FrameError, Framer, frame

log = structlog.get_logger()

HALF_FRAME_S = 10.0  # a frame that has begun must end within, or within the idle time if that is shorter
CLOSE_S = 5.0  # what was written must leave within, then the connection is cut
STOP_CLOSE_S = 1.0  # the least that the last answers get for it when the switch stops
SWEEP_S = 1.0
WRITE_BUFFER_MAX = 1 << 20  # bytes that a reader who does not read may make us hold


class ListenerLimits(msgspec.Struct, frozen=True):
    """Bounds of one listener; times in seconds, the frame in bytes."""

    frame_max: int = 2048
    connections_max: int = 2000
    in_flight_max: int = 256
    idle_s: float = 300.0


class Connection(asyncio.Protocol):
    """One terminal line. Requests are pipelined; answers go out as they come."""

    def __init__(self, server: "Server", desk: Desk, limits: ListenerLimits) -> None:
        self._server = server
        self._desk = desk
        self._limits = limits
        self._framer = Framer(limits.frame_max)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[bytes] = deque()
        self._outgoing: list[bytes] = []
        self._reading = True
        self.last_byte_at = self._loop.time()
        self.half_frame_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but no instance of it
        if not self._server.admit(self):
            metrics.CONNECTIONS_REFUSED.inc()
            self._transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        self._server.forget(self)

    def pause_writing(self) -> None:
        self.drop("does not read its answers")
        self.abort()  # a mere close would wait until everything is read

    def data_received(self, data: bytes) -> None:
        if self._server.stopping:
            return
        self.last_byte_at = now = self._loop.time()
        try:
            payloads = self._framer.feed(data)
        except FrameError as error:
            for payload in error.frames:
                self._take(payload)
            self.drop("frame")
            return
        if self._framer.pending:
            if payloads or self.half_frame_since is None:
                self.half_frame_since = now
        else:
            self.half_frame_since = None
        for payload in payloads:
            self._take(payload)

    def _take(self, payload: bytes) -> None:
        if len(self._tasks) >= self._limits.in_flight_max:
            self._waiting.append(payload)
            self.stop_reading()
            return
        task = self._loop.create_task(self._answer(payload))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _answer(self, payload: bytes) -> None:
        started = self._loop.time()
        try:
            answer = await self._desk.answer(payload)
        except NoAnswerError as error:
            if error.close:
                self.drop("illegible")
            return
        if self._transport is None or self._transport.is_closing():
            metrics.LATE.inc()  # it is booked; the terminal will repeat or reverse
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(frame(answer))
        metrics.REQUEST_SECONDS.observe(self._loop.time() - started)

    def _flush(self) -> None:
        """Send what has been answered in this turn of the loop: one write for all of it."""
        answers, self._outgoing = self._outgoing, []
        if answers and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(answers))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a message failed", error=type(error).__name__)
        while self._waiting and len(self._tasks) < self._limits.in_flight_max:
            self._take(self._waiting.popleft())
        if not self._waiting and not self._reading and not self._server.stopping:
            self._read_on()

    def stop_reading(self) -> None:
        """Leave what comes in the system's buffers, so that the sender feels it."""
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._reading = False

    def _read_on(self) -> None:
        self._reading = True
        self.last_byte_at = self._loop.time()
        if self.half_frame_since is not None:
            self.half_frame_since = self.last_byte_at  # while we did not read, the sender was not slow
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def busy(self) -> bool:
        """Whether an answer is still due."""
        return bool(self._tasks or self._waiting or self._outgoing)

    @property
    def in_flight(self) -> int:
        """Requests being worked on."""
        return len(self._tasks)

    def sweep(self, now: float) -> None:
        """Drop the connection if it is idle or stuck in half a frame."""
        if not self._reading:
            return
        half_frame_s = min(HALF_FRAME_S, self._limits.idle_s)
        if self.half_frame_since is not None and now - self.half_frame_since > half_frame_s:
            self.drop("slow frame")
        elif not self.busy and now - self.last_byte_at > self._limits.idle_s:
            self.drop("idle")

    def drop(self, why: str) -> None:
        """Close this connection; what is in flight is still booked."""
        if self._transport is not None and not self._transport.is_closing():
            metrics.CONNECTIONS_DROPPED.inc(why)
            self.close()

    def close(self) -> None:
        """Close after the answers that were written are sent, but wait no longer than CLOSE_S for it."""
        if self._transport is not None and not self._transport.is_closing():
            self._flush()
            self._transport.close()
            self._loop.call_later(CLOSE_S, self.abort)

    def abort(self) -> None:
        """Cut the connection, if it is still there."""
        if self._transport is not None:
            self._transport.abort()


class Server:
    """All listeners of a process."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._connections_max = 0
        self._sweeper: asyncio.Task[None] | None = None
        self.stopping = False

    async def listen(self, host: str, port: int, limits: ListenerLimits) -> tuple[str, int]:
        """Open a listener; returns where it really listens. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._connections_max += limits.connections_max
        make: Callable[[], Connection] = lambda: Connection(self, self._desk, limits)  # noqa: E731
        server = await loop.create_server(make, host, port, reuse_port=port != 0, backlog=1024)
        self._servers.append(server)
        if self._sweeper is None:
            self._sweeper = loop.create_task(self._sweep())
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in, if there is room."""
        if self.stopping or len(self._connections) >= self._connections_max:
            return False
        self._connections.add(connection)
        metrics.CONNECTIONS.set(len(self._connections))
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        metrics.CONNECTIONS.set(len(self._connections))

    async def stop(self, drain_s: float) -> None:
        """Take nothing new, finish what is in flight (at most `drain_s` seconds), then close the sockets."""
        self.stopping = True
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.stop_reading()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + drain_s
        while any(c.busy for c in self._connections) and loop.time() < deadline:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.close()
        deadline = max(deadline, loop.time() + STOP_CLOSE_S)
        while self._connections and loop.time() < deadline:  # noqa: ASYNC110 - what was written must leave
            await asyncio.sleep(0.01)
        for connection in list(self._connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            metrics.IN_FLIGHT.set(sum(c.in_flight for c in self._connections))
            for connection in list(self._connections):
                connection.sweep(now)
