"""Terminals' batches in the books: what the host counts of one, its close, its details.

Closes are rare and need a transaction each: a few connections of their own, apart from the look-ups. While
the database is away every call fails with LookupUnavailableError.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, TypeVar

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, dict_row

from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.payment import Kind
from switch.domain.terminal_batch import (
    AHEAD_MAX,
    CREDITS,
    DEBITS,
    Batch,
    Closed,
    Difference,
    Record,
    State,
    Totals,
    close,
)
from switch.store.lookup import LookupUnavailableError

CONNECTIONS: Final = 2
WAITING_MAX: Final = 20_000
DETAILS_MAX: Final = 20_000
"""Details taken of one batch: more is no till's day."""
_TIMEOUT_S: Final = 10.0

_TOTALS: Final = (
    *("credits", "credit_won", "credits_reversed", "credit_reversed_won"),
    *("debits", "debit_won", "debits_reversed", "debit_reversed_won"),
)
_TOLD: Final = ", ".join(_TOTALS)
_HOST: Final = ", ".join(f"host_{name}" for name in _TOTALS)
_SET: Final = ", ".join(f"{name} = excluded.{name}, host_{name} = excluded.host_{name}" for name in _TOTALS)
_COUNTED: Final = [int(kind) for kind in sorted(DEBITS | CREDITS)]
# The row of the terminal orders the closes of one terminal, over all processes.
_LOCK = "SELECT 1 FROM terminal WHERE terminal_id = %s FOR NO KEY UPDATE"
_KNOWN = f"""\
SELECT state, business_date, uploaded, differences, {_TOLD}, {_HOST}
FROM terminal_batch WHERE terminal_id = %s AND batch_no = %s"""  # noqa: S608 - names of columns, from above
# A reversal counts in the batch of its original, whatever number it bears itself.
_RECORDS = """\
SELECT kind, stan, transmission, approved, bucket, wallet_id, seq, original_seq
FROM payment
WHERE terminal_id = %s AND local_day >= %s AND approved > 0
    AND ((batch_no = %s AND kind = ANY(%s)) OR kind = %s)"""
_DETAILS = """\
SELECT processing, stan, transmission, amount FROM terminal_batch_detail
WHERE terminal_id = %s AND batch_no = %s"""
_SAVE = f"""\
INSERT INTO terminal_batch (terminal_id, batch_no, programme_no, merchant_no, state, business_date,
    reported_at, closed_at, differences, {_TOLD}, {_HOST})
VALUES ({", ".join(["%s"] * (9 + 2 * len(_TOTALS)))})
ON CONFLICT (terminal_id, batch_no) DO UPDATE SET state = excluded.state,
    business_date = excluded.business_date, reported_at = excluded.reported_at,
    closed_at = excluded.closed_at, differences = excluded.differences, {_SET}"""  # noqa: S608 - likewise
_DIFFERENCE = """\
INSERT INTO terminal_batch_difference (terminal_id, batch_no, line, what, processing, stan, transmission,
    host_won, terminal_won) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_RAISE = """\
UPDATE terminal SET batch_closed = %(closed)s WHERE terminal_id = %(terminal)s
    AND (batch_closed = 0 OR %(closed)s BETWEEN batch_closed + 1 AND batch_closed + %(ahead)s)"""
_ADD = """\
WITH batch AS (
    SELECT state, details FROM terminal_batch WHERE terminal_id = %(terminal_id)s AND batch_no = %(batch_no)s
    FOR UPDATE),
before AS (
    SELECT (processing, local_mmdd, local_time, amount, rrn, approval)
        = (%(processing)s, %(local_mmdd)s, %(local_time)s, %(amount)s, %(rrn)s, %(approval)s) AS same
    FROM terminal_batch_detail WHERE terminal_id = %(terminal_id)s AND batch_no = %(batch_no)s
        AND mti = %(mti)s AND stan = %(stan)s AND transmission = %(transmission)s),
added AS (
    INSERT INTO terminal_batch_detail (terminal_id, batch_no, mti, stan, transmission, processing, local_mmdd,
        local_time, amount, rrn, approval)
    SELECT %(terminal_id)s, %(batch_no)s, %(mti)s, %(stan)s, %(transmission)s, %(processing)s,
        %(local_mmdd)s, %(local_time)s, %(amount)s, %(rrn)s, %(approval)s
    FROM batch WHERE state = 'open_differs' AND details < %(details_max)s
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT (SELECT state FROM batch), (SELECT same FROM before), (SELECT count(*) FROM added)"""
_COUNT = """\
UPDATE terminal_batch SET details = details + %s, uploaded = uploaded OR %s
WHERE terminal_id = %s AND batch_no = %s"""

PROCESSING_KINDS: Final[dict[str, int]] = {
    "000000": int(Kind.PURCHASE),
    "200000": int(Kind.REFUND),
    "020000": int(Kind.VOID),
}
PROCESSING_OF_KIND: Final = {kind: code for code, kind in PROCESSING_KINDS.items()}
"""DE3 of what a batch counts; the details keep it as it was sent."""

Told = TypeVar("Told")


class Asked(msgspec.Struct, frozen=True):
    """A terminal's close: whose batch, its totals, the business date and instant, and how far back the
    books are searched."""

    terminal_id: str
    batch_no: int
    programme_no: int
    merchant_no: int
    told: Totals
    business_day: int
    at: datetime
    since: date


class Detail(msgspec.Struct, frozen=True):
    """One record of a batch as its terminal has it; `mti`, `stan` and `transmission` are the record's own."""

    terminal_id: str
    batch_no: int
    mti: str
    stan: int
    transmission: str
    processing: str
    local_mmdd: int
    local_time: int
    amount: int
    rrn: str
    approval: str


class BatchBooks:
    """Closes batches on behalf of all connections of a process."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._waiting = 0
        self._idle: list[AsyncConnection[TupleRow]] = []
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def stop(self) -> None:
        """Disconnect. Nobody may ask any more."""
        while self._idle:
            await self._idle.pop().close()

    async def close(self, asked: Asked) -> Closed:
        """Judge a close and keep what it comes to, before it is told. Raises LookupUnavailableError."""

        async def work(connection: AsyncConnection[TupleRow]) -> Closed:
            return await _close(connection, asked)

        return await self._transaction(work)

    async def add(self, detail: Detail, *, last: bool) -> str:
        """Keep a detail of a batch that waits for them; after the `last` the batch may close.

        Says "kept" (also for a repeat), "differs" (kept before with other contents), "closed" or "unasked"
        (no close of it was out of balance, or more than DETAILS_MAX came). Raises LookupUnavailableError.
        """

        async def work(connection: AsyncConnection[TupleRow]) -> str:
            return await _add(connection, detail, last=last)

        return await self._transaction(work)

    async def _transaction(self, work: Callable[[AsyncConnection[TupleRow]], Awaitable[Told]]) -> Told:
        """Run `work`, which may be run again: a broken connection is renewed once.

        The time-out counts the waiting for others too, so that a database that hangs delays nobody longer.
        """
        if self._waiting >= WAITING_MAX:
            raise LookupUnavailableError("too many batches wait")
        self._waiting += 1
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._free:
                running = asyncio.create_task(self._alone(work))
                try:
                    return await asyncio.shield(running)
                except asyncio.CancelledError:
                    # Breaking it off politely asks the server, which may be what hangs: leave it to itself.
                    self._abandoned.add(running)
                    running.add_done_callback(self._abandoned.discard)
                    running.cancel()
                    raise
        except TimeoutError:
            raise LookupUnavailableError("TimeoutError") from None
        finally:
            self._waiting -= 1

    async def _alone(self, work: Callable[[AsyncConnection[TupleRow]], Awaitable[Told]]) -> Told:
        for attempt in (1, 2):
            connection: AsyncConnection[TupleRow] | None = None
            try:
                connection = await self._connected()
                # What needs no answer of the one before goes to the server together.
                async with connection.pipeline(), connection.transaction():
                    told = await work(connection)
                self._idle.append(connection)
                return told
            except (psycopg.Error, OSError) as error:
                await _closed(connection)
                if attempt == 2:
                    raise LookupUnavailableError(type(error).__name__) from None
            except BaseException:
                await _closed(connection)
                raise
        raise LookupUnavailableError("no connection")

    async def _connected(self) -> AsyncConnection[TupleRow]:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        connection = await AsyncConnection.connect(
            self._conninfo, autocommit=True, prepare_threshold=2, connect_timeout=3
        )
        try:
            # A day's payments are many and a terminal's few, whatever the statistics say so far.
            await connection.execute("SET enable_seqscan = off", prepare=False)
        except BaseException:
            await connection.close()
            raise
        return connection


async def _closed(connection: AsyncConnection[TupleRow] | None) -> None:
    if connection is not None:
        await connection.close()


async def _close(connection: AsyncConnection[TupleRow], asked: Asked) -> Closed:
    whose = (asked.terminal_id, asked.batch_no)
    await connection.execute(_LOCK, (asked.terminal_id,))
    batches = connection.cursor(row_factory=dict_row)
    await batches.execute(_KNOWN, whose)
    payments = await connection.execute(
        _RECORDS, (asked.terminal_id, asked.since, asked.batch_no, _COUNTED, int(Kind.REVERSAL))
    )
    row = await batches.fetchone()
    known = None if row is None else batch_of(row)
    host = records_of(await payments.fetchall())
    details: list[Record] = []
    if known is not None and known.uploaded and not known.is_closed:
        cursor = await connection.execute(_DETAILS, whose)
        details = [
            Record(PROCESSING_KINDS[code], stan, transmission, won)
            for code, stan, transmission, won in await cursor.fetchall()
        ]
    closed = close(known, asked.told, asked.business_day, host, details)
    if known is None or not known.is_closed:
        await _save(connection, asked, closed)
    return closed


async def _save(connection: AsyncConnection[TupleRow], asked: Asked, closed: Closed) -> None:
    batch = closed.batch
    await connection.execute(
        _SAVE,
        (
            *(asked.terminal_id, asked.batch_no, asked.programme_no, asked.merchant_no, batch.state.value),
            *(date_of_day(batch.business_day), asked.at, asked.at if batch.is_closed else None),
            *(batch.differences, *_columns(batch.told), *_columns(batch.host)),
        ),
    )
    if batch.is_closed:
        raised = {"closed": asked.batch_no, "terminal": asked.terminal_id, "ahead": AHEAD_MAX}
        await connection.execute(_RAISE, raised)
    if closed.kept:
        async with connection.cursor() as cursor:
            await cursor.executemany(
                _DIFFERENCE,
                [
                    (asked.terminal_id, asked.batch_no, line, *_difference(one))
                    for line, one in enumerate(closed.kept, 1)
                ],
            )


async def _add(connection: AsyncConnection[TupleRow], detail: Detail, *, last: bool) -> str:
    given = msgspec.structs.asdict(detail) | {"details_max": DETAILS_MAX}
    state, same, added = await (await connection.execute(_ADD, given)).fetchone() or (None, None, 0)
    if same is None and not added and state == State.OPEN_DIFFERS.value:
        # It may have come twice at once: who waited for the lock looked before the other was done. The lock
        # is ours now, so another look sees all.
        state, same, added = await (await connection.execute(_ADD, given)).fetchone() or (None, None, 0)
    if same is False:
        return "differs"
    if not added and not same:
        return "unasked" if state in (None, State.OPEN_DIFFERS.value) else "closed"
    if state == State.OPEN_DIFFERS.value and (added or last):
        await connection.execute(_COUNT, (added, last, detail.terminal_id, detail.batch_no))
    return "kept"


def _columns(totals: Totals) -> list[int]:
    return [getattr(totals, name) for name in _TOTALS]


def _difference(one: Difference) -> tuple[object, ...]:
    code = PROCESSING_OF_KIND[one.kind]
    return one.what, code, one.stan, one.transmission, one.host_won, one.terminal_won


def batch_of(row: Mapping[Any, Any]) -> Batch:
    """A batch from its row, by the names of its columns."""
    return Batch(
        state=State(row["state"]),
        told=Totals(**{name: row[name] for name in _TOTALS}),
        host=Totals(**{name: row[f"host_{name}"] for name in _TOTALS}),
        business_day=day_of_date(row["business_date"]),
        uploaded=row["uploaded"],
        differences=row["differences"],
    )


def records_of(rows: Iterable[Sequence[Any]]) -> list[Record]:
    """Payments, refunds and voids with what reversals took back of them.

    Rows of kind, STAN, DE7, approved, bucket, wallet, posting number, and the original's. A gift is to its
    terminal a payment like any other.
    """
    counted: list[Sequence[Any]] = []
    taken: dict[tuple[int, int, int], int] = {}
    for row in rows:
        if row[0] == Kind.REVERSAL:
            named = (row[4], row[5], row[7])
            taken[named] = taken.get(named, 0) + row[3]
        else:
            counted.append(row)
    return [
        Record(
            int(Kind.PURCHASE) if kind == Kind.GIFT else kind,
            stan,
            transmission,
            approved,
            taken.get((bucket, wallet_id, seq), 0),
        )
        for kind, stan, transmission, approved, bucket, wallet_id, seq, _ in counted
    ]
