"""One connection to the HSM: many commands in flight, matched by header, written once per loop turn.

Nothing here makes a task per command: a caller gets a bare future, one sweeper watches all deadlines, and one
background task reconnects.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import structlog

from switch.hsm.commands import HEADER_BYTES, reply_code
from switch.hsm.framing import LENGTH_BYTES, FrameError, FrameSplitter

Parser = Callable[[bytes, bytes], Any]
Observer = Callable[[str, float], None]

RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MAX_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 5.0
# So many time-outs without one byte and the connection counts as dead: a peer that vanished says nothing.
# The same for so many commands given up: one that is answered at all is answered in order.
SILENT_TIMEOUTS_MAX: Final = 3
ABANDONED_MAX: Final = 8192
_HEADERS: Final = 0x10000  # 4 hex digits, far above any limit on commands in flight
_BODY_AT: Final = HEADER_BYTES + 4  # header, reply code, error code

_log = structlog.get_logger()


class HsmUnavailable(Exception):
    """No answer from the HSM: not connected, lost, too late, or too much in flight. Decline with 91."""


class Counters:
    """What has happened so far, for the metrics page. Plain ints: read them whenever you like."""

    __slots__ = ("failed", "in_flight", "late", "reconnects", "sent", "timeouts")

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self.timeouts = 0
        self.late = 0
        self.reconnects = 0
        self.in_flight = 0


class _Waiting:
    """A command in flight."""

    __slots__ = ("command", "future", "parser", "since")

    def __init__(self, command: bytes, parser: Parser, future: "asyncio.Future[Any]", since: float) -> None:
        self.command = command
        self.parser = parser
        self.future = future
        self.since = since


class HsmLink(asyncio.Protocol):
    """A connection that mends itself. `open` starts it, `send` uses it, `close` ends it."""

    def __init__(
        self, host: str, port: int, *, timeout_s: float, counters: Counters, observe: Observer | None
    ) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._counters = counters
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[bytes, _Waiting] = {}  # in the order sent, so the oldest is first
        # Headers given up but not answered yet: used again, a late reply would answer another command.
        self._abandoned: set[bytes] = set()
        self._outgoing: list[bytes] = []
        self._next_header = 0
        self._silent_since: float | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._splitter = FrameSplitter()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    # --- life ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begins to connect in the background; never raises because the HSM is away."""
        self._task = self._loop.create_task(self._keep_connected(), name="hsm-link")

    async def close(self) -> None:
        """Ends the connection; whatever is still in flight fails with HsmUnavailable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._drop("the HSM client is closed")
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def _keep_connected(self) -> None:
        wait_s = RECONNECT_FIRST_S
        first = True
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._loop.create_connection(lambda: self, self._host, self._port)
            except OSError as error:  # TimeoutError is one
                if wait_s == RECONNECT_FIRST_S:
                    _log.warning(
                        "hsm_unreachable", host=self._host, port=self._port, error=type(error).__name__
                    )
            else:
                if not first:
                    self._counters.reconnects += 1
                first = False
                connected_at = self._loop.time()
                await self._lost.wait()
                # A peer that accepts and hangs up at once must not be hammered.
                if self._loop.time() - connected_at > RECONNECT_MAX_S:
                    wait_s = RECONNECT_FIRST_S
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RECONNECT_MAX_S)

    # --- asyncio.Protocol ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.Transport, though they are ones.
        stream = cast("asyncio.Transport", transport)
        self._transport = stream
        self._splitter = FrameSplitter()
        self._silent_since = None
        self.ready.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop("the connection to the HSM was lost")
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        self._silent_since = None
        try:
            replies = self._splitter.feed(data)
        except FrameError as error:
            _log.error("hsm_bad_frame", error=str(error))
            self._abort("the HSM sent a frame that cannot be followed")
            return
        now = self._loop.time()
        for reply in replies:
            waiting = self._waiting.pop(reply[:HEADER_BYTES], None)
            if waiting is None:
                self._abandoned.discard(reply[:HEADER_BYTES])
                self._counters.late += 1
                continue
            self._counters.in_flight -= 1
            self._settle(waiting, reply, now)

    def _settle(self, waiting: _Waiting, reply: bytes, now: float) -> None:
        if self._observe is not None:
            self._observe(waiting.command.decode("ascii"), now - waiting.since)
        future = waiting.future
        if future.done():  # cancelled by its owner
            return
        try:
            if len(reply) < _BODY_AT or reply[HEADER_BYTES : HEADER_BYTES + 2] != reply_code(waiting.command):
                raise HsmUnavailable(f"the HSM's reply to {waiting.command.decode('ascii')} is not one")
            future.set_result(waiting.parser(reply[HEADER_BYTES + 2 : _BODY_AT], reply[_BODY_AT:]))
        except Exception as error:  # noqa: BLE001 whatever a parser makes of a reply belongs to the one who asked
            self._counters.failed += 1
            _fail(future, error)

    # --- sending -------------------------------------------------------------------------------------------

    def send(self, message: bytes, parser: Parser) -> "asyncio.Future[Any]":
        """Queues one command; it leaves with all others of this loop turn. The future never stays open."""
        if self._transport is None:
            return self.refuse("there is no connection to the HSM")
        future: asyncio.Future[Any] = self._loop.create_future()
        header = self._free_header()
        self._waiting[header] = _Waiting(message[:2], parser, future, self._loop.time())
        self._counters.in_flight += 1
        self._counters.sent += 1
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append((HEADER_BYTES + len(message)).to_bytes(LENGTH_BYTES) + header + message)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._timeout_s / 8, self._sweep)
        return future

    def refuse(self, why: str) -> "asyncio.Future[Any]":
        """A future that has failed already with HsmUnavailable."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._counters.failed += 1
        _fail(future, HsmUnavailable(why))
        return future

    def _free_header(self) -> bytes:
        while True:
            number = self._next_header
            self._next_header = (number + 1) % _HEADERS
            header = b"%04X" % number
            if header not in self._waiting and header not in self._abandoned:
                return header

    def _flush(self) -> None:
        if self._outgoing and self._transport is not None:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    # --- failing -------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Fails what has waited too long. One timer for all, so a time-out comes up to an eighth late."""
        now = self._loop.time()
        oldest_allowed = now - self._timeout_s
        while self._waiting:
            header, waiting = next(iter(self._waiting.items()))
            if waiting.since > oldest_allowed:
                break
            del self._waiting[header]
            self._abandoned.add(header)
            self._counters.in_flight -= 1
            self._counters.timeouts += 1
            self._counters.failed += 1
            if self._silent_since is None:
                self._silent_since = waiting.since
            _fail(waiting.future, HsmUnavailable(f"the HSM did not answer within {self._timeout_s} s"))
        if (
            self._silent_since is not None
            and now - self._silent_since > SILENT_TIMEOUTS_MAX * self._timeout_s
        ):
            self._abort("the HSM has been silent for too long")
        elif len(self._abandoned) > ABANDONED_MAX:
            self._abort("the HSM owes too many answers")
        self._sweeper = None
        if self._waiting:
            self._sweeper = self._loop.call_later(self._timeout_s / 8, self._sweep)

    def _abort(self, why: str) -> None:
        _log.warning("hsm_connection_dropped", why=why)
        self._drop(why)

    def _drop(self, why: str) -> None:
        transport, self._transport = self._transport, None
        self.ready.clear()
        if transport is not None:
            transport.abort()
        self._outgoing.clear()
        self._abandoned.clear()
        waiting, self._waiting = self._waiting, {}
        self._counters.in_flight -= len(waiting)
        self._counters.failed += len(waiting)
        for one in waiting.values():
            _fail(one.future, HsmUnavailable(why))


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if future.done():
        return
    future.set_exception(error)
    # The counters have it; a caller who stopped waiting for one of many must not fill the log.
    future.exception()
