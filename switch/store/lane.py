"""One lane's side of the database: a raw connection in pipeline mode, one transaction a batch.

Round one locks and loads what every request needs; round two, rarely, what refunds, reversals and late
payments need; the last round writes everything and commits, durably. Values go in and out as domain types.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

import msgspec
from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.rows import TupleRow

from switch.domain.budget import PoolKey, Pools
from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.decision import Decision
from switch.domain.payment import PaymentKey
from switch.domain.request import Request, Stored
from switch.domain.wallet import Card, Hold, Lot, MonthUsage, Wallet
from switch.store import lane_budgets as budgets
from switch.store import lane_donations, lane_references
from switch.store import lane_sql as sql
from switch.store.arrays import (
    Day,
    bools,
    dates,
    day,
    int2s,
    int4s,
    int8s,
    texts,
)
from switch.store.lane_values import NO_GIVEN, Drawn, Given, Loaded, Reach
from switch.store.lane_write import writes
from switch.store.pipe import Pipe, Rows, Statement

COMPLETED_AFTER_DAYS_MAX = 366
"""How long after its 0100 a completion is looked for: as long as an original is looked for at all."""

_ALWAYS = 8
"""Statements that every batch begins with."""
_NOTHING: Mapping[PoolKey, int] = {}

_new_stored: Callable[..., Stored] = Stored  # rows come as tuples of anything
_new_wallet: Callable[..., Wallet] = Wallet
_uses_of = msgspec.json.Decoder(tuple[tuple[int, int, int], ...]).decode


def _stored(row: TupleRow) -> Stored:
    key = PaymentKey(row[0], day_of_date(row[1]), row[2], row[3], row[4], row[5])
    return _new_stored(key, *row[6:12], day_of_date(row[12]), *row[13:31], row[31].encode())


class LaneBooks:
    """The books as one lane uses them. Not for concurrent use: one batch at a time."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._pipe: Pipe | None = None
        self._days: set[int] = set()
        self._slot = 0

    async def open(self) -> None:
        """Connect. Raises psycopg.OperationalError when the database is away."""
        await self.close()
        connection = await AsyncConnection.connect(self._conninfo, autocommit=True, connect_timeout=5)
        try:
            await connection.execute(sql.SETTINGS)
            claimed = await (await connection.execute(budgets.CLAIM_SLOT)).fetchone()
            if claimed is None:
                raise OperationalError(f"all {budgets.SLOTS_MAX} lanes' places are taken: run fewer lanes")
            self._slot = claimed[0]
        except BaseException:
            await connection.close()
            raise
        self._pipe = Pipe(connection)

    async def close(self) -> None:
        """Drop the connection; whatever was not committed is rolled back by the server."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            await pipe.close()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that is not known to be broken."""
        return self._pipe is not None and not self._pipe.broken

    async def ensure_days(self, days: Iterable[int]) -> None:
        """Make the partitions of these days (yyyymmdd), outside any batch."""
        for wanted in days:
            if wanted not in self._days:
                await self._round(((sql.ENSURE_DAY, (day(wanted),)),))
                self._days.add(wanted)

    async def _round(self, statements: Sequence[Statement]) -> list[Rows]:
        if self._pipe is None:
            raise InterfaceError("the lane is not connected")
        return await self._pipe.trip(statements)

    async def begin(
        self,
        requests: Sequence[Request],
        business_days: dict[int, int],
        given: Given = NO_GIVEN,
        further: Mapping[PoolKey, int] = _NOTHING,
        reach: int = Reach.SLOT,
    ) -> Loaded:
        """Start the transaction, lock and load. `business_days`: programme_no → yyyymmdd to book on.

        `given` are the programmes' budgets; of those in `further`, money is fetched from as far as `reach`
        says.
        """
        pools = budgets.pools_of(requests, given.lines_of) if given.lines_of else set()
        money = budgets.reading(pools, further, reach, self._slot, given.lines) if pools or further else []
        spent_too = {r.wallet_id for r in requests if r.original is not None}
        wallets = {r.wallet_id: r.key.bucket for r in requests}
        cards = {(r.key.bucket, r.wallet_id, r.card_no) for r in requests}
        keys = [r.key for r in requests]
        buckets, ids = list(wallets.values()), list(wallets)
        packed = (int2s(buckets), int8s(ids))
        days = [key.local_day for key in keys]
        key_buckets, stans = int2s([key.bucket for key in keys]), int4s([key.stan for key in keys])
        terminals = texts([key.terminal_id for key in keys])
        stones = [
            (r.key.bucket, r.wallet_id, r.key.terminal_id, r.key.stan, r.transmission) for r in requests
        ]
        # A completion whose 0100 never came: that one's reversal may have come before it.
        stones += [
            (r.key.bucket, r.wallet_id, r.original.terminal_id, r.original.stan, r.original.transmission)
            for r in requests
            if r.advice and r.original is not None
        ]
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
                        day(min(days)),
                        day(max(days)),
                    ),
                ),
                (
                    sql.TOMBSTONES,
                    (
                        int2s([s[0] for s in stones]),
                        int8s([s[1] for s in stones]),
                        texts([s[2] for s in stones]),
                        int4s([s[3] for s in stones]),
                        texts([s[4] for s in stones]),
                    ),
                ),
                *money,
            )
        )
        loaded = self._loaded(answers[:_ALWAYS])
        loaded.pools = Pools(given.lines)
        if money:
            drawn = budgets.drawn_from(answers[_ALWAYS:], bool(further), reach, self._slot)
            loaded.drawn, loaded.pools = drawn, budgets.pools_from(drawn, given.lines)
        return loaded

    def _loaded(self, answers: list[Rows]) -> Loaded:
        _, _, clocks, wallets, lots, cards, stored, stones = answers
        loaded = Loaded(
            epoch=clocks[0][2] if clocks else 0,
            closed_through={row[0]: day_of_date(row[1]) if row[1] else 0 for row in clocks},
            wallets={row[1]: _new_wallet(*row, {}, {}, {}, {}, {}, {}) for row in wallets},
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
        # Without a STAN the rest narrows the search, as in matching: a wallet may have many payments.
        wanted = {
            (r.key.bucket, r.wallet_id, o.terminal_id, o.stan, o.rrn, o.amount)
            for r in requests
            if (o := r.original) is not None
        }
        days = [r.original.day for r in requests if r.original is not None]
        marks = {(r.programme_no, r.key.bucket) for r in requests if r.original is not None}
        found, credited = await self._round(
            (
                (
                    sql.ORIGINALS,
                    (
                        int2s([w[0] for w in wanted]),
                        int8s([w[1] for w in wanted]),
                        texts([w[2] for w in wanted]),
                        int4s([w[3] for w in wanted]),
                        texts([w[4] for w in wanted]),
                        int8s([w[5] for w in wanted]),
                        _shift(min(days), -1),
                        _shift(max(days), 1),
                    ),
                ),
                (sql.CREDIT_MARKS, (int2s([m[0] for m in marks]), int2s([m[1] for m in marks]))),
            )
        )
        loaded.credited = {(row[0], row[1]): day_of_date(row[2]) for row in credited}
        loaded.originals = {}
        _add_originals(found, loaded)

    async def load_behind(
        self,
        followed: Sequence[tuple[int, int, int, int]],
        bases: Sequence[tuple[int, int, int]],
        loaded: Loaded,
    ) -> None:
        """Payments that originals follow, by (bucket, wallet, seq, local day), and completions of the
        pre-authorisations with these (bucket, wallet, seq)."""
        statements: list[Statement] = []
        if followed:
            statements.append(
                (
                    sql.BY_SEQ,
                    (
                        int2s([w[0] for w in followed]),
                        int8s([w[1] for w in followed]),
                        int4s([w[2] for w in followed]),
                        dates([w[3] for w in followed]),
                    ),
                )
            )
        if bases:
            days = [stored.key.local_day for found in loaded.originals.values() for stored in found]
            statements.append(
                (
                    sql.BY_BASE,
                    (
                        int2s([w[0] for w in bases]),
                        int8s([w[1] for w in bases]),
                        int4s([w[2] for w in bases]),
                        _shift(min(days), -1),
                        _shift(max(days), COMPLETED_AFTER_DAYS_MAX),
                    ),
                )
            )
        for found in await self._round(statements):
            _add_originals(found, loaded)

    async def load_holds(self, loaded: Loaded) -> None:
        """The holds of every wallet that has some."""
        wallets = [wallet for wallet in loaded.wallets.values() if wallet.holds]
        keys = (int2s([w.bucket for w in wallets]), int8s([w.wallet_id for w in wallets]))
        (found,) = await self._round(((sql.HOLDS, keys),))
        for wallet, seq, of_day, expires, won, uses in found:
            hold = Hold(seq, day_of_date(of_day), expires, won, _uses_of(uses))
            loaded.wallets[wallet].held[seq] = hold

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

    async def load_past_days(self, wanted: Sequence[tuple[int, int, int]], loaded: Loaded) -> None:
        """What was spent on days that wallets have left behind, by (bucket, wallet, yyyymmdd)."""
        days = [w[2] for w in wanted]
        (found,) = await self._round(
            (
                (
                    sql.PAST_DAYS,
                    (
                        int2s([w[0] for w in wanted]),
                        int8s([w[1] for w in wanted]),
                        dates(days),
                        day(min(days)),
                        day(max(days)),
                    ),
                ),
            )
        )
        for row in found:
            loaded.wallets[row[0]].past_days[day_of_date(row[1])] = row[2]

    async def load_shared(self, requests: Sequence[Request], loaded: Loaded) -> None:
        """What many wallets share, where requests name it: donation cases, locked, and the top-ups of outside
        references."""
        cases = lane_donations.cases_wanted(requests, loaded)
        references = lane_references.references_wanted(requests)
        statements: list[Statement] = []
        if cases:
            statements.append(lane_donations.lock(cases))
        if references:
            statements.append(lane_references.look_up(references))
        if not statements:
            return
        answers = await self._round(statements)
        if cases:
            lane_donations.keep(answers[0], loaded)
        if references:
            lane_references.keep(answers[-1], loaded, _stored)

    async def look_further(self, loaded: Loaded) -> int | None:
        """How far a batch whose budgets were short should reach; None: there is no more money."""
        drawn, short = loaded.drawn or Drawn(Reach.SLOT, {}), loaded.pools.short
        if drawn.reach == Reach.ALL and short.keys() <= drawn.rest.keys():
            return None
        (seen,) = await self._round((budgets.peeking(short, self._slot),))
        reach = budgets.reach_for(short, drawn, seen, loaded.pools.lines)
        if reach is None:
            drawn.elsewhere = budgets.elsewhere(drawn, seen)
        return reach

    async def load_campaign_use(self, wallets: Sequence[Wallet]) -> None:
        """What campaigns with a bound for each member have granted to these wallets."""
        keys = (int2s([w.bucket for w in wallets]), int8s([w.wallet_id for w in wallets]))
        (found,) = await self._round(((budgets.CAMPAIGN_USE, keys),))
        by_id = {wallet.wallet_id: wallet for wallet in wallets}
        for wallet_id, campaign_no, won in found:
            by_id[wallet_id].campaign_won[campaign_no] = won

    async def commit(self, decisions: Sequence[Decision], loaded: Loaded) -> None:
        """Write all that was decided and commit. When this returns, it is on the disk."""
        statements = writes(decisions, loaded, self._slot)
        statements.append(("COMMIT", ()))
        await self._round(statements)

    async def rollback(self) -> None:
        """Give the batch up; the connection is good for the next one, or closed."""
        if not self.is_open:
            return
        await self._round((("ROLLBACK", ()),))


def _add_originals(rows: Rows, loaded: Loaded) -> None:
    """Every payment once: two values of the same one would not see each other's changes."""
    seen = {stored.key for known in loaded.originals.values() for stored in known} if rows else set()
    for row in rows:
        original = _stored(row)
        if original.key not in seen:
            seen.add(original.key)
            loaded.originals.setdefault(original.wallet_id, []).append(original)


def _shift(to: int, by: int) -> Day:
    return day(day_of_date(date.fromordinal(date_of_day(to).toordinal() + by)))
