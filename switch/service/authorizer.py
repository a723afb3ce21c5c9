"""The authorizer: group commit in lanes.

    collect ─▶ load (lock) ─▶ decide ─▶ post ─▶ commit, durably ─▶ answer

A lane works for the wallets of its buckets, one batch after another: the next batch is what has come while
the last one was being committed. There is no timer. A batch that fails is tried again in halves, so that
one poisoned request harms no other; a database that goes away is waited for, up to a limit.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import psycopg
import structlog

from switch.domain.budget import PoolKey
from switch.domain.calendar import business_date, date_of_day, day_of_date
from switch.domain.payment import BUCKETS, Kind
from switch.domain.reasons import REASONS
from switch.domain.request import Request
from switch.service import metrics
from switch.service.batch import (
    Answer,
    Batch,
    behind,
    decide_batch,
    past_days,
    past_months,
    shared,
    tell_what_is_elsewhere,
)
from switch.service.fair_queue import FairQueue, Waiting
from switch.service.holder import ReferenceHolder
from switch.store.lane import LaneBooks
from switch.store.lane_values import Loaded, Reach

log = structlog.get_logger()

_EXCEPTION = REASONS["exception"].number
_CLOSED_DAYS_MAX = 5  # tries to find an open business date before giving a batch up
_BEHIND_MAX = 3  # payments behind a payment
_COLLISIONS_MAX = 3  # tries when another program books a key of the batch first
_RECONNECT_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class BooksUnavailableError(Exception):
    """The books did not answer in time, or the lane's queue is full (DE39 91)."""


class BookingFailedError(Exception):
    """This one request cannot be booked: a fault of the program (DE39 96)."""


class Limits(msgspec.Struct, frozen=True):
    """Bounds: requests a batch, requests waiting in a lane; seconds for one batch and for its retries.

    `stale_s`: a request that has waited so long for its lane is not booked any more: its terminal has given
    up by then, or is about to, and money would be held that nobody knows of until its reversal comes.
    """

    batch_max: int = 256
    queue_max: int = 4096
    batch_s: float = 4.0
    give_up_s: float = 8.0
    stale_s: float = 12.0
    pin_tries_max: int = 3
    cvv_tries_max: int = 10


class Authorizer:
    """Answers requests from the books. One per process."""

    def __init__(
        self,
        conninfo: str,
        holder: ReferenceHolder,
        now: Callable[[], datetime],
        *,
        lanes: int = 2,
        limits: Limits | None = None,
    ) -> None:
        chosen = limits or Limits()
        self._lanes = [Lane(number, conninfo, holder, now, chosen) for number in range(lanes)]

    async def start(self) -> None:
        """Connect the lanes and set them to work. Raises psycopg.OperationalError without a database."""
        for lane in self._lanes:
            await lane.start()

    async def stop(self) -> None:
        """Finish what is queued, then disconnect."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes))

    def submit(self, request: Request) -> "asyncio.Future[Answer]":
        """Queue a request; the answer comes after its commit. Raises BooksUnavailableError when full."""
        return self._lanes[request.key.bucket * len(self._lanes) // BUCKETS].submit(request)


class Lane:
    """One database connection, one batch at a time."""

    def __init__(
        self,
        number: int,
        conninfo: str,
        holder: ReferenceHolder,
        now: Callable[[], datetime],
        limits: Limits,
    ) -> None:
        self._number = number
        self._conninfo = conninfo
        self._books = LaneBooks(conninfo)
        self._abandoned: set[asyncio.Task[list[Answer]]] = set()
        self._holder = holder
        self._now = now
        self._limits = limits
        self._queue = FairQueue()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._queued = metrics.QUEUE.labels(lane=str(number))

    async def start(self) -> None:
        await self._books.open()
        self._task = asyncio.create_task(self._run(), name=f"lane-{self._number}")

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._books.close()

    def submit(self, request: Request) -> "asyncio.Future[Answer]":
        if self._stopping:
            raise BooksUnavailableError("the lane is stopping")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        waiting = Waiting(request, future, loop.time())
        given_up = self._queue.put(waiting, self._limits.queue_max)
        if given_up is waiting:
            raise BooksUnavailableError("the lane's queue is full")
        if given_up is not None and not given_up.future.done():
            metrics.GIVEN_UP.inc()
            given_up.future.set_exception(BooksUnavailableError("its programme fills the lane's queue"))
        self._wake.set()
        return future

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            self._drop_stale()
            batch = self._queue.take(self._limits.batch_max)
            self._queued.set(len(self._queue))
            if batch:
                await self._serve(batch)

    def _drop_stale(self) -> None:
        """Answer those that have waited too long."""
        for waiting in self._queue.take_older(asyncio.get_running_loop().time() - self._limits.stale_s):
            metrics.STALE.inc()
            if not waiting.future.done():
                waiting.future.set_exception(BooksUnavailableError("it waited too long for its lane"))

    async def _serve(self, batch: Sequence[Waiting]) -> None:
        """Book a batch and answer it, whatever happens."""
        try:
            answers = await self._book_patiently(batch)
        except BooksUnavailableError as error:
            for waiting in batch:
                if not waiting.future.done():
                    waiting.future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lane must live and the others be served
            await self._isolate(batch, error)
        else:
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.future.done():  # whoever asked may have gone: the books are right all the same
                    waiting.future.set_result(answer)

    async def _isolate(self, batch: Sequence[Waiting], error: Exception) -> None:
        await self._reset()
        if len(batch) > 1:
            metrics.BATCH_RETRIES.inc("failed")
            half = len(batch) // 2
            await self._serve(batch[:half])
            await self._serve(batch[half:])
            return
        if not batch[0].future.done():
            batch[0].future.set_exception(BookingFailedError(type(error).__name__))
        # The error's own text may hold values of the message: its type and place are enough to find it.
        log.error(
            "request cannot be booked", error=type(error).__name__, terminal=batch[0].request.key.terminal_id
        )

    async def _reset(self) -> None:
        try:
            await self._books.rollback()
        except psycopg.Error:
            await self._books.close()

    async def _book_patiently(self, batch: Sequence[Waiting]) -> list[Answer]:
        """Book; when the connection breaks, begin again: what was committed is found by its key."""
        loop = asyncio.get_running_loop()
        tries = collisions = 0
        while True:
            try:
                if not self._books.is_open:
                    await self._books.open()
                return await self._book_in_time([waiting.request for waiting in batch])
            except psycopg.errors.UniqueViolation:
                # The same key, for another wallet of its bucket, by another program: no lock of ours kept it
                # out. It is committed now, and will be found.
                collisions += 1
                if collisions > _COLLISIONS_MAX:
                    raise
                await self._reset()
                metrics.BATCH_RETRIES.inc("collision")
            except (psycopg.OperationalError, psycopg.InterfaceError, OSError) as error:
                await self._books.close()
                metrics.BATCH_RETRIES.inc("database")
                oldest = loop.time() - min(waiting.since for waiting in batch)
                if oldest > self._limits.give_up_s or self._stopping:
                    log.error("the books do not answer", lane=self._number, error=type(error).__name__)
                    raise BooksUnavailableError("the books do not answer") from None
                await asyncio.sleep(_RECONNECT_S[min(tries, len(_RECONNECT_S) - 1)])
                tries += 1

    async def _book_in_time(self, requests: Sequence[Request]) -> list[Answer]:
        """Book, with a limit. Raises TimeoutError when the database neither answers nor breaks.

        The batch is then left to itself on its own connection: breaking it off politely would ask the very
        server that hangs. Should it still be committed, its payments are found by their keys.
        """
        running = asyncio.create_task(self._book(requests))
        done, _ = await asyncio.wait((running,), timeout=self._limits.batch_s)
        if done:
            return running.result()
        left, self._books = self._books, LaneBooks(self._conninfo)
        self._abandoned.add(running)
        running.add_done_callback(self._forget)
        running.cancel()
        await left.close()
        raise TimeoutError

    def _forget(self, task: "asyncio.Task[list[Answer]]") -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: it has been told as a time-out

    async def _book(self, requests: Sequence[Request]) -> list[Answer]:
        """One transaction: load, decide, write, commit."""
        started = asyncio.get_running_loop().time()
        further: dict[PoolKey, int] = {}
        reach: int = Reach.SLOT
        while True:
            loaded, business_days = await self._load(requests, further, reach)
            batch = decide_batch(
                requests,
                loaded,
                self._holder.current,
                business_days,
                self._limits.pin_tries_max,
                self._limits.cvv_tries_max,
            )
            if not loaded.pools.short:
                break
            next_reach = await self._books.look_further(loaded)
            if next_reach is None:  # what was granted is all there is
                tell_what_is_elsewhere(batch, loaded)
                break
            further, reach = {**further, **loaded.pools.short}, next_reach
            await self._books.rollback()
            metrics.BATCH_RETRIES.inc("budget")
        await self._books.commit(batch.decisions, loaded)
        metrics.BATCHES.inc()
        metrics.BATCH_SIZE.observe(len(requests))
        metrics.BATCH_SECONDS.observe(asyncio.get_running_loop().time() - started)
        _count(batch)
        return batch.answers

    async def _load(
        self, requests: Sequence[Request], further: dict[PoolKey, int], reach: int
    ) -> tuple[Loaded, dict[int, int]]:
        closed: dict[int, int] = {}
        for _ in range(_CLOSED_DAYS_MAX):
            reference = self._holder.current
            now = self._now()
            business_days: dict[int, int] = {}
            for programme_no in {request.programme_no for request in requests}:
                day = business_date(now, reference.programmes[programme_no].cutover)
                after = closed.get(programme_no, 0)
                business_days[programme_no] = max(day_of_date(day), _day_after(after) if after else 0)
            await self._books.ensure_days({r.key.local_day for r in requests} | set(business_days.values()))
            loaded = await self._books.begin(requests, business_days, reference.budgets, further, reach)
            if loaded.epoch != reference.epoch:
                await self._books.rollback()
                await self._holder.refresh()
                metrics.BATCH_RETRIES.inc("reference")
                continue
            if any(day <= loaded.closed_through.get(p, 0) for p, day in business_days.items()):
                await self._books.rollback()
                closed = loaded.closed_through
                metrics.BATCH_RETRIES.inc("closed")
                continue
            loaded.soundboxes = reference.soundboxes
            await self._load_rest(requests, loaded)
            return loaded, business_days
        raise BooksUnavailableError("reference data or business date keep changing")

    async def _load_rest(self, requests: Sequence[Request], loaded: Loaded) -> None:
        """The second round: only what follows a payment, late payments and wallets with holds have one."""
        if any(request.original is not None for request in requests):
            await self._books.load_originals([r for r in requests if r.original is not None], loaded)
            await self._load_behind(requests, loaded)
        if self._holder.current.member_bound:
            await self._load_campaign_use(requests, loaded)
        if shared(requests):
            await self._books.load_shared(requests, loaded)
        if any(wallet.holds for wallet in loaded.wallets.values()):
            await self._books.load_holds(loaded)
        months = past_months(requests, loaded)
        if months:
            await self._books.load_past(months, loaded)
        days = past_days(requests, loaded)
        if days:
            await self._books.load_past_days(days, loaded)

    async def _load_campaign_use(self, requests: Sequence[Request], loaded: Loaded) -> None:
        bound = self._holder.current.member_bound
        asked = {request.wallet_id for request in requests if request.programme_no in bound}
        wallets = [loaded.wallets[number] for number in sorted(asked) if number in loaded.wallets]
        if wallets:
            await self._books.load_campaign_use(wallets)

    async def _load_behind(self, requests: Sequence[Request], loaded: Loaded) -> None:
        """Step by step: a reversal's void, the increment that it freed, the first 0100, its completion."""
        followed, bases = behind(requests, loaded)
        asked_followed, asked_bases = set(followed), set(bases)
        for _ in range(_BEHIND_MAX):
            if not followed and not bases:
                return
            await self._books.load_behind(sorted(followed), sorted(bases), loaded)
            followed, bases = behind(requests, loaded)
            followed, bases = followed - asked_followed, bases - asked_bases
            asked_followed |= followed
            asked_bases |= bases


def _day_after(day: int) -> int:
    return day_of_date(date_of_day(day).fromordinal(date_of_day(day).toordinal() + 1))


def _count(batch: Batch) -> None:
    for answer in batch.answers:
        if answer.differs:
            metrics.DIFFERING_REPEATS.inc()
        elif answer.repeated:
            metrics.REPEATS.inc()
    for decision in batch.decisions:
        if decision.stored.reason == _EXCEPTION:
            metrics.EXCEPTIONS.inc()
        if decision.missed and decision.stored.key.kind == Kind.PURCHASE:
            metrics.CASHBACK_MISSED.inc(by=sum([won for _, _, won in decision.missed]))
