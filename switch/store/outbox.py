"""The outbox as its publisher uses it: one connection, which is also what makes it the only publisher.

Rows are read in the order in which they are due. A row is due at once when it is written, later again after
each transmission, and goes when its terminal has acknowledged it. A row is *parked* (due at infinity) while
its terminal is gone or owes too many acks, so that no terminal holds up another. Nothing here is asked by
"greater than the last one seen": transactions commit out of order.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection, InterfaceError
from psycopg.rows import TupleRow

from switch.domain.notice import MessageKind, bucket_of_id
from switch.store import outbox_sql as sql

DUE_MAX = 500  # rows read at a time
CONFIGS_MAX = 500
HOTLIST_MAX = 200_000  # entries of the hot list: more is no list for a terminal
DROP_MAX = 5_000
WARNINGS_MAX = 500
TIMEOUT_S = 40.0  # above the server's own for a statement: only a server that hangs takes so long
# A server that vanished is noticed soon: its lock would else keep another publisher from leading.
_ALIVE: dict[str, Any] = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}


class Due(msgspec.Struct, frozen=True, gc=False):
    """A message that is due: whom, what, how often it has been sent, how many seconds ago it came to be."""

    bucket: int
    event_id: str
    terminal_id: str
    kind: int
    body: str
    tries: int
    age: int


class Hot(msgspec.Struct, frozen=True, gc=False):
    """A card on the hot list, or off it, as of its last act; its number sealed as the books keep it."""

    version: int
    listed: bool
    bucket: int
    wallet_id: int
    card_no: int
    key_version: int
    pan_box: bytes


class Heard(msgspec.Struct, frozen=True, gc=False):
    """What a terminal said of itself."""

    terminal_id: str
    up: bool
    session: int
    config_version: int
    hotlist_version: int


class OutboxBooks:
    """Not for concurrent use. Every method may raise psycopg.Error; then `open` again."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: AsyncConnection[TupleRow] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that is not known to be broken."""
        return self._connection is not None and not self._connection.broken

    async def open(self) -> None:
        """Connect anew. Whoever led by the old connection leads no longer."""
        await self.close()
        self._connection = await AsyncConnection.connect(
            self._conninfo, autocommit=True, prepare_threshold=2, connect_timeout=5, **_ALIVE
        )
        await self._connection.execute(sql.SETTINGS, prepare=False)

    async def close(self) -> None:
        """Disconnect; another publisher may lead from now on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _rows(self, statement: str, *parameters: object) -> Sequence[TupleRow]:
        if self._connection is None:
            raise InterfaceError("the outbox is not connected")
        async with asyncio.timeout(TIMEOUT_S):
            cursor = await self._connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else ()

    async def lead(self) -> bool:
        """Whether this connection holds the publisher's lock, from now until it closes."""
        return bool((await self._rows(sql.LEAD))[0][0])

    async def down(self) -> set[str]:
        """The terminals that are known to be gone."""
        return {row[0] for row in await self._rows(sql.DOWN)}

    async def owed(self) -> dict[str, int]:
        """How many messages that were sent each terminal has not acknowledged."""
        return {row[0]: row[1] for row in await self._rows(sql.OWED)}

    async def parked(self) -> set[str]:
        """The terminals that have parked messages."""
        return {row[0] for row in await self._rows(sql.PARKED)}

    async def due(self) -> list[Due]:
        """At most DUE_MAX messages that are due, those due first first."""
        return [Due(*row) for row in await self._rows(sql.DUE, DUE_MAX)]

    async def mark(self, sent: Sequence[tuple[Due, int]]) -> None:
        """Note that messages were sent; each is due again after so many seconds."""
        rows = [due for due, _ in sent]
        await self._rows(sql.MARK, *_keys(rows), [again for _, again in sent])

    async def park(self, rows: Sequence[Due]) -> None:
        """Set messages aside until `wake` or `unpark`."""
        await self._rows(sql.PARK, *_keys(rows))

    async def wake(self, terminals: Iterable[str], most: int) -> None:
        """Make the oldest messages of terminals due now: they are there (again)."""
        await self._rows(sql.WAKE, list(terminals), most)

    async def unpark(self, terminals: Iterable[str], most: int) -> None:
        """Make the oldest parked messages of terminals due: they have acknowledged others."""
        await self._rows(sql.UNPARK, list(terminals), most)

    async def clear(self, acks: Iterable[tuple[str, str]]) -> list[tuple[str, int, int]]:
        """Take acknowledged messages, (terminal id, event id), out. Returns (terminal id, kind, tries) of
        those that were there; an id that is none is nobody's."""
        known: list[tuple[int, str, str]] = []
        for terminal, event in acks:
            try:
                known.append((bucket_of_id(event), event, terminal))
            except ValueError:
                continue
        if not known:
            return []
        rows = await self._rows(
            sql.CLEAR, [k[0] for k in known], [k[1] for k in known], [k[2] for k in known]
        )
        return [(row[0], row[1], row[2]) for row in rows]

    async def note_states(self, heard: Sequence[Heard]) -> list[tuple[str, bool]]:
        """Keep what terminals said; one of each at most. Returns (terminal id, up) of what counted: a last
        will counts only for the session it names, and an unknown terminal for nothing."""
        rows = await self._rows(
            sql.STATE,
            [one.terminal_id for one in heard],
            [one.up for one in heard],
            [one.session for one in heard],
            [one.config_version for one in heard],
            [one.hotlist_version for one in heard],
        )
        return [(row[0], row[1]) for row in rows]

    async def note_tele(self, readings: dict[str, str]) -> None:
        """Keep the last readings (JSON) by terminal id."""
        await self._rows(sql.TELE, list(readings), list(readings.values()))

    async def configs(self, after: str) -> list[tuple[str, int, str, str]]:
        """(terminal id, version, sha256, document) of terminals after that id, at most CONFIGS_MAX."""
        return [(row[0], row[1], row[2], row[3]) for row in await self._rows(sql.CONFIGS, after, CONFIGS_MAX)]

    async def hotlist_version(self) -> int:
        """The version of the hot list, 0 before its first act."""
        return int((await self._rows(sql.HOTLIST_VERSION))[0][0])

    async def hotlist(self) -> list[Hot]:
        """The last act on each card, in the order of versions; the newest HOTLIST_MAX of them."""
        rows = await self._rows(sql.HOTLIST, HOTLIST_MAX)
        return [Hot(row[0], row[1], row[2], row[3], row[4], row[5], bytes(row[6])) for row in reversed(rows)]

    async def keys_ending(self, before: datetime) -> list[tuple[str, datetime]]:
        """(terminal id, end) of session keys that end before then and were not warned of, at most some."""
        return [(row[0], row[1]) for row in await self._rows(sql.KEYS_ENDING, before, WARNINGS_MAX)]

    async def warn(self, warnings: Sequence[tuple[str, datetime, str, str]]) -> None:
        """Write (terminal id, end of keys, message id, body) as commands, each end once."""
        await self._rows(
            sql.WARN,
            [one[0] for one in warnings],
            [one[1] for one in warnings],
            [bucket_of_id(one[2]) for one in warnings],
            [one[2] for one in warnings],
            [one[3] for one in warnings],
            int(MessageKind.COMMAND),
        )

    async def depth(self) -> tuple[int, int, int]:
        """(messages, parked ones of them, seconds since the oldest came to be)."""
        row = (await self._rows(sql.DEPTH))[0]
        return int(row[0]), int(row[1]), int(row[2])

    async def drop(self, keep_days: int) -> int:
        """Drop messages that nobody has acknowledged for so many days; returns how many."""
        return len(await self._rows(sql.DROP, keep_days, DROP_MAX))


def _keys(rows: Sequence[Due]) -> tuple[list[int], list[str], list[str]]:
    return [row.bucket for row in rows], [row.event_id for row in rows], [row.terminal_id for row in rows]
