"""What is looked up before a lane is asked: cards by HMAC, terminals by id. One connection, many askers.

What is asked while a statement is under way goes to the server as one statement (see gather). The connection
is renewed by itself; while the database is away every look-up fails with LookupUnavailableError.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from switch.domain.calendar import date_of_day
from switch.domain.payment import PaymentKey
from switch.store.arrays import byteas, register
from switch.store.gather import Gather

_TIMEOUT_S = 5.0

_CARDS = """\
SELECT i.pan_hmac, i.bucket, i.wallet_id, i.card_no, w.programme_no, c.expiry, c.pvki, c.pvv, c.form
FROM unnest(%s) AS k(pan_hmac)
JOIN card_index i ON i.pan_hmac = k.pan_hmac
JOIN card c ON c.bucket = i.bucket AND c.wallet_id = i.wallet_id AND c.card_no = i.card_no
JOIN wallet w ON w.bucket = i.bucket AND w.wallet_id = i.wallet_id"""
_TERMINAL = """\
SELECT terminal_id, merchant_no, state = 'active', tmk, tpk, tak, signed_on_at IS NOT NULL, key_mode,
    key_form, keys_until, keys_seen, tpk_old, tak_old, old_until, bdk, ksn_id, ksn_counter, batch_closed,
    notify
FROM terminal WHERE terminal_id = ANY(%s)"""
_BOOKED = """\
SELECT 1 FROM payment WHERE bucket = %s AND local_day = %s AND local_time = %s AND terminal_id = %s
    AND stan = %s AND kind = %s"""
_HOLDER = """\
SELECT wallet_id FROM payment WHERE terminal_id = %s AND local_day = %s AND local_time = %s AND stan = %s
    AND kind = %s LIMIT 1"""
_SIGN = """\
UPDATE terminal t SET signed_on_at = k.at FROM unnest(%s::text[], %s::timestamptz[]) AS k(terminal_id, at)
WHERE t.terminal_id = k.terminal_id"""
# Only what has not changed since it was read: two processes may give one terminal keys at a time.
_KEYS = """\
WITH given AS (
    UPDATE terminal t SET tpk = k.tpk, tak = k.tak, keys_at = k.at, keys_until = k.until,
        keys_seen = false, tpk_old = k.tpk_old, tak_old = k.tak_old, old_until = k.old_until
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[],
        %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::timestamptz[])
        AS k(terminal_id, tmk, tak_before, until_before, at, detail,
            tpk, tak, until, tpk_old, tak_old, old_until)
    WHERE t.terminal_id = k.terminal_id AND t.tmk = k.tmk AND t.tak IS NOT DISTINCT FROM k.tak_before
        AND t.keys_until IS NOT DISTINCT FROM k.until_before
    RETURNING t.terminal_id, k.at, k.detail)
INSERT INTO key_audit (noted_at, actor, act, subject, detail)
SELECT at, 'switch', 'session_keys', terminal_id, detail FROM given RETURNING subject"""
_OFFERED = """\
WITH given AS (
    UPDATE terminal t SET keys_until = k.until
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::text[])
        AS k(terminal_id, tmk, tak, until, at, detail)
    WHERE t.terminal_id = k.terminal_id AND t.tak = k.tak AND t.tmk = k.tmk AND NOT t.keys_seen
    RETURNING t.terminal_id, k.at, k.detail)
INSERT INTO key_audit (noted_at, actor, act, subject, detail)
SELECT at, 'switch', 'session_keys_again', terminal_id, detail FROM given RETURNING subject"""
_SEEN = """\
UPDATE terminal t SET keys_seen = true, old_until = k.until
FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS k(terminal_id, tak, until)
WHERE t.terminal_id = k.terminal_id AND t.tak = k.tak AND NOT t.keys_seen"""
_COUNTERS = """\
UPDATE terminal t SET ksn_counter = k.counter
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS k(terminal_id, ksn_id, counter)
WHERE t.terminal_id = k.terminal_id AND t.ksn_id = k.ksn_id AND t.ksn_counter < k.counter"""

Parameters = tuple[object, ...]


class LookupUnavailableError(Exception):
    """The books cannot be asked now (DE39 91)."""


class CardRef(msgspec.Struct, frozen=True, gc=False):
    """Where a card's wallet is and how its PIN is verified. `expiry` yymm; `pvv` empty without a PIN;
    `form` card, qr or mobile."""

    bucket: int
    wallet_id: int
    card_no: int
    programme_no: int
    expiry: int
    pvki: str
    pvv: str
    form: str = "card"

    def __repr__(self) -> str:
        return f"CardRef(wallet {self.wallet_id}, card {self.card_no})"


class TerminalRow(msgspec.Struct):
    """A terminal and its keys under the LMK.

    `tpk`, `tak`: the newest session set, good until `keys_until` (None: no end was set); `keys_seen` once the
    terminal has used it. `tpk_old`, `tak_old`: the set before, good until `old_until`. `key_mode` is session,
    dukpt_tdes or dukpt_aes, `key_form` block (TR-31) or x917; `ksn_id` the initial key serial number, in hex.
    """

    terminal_id: str
    merchant_no: int
    active: bool
    tmk: str
    tpk: str | None
    tak: str | None
    signed_on: bool
    key_mode: str = "session"
    key_form: str = "block"
    keys_until: datetime | None = None
    keys_seen: bool = False
    tpk_old: str | None = None
    tak_old: str | None = None
    old_until: datetime | None = None
    bdk: str | None = None
    ksn_id: str | None = None
    ksn_counter: int = -1
    batch_closed: int = 0
    notify: bool = False

    def __repr__(self) -> str:
        return f"TerminalRow({self.terminal_id}, {self.key_mode})"


class Lookup:
    """Asks the books on behalf of all connections of a process."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: AsyncConnection[TupleRow] | None = None
        self._lock = asyncio.Lock()
        self._abandoned: set[asyncio.Task[Sequence[TupleRow]]] = set()
        self._cards = Gather(self._find_cards, _too_many)
        self._terminals = Gather(self._find_terminals, _too_many)
        self._signs = Gather(self._save_signs, _too_many)
        self._given = Gather(partial(self._save_keys, _KEYS), _too_many)
        self._offered = Gather(partial(self._save_keys, _OFFERED), _too_many)

    async def close(self) -> None:
        """Disconnect; look-ups under way fail."""
        for one in (self._cards, self._terminals, self._signs, self._given, self._offered):
            one.stop()
        if self._connection is not None:
            await self._connection.close()

    def card(self, pan_hmac: bytes) -> "asyncio.Future[CardRef | None]":
        """The card with this HMAC, or None. Raises LookupUnavailableError at once when too many wait."""
        return self._cards.ask(pan_hmac, None)

    async def _find_cards(self, asked: dict[bytes, None]) -> dict[bytes, CardRef]:
        rows = await self._execute(_CARDS, (byteas(list(asked)),))
        return {bytes(row[0]): CardRef(*row[1:]) for row in rows}

    async def terminal(self, terminal_id: str) -> TerminalRow | None:
        """The terminal, or None. Raises LookupUnavailableError."""
        return await self._terminals.ask(terminal_id, None)

    async def _find_terminals(self, asked: dict[str, None]) -> dict[str, TerminalRow]:
        rows = await self._execute(_TERMINAL, (list(asked),))
        return {row[0]: TerminalRow(*row) for row in rows}

    async def booked(self, key: PaymentKey) -> bool:
        """Whether a payment is stored under this key. Raises LookupUnavailableError."""
        day = date_of_day(key.local_day)
        return bool(
            await self._execute(
                _BOOKED, (key.bucket, day, key.local_time, key.terminal_id, key.stan, int(key.kind))
            )
        )

    async def holder(self, key: PaymentKey) -> int | None:
        """The wallet that a payment under this key belongs to, whatever its bucket; None without one."""
        day = date_of_day(key.local_day)
        rows = await self._execute(_HOLDER, (key.terminal_id, day, key.local_time, key.stan, int(key.kind)))
        return int(rows[0][0]) if rows else None

    async def save_sign(self, terminal_id: str, at: datetime | None) -> None:
        """Note that a terminal signed on (`at`) or off (None). Raises LookupUnavailableError."""
        await self._signs.ask(terminal_id, at)

    async def _save_signs(self, asked: dict[str, datetime | None]) -> dict[str, None]:
        await self._execute(_SIGN, (list(asked), list(asked.values())))
        return {}

    async def give_keys(self, new: TerminalRow, before: TerminalRow, at: datetime, detail: str) -> bool:
        """Keep the session sets of `new` if the newest set is still that of `before`, and note the act.

        False when another process has given it keys meanwhile. Raises LookupUnavailableError.
        """
        asked = (
            new.tmk, before.tak, before.keys_until, at, detail,
            new.tpk, new.tak, new.keys_until, new.tpk_old, new.tak_old, new.old_until,
        )  # fmt: skip
        return bool(await self._given.ask(new.terminal_id, asked))

    async def offer_keys(self, same: TerminalRow, at: datetime, detail: str) -> bool:
        """Note that the set which the terminal has not used yet was offered again, with a new end.

        False when it has used it, or has another. Raises LookupUnavailableError.
        """
        asked = (same.tmk, same.tak, same.keys_until, at, detail)
        return bool(await self._offered.ask(same.terminal_id, asked))

    async def _save_keys(self, statement: str, asked: dict[str, tuple[object, ...]]) -> dict[str, bool]:
        """One column a parameter; those whose row is still as it was read are told."""
        columns = [list(column) for column in zip(*asked.values(), strict=True)]
        rows = await self._execute(statement, (list(asked), *columns))
        return {row[0]: True for row in rows}

    async def save_seen(self, seen: Sequence[tuple[str, str, datetime | None]]) -> None:
        """Note sets that came into use: (terminal, MAC key, end of the set before it).

        Raises LookupUnavailableError.
        """
        await self._execute(_SEEN, tuple(map(list, zip(*seen, strict=True))))

    async def save_counters(self, counters: Sequence[tuple[str, str, int]]) -> None:
        """Note the highest counters taken: (terminal, initial key serial number, counter).

        Raises LookupUnavailableError.
        """
        await self._execute(_COUNTERS, tuple(map(list, zip(*counters, strict=True))))

    async def _execute(self, query: str, parameters: Parameters) -> Sequence[TupleRow]:
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

    async def _execute_alone(self, query: str, parameters: Parameters) -> Sequence[TupleRow]:
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


def _too_many() -> LookupUnavailableError:
    return LookupUnavailableError("too many look-ups wait")


async def _close(connection: AsyncConnection[TupleRow] | None) -> None:
    if connection is not None:
        await connection.close()
