"""What if: a programme's history judged by other rules, and the difference they would have made."""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Engine

from switch.domain.calendar import day_of_date
from switch.domain.payment import BUCKETS
from switch.domain.programme import Programme
from switch.domain.programme_file import canonical_json, canonical_sha256
from switch.domain.replay_budget import Found, Till
from switch.domain.replay_tally import Tally, Touched
from switch.service.admin import NotFoundError, RefusedError
from switch.service.review import simulate_report as tell
from switch.service.review.as_if import as_if
from switch.service.review.simulate_part import PartResult, Plan, Worker, run, start
from switch.service.review.spool import in_order
from switch.store.engine import conninfo
from switch.store.reference import load_reference
from switch.store.reference_write import find_programmes

DAYS_MAX = 366
PARTS = 32
EXAMPLES_MAX = 1_000
Tick = Callable[[str, int, int], None]


class Wish(msgspec.Struct, frozen=True):
    """What to simulate: business dates since..until, both included; one version for all time ("" each in its
    own); how many examples of each change and how many members and merchants to tell; how many processes."""

    since: date
    until: date
    as_version: str = ""
    examples: int = 3
    top: int = 10
    workers: int = 2


def simulate(
    engine: Engine, programme_id: str, wanted: Programme | None, wish: Wish, tick: Tick
) -> tell.SimulationReport:
    """Replay a programme's payments by `wanted` (None: by the rules in force, which checks the replay).

    Reads one snapshot and writes nothing. Raises NotFoundError, RefusedError.
    """
    began = time.monotonic()
    _check(wish)
    with engine.connect() as connection:
        at = find_programmes(connection).get(programme_id)
    if at is None:
        raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
    rules = wanted if wanted is not None else at.programme
    reference = as_if(load_reference(engine), at.programme_no, rules, wish.as_version)
    with _snapshot(engine) as snapshot, tempfile.TemporaryDirectory(prefix="dure-simulate-") as folder:
        plan = Plan(
            url=engine.url.render_as_string(hide_password=False),
            snapshot=snapshot,
            programme_no=at.programme_no,
            document=canonical_json(rules),
            as_version=wish.as_version,
            first=day_of_date(wish.since.replace(day=1)),
            since=day_of_date(wish.since),
            until=day_of_date(wish.until),
            examples_max=max(wish.examples, 1),
            folder=folder,
        )
        tally, runs = _replay(plan, wish, tick)
        till, found = Till(reference.budgets.lines), Found()
        months: set[int] = set()
        for step in in_order(runs):
            grants = till.take(step)
            found.add(step, grants)
            months.add(step.month)
    first, last = plan.since // 100, plan.until // 100
    months = {month for month in months if first <= month <= last} | {first, last}
    funder_id = {number: name for name, number in reference.funder_no[at.programme_no].items()}
    with engine.connect() as connection:
        members = _affected(tally.members, found.members, wish.top)
        merchants = _affected(tally.merchants, found.merchants, wish.top)
        member_id = tell.member_ids(connection, {row[0] for row in members})
        merchant_id = tell.merchant_ids(connection, {row[0] for row in merchants})
        return tell.SimulationReport(
            programme=programme_id,
            sha256=canonical_sha256(rules),
            since=wish.since.isoformat(),
            until=wish.until.isoformat(),
            as_version=wish.as_version,
            wallets=tally.wallets,
            payments=tally.payments,
            as_booked=tally.as_booked,
            fell_away=tally.fell_away,
            other_amount=tally.other_amount,
            declined_then=sum(day.declined_then for day in tally.days.values()),
            declined_now=sum(day.declined_now for day in tally.days.values()),
            won_then=sum(day.won_then for day in tally.days.values()),
            won_now=sum(day.won_now for day in tally.days.values()),
            cashback_then=sum(tally.then.values()),
            cashback_now=sum(found.now.values()),
            flips=tell.flips(connection, tally),
            funders=tell.funders(tally, found, funder_id),
            days=tell.days(tally, found, funder_id),
            budgets=tell.budgets(reference.budgets.lines, till, tally, months, at.programme_no),
            members=tuple([tell.AffectedRow(member_id.get(row[0], ""), *row[1:]) for row in members]),
            merchants=tuple([tell.AffectedRow(merchant_id.get(row[0], ""), *row[1:]) for row in merchants]),
            seconds=round(time.monotonic() - began, 2),
        )


def _check(wish: Wish) -> None:
    if wish.until < wish.since:
        raise RefusedError(f"--to {wish.until} lies before --from {wish.since}: exchange them")
    if (wish.until - wish.since).days >= DAYS_MAX:
        raise RefusedError(f"{wish.since} to {wish.until} are more than {DAYS_MAX} days: take a part")


@contextmanager
def _snapshot(engine: Engine) -> Iterator[str]:
    """The name of a snapshot of the books, good as long as it is open."""
    with psycopg.connect(conninfo(engine.url), autocommit=True, connect_timeout=10) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row: Any = connection.execute("SELECT pg_export_snapshot()").fetchone()
        yield str(row[0])


def _replay(plan: Plan, wish: Wish, tick: Tick) -> tuple[Tally, list[Path]]:
    """Every part, by this process or by several."""
    size = BUCKETS // PARTS
    parts = [(low, low + size - 1) for low in range(0, BUCKETS, size)]
    tally, runs = Tally(), list[Path]()

    def take(result: PartResult, done: int) -> None:
        tally.merge(result.tally, plan.examples_max)
        runs.extend(map(Path, result.runs))
        tick("wallets", done, len(parts))

    if wish.workers == 1:
        worker = Worker(plan)
        try:
            for done, (low, high) in enumerate(parts, 1):
                take(worker.replay(low, high), done)
        finally:
            worker.close()
        return tally, runs
    # Fresh processes: a fork would share this one's connections.
    with ProcessPoolExecutor(
        wish.workers, mp_context=get_context("spawn"), initializer=start, initargs=(plan,)
    ) as pool:
        waiting = [pool.submit(run, low, high) for low, high in parts]
        for done, future in enumerate(as_completed(waiting), 1):
            take(future.result(), done)
    return tally, runs


def _affected(
    touched: dict[int, Touched], cashback: dict[int, int], most: int
) -> list[tuple[int, int, int, int, int]]:
    numbers = {number: (one.refused, one.approved, one.won) for number, one in touched.items()}
    return tell.most_affected(numbers, cashback, most)
