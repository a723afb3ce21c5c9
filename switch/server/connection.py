"""One terminal line: frames in, messages to the desk, answers out. One protocol object a connection."""

import asyncio
import contextlib
import socket
from collections import deque
from typing import Final, Protocol, cast

import structlog

from switch.server.gate import Gate
from switch.server.tls import Identity, identity_of
from switch.service import metrics
from switch.service.desk import Desk, NoAnswerError
from switch.service.line import Line
from switch.settings import Listener as Settings
from switch.wire.framing import FrameError, Framer, frame, reply_tpdu, split_tpdu

log = structlog.get_logger()

CLOSE_S: Final = 5.0
"""What was written must leave within, then the connection is cut."""


class Port(Protocol):
    """What a connection knows of the port that it came in by."""

    settings: Settings
    desk: Desk
    gate: Gate
    stopping: bool

    def line(self, connection: "Connection", /) -> Line:
        """What the desk is told of a connection."""

    def admit(self, connection: "Connection") -> bool:
        """Take a connection whose handshake is done; not any more when the switch is stopping."""

    def forget(self, connection: "Connection") -> None:
        """Count a connection out."""


class Connection(asyncio.Protocol):
    """One terminal line. Requests are pipelined; answers go out as they come."""

    def __init__(self, port: Port, address: str) -> None:
        limits = port.settings
        self.address = address
        self.identity: Identity | None = None
        self.made = False
        self._port = port
        self._desk = port.desk
        self._gate = port.gate
        self._limits = limits
        self._in_flight_max = limits.in_flight_max
        self._inclusive, self._tpdu = limits.length_inclusive, limits.tpdu
        self._framer = Framer(limits.frame_max, inclusive=limits.length_inclusive, tpdu=limits.tpdu)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0  # messages that wait at the gate
        self._waiting: deque[bytes] = deque()
        self._outgoing: list[bytes] = []
        self._reading = True
        self._ending = False  # nothing more is read; closed when the last answer has left
        self.last_byte_at = self._loop.time()
        self.half_frame_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one, but no instance of it
        self.made = True
        self.last_byte_at = self._loop.time()
        self.identity = identity_of(transport.get_extra_info("ssl_object"))
        self._line = self._port.line(self)
        if not self._port.admit(self):
            self._transport.abort()
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):  # it may be gone already
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(high=self._limits.unread_max)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        if self._line is not None:
            self._line.end()
        self._port.forget(self)

    def eof_received(self) -> bool:
        """The terminal has said all that it will: it still gets the answers that are due to it.

        Half a frame that came before is discarded. Under TLS the line ends: its goodbye is for both sides.
        """
        self.half_frame_since = None
        if not self.busy:
            return False
        self._ending = True
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        self.drop("does not read its answers")
        self.abort()  # a mere close would wait until everything is read

    def data_received(self, data: bytes) -> None:
        if self._ending or self._port.stopping:
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
        if len(self._tasks) + self._held >= self._in_flight_max:
            self._waiting.append(payload)
            self.stop_reading()
            return
        self._held += 1
        if not self._gate.enter(self, payload, self.last_byte_at):
            self._held -= 1

    def begin(self, payload: bytes) -> None:
        """Work on a message: its turn has come."""
        self._held -= 1
        task = self._loop.create_task(self._answer(payload))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def passed_over(self) -> None:
        """A message of this line is not worked on after all."""
        self._held -= 1
        self._go_on()

    async def _answer(self, payload: bytes) -> None:
        started = self._loop.time()
        tpdu = b""
        if self._tpdu:
            tpdu, payload = split_tpdu(payload)
        if self._line is None:
            return
        try:
            answer = await self._desk.answer(payload, self._line)
        except NoAnswerError as error:
            if error.close:
                self.drop("illegible")
            return
        if self._transport is None or self._transport.is_closing():
            metrics.LATE.inc()  # it is booked; the terminal will repeat or reverse
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(frame(answer, self._inclusive, reply_tpdu(tpdu) if tpdu else b""))
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
        self._gate.leave(self._loop.time())
        self._go_on()

    def _go_on(self) -> None:
        """One message less: take what waited for it, read on, or end."""
        while self._waiting and len(self._tasks) + self._held < self._in_flight_max:
            self._take(self._waiting.popleft())
        if self._ending:
            if not self.busy:
                self.close()
        elif not self._waiting and not self._reading and not self._port.stopping:
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
        return bool(self._tasks or self._held or self._waiting or self._outgoing)

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to be answered."""
        return self._transport is None

    @property
    def in_flight(self) -> int:
        """Requests being worked on."""
        return len(self._tasks)

    def sweep(self, now: float, wall: float) -> None:
        """Drop the connection if it is idle, stuck in half a frame, or its certificate has run out.

        `now` is the loop's time, `wall` the seconds since 1970.
        """
        if self.identity is not None and wall > self.identity.not_after:
            self.drop("certificate")
        if not self._reading or self._ending:
            return
        half_frame_s = min(self._limits.half_frame_s, self._limits.idle_s)
        if self.half_frame_since is not None and now - self.half_frame_since > half_frame_s:
            self.drop("slow frame")
        elif not self.busy and now - self.last_byte_at > self._limits.idle_s:
            self.drop("idle")

    def superseded(self) -> None:
        """A newer line speaks for all that this one spoke for: finish what is in flight, then close."""
        metrics.CONNECTIONS_DROPPED.inc("superseded")
        self.stop_reading()
        self._ending = True
        if not self.busy:
            self.close()

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
