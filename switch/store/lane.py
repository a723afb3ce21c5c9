"""One lane's side of the database: a raw connection in pipeline mode, one transaction a batch.

Round one locks and loads what every request needs; round two, rarely, what refunds, reversals and late
payments need; the last round writes everything and commits, durably. Values go in and out as domain types.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec.structs import astuple
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import TupleRow

from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.decision import Decision
from switch.domain.payment import PaymentKey
from switch.domain.request import Request, Stored
from switch.domain.wallet import Card, Lot, MonthUsage, Wallet
from switch.ledger.postings import entries_of
from switch.store import lane_sql as sql
from switch.store.arrays import (
    Packed,
    bools,
    dates,
    int2s,
    int4s,
    int8s,
    raw_texts,
    register,
    texts,
)

Rows = Sequence[TupleRow]
_new_stored: Callable[..., Stored] = Stored  # rows come as tuples of anything
_new_wallet: Callable[..., Wallet] = Wallet


class Loaded(msgspec.Struct):
    """What a batch works on. Everything in it is protected by the wallets' locks until the commit."""

    epoch: int
    closed_through: dict[int, int]  # programme_no → yyyymmdd, 0 none
    wallets: dict[int, Wallet]
    stored: dict[PaymentKey, Stored]
    tombstones: set[tuple[int, str, int, str]]
    originals: dict[int, list[Stored]] = {}
    credited: dict[tuple[int, int], int] = {}
    past: dict[tuple[int, int], tuple[int, int, int]] = {}


def _stored(row: TupleRow) -> Stored:
    key = PaymentKey(row[0], day_of_date(row[1]), row[2], row[3], row[4], row[5])
    return _new_stored(key, *row[6:12], day_of_date(row[12]), *row[13:30], row[30].encode())


class LaneBooks:
    """The books as one lane uses them. Not for concurrent use: one batch at a time."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: AsyncConnection[TupleRow] | None = None
        self._days: set[int] = set()

    async def open(self) -> None:
        """Connect. Raises psycopg.OperationalError when the database is away."""
        await self.close()
        connection = await AsyncConnection.connect(
            self._conninfo, autocommit=True, prepare_threshold=0, connect_timeout=5
        )
        register(connection)
        await connection.execute(sql.SETTINGS, prepare=False)
        self._connection = connection

    async def close(self) -> None:
        """Drop the connection; whatever was not committed is rolled back by the server."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that is not known to be broken."""
        return self._connection is not None and not self._connection.broken

    async def ensure_days(self, days: Iterable[int]) -> None:
        """Make the partitions of these days (yyyymmdd), outside any batch."""
        for day in days:
            if day not in self._days:
                await self._raw.execute(sql.ENSURE_DAY, (date_of_day(day),))
                self._days.add(day)

    @property
    def _raw(self) -> AsyncConnection[TupleRow]:
        if self._connection is None:
            raise RuntimeError("the lane is not connected")
        return self._connection

    async def _round(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Rows]:
        """Send all statements at once, then read all answers. A statement without rows answers nothing."""
        connection = self._raw
        cursors: list[AsyncCursor[TupleRow]] = []
        async with connection.pipeline():
            for statement, parameters in statements:
                cursor = connection.cursor(binary=True)
                await cursor.execute(statement, parameters)
                cursors.append(cursor)
        return [await cursor.fetchall() if cursor.description else () for cursor in cursors]

    async def begin(self, requests: Sequence[Request], business_days: dict[int, int]) -> Loaded:
        """Start the transaction, lock and load. `business_days`: programme_no → yyyymmdd to book on."""
        spent_too = {r.wallet_id for r in requests if r.original is not None}
        wallets = {r.wallet_id: r.key.bucket for r in requests}
        cards = {(r.key.bucket, r.wallet_id, r.card_no) for r in requests}
        keys = [r.key for r in requests]
        buckets, ids = list(wallets.values()), list(wallets)
        packed = (int2s(buckets), int8s(ids))
        days = [key.local_day for key in keys]
        key_buckets, stans = int2s([key.bucket for key in keys]), int4s([key.stan for key in keys])
        terminals = texts([key.terminal_id for key in keys])
        answers = await self._round(
            (
                ("BEGIN", ()),
                (sql.LOCK_DAYS, (int4s(list(business_days)), int4s(list(business_days.values())))),
                (sql.CLOCKS, ()),
                (sql.LOCK_WALLETS, packed),
                (sql.LOTS, (*packed, bools([wallet in spent_too for wallet in ids]))),
                (
                    sql.CARDS,
                    (
                        int2s([c[0] for c in cards]),
                        int8s([c[1] for c in cards]),
                        int2s([c[2] for c in cards]),
                    ),
                ),
                (
                    sql.STORED,
                    (
                        key_buckets,
                        dates(days),
                        int4s([key.local_time for key in keys]),
                        terminals,
                        stans,
                        int2s([key.kind for key in keys]),
                        date_of_day(min(days)),
                        date_of_day(max(days)),
                    ),
                ),
                (
                    sql.TOMBSTONES,
                    (
                        key_buckets,
                        int8s([r.wallet_id for r in requests]),
                        terminals,
                        stans,
                        texts([r.transmission for r in requests]),
                    ),
                ),
            )
        )
        return self._loaded(answers)

    def _loaded(self, answers: list[Rows]) -> Loaded:
        _, _, clocks, wallets, lots, cards, stored, stones = answers
        loaded = Loaded(
            epoch=clocks[0][2] if clocks else 0,
            closed_through={row[0]: day_of_date(row[1]) if row[1] else 0 for row in clocks},
            wallets={row[1]: _new_wallet(*row, {}, {}, {}) for row in wallets},
            stored={},
            tombstones={(row[0], row[1], row[2], row[3]) for row in stones},
        )
        for row in lots:
            loaded.wallets[row[0]].lots[row[1]] = Lot(*row[1:])
        for row in cards:
            loaded.wallets[row[0]].cards[row[1]] = Card(*row[1:])
        for row in stored:
            answer = _stored(row)
            loaded.stored[answer.key] = answer
        return loaded

    async def load_originals(self, requests: Sequence[Request], loaded: Loaded) -> None:
        """What refunds and reversals refer to, and how far their wallets' cashback has been credited."""
        wanted = [(r.key.bucket, r.wallet_id, r.original) for r in requests if r.original is not None]
        days = [ref.day for _, _, ref in wanted]
        marks = {(r.programme_no, r.key.bucket) for r in requests if r.original is not None}
        found, credited = await self._round(
            (
                (
                    sql.ORIGINALS,
                    (
                        int2s([w[0] for w in wanted]),
                        int8s([w[1] for w in wanted]),
                        int4s([w[2].stan for w in wanted]),
                        _shift(min(days), -1),
                        _shift(max(days), 1),
                    ),
                ),
                (sql.CREDIT_MARKS, (int2s([m[0] for m in marks]), int2s([m[1] for m in marks]))),
            )
        )
        loaded.credited = {(row[0], row[1]): day_of_date(row[2]) for row in credited}
        loaded.originals = {}
        for row in found:
            original = _stored(row)
            loaded.originals.setdefault(original.wallet_id, []).append(original)

    async def load_by_seq(self, wanted: Sequence[tuple[int, int, int, int]], loaded: Loaded) -> None:
        """Payments by (bucket, wallet, seq, local day): the purchases of refunds that are reversed."""
        (found,) = await self._round(
            (
                (
                    sql.BY_SEQ,
                    (
                        int2s([w[0] for w in wanted]),
                        int8s([w[1] for w in wanted]),
                        int4s([w[2] for w in wanted]),
                        dates([w[3] for w in wanted]),
                    ),
                ),
            )
        )
        for row in found:
            original = _stored(row)
            known = loaded.originals.setdefault(original.wallet_id, [])
            if all(other.key != original.key for other in known):
                known.append(original)

    async def load_past(self, wanted: Sequence[tuple[int, int, int]], loaded: Loaded) -> None:
        """Counters of months that wallets have left behind, by (bucket, wallet, month)."""
        (found,) = await self._round(
            (
                (
                    sql.PAST_MONTHS,
                    (
                        int2s([w[0] for w in wanted]),
                        int8s([w[1] for w in wanted]),
                        int4s([w[2] for w in wanted]),
                    ),
                ),
            )
        )
        loaded.past = {(row[0], row[1]): (row[2], row[3], row[4]) for row in found}
        for (wallet, month), usage in loaded.past.items():
            loaded.wallets[wallet].past[month] = MonthUsage(*usage)

    async def commit(self, decisions: Sequence[Decision], loaded: Loaded) -> None:
        """Write all that was decided and commit. When this returns, it is on the disk."""
        statements = _writes(decisions, loaded)
        statements.append(("COMMIT", ()))
        await self._round(statements)

    async def rollback(self) -> None:
        """Give the batch up; the connection is good for the next one, or closed."""
        if not self.is_open:
            return
        await self._raw.execute("ROLLBACK")


def _shift(day: int, by: int) -> date:
    return date.fromordinal(date_of_day(day).toordinal() + by)


Statements = list[tuple[str, tuple[Any, ...]]]


def _writes(decisions: Sequence[Decision], loaded: Loaded) -> Statements:
    out: Statements = []
    if not decisions:
        return out
    rows = [decision.stored for decision in decisions]
    out.append((sql.INSERT_PAYMENTS, _payment_columns(rows)))
    _add_entries(out, decisions)
    touched = {row.wallet_id for row in rows}
    wallets = [loaded.wallets[wallet] for wallet in touched]
    out.append(
        (
            sql.UPDATE_WALLETS,
            (
                int2s([w.bucket for w in wallets]),
                int8s([w.wallet_id for w in wallets]),
                int4s([w.seq for w in wallets]),
                int4s([w.lot_seq for w in wallets]),
                int8s([w.receivable for w in wallets]),
                int4s([w.month for w in wallets]),
                int8s([w.month_spent for w in wallets]),
                int8s([w.month_basis for w in wallets]),
                int8s([w.month_topup for w in wallets]),
                int4s([w.day for w in wallets]),
                int8s([w.day_spent for w in wallets]),
            ),
        )
    )
    _add_lots(out, decisions, loaded)
    _add_rare(out, decisions, loaded)
    return out


def _payment_columns(rows: Sequence[Stored]) -> tuple[Any, ...]:
    """One packed array a column, in the table's order: the key, then Stored's fields as declared."""
    keys = zip(*map(astuple, [row.key for row in rows]), strict=True)
    rest = zip(*[astuple(row)[1:] for row in rows], strict=True)
    packed = [pack(column) for pack, column in zip(_PACK_KEY, keys, strict=True)]
    packed += [pack(column) for pack, column in zip(_PACK_STORED, rest, strict=True)]
    return tuple(packed)


_PACK_KEY: tuple[Callable[[Sequence[Any]], Packed], ...] = (int2s, dates, int4s, texts, int4s, int2s)
_PACK_STORED: tuple[Callable[[Sequence[Any]], Packed], ...] = (
    int8s,  # wallet_id
    int4s,  # seq
    int2s,  # card_no
    int4s,  # merchant_no
    int2s,  # programme_no
    int4s,  # policy_no
    dates,  # business_day
    texts,  # transmission
    int8s,  # content
    int8s,  # amount
    int8s,  # approved
    int2s,  # outcome
    int2s,  # reason
    texts,  # approval
    texts,  # rrn
    texts,  # channel
    int8s,  # basis
    int4s,  # usage_month
    int8s,  # usage_before
    int8s,  # cashback
    int8s,  # ledger_after
    int8s,  # available_after
    int8s,  # returned
    int4s,  # original_seq
    raw_texts,  # detail
)


def _add_entries(out: Statements, decisions: Sequence[Decision]) -> None:
    lines: list[tuple[Any, ...]] = []
    for decision in decisions:
        row = decision.stored
        head = (row.key.bucket, row.business_day, row.wallet_id, row.seq)
        for number, entry in enumerate(entries_of(decision), start=1):
            lines.append((*head, number, row.programme_no, *astuple(entry)))
    if not lines:
        return
    columns = zip(*lines, strict=True)
    out.append((sql.INSERT_ENTRIES, tuple(pack(c) for pack, c in zip(_PACK_ENTRY, columns, strict=True))))


_PACK_ENTRY: tuple[Callable[[Sequence[Any]], Packed], ...] = (
    int2s,  # bucket
    dates,  # business_date
    int8s,  # wallet_id
    int4s,  # seq
    int2s,  # line
    int2s,  # programme_no
    int2s,  # debit
    int2s,  # credit
    int8s,  # won
    int4s,  # lot_no
    int4s,  # merchant_no
    int2s,  # funder_no
)


def _add_lots(out: Statements, decisions: Sequence[Decision], loaded: Loaded) -> None:
    new = {
        (d.stored.key.bucket, d.stored.wallet_id, d.opened.lot_no): d.opened
        for d in decisions
        if d.opened is not None
    }
    changed: set[tuple[int, int, int]] = set()
    for d in decisions:
        bucket, wallet = d.stored.key.bucket, d.stored.wallet_id
        for moves in (d.spent, d.restored, d.recovered):
            for move in moves:
                changed.add((bucket, wallet, move[0]))
        if d.removed is not None:
            changed.add((bucket, wallet, d.removed[0]))
    if new:
        at, lots = list(new), list(new.values())
        out.append(
            (
                sql.INSERT_LOTS,
                (
                    int2s([a[0] for a in at]),
                    int8s([a[1] for a in at]),
                    int4s([a[2] for a in at]),
                    int2s([lot.kind for lot in lots]),
                    int2s([lot.funder_no for lot in lots]),
                    int8s([lot.balance for lot in lots]),
                    int8s([lot.granted for lot in lots]),
                    int4s([lot.opened for lot in lots]),
                    int4s([lot.expires for lot in lots]),
                ),
            )
        )
    old = [at for at in changed if at not in new]
    if old:
        out.append(
            (
                sql.UPDATE_LOTS,
                (
                    int2s([a[0] for a in old]),
                    int8s([a[1] for a in old]),
                    int4s([a[2] for a in old]),
                    int8s([loaded.wallets[a[1]].lots[a[2]].balance for a in old]),
                ),
            )
        )


def _add_rare(out: Statements, decisions: Sequence[Decision], loaded: Loaded) -> None:
    tried = {
        (d.stored.key.bucket, d.stored.wallet_id, d.stored.card_no)
        for d in decisions
        if d.pin_tries is not None
    }
    if tried:
        out.append(
            (
                sql.UPDATE_CARDS,
                (
                    int2s([t[0] for t in tried]),
                    int8s([t[1] for t in tried]),
                    int2s([t[2] for t in tried]),
                    int2s([loaded.wallets[t[1]].cards[t[2]].pin_tries for t in tried]),
                ),
            )
        )
    originals = {change.stored.key: change.stored for d in decisions for change in d.originals}
    if originals:
        keys, rows = list(originals), list(originals.values())
        days = [k.local_day for k in keys]
        out.append(
            (
                sql.UPDATE_ORIGINALS,
                (
                    int2s([k.bucket for k in keys]),
                    dates(days),
                    int4s([k.local_time for k in keys]),
                    texts([k.terminal_id for k in keys]),
                    int4s([k.stan for k in keys]),
                    int2s([k.kind for k in keys]),
                    int8s([r.returned for r in rows]),
                    int2s([r.outcome for r in rows]),
                    date_of_day(min(days)),
                    date_of_day(max(days)),
                ),
            )
        )
    stones = [(d.stored, d.tombstone) for d in decisions if d.tombstone is not None]
    if stones:
        out.append(
            (
                sql.INSERT_TOMBSTONES,
                (
                    int2s([s.key.bucket for s, _ in stones]),
                    int8s([s.wallet_id for s, _ in stones]),
                    texts([t[0] for _, t in stones]),
                    int4s([t[1] for _, t in stones]),
                    texts([t[2] for _, t in stones]),
                    dates([s.business_day for s, _ in stones]),
                ),
            )
        )
    past = [
        (wallet, month, usage)
        for wallet in loaded.wallets.values()
        for month, usage in wallet.past.items()
        if loaded.past.get((wallet.wallet_id, month)) != (usage.spent, usage.basis, usage.topup)
    ]
    if past:
        out.append(
            (
                sql.UPSERT_PAST_MONTHS,
                (
                    int2s([w.bucket for w, _, _ in past]),
                    int8s([w.wallet_id for w, _, _ in past]),
                    int4s([m for _, m, _ in past]),
                    int8s([u.spent for _, _, u in past]),
                    int8s([u.basis for _, _, u in past]),
                    int8s([u.topup for _, _, u in past]),
                ),
            )
        )
