"""One connection to one HSM: many commands in flight, matched by header, written once per loop turn.

Nothing here makes a task per command: a caller gets a bare future, one sweeper watches all deadlines, and one
background task reconnects.

An HSM that is too slow must not be drowned, or it would answer nothing but commands long given up. So a
connection has a window of commands at the HSM, which grows while answers come quickly and halves when they
come too late; what does not fit waits here, for half of its time at most, and then fails without ever having
cost the HSM anything.
"""

import asyncio
from collections import deque
from typing import Any, Final, Protocol, cast

import structlog

from switch.hsm.commands import HEADER_BYTES, reply_code
from switch.hsm.framing import LENGTH_BYTES, FrameError, FrameSplitter
from switch.hsm.waiting import Counters, Observer, Parser, Waiting, fail
from switch.hsm.waiting import HsmUnavailable as HsmUnavailable

RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MAX_S: Final = 2.0
CONNECT_TIMEOUT_S: Final = 5.0
# So many time-outs without one byte and the connection counts as dead: a peer that vanished says nothing.
# The same for so many commands given up: one that is answered at all is answered in order.
SILENT_TIMEOUTS_MAX: Final = 3
ABANDONED_MAX: Final = 8192
WINDOW_FIRST: Final = 16
WINDOW_MIN: Final = 8  # the smallest licences run 60 commands a second
MISSES_MAX: Final = 3  # time-outs in a row after which another HSM is asked, if there is one
_SWEEPS: Final = 8  # within one time-out
_SILENCE_SWEEPS: Final = 3  # so long without a byte, though something is asked, is silence
_HEADERS: Final = 0x10000  # 4 hex digits, far above any limit on commands in flight
_BODY_AT: Final = HEADER_BYTES + 4  # header, reply code, error code
# What a payment begins with. It waits behind what payments under way still need: else each of them would wait
# anew at every step, and none would reach its end.
_LAST: Final = (b"M8", b"GW1")

_log = structlog.get_logger()


class Owner(Protocol):
    """Who holds a link and hears what becomes of it."""

    def up(self, link: "HsmLink") -> None:
        """The connection stands."""

    def down(self, link: "HsmLink", left: list[Waiting]) -> list[Waiting]:
        """The connection is gone. Returns those of its commands that nobody else can take."""

    def silent(self, link: "HsmLink") -> None:
        """The connection stands, and too little comes back."""


class HsmLink(asyncio.Protocol):
    """A connection that mends itself. `open` starts it, `send` uses it, `close` ends it."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float,
        counters: Counters,
        observe: Observer | None,
        owner: Owner,
        window_max: int,
    ) -> None:
        self.host = host
        self.port = port
        self.timeouts = 0
        self.ready = asyncio.Event()
        self._timeout_s = timeout_s
        self._counters = counters
        self._observe = observe
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[bytes, Waiting] = {}
        # Headers given up but not answered yet, and when they left: used again, a late reply would answer
        # another command. `_owed` of them are still to be answered, as far as one can tell.
        self._abandoned: dict[bytes, float] = {}
        self._owed = 0
        self._answered_to = 0.0  # when the newest command that has been answered had left
        self._queue: deque[Waiting] = deque()
        self._window_max = window_max
        self._window = min(WINDOW_FIRST, window_max)
        self._outgoing: list[bytes] = []
        self._next_header = 0
        self._heard = 0.0
        self._misses = 0
        self._silent_since: float | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweep_due = 0.0
        self._stood_still = False
        self._splitter = FrameSplitter()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

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
                    await self._loop.create_connection(lambda: self, self.host, self.port)
            except OSError as error:  # TimeoutError is one
                if wait_s == RECONNECT_FIRST_S:
                    _log.warning(
                        "hsm_unreachable", host=self.host, port=self.port, error=type(error).__name__
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
        self._misses = 0
        self._window = min(WINDOW_FIRST, self._window_max)
        self._heard = self._loop.time()
        self.ready.set()
        self._owner.up(self)

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
        self._heard = now = self._loop.time()
        sent: float | None = None
        for reply in replies:
            waiting = self._waiting.pop(reply[:HEADER_BYTES], None)
            if waiting is None:
                self._came_late(reply[:HEADER_BYTES])
                continue
            sent = waiting.sent
            self._counters.in_flight -= 1
            self._settle(waiting, reply, now)
        if sent is not None:
            self._misses = 0
            self._answered_to = sent
            if self._queue and now - sent < self._timeout_s / 2:
                self._window = min(self._window + len(replies), self._window_max)
        if self._queue:
            self._refill(now)

    def _came_late(self, header: bytes) -> None:
        sent = self._abandoned.pop(header, None)
        if sent is not None:
            self._owed = max(self._owed - 1, 0)
            self._answered_to = sent
        self._counters.late += 1

    def _settle(self, waiting: Waiting, reply: bytes, now: float) -> None:
        command = waiting.message[:2]
        if self._observe is not None:
            self._observe(command.decode("ascii"), now - waiting.since)
        future = waiting.future
        if future.done():  # cancelled by its owner
            return
        try:
            if len(reply) < _BODY_AT or reply[HEADER_BYTES : HEADER_BYTES + 2] != reply_code(command):
                raise HsmUnavailable(f"the HSM's reply to {command.decode('ascii')} is not one")
            future.set_result(waiting.parser(reply[HEADER_BYTES + 2 : _BODY_AT], reply[_BODY_AT:]))
        except Exception as error:  # noqa: BLE001 whatever a parser makes of a reply belongs to the one who asked
            self._counters.failed += 1
            fail(future, error)

    # --- sending -------------------------------------------------------------------------------------------

    def send(self, message: bytes, parser: Parser) -> "asyncio.Future[Any]":
        """Asks one command; it leaves with all others of this loop turn, or waits for its turn at a busy HSM.

        The future never stays open.
        """
        if self._transport is None:
            return self.refuse("there is no connection to the HSM")
        future: asyncio.Future[Any] = self._loop.create_future()
        waiting = Waiting(message, parser, future, self._loop.time())
        self._counters.in_flight += 1
        self._counters.sent += 1
        if self._queue or len(self._waiting) + self._owed >= self._window:
            self._enqueue(waiting)
        else:
            self._dispatch(waiting)
        return future

    def probe(self, message: bytes, parser: Parser) -> "asyncio.Future[Any]":
        """Asks one command past the queue and past the count of what is in flight for others."""
        if self._transport is None:
            return self.refuse("there is no connection to the HSM")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._counters.in_flight += 1
        self._dispatch(Waiting(message, parser, future, self._loop.time()))
        return future

    def take(self, at_hsm: list[Waiting]) -> None:
        """Takes over the commands of a connection that is lost or silent; their time goes on as it was."""
        now = self._loop.time()
        for waiting in at_hsm:
            waiting.moved = True
            waiting.sent = now
            self._counters.moved += 1
            self._counters.in_flight += 1
            self._dispatch(waiting)

    def give_up(self) -> list[Waiting]:
        """Hands out all commands that have no answer yet and have not moved before, for another link."""
        going = {h: w for h, w in self._waiting.items() if not w.moved and not w.future.done()}
        for header, waiting in going.items():
            del self._waiting[header]
            self._abandoned[header] = waiting.sent
        queued, self._queue = self._queue, deque()
        self._counters.in_flight -= len(going) + len(queued)
        return [*going.values(), *queued]

    def refuse(self, why: str) -> "asyncio.Future[Any]":
        """A future that has failed already with HsmUnavailable."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._counters.failed += 1
        self._counters.refused += 1
        fail(future, HsmUnavailable(why))
        return future

    def _dispatch(self, waiting: Waiting) -> None:
        header = self._free_header()
        self._waiting[header] = waiting
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        message = waiting.message
        self._outgoing.append((HEADER_BYTES + len(message)).to_bytes(LENGTH_BYTES) + header + message)
        if self._sweeper is None:
            self._arm(waiting.sent)

    def _enqueue(self, waiting: Waiting) -> None:
        if waiting.message.startswith(_LAST):
            self._queue.append(waiting)
        else:
            self._queue.appendleft(waiting)
        if self._sweeper is None:
            self._arm(waiting.since)

    def _refill(self, now: float) -> None:
        """Sends what waits, as far as the window allows."""
        queue = self._queue
        while queue and len(self._waiting) + self._owed < self._window:
            waiting = queue.popleft()
            if waiting.future.done():
                self._counters.in_flight -= 1
                continue
            waiting.sent = now
            self._dispatch(waiting)

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

    def _arm(self, now: float) -> None:
        self._sweep_due = now + self._timeout_s / _SWEEPS
        self._sweeper = self._loop.call_at(self._sweep_due, self._sweep)

    def _sweep(self) -> None:
        """Fails what has waited too long. One timer for all, so a time-out comes up to an eighth late."""
        self._sweeper = None
        now = self._loop.time()
        sweep_s = self._timeout_s / _SWEEPS
        if now - self._sweep_due > sweep_s and not self._stood_still:
            # This process stood still, not the HSM: its answers may lie unread in the socket.
            self._stood_still = True
            self._arm(now)
            return
        self._stood_still = False
        self._expire(now)
        if (
            self._silent_since is not None
            and now - self._silent_since > SILENT_TIMEOUTS_MAX * self._timeout_s
        ):
            self._abort("the HSM has been silent for too long")
        elif len(self._abandoned) > ABANDONED_MAX:
            self._abort("the HSM owes too many answers")
        else:
            heard_or_asked = max(self._heard, min((w.sent for w in self._waiting.values()), default=now))
            if self._misses >= MISSES_MAX or now - heard_or_asked > _SILENCE_SWEEPS * sweep_s:
                self._owner.silent(self)
            self._refill(now)
        if (self._waiting or self._queue) and self._sweeper is None:
            self._arm(now)

    def _expire(self, now: float) -> None:
        too_old = now - self._timeout_s
        late = [(header, waiting) for header, waiting in self._waiting.items() if waiting.since <= too_old]
        for header, waiting in late:
            del self._waiting[header]
            self._abandoned[header] = waiting.sent
            if self._silent_since is None:
                self._silent_since = waiting.since
            self._time_out(waiting, f"the HSM did not answer within {self._timeout_s} s")
        if late:
            self._misses += len(late)
            self._window = max(self._window // 2, min(WINDOW_MIN, self._window_max))
        # An HSM answers in order: what left before the newest command that it answered is lost, not owed.
        self._owed = sum(sent > self._answered_to for sent in self._abandoned.values())
        too_long = now - self._timeout_s / 2
        if any(waiting.since <= too_long for waiting in self._queue):
            queue, self._queue = self._queue, deque()
            for waiting in queue:
                if waiting.since > too_long:
                    self._queue.append(waiting)
                else:
                    self._time_out(waiting, "the HSM has more to do than it can: this never got its turn")

    def _time_out(self, waiting: Waiting, why: str) -> None:
        self.timeouts += 1
        self._counters.in_flight -= 1
        self._counters.timeouts += 1
        self._counters.failed += 1
        fail(waiting.future, HsmUnavailable(why))

    def _abort(self, why: str) -> None:
        _log.warning("hsm_connection_dropped", host=self.host, port=self.port, why=why)
        self._drop(why)

    def _drop(self, why: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._outgoing.clear()
        left = [*self._waiting.values(), *self._queue]
        self._waiting = {}
        self._queue = deque()
        self._abandoned.clear()
        self._owed = 0
        self._counters.in_flight -= len(left)
        if self.ready.is_set():
            self.ready.clear()
            left = self._owner.down(self, left)
        self._counters.failed += len(left)
        for one in left:
            fail(one.future, HsmUnavailable(why))
