"""One worker of a simulation: replays the wallets of some buckets, leaves a tally and sorted steps.

A worker is a process of its own or, with one worker, this one. All see the snapshot that the first has taken.
"""

from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from switch.domain.programme_file import from_canonical
from switch.domain.replay import meet, replay, warm_up
from switch.domain.replay_budget import moment_of_arrival, step_of
from switch.domain.replay_tally import Tally
from switch.domain.replay_values import RETURNS, Booked, Past
from switch.service.review.as_if import as_if
from switch.service.review.history import Journey, journeys
from switch.service.review.spool import Spool
from switch.store.engine import conninfo
from switch.store.reference import Reference, load_reference

BUCKETS_AT_ONCE = 8
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Plan(msgspec.Struct, frozen=True):
    """What all workers share. Days are yyyymmdd; the days from `first` to `since` only bring wallets there.

    `document` is the programme to judge by, in canonical form; `url` where the books are.
    """

    url: str
    snapshot: str
    programme_no: int
    document: bytes
    as_version: str
    first: int
    since: int
    until: int
    examples_max: int
    folder: str


class PartResult(msgspec.Struct):
    """What a part found, and where its steps are."""

    tally: Tally
    runs: list[str]


class Worker:
    """A process's own connection and reference data."""

    def __init__(self, plan: Plan) -> None:
        url = make_url(plan.url)
        engine = create_engine(url, poolclass=NullPool, connect_args={"options": "-c timezone=Asia/Seoul"})
        self._plan = plan
        self._rules: Reference = as_if(
            load_reference(engine), plan.programme_no, from_canonical(plan.document), plan.as_version
        )
        self._connection: psycopg.Connection[Any] = psycopg.connect(
            conninfo(url), autocommit=True, connect_timeout=10, options="-c timezone=Asia/Seoul"
        )
        self._connection.execute("SET enable_mergejoin = off")  # buckets are few rows: hashes and indexes do
        self._connection.execute(_BEGIN)
        self._connection.execute(f"SET TRANSACTION SNAPSHOT '{plan.snapshot}'")

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def replay(self, low: int, high: int) -> PartResult:
        """Replay the wallets of the buckets low..high."""
        plan = self._plan
        tally = Tally()
        spool = Spool(Path(plan.folder), f"part-{low}")
        for start in range(low, high + 1, BUCKETS_AT_ONCE):
            end = min(start + BUCKETS_AT_ONCE - 1, high)
            walks = journeys(self._connection, plan.programme_no, start, end, plan.first, plan.until)
            for journey in walks:
                self._walk(journey, tally, spool)
        spool.flush()
        return PartResult(tally, [str(path) for path in spool.runs])

    def _walk(self, journey: Journey, tally: Tally, spool: Spool) -> None:
        plan, rules, state = self._plan, self._rules, journey.state
        back = {
            event.stored.original_seq
            for event in journey.events
            if isinstance(event, Past) and event.stored.key.kind in RETURNS
        }
        moment = 0
        tally.wallets += 1
        for event in journey.events:
            if isinstance(event, Booked):
                meet(state, event)
                continue
            stored = event.stored
            counted = stored.business_day >= plan.since
            verdict = replay(state, event, rules) if counted else warm_up(state, event, rules)
            key = stored.key
            # A wallet's own steps keep their order, whatever the terminals' clocks say.
            arrived = moment_of_arrival(stored.business_day, key.local_day, key.local_time)
            moment = max(moment, arrived)
            step = step_of(verdict, moment, returns=stored.seq in back, counted=counted)
            if step is not None:
                spool.add(step)
            if counted:
                tally.add(verdict, plan.examples_max)


_worker: list[Worker] = []


def start(plan: Plan) -> None:
    """Make this process a worker."""
    _worker.append(Worker(plan))


def run(low: int, high: int) -> PartResult:
    """Replay a part in this process."""
    return _worker[0].replay(low, high)
