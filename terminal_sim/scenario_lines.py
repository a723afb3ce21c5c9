"""The lines of a scenario's terminals, and what goes wrong on them.

Terminals share a line of their kind, as behind one concentrator; a step may ask for a line of its own.
"""

import asyncio
from typing import Final

from terminal_sim.connection import ConnectionLostError, LineSettings, ReplyTimeoutError, TerminalConnection
from terminal_sim.faults import flip_mac
from terminal_sim.processes import ProgramError
from terminal_sim.sandbox import Installation
from terminal_sim.terminal import Reply, Terminal

REPLY_TIMEOUT_S: Final = 10.0
ANSWERED_S: Final = 10.0  # an answer that nobody heeds has come by then
IMPATIENCE_S: Final = 0.001
DELAY_S: Final = 0.3
WRITTEN_S: Final = 0.05
_LOOK_S: Final = 0.01


class Lines:
    """Opens a line when it is first needed; `await close()` in the end."""

    def __init__(
        self, installation: Installation, kinds: dict[str, str], settings: dict[str, LineSettings]
    ) -> None:
        """`kinds`: terminal id → name of its kind of line ("" the plain one); `settings` by that name."""
        self._installation = installation
        self._kinds = kinds
        self._settings = settings
        self._open: dict[tuple[str, str], TerminalConnection] = {}

    async def line(self, terminal: Terminal | None = None, via: str = "") -> TerminalConnection:
        """The line of a terminal. Raises OSError or TimeoutError when the switch is not there."""
        kind = "" if terminal is None else self._kinds.get(terminal.terminal_id, "")
        found = self._open.get((kind, via))
        if found is None or found.lost:
            found = self._open[kind, via] = await self._new(kind)
        return found

    async def _new(self, kind: str) -> TerminalConnection:
        address = self._installation.addresses.get(kind)
        if address is None:
            raise ProgramError(f"there is no line {kind} here: lines of one's own need --sandbox")
        return await TerminalConnection.open(*address, settings=self._settings.get(kind, LineSettings()))

    async def exchange(
        self, terminal: Terminal, payload: bytes, *, via: str = "", fault: str | None = None
    ) -> Reply | None:
        """Sends, perhaps with a fault, and gives the answer; None when the fault leaves none to hear.

        Raises ReplyTimeoutError, ConnectionLostError, TerminalError.
        """
        if fault == "drop":
            return None
        line = await self.line(terminal, via)
        match fault:
            case "truncate":
                framed = line.framed(payload)
                line.send_raw(framed[: len(framed) // 2])
                await asyncio.sleep(WRITTEN_S)
                line.abort()
                await line.wait_lost(ANSWERED_S)
                return None
            case "deaf":
                await self._unheard(line, terminal, payload)
                line.abort()
                await line.wait_lost(ANSWERED_S)
                return None
            case "late":
                await self._unheard(line, terminal, payload)
                return None
            case "delay":
                await asyncio.sleep(DELAY_S)
            case "corrupt_mac":
                payload = flip_mac(payload)
            case "duplicate":
                return await self._twice(line, terminal, payload)
        return await line.exchange(terminal, payload, REPLY_TIMEOUT_S)

    async def _unheard(self, line: TerminalConnection, terminal: Terminal, payload: bytes) -> None:
        """Sends, and lets the answer pass by."""
        unmatched = line.unmatched
        try:
            await line.exchange(terminal, payload, IMPATIENCE_S)
        except (ReplyTimeoutError, ConnectionLostError):
            await self._passed(line, unmatched)

    async def _twice(self, line: TerminalConnection, terminal: Terminal, payload: bytes) -> Reply:
        unmatched = line.unmatched
        answer = asyncio.ensure_future(line.exchange(terminal, payload, REPLY_TIMEOUT_S))
        await asyncio.sleep(0)  # the first copy stands in the queue
        line.send_raw(line.framed(payload))
        reply = await answer
        await self._passed(line, unmatched)
        return reply

    async def _passed(self, line: TerminalConnection, unmatched: int) -> None:
        """Until one more answer has come that nobody waits for; a switch may also give none."""
        try:
            async with asyncio.timeout(ANSWERED_S):
                while line.unmatched == unmatched and not line.lost:  # noqa: ASYNC110 - a counter has no event
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return

    async def close(self) -> None:
        """Closes all lines."""
        for line in self._open.values():
            await line.close()
        self._open.clear()
