"""What is looked up before a lane is asked: cards by HMAC, terminals by id. One connection, many askers.

Card look-ups are collected while one is under way and go to the server as one query. The connection is
renewed by itself; while the database is away every look-up fails with LookupUnavailableError.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from switch.domain.calendar import date_of_day
from switch.domain.payment import PaymentKey
from switch.store.arrays import byteas, register

_CARDS_A_QUERY_MAX = 512
_WAITING_MAX = 20_000
_TIMEOUT_S = 5.0

_CARDS = """\
SELECT i.pan_hmac, i.bucket, i.wallet_id, i.card_no, w.programme_no, c.expiry, c.pvki, c.pvv
FROM unnest(%s) AS k(pan_hmac)
JOIN card_index i ON i.pan_hmac = k.pan_hmac
JOIN card c ON c.bucket = i.bucket AND c.wallet_id = i.wallet_id AND c.card_no = i.card_no
JOIN wallet w ON w.bucket = i.bucket AND w.wallet_id = i.wallet_id"""
_TERMINAL = """\
SELECT terminal_id, merchant_no, state = 'active', tmk, tpk, tak, signed_on_at IS NOT NULL
FROM terminal WHERE terminal_id = %s"""
_BOOKED = """\
SELECT 1 FROM payment WHERE bucket = %s AND local_day = %s AND local_time = %s AND terminal_id = %s
    AND stan = %s AND kind = %s"""
_SIGN = "UPDATE terminal SET signed_on_at = %s WHERE terminal_id = %s"
_KEYS = "UPDATE terminal SET tpk = %s, tak = %s, keys_at = %s WHERE terminal_id = %s"


class LookupUnavailableError(Exception):
    """The books cannot be asked now (DE39 91)."""


class CardRef(msgspec.Struct, frozen=True, gc=False):
    """Where a card's wallet is and how its PIN is verified. `expiry` yymm; `pvv` empty without a PIN."""

    bucket: int
    wallet_id: int
    card_no: int
    programme_no: int
    expiry: int
    pvki: str
    pvv: str


class TerminalRow(msgspec.Struct):
    """A terminal and its session keys under the LMK."""

    terminal_id: str
    merchant_no: int
    active: bool
    tmk: str
    tpk: str | None
    tak: str | None
    signed_on: bool


class Lookup:
    """Asks the books on behalf of all connections of a process."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: AsyncConnection[TupleRow] | None = None
        self._lock = asyncio.Lock()
        self._abandoned: set[asyncio.Task[Sequence[TupleRow]]] = set()
        self._wanted: dict[bytes, list[asyncio.Future[CardRef | None]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Disconnect; look-ups under way fail."""
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            await self._connection.close()

    def card(self, pan_hmac: bytes) -> "asyncio.Future[CardRef | None]":
        """The card with this HMAC, or None. Raises LookupUnavailableError at once when too many wait."""
        future: asyncio.Future[CardRef | None] = asyncio.get_running_loop().create_future()
        if len(self._wanted) >= _WAITING_MAX:
            future.set_exception(LookupUnavailableError("too many look-ups wait"))
            return future
        self._wanted.setdefault(pan_hmac, []).append(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_up_cards())
        return future

    async def _look_up_cards(self) -> None:
        while self._wanted:
            taken = dict(list(self._wanted.items())[:_CARDS_A_QUERY_MAX])
            for key in taken:
                del self._wanted[key]
            try:
                rows = await self._execute(_CARDS, (byteas(list(taken)),))
            except LookupUnavailableError as error:
                for futures in taken.values():
                    for future in futures:
                        if not future.done():
                            future.set_exception(error)
                continue
            found = {bytes(row[0]): CardRef(*row[1:]) for row in rows}
            for key, futures in taken.items():
                for future in futures:
                    if not future.done():
                        future.set_result(found.get(key))

    async def terminal(self, terminal_id: str) -> TerminalRow | None:
        """The terminal, or None. Raises LookupUnavailableError."""
        rows = await self._execute(_TERMINAL, (terminal_id,))
        return TerminalRow(*rows[0]) if rows else None

    async def booked(self, key: PaymentKey) -> bool:
        """Whether a payment is stored under this key. Raises LookupUnavailableError."""
        day = date_of_day(key.local_day)
        return bool(
            await self._execute(
                _BOOKED, (key.bucket, day, key.local_time, key.terminal_id, key.stan, int(key.kind))
            )
        )

    async def save_sign(self, terminal_id: str, at: datetime | None) -> None:
        """Note that a terminal signed on (`at`) or off (None). Raises LookupUnavailableError."""
        await self._execute(_SIGN, (at, terminal_id))

    async def save_keys(self, terminal_id: str, tpk: str, tak: str, at: datetime) -> None:
        """Keep a terminal's new session keys, under the LMK. Raises LookupUnavailableError."""
        await self._execute(_KEYS, (tpk, tak, at, terminal_id))

    async def _execute(self, query: str, parameters: tuple[object, ...]) -> Sequence[TupleRow]:
        """Run one statement, which may be repeated: a broken connection is renewed once.

        The time-out counts the waiting for others too, so that a database that hangs delays nobody longer.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._lock:
                running = asyncio.create_task(self._execute_alone(query, parameters))
                try:
                    return await asyncio.shield(running)
                except asyncio.CancelledError:
                    self._abandon(running)
                    raise
        except TimeoutError:
            raise LookupUnavailableError("TimeoutError") from None

    def _abandon(self, running: "asyncio.Task[Sequence[TupleRow]]") -> None:
        """Leave a statement to itself: breaking it off politely asks the server, which may be what hangs."""
        self._connection = None
        self._abandoned.add(running)
        running.add_done_callback(self._abandoned.discard)
        running.cancel()

    async def _execute_alone(self, query: str, parameters: tuple[object, ...]) -> Sequence[TupleRow]:
        for attempt in (1, 2):
            connection: AsyncConnection[TupleRow] | None = None
            try:
                connection = await self._connected()
                cursor = await connection.execute(query, parameters, binary=True)
                return await cursor.fetchall() if cursor.description else ()
            except (psycopg.Error, OSError) as error:
                if self._connection is connection:
                    self._connection = None
                await _close(connection)
                if attempt == 2:
                    raise LookupUnavailableError(type(error).__name__) from None
            except asyncio.CancelledError:
                await _close(connection)
                raise
        return ()

    async def _connected(self) -> AsyncConnection[TupleRow]:
        if self._connection is None or self._connection.broken:
            connection = await AsyncConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=2, connect_timeout=3
            )
            try:
                register(connection)
                await connection.execute(
                    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
                    prepare=False,
                )
            except BaseException:
                await connection.close()
                raise
            self._connection = connection
        return self._connection


async def _close(connection: AsyncConnection[TupleRow] | None) -> None:
    if connection is not None:
        await connection.close()
