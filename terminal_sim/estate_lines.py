"""The lines of an estate: dialled again when they break, faults on purpose, and an answer in the end."""

import asyncio
import contextlib
from collections import Counter
from typing import Final

from terminal_sim.connection import ConnectionLostError, LineSettings, ReplyTimeoutError, TerminalConnection
from terminal_sim.faults import Fault, flip_mac
from terminal_sim.terminal import Reply, Terminal

PATIENCE_S: Final = 0.3  # after a message that was lost on purpose: nobody shall wait long for nothing
IMPATIENCE_S: Final = 0.001
WRITTEN_S: Final = 0.01
TRIES_MAX: Final = 12
BACK_OFF_S: Final = 0.1
NOT_NOW_CODES: Final = ("91", "96")


class UnansweredError(Exception):
    """A message that had to be answered was not, whatever its terminal did."""


class EstateLines:
    """Some connections shared by many terminals, in turn."""

    def __init__(
        self, host: str, port: int, settings: LineSettings, count: int, timeout_s: float, did: Counter[str]
    ) -> None:
        """`did` is where dialling and repeating are counted."""
        self._host, self._port = host, port
        self._settings = settings
        self._timeout_s = timeout_s
        self._did = did
        self._lines: list[TerminalConnection | None] = [None] * count
        self._dialling = [asyncio.Lock() for _ in self._lines]

    async def line(self, number: int) -> TerminalConnection:
        """The line of terminal `number`. Raises OSError or TimeoutError when the switch is not there."""
        place = number % len(self._lines)
        async with self._dialling[place]:
            line = self._lines[place]
            if line is None or line.lost:
                self._did["dialled"] += 1
                line = await TerminalConnection.open(self._host, self._port, settings=self._settings)
                self._lines[place] = line
            return line

    def break_all(self) -> None:
        """As when the power of a town goes."""
        for line in self._lines:
            if line is not None:
                line.abort()

    async def close(self) -> None:
        for line in self._lines:
            if line is not None:
                await line.close()

    async def send(
        self, number: int, terminal: Terminal, payload: bytes, fault: Fault | None, delay_s: float
    ) -> Reply | None:
        """Sends once, with a fault or without; None when no answer was heard in the terminal's patience.

        Raises ConnectionLostError when the line broke.
        """
        if fault is Fault.DROP:
            await asyncio.sleep(PATIENCE_S)
            return None
        line = await self.line(number)
        if fault in (Fault.TRUNCATE, Fault.DEAF):
            framed = line.framed(payload)
            line.send_raw(framed if fault is Fault.DEAF else framed[: len(framed) // 2])
            await asyncio.sleep(WRITTEN_S)
            line.abort()
            raise ConnectionLostError("the line broke on purpose")
        if fault is Fault.CORRUPT_MAC:
            payload = flip_mac(payload)
        if fault is Fault.DELAY:
            await asyncio.sleep(delay_s)
            line = await self.line(number)
        patience = IMPATIENCE_S if fault is Fault.LATE else self._timeout_s
        asked = asyncio.ensure_future(line.exchange(terminal, payload, patience))
        if fault is Fault.DUPLICATE:
            await asyncio.sleep(0)  # the first copy stands in the queue
            line.send_raw(line.framed(payload))
        with contextlib.suppress(ReplyTimeoutError):
            return await asked
        return None

    async def ask(
        self, number: int, terminal: Terminal, payload: bytes, fault: Fault | None = None, delay_s: float = 0
    ) -> Reply | None:
        """Sends until something is heard: a broken line is dialled anew, and the message repeated on it.

        None when the terminal waited in vain: then it is time to reverse. Raises UnansweredError when line
        after line breaks.
        """
        for attempt in range(TRIES_MAX):
            try:
                reply = await self.send(number, terminal, payload, fault, delay_s)
            except (ConnectionLostError, OSError, TimeoutError):
                await asyncio.sleep(BACK_OFF_S * attempt)
                payload, fault = terminal.repeat_of(payload), None
                self._did["repeated"] += 1
                continue
            return reply
        raise UnansweredError(f"terminal {terminal.terminal_id}: {TRIES_MAX} lines broke without an answer")

    async def ask_surely(self, number: int, terminal: Terminal, payload: bytes) -> Reply:
        """As `ask`, for what must be answered: repeated until it is, and not with "try again".

        Raises UnansweredError.
        """
        for attempt in range(TRIES_MAX):
            reply = await self.ask(number, terminal, payload)
            if reply is not None and reply.code not in NOT_NOW_CODES:
                return reply
            await asyncio.sleep(BACK_OFF_S * attempt)
            payload = terminal.repeat_of(payload)
            self._did["repeated"] += 1
        raise UnansweredError(f"terminal {terminal.terminal_id}: no answer after {TRIES_MAX} repeats")
