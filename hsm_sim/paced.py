"""Connections of a simulator that is slow, capped or faulty on purpose.

Commands wait in the backlog of their connection. The connections that have any take turns, one command each,
as fast as the cap allows: a flood waits behind its own commands, not before those of others.
"""

import asyncio
import secrets
from collections import deque
from typing import Final

import structlog

from hsm_sim.faults import Fault, FaultDice
from hsm_sim.handlers import answer
from hsm_sim.keys import Keys
from hsm_sim.pace import Delay, TokenBucket
from hsm_sim.server import Connection, HsmServer
from hsm_sim.settings import Settings
from switch.hsm.commands import reply_code
from switch.hsm.framing import LENGTH_BYTES, frame

_HELD_BACK_MAX: Final = 16_384  # replies of one connection that wait for their time
_TURNS_AT_ONCE: Final = 256  # before the loop sees to its sockets again
_log = structlog.get_logger()


class Turns:
    """What all connections share: the cap, the dice, and whose turn it is."""

    def __init__(self, settings: Settings) -> None:
        pace, faults = settings.pace, settings.faults
        self._loop = asyncio.get_running_loop()
        pace_seed = secrets.randbits(32) if pace.seed is None else pace.seed
        fault_seed = secrets.randbits(32) if faults.seed is None else faults.seed
        # With these seeds in the configuration the same happens again.
        _log.warning("slow_or_faulty_on_purpose", pace_seed=pace_seed, fault_seed=fault_seed)
        self.delay = Delay(pace, pace_seed)
        self.dice = FaultDice(faults, fault_seed) if faults.on else None
        self._bucket = TokenBucket(pace.rate_max, pace.burst, self._loop.time()) if pace.rate_max else None
        self._ring: deque[PacedConnection] = deque()
        self._queue_max = pace.queue_max
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self.starved = False  # whether the cap is reached

    def full_for(self, own: int) -> bool:
        """Whether a connection with `own` commands waiting has more than its share of the queue."""
        return own > self._queue_max // max(len(self._ring), 1)

    def want(self, connection: "PacedConnection") -> None:
        """The connection has commands: it gets turns until it has none, the first now if the cap allows."""
        if not connection.in_ring:
            connection.in_ring = True
            self._ring.append(connection)
        if self._timer is None:
            self._run()

    def _run(self) -> None:
        self._timer = None
        self.starved = False
        ring, bucket = self._ring, self._bucket
        for _ in range(_TURNS_AT_ONCE):
            while ring and not ring[0].can_serve:
                ring.popleft().in_ring = False
            if not ring:
                return
            if bucket is not None and not bucket.take(self._loop.time()):
                self.starved = True
                self._timer = self._loop.call_later(bucket.wait_s(), self._run)
                return
            connection = ring.popleft()
            ring.append(connection)
            connection.serve_one()
        self._timer = self._loop.call_soon(self._run)


class PacedConnection(Connection):
    """One client of such a simulator."""

    def __init__(self, server: HsmServer, turns: Turns) -> None:
        super().__init__(server)
        self._turns = turns
        self._pace = server.settings.pace
        self._error = server.settings.faults.error_code.encode("ascii")
        self._late_s = server.settings.faults.late_ms / 1_000
        self._held: dict[int, tuple[asyncio.TimerHandle, bytes]] = {}
        self._held_bytes = 0
        self._next_held = 0
        self.in_ring = False

    @property
    def busy(self) -> bool:
        """Whether it has commands that wait or replies that are held back."""
        return bool(self._backlog or self._held)

    @property
    def can_serve(self) -> bool:
        """Whether it has a command, and a client that reads the answer."""
        return bool(
            self._backlog
            and self._transport is not None
            and self._client_reads
            and len(self._held) < _HELD_BACK_MAX
            and self._held_bytes <= self._server.settings.unread_bytes_max
        )

    def connection_lost(self, exc: Exception | None) -> None:
        for timer, _ in self._held.values():
            timer.cancel()
        self._held.clear()
        super().connection_lost(exc)

    def _answer_some(self) -> None:
        if self.can_serve:
            self._turns.want(self)
        if self._turns.starved and self._pace.over == "refuse":
            self._refuse_some()
        self._read_or_not()

    def _refuse_some(self) -> None:
        """What is over the queue hears so at once. The newest goes: the oldest has waited longest."""
        refused: list[bytes] = []
        while self._backlog and self._turns.full_for(len(self._backlog)):
            refused.append(self._reply_with(self._backlog.pop(), self._pace.refuse_code.encode("ascii")))
        if self._transport is not None:
            self._transport.write(b"".join(frame(reply) for reply in reversed(refused)))

    def _reply_with(self, message: bytes, code: bytes) -> bytes:
        command = message[self._header_bytes : self._header_bytes + 2]
        if len(command) < 2:
            return answer(self._server.keys, message, self._header_bytes)
        return message[: self._header_bytes] + reply_code(command) + code

    def _read_or_not(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if not self._client_reads or self._turns.full_for(len(self._backlog)):
            self._pause(transport)
        else:
            self._resume(transport)

    def serve_one(self) -> None:
        """Its turn: one command is done, and its answer sent when its time has come, or spoilt."""
        message = self._backlog.popleft()
        self._read_or_not()
        fault = None if self._turns.dice is None else self._turns.dice.roll()
        if fault is None:
            self._reply(answer(self._server.keys, message, self._header_bytes), self._turns.delay.next_s())
        else:
            self._spoil(message, fault)

    def _spoil(self, message: bytes, fault: Fault) -> None:
        transport, dice = self._transport, self._turns.dice
        if transport is None or dice is None or fault is Fault.NO_ANSWER:
            return
        if fault is Fault.ERROR:
            self._reply(self._reply_with(message, self._error), self._turns.delay.next_s())
        elif fault is Fault.GARBAGE:
            self._reply(message[: self._header_bytes] + dice.noise(), self._turns.delay.next_s())
        elif fault is Fault.CUT:
            transport.abort()
        else:
            reply = answer(self._server.keys, message, self._header_bytes)
            if fault is Fault.LATE:
                self._reply(reply, self._late_s + self._turns.delay.next_s())
            else:
                transport.write(frame(reply)[: (LENGTH_BYTES + len(reply)) // 2])
                transport.close()

    def _reply(self, reply: bytes, after_s: float) -> None:
        if after_s <= 0:
            self._write(reply)
            return
        number = self._next_held
        self._next_held += 1
        self._held[number] = (self._loop.call_later(after_s, self._due, number), reply)
        self._held_bytes += len(reply)

    def _due(self, number: int) -> None:
        reply = self._held.pop(number)[1]
        self._held_bytes -= len(reply)
        self._write(reply)
        if self._backlog and not self.in_ring and self.can_serve:
            self._turns.want(self)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(reply))

    def finish(self) -> None:
        """Answers all that has arrived, without waiting and without faults, and closes."""
        for timer, reply in self._held.values():
            timer.cancel()
            self._write(reply)
        self._held.clear()
        while self._backlog:
            self._write(answer(self._server.keys, self._backlog.popleft(), self._header_bytes))
        super().finish()


def new_server(settings: Settings, keys: Keys) -> HsmServer:
    """A server as the settings want it; one that is neither slow nor faulty knows nothing of all this."""
    server = HsmServer(settings, keys)
    if settings.pace.on or settings.faults.on:
        turns = Turns(settings)
        server.connect_by(lambda: PacedConnection(server, turns))
    return server
