"""Posting a correction that two people have agreed on: compensating entries that name the originals.

It goes through the wallets in pieces, each in one transaction with what became of its lines; a run that was
stopped is finished by the same command, and a line is booked once. A payment that has changed since the
approval is left out: the next proposal finds it as it stands then.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row

from switch.domain.acts import ActKind
from switch.domain.budget import Line as Budget
from switch.domain.budget import PoolKey
from switch.domain.calendar import business_date
from switch.domain.correction import Difference, bounded, moves, points_lot
from switch.domain.wallet import LOTS_MAX, Lot, Wallet, points_expiry
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, Source, entry
from switch.service.admin import RefusedError
from switch.service.import_files import Progress, no_progress
from switch.service.review.correct import Work, correction_row
from switch.service.review.names import Names
from switch.store import corrections as store
from switch.store.acts import Act, ActBatch, lots_with_money
from switch.store.budget_pool import give, lines_of, take
from switch.store.bulk import chunks
from switch.store.corrections import LEFT_OUT, OPEN, POSTED, Line
from switch.store.funding import ensure_days, hold_open_date
from switch.store.reference_write import find_programmes

WALLETS_AT_ONCE = 200
"""Wallets in one transaction: a payment of one of them waits no longer than this many take."""

_DUE, _POINTS, _OWED = Account.FUNDER_DUE, Account.POINTS, Account.MEMBER_RECEIVABLE


class Posted(msgspec.Struct):
    """What a run did, in won: `given` to members, `taken` from them (`owed` of it), `waived`, `short` where a
    budget had nothing left. `left_out` counts payments that had changed."""

    number: int
    payments: int = 0
    given: int = 0
    taken: int = 0
    owed: int = 0
    waived: int = 0
    short: int = 0
    left_out: int = 0


def post(
    engine: Engine,
    number: int,
    actor: str,
    clock: Callable[[], datetime],
    progress: Progress = no_progress,
) -> Posted:
    """Book what is open of an approved correction. Raises NotFoundError, RefusedError, NoOpenDateError."""
    with engine.connect() as connection:
        row = correction_row(connection, number)
        if row.approved_by is None:
            raise RefusedError(f"correction {number} is not approved: a second person approves it first")
        names = Names(connection, row.programme_no)
        at = find_programmes(connection)[names.programme.programme_id]
        budgets = {line.budget_no: line for line in lines_of(connection, at).values()}
        losing, gaining = store.open_wallets(connection, number)
    report = Posted(number)
    done = 0
    # First those that lose won: budgets get them back before others need them.
    for keys in (*chunks(losing, WALLETS_AT_ONCE), *chunks(gaining, WALLETS_AT_ONCE)):
        now = clock()
        day = business_date(now, names.programme.cutover)
        ensure_days(engine, day)
        with engine.begin() as connection:
            booked_on = hold_open_date(connection, row.programme_no, day)
            batch = ActBatch(connection, row.programme_no, booked_on, actor, now)
            _Piece(connection, batch, row, Work(names, names.versions[row.policy_no]), budgets).run(
                keys, report
            )
        done += len(keys)
        progress("wallets", done, len(losing) + len(gaining))
    with engine.begin() as connection:
        store.finish(connection, number, clock())
    return report


class _Piece:
    """One transaction of a run."""

    def __init__(
        self,
        connection: Connection,
        batch: ActBatch,
        row: Row[Any],
        work: Work,
        budgets: dict[int, Budget],
    ) -> None:
        self._connection = connection
        self._batch = batch
        self._row = row
        self._work = work
        self._budgets = budgets
        months = work.names.versions[row.policy_no].policy.points_expiry_months
        self._expires = points_expiry(batch.today, months)
        self._done: list[Line] = []
        self._raised: dict[tuple[int, int, int], int] = {}

    def run(self, keys: Sequence[tuple[int, int]], report: Posted) -> None:
        """Book the open lines of these wallets."""
        wallets = self._batch.lock(keys)
        lines = store.lines_at(self._connection, self._row.correction_no, keys)
        open_lines = [one.difference for one in lines if one.state == OPEN]
        unchanged, changed = self._sort(open_lines)
        for one in changed:
            self._done.append(Line(one, 0, 0, LEFT_OUT))
        report.left_out += len({(one.wallet_id, one.seq) for one in changed})
        forgiven = self._forgiven(lines)
        booked = [one for one in unchanged if (one.bucket, one.wallet_id) not in forgiven]
        for one in unchanged:
            if (one.bucket, one.wallet_id) in forgiven:
                self._done.append(Line(one, 0, one.won, POSTED))
                report.waived += max(-one.won, 0)
        got = self._fetch(booked)
        for of, group in groupby(zip(booked, got, strict=True), key=lambda pair: _payment(pair[0])):
            pairs = list(group)
            self._book(wallets[of[0], of[1]], [one for one, _ in pairs], [had for _, had in pairs], report)
        self._give_back([one for one in self._done if one.booked < 0])
        self._batch.write()
        store.raise_granted(self._connection, [(*lot, won) for lot, won in self._raised.items()])
        store.mark(self._connection, self._row.correction_no, self._done)

    def _sort(self, lines: list[Difference]) -> tuple[list[Difference], list[Difference]]:
        """(lines that still hold, lines of payments that have changed)."""
        now: dict[tuple[int, int, int], list[Difference]] = {}
        for found in store.purchases_by_key(self._connection, lines):
            one = found.purchase
            now[one.bucket, one.wallet_id, one.seq] = self._work.of(found)
        unchanged: list[Difference] = []
        changed: list[Difference] = []
        for of, group in groupby(lines, key=_payment):
            own = list(group)
            full = lots_with_money(self._batch.wallets[of[0], of[1]]) >= LOTS_MAX
            (unchanged if now.get(of) == own and not full else changed).extend(own)
        return unchanged, changed

    def _forgiven(self, lines: Iterable[Line]) -> set[tuple[int, int]]:
        """Wallets that got too much, but less than is worth taking back: they keep all as it is."""
        won: dict[tuple[int, int], int] = {}
        for one in lines:
            key = (one.difference.bucket, one.difference.wallet_id)
            won[key] = won.get(key, 0) + one.difference.won
        return {key for key, net in won.items() if -self._row.forgive_below < net < 0}

    def _pool(self, one: Difference) -> PoolKey | None:
        line = self._budgets.get(one.budget_no)
        return line.key(one.month) if line is not None else None

    def _give_back(self, lines: list[Line]) -> None:
        """Budgets get back what was taken from members."""
        for pool, month, won in self._sums((one.difference, one.booked) for one in lines):
            give(self._connection, self._budgets[pool[0]], month, -won)

    def _fetch(self, lines: list[Difference]) -> list[int]:
        """What budgets have for each line, in the order of the lines; all of it where there is no bound."""
        left = {
            pool: take(self._connection, self._budgets[pool[0]], month, won)
            for pool, month, won in self._sums((one, one.won) for one in lines if one.won > 0)
        }
        got = []
        for one in lines:
            pool = self._pool(one)
            had = one.won if pool is None or one.won < 0 else min(one.won, left[pool])
            if pool is not None and one.won > 0:
                left[pool] -= had
            got.append(had)
        return got

    def _sums(self, parts: Iterable[tuple[Difference, int]]) -> list[tuple[PoolKey, int, int]]:
        """(pool, a month of it, won) over parts of lines, in the order of pools."""
        sums: dict[PoolKey, int] = {}
        month: dict[PoolKey, int] = {}
        for one, won in parts:
            pool = self._pool(one)
            if pool is not None:
                sums[pool] = sums.get(pool, 0) + won
                month[pool] = one.month
        return [(pool, month[pool], sums[pool]) for pool in sorted(sums)]

    def _book(self, wallet: Wallet, lines: list[Difference], got: list[int], report: Posted) -> None:
        """One payment: one posting."""
        wons = bounded([one.won for one in lines], got)
        plan = moves(wons, wallet, self._batch.held(wallet), self._batch.today)
        lot = points_lot(wallet, self._expires, self._batch.today)
        fresh = lot.lot_no not in wallet.lots
        entries: list[Entry] = [_entry(_DUE, _OWED, won, lines[place]) for place, won in plan.paid]
        entries += [_entry(_DUE, _POINTS, won, lines[place], lot.lot_no) for place, won in plan.given]
        entries += [
            _entry(_POINTS, _DUE, won, lines[place], lot_no or lot.lot_no)
            for place, lot_no, won in plan.taken
        ]
        waived = [0] * len(lines)
        for place, won in plan.short:
            if self._row.owe:
                entries.append(_entry(_OWED, _DUE, won, lines[place]))
                report.owed += won
            else:
                waived[place] = -won
                report.waived += won
        given = sum(won for _, won in plan.given)
        if entries:
            self._add(wallet, lines[0], entries, lot, given, fresh=fresh and bool(given))
            report.payments += 1
        for place, one in enumerate(lines):
            booked = wons[place] - waived[place]
            self._done.append(Line(one, booked, waived[place], POSTED))
            report.given += max(booked, 0)
            report.taken += max(-booked, 0)
            report.short += one.won - wons[place] if one.won > 0 else 0

    def _add(
        self, wallet: Wallet, one: Difference, entries: list[Entry], lot: Lot, given: int, *, fresh: bool
    ) -> None:
        opened = (msgspec.structs.replace(lot, balance=given, granted=given),) if fresh else ()
        self._batch.add(
            Act(
                reference=f"correction:{self._row.correction_no}:{one.wallet_id}:{one.seq}",
                kind=ActKind.CORRECTION,
                wallet=wallet,
                entries=tuple(entries),
                opened=opened,
                lot_no=lot.lot_no if given else 0,
                note=f"posting {one.seq} of {one.local_day}",
                budget_month=one.month,
                source=Source.CORRECTION,
            )
        )
        if given and not fresh:
            key = (wallet.bucket, wallet.wallet_id, lot.lot_no)
            self._raised[key] = self._raised.get(key, 0) + given


def _payment(one: Difference) -> tuple[int, int, int]:
    return one.bucket, one.wallet_id, one.seq


def _entry(debit: Account, credit: Account, won: int, one: Difference, lot_no: int = 0) -> Entry:
    return entry(debit, credit, won, lot_no=lot_no, funder_no=one.funder_no, budget_no=one.budget_no)
