"""Killing the database as a power cut does, and paying terminals that live through it."""

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from switch.store.engine import embedded_directory, open_engine
from switch.wire.message import decode
from terminal_sim.connection import ConnectionLostError, ReplyTimeoutError, TerminalConnection
from terminal_sim.load import LoadCard
from terminal_sim.terminal import APPROVED, Reply, Terminal

UNCERTAIN: Final = frozenset({"91", "96"})
"""Answers that do not say what happened: the payment is repeated."""

REPLY_TIMEOUT_S: Final = 12.0
_GONE_S = 10.0
SOCKET_LINE = 4  # of postmaster.pid, counted from 0: the folder of the socket; before it the port


@contextmanager
def own_directory() -> Iterator[Path]:
    """A folder for one installation, removed at the end.

    Not below pytest's own folder: every new run of pytest closes that one to other users, and a database that
    root starts belongs to another user, who could not be started again after a kill.
    """
    with tempfile.TemporaryDirectory(prefix="dure-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def postgres_processes(directory: Path) -> list[int]:
    """The postmaster of an embedded database and all its children; empty when it does not run."""
    try:
        postmaster = int((directory / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return []
    if not _alive(postmaster):
        return []
    return [postmaster, *(pid for pid in _processes() if _parent(pid) == postmaster)]


def kill_postgres(directory: Path) -> int:
    """SIGKILL the postmaster and every child, and wait until they are gone; returns how many there were."""
    pids = postgres_processes(directory)
    for pid in pids:
        _signal(pid, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_S
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError("PostgreSQL does not die")
        time.sleep(0.005)
    return len(pids)


def signal_postgres(directory: Path, number: signal.Signals) -> None:
    """Send a signal to all processes of an embedded database: SIGSTOP makes it hang, SIGCONT go on."""
    for pid in postgres_processes(directory):
        _signal(pid, number)


def start_postgres(url: str, size: str = "small") -> None:
    """Start the embedded database again; it recovers from its log first.

    Where process 1 reaps late, a killed postmaster is there for a while as a zombie, and its lock files would
    keep a new one from starting: they are removed. All children are gone by then, see `kill_postgres`.
    """
    directory = embedded_directory(url)
    lock = None if directory is None else directory / "postmaster.pid"
    if directory is not None and lock is not None and lock.exists() and not postgres_processes(directory):
        lines = lock.read_text().splitlines()
        if len(lines) > SOCKET_LINE and lines[SOCKET_LINE]:
            socket_lock = Path(lines[SOCKET_LINE]) / f".s.PGSQL.{lines[SOCKET_LINE - 1]}.lock"
            socket_lock.unlink(missing_ok=True)
        lock.unlink()
    open_engine(url, size=size).dispose()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def _alive(pid: int) -> bool:
    stat = _stat(pid)
    return bool(stat) and stat[0] not in "ZX"


# Terminals that live through kills.


class Paid(msgspec.Struct):
    """One payment of the journal: what was sent, and the first answer that said something."""

    terminal: Terminal
    payload: bytes
    amount: int
    card: str
    code: str = ""
    approval: str | None = None
    cashback: int | None = None
    repeats: int = 0
    reversed: bool = False

    def __repr__(self) -> str:
        return f"Paid(stan={self.stan}, {self.amount} won, code={self.code!r})"

    @property
    def stan(self) -> int:
        return int(decode(self.payload).fields[11])


class Crowd:
    """Terminals in a closed loop over some connections; whatever is not answered is repeated until it is.

    `differing` collects repeats whose answer was not the first one's: there must be none.
    """

    def __init__(
        self, port: int, terminals: Sequence[Terminal], cards: Sequence[LoadCard], now: datetime, seed: int
    ) -> None:
        self.port = port
        self.journal: list[Paid] = []
        self.differing: list[Paid] = []
        self.answers = 0
        self.unanswered = 0
        self._terminals = terminals
        self._cards = cards
        self._now = now
        self._rng = random.Random(seed)
        self._stopping = False
        self._connections: list[TerminalConnection | None] = []
        self._opening: list[asyncio.Lock] = []

    async def run(self, connections: int = 4) -> None:
        """Pay until `stop`; returns when everything sent has its answer."""
        self._connections = [None] * connections
        self._opening = [asyncio.Lock() for _ in range(connections)]
        async with asyncio.TaskGroup() as group:
            for number, terminal in enumerate(self._terminals):
                group.create_task(self._till(terminal, number % connections))
        for connection in self._connections:
            if connection is not None:
                await connection.close()

    def stop(self) -> None:
        """Begin no new payment."""
        self._stopping = True

    async def _till(self, terminal: Terminal, line: int) -> None:
        for build in (terminal.sign_on, terminal.key_exchange):
            reply = await self._ask(terminal, build(self._now), line)
            assert reply is not None
            assert reply.approved
        while not self._stopping:
            card = self._rng.choice(self._cards)
            pin = card.pin if self._rng.random() < 0.2 else None
            amount = self._rng.randint(1, 3_000)
            paid = Paid(terminal, terminal.purchase(self._now, card.pan, amount, pin=pin), amount, card.pan)
            self.journal.append(paid)
            await self._settle(paid, line)
            if paid.code == APPROVED and self._rng.random() < 0.05:
                await self._reverse(paid, line)
            elif self._rng.random() < 0.05:
                await self._again(paid, line)

    async def _settle(self, paid: Paid, line: int) -> None:
        """Send, and repeat until there is an answer that says what happened."""
        payload = paid.payload
        while True:
            reply = await self._ask(paid.terminal, payload, line)
            if reply is not None and reply.code not in UNCERTAIN:
                assert reply.mac_ok is True
                paid.code, paid.approval, paid.cashback = reply.code, reply.approval, reply.cashback
                return
            paid.repeats += 1
            payload = paid.terminal.repeat_of(paid.payload)

    async def _again(self, paid: Paid, line: int) -> None:
        reply = await self._ask(paid.terminal, paid.terminal.repeat_of(paid.payload), line)
        if reply is None or reply.code in UNCERTAIN:
            return
        if (reply.code, reply.approval, reply.cashback) != (paid.code, paid.approval, paid.cashback):
            self.differing.append(paid)

    async def _reverse(self, paid: Paid, line: int) -> None:
        payload = back = paid.terminal.reversal(self._now, paid.payload)
        while True:
            reply = await self._ask(paid.terminal, payload, line)
            if reply is not None and reply.code not in UNCERTAIN:
                assert reply.approved
                paid.reversed = True
                return
            payload = paid.terminal.repeat_of(back)

    async def repeat_all(self, line: int = 0) -> None:
        """Repeat every payment of the journal once more and compare the answers."""
        self._connections = [None]
        self._opening = [asyncio.Lock()]
        gate = asyncio.Semaphore(64)

        async def one(paid: Paid) -> None:
            async with gate:
                await self._again(paid, line)

        await asyncio.gather(*(one(paid) for paid in self.journal))
        connection = self._connections[line]
        if connection is not None:
            await connection.close()

    async def _ask(self, terminal: Terminal, payload: bytes, line: int) -> Reply | None:
        """One try. None when no answer came: the connection broke, or the time ran out."""
        try:
            connection = await self._connected(line)
            reply = await connection.exchange(terminal, payload, REPLY_TIMEOUT_S)
        except (ConnectionLostError, ReplyTimeoutError, OSError):  # TimeoutError is one
            self.unanswered += 1
            await asyncio.sleep(0.05)
            return None
        self.answers += 1
        if reply.code in UNCERTAIN:
            await asyncio.sleep(0.1)
        return reply

    async def _connected(self, line: int) -> TerminalConnection:
        async with self._opening[line]:
            connection = self._connections[line]
            if connection is None or connection.lost:
                connection = await TerminalConnection.open("127.0.0.1", self.port, timeout_s=2.0)
                self._connections[line] = connection
            return connection
