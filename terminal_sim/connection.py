"""One TCP connection to the switch that carries many terminals, pipelined.

Replies find their requests through `switch.wire.session.Pending`. What is written in one turn of the event
loop leaves in one piece, and waiting costs no task and no timer per message, so that the load generator can
use it too.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final, cast

import msgspec

from switch.wire.dialect import CODECS
from switch.wire.framing import FrameError, Framer, frame, reply_tpdu, split_tpdu
from switch.wire.message import MessageError
from switch.wire.session import Pending, match_key
from switch.wire.spec import PAYLOAD_MAX
from terminal_sim.terminal import Reply, Terminal, TerminalError

CONNECT_TIMEOUT_S: Final = 5.0
REPLY_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
IN_FLIGHT_MAX: Final = 4096
_SWEEP_S: Final = 0.02


class ReplyTimeoutError(Exception):
    """No reply came in time. Whether the payment was made is not known: repeat it, or reverse it."""


class ConnectionLostError(Exception):
    """The connection ended before the reply. Whether the payment was made is not known."""


class LineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a line speaks: as the switch's listener at its other end is configured.

    `tpdu` is what stands before every message, 5 bytes, b"" for none; answers must carry it swapped.
    """

    dialect: str = "ascii"
    inclusive: bool = False
    tpdu: bytes = b""
    tls: ssl.SSLContext | None = None


PLAIN: Final = LineSettings()
Outcome = Reply | ReplyTimeoutError | ConnectionLostError | TerminalError
Done = Callable[[Outcome], None]


class TerminalConnection(asyncio.Protocol):
    """Open with `await TerminalConnection.open(host, port)`; close with `await close()`."""

    def __init__(self, *, settings: LineSettings = PLAIN, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        self.in_flight_max = in_flight_max
        self.settings = settings
        self.unmatched = 0  # replies nobody waited for (any more)
        self._decode = CODECS[settings.dialect].decode
        self._framer = Framer(
            PAYLOAD_MAX + len(settings.tpdu), inclusive=settings.inclusive, tpdu=bool(settings.tpdu)
        )
        self._pending: Pending[tuple[Terminal, Done]] = Pending(in_flight_max)
        self._outgoing: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        timeout_s: float = CONNECT_TIMEOUT_S,
        settings: LineSettings = PLAIN,
        in_flight_max: int = IN_FLIGHT_MAX,
    ) -> "TerminalConnection":
        """Raises OSError or TimeoutError when nobody answers there."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: cls(settings=settings, in_flight_max=in_flight_max), host, port, ssl=settings.tls
            )
        return connection

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    @property
    def lost(self) -> bool:
        return self._lost.is_set()

    async def exchange(
        self,
        terminal: Terminal,
        payload: bytes,
        timeout_s: float = REPLY_TIMEOUT_S,
        *,
        key: str | None = None,
    ) -> Reply:
        """Sends and waits. Raises ReplyTimeoutError, ConnectionLostError, or TerminalError.

        `key` (see `match_key`) is for a message that is wrong on purpose: what its reply will be known by.
        """
        if key is None:
            try:
                message = self._decode(payload)
            except MessageError:
                raise ValueError(
                    "the payload is malformed: give the key its reply will be known by"
                ) from None
            key = match_key(message.mti, message.fields[11], message.fields[41])
        answer: asyncio.Future[Reply] = self._loop.create_future()

        def done(outcome: Outcome) -> None:
            if answer.done():
                return
            if isinstance(outcome, Reply):
                answer.set_result(outcome)
            else:
                answer.set_exception(outcome)

        self.submit(terminal, payload, key, timeout_s, done)
        return await answer

    def submit(self, terminal: Terminal, payload: bytes, key: str, timeout_s: float, done: Done) -> None:
        """Sends; `done` is called once, with the reply or with why there is none. It must not raise.

        Raises ValueError when too much is on its way already, or this key is.
        """
        if self._transport is None:
            done(ConnectionLostError("the connection is closed"))
            return
        self._pending.expect(key, time.monotonic() + timeout_s, (terminal, done))
        self.send_raw(self.framed(payload))
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)

    def framed(self, payload: bytes) -> bytes:
        """The payload as it goes over this line."""
        return frame(payload, self.settings.inclusive, self.settings.tpdu)

    def send_raw(self, data: bytes) -> None:
        """Puts bytes on the wire as they are: half frames, lying lengths, anything."""
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)

    async def wait_lost(self, timeout_s: float) -> None:
        """Returns when the other side has closed. Raises TimeoutError when it has not by then."""
        async with asyncio.timeout(timeout_s):
            await self._lost.wait()

    async def close(self) -> None:
        """Closes; whoever still waits gets ConnectionLostError."""
        if self._transport is not None:
            self._flush()
            self._transport.close()
            try:
                await self.wait_lost(CLOSE_TIMEOUT_S)
            except TimeoutError:
                self.abort()

    def abort(self) -> None:
        """Closes at once, as when the cable is pulled."""
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but the class.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        self._outgoing.clear()
        self._lost.set()
        for _, done in self._pending.abandon():
            done(ConnectionLostError("the connection ended before the reply"))

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._framer.feed(data)
        except FrameError:
            self.abort()
            return
        for payload in frames:
            self._received(payload)

    def _received(self, payload: bytes) -> None:
        if self.settings.tpdu:
            tpdu, payload = split_tpdu(payload)
            if tpdu != reply_tpdu(self.settings.tpdu):
                self.abort()
                return
        try:
            message = self._decode(payload)
        except MessageError:
            self.abort()
            return
        fields = message.fields
        waiter = self._pending.match(match_key(message.mti, fields.get(11, ""), fields.get(41, "")))
        if waiter is None:
            self.unmatched += 1
            return
        terminal, done = waiter
        try:
            outcome: Outcome = terminal.receive(payload, message)
        except TerminalError as error:
            outcome = error
        done(outcome)

    def _flush(self) -> None:
        if self._transport is not None and self._outgoing:
            self._transport.write(b"".join(self._outgoing))
        self._outgoing.clear()

    def _sweep(self) -> None:
        self._sweep_timer = None
        for _, done in self._pending.expired(time.monotonic()):
            done(ReplyTimeoutError("no reply in time"))
        if len(self._pending) and self._transport is not None:
            self._sweep_timer = self._loop.call_later(_SWEEP_S, self._sweep)
