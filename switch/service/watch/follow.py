"""Follows committed payments and flags what the rules find; a process of its own, which delays no payment.

    lead ─▶ remember (read the days that windows reach back to) ─▶ look (the newest) ─▶ sweep ─▶ settle ─┐
              ▲──────────────── rules changed, or the database broke ◀───────────────────────────────────┘

Transactions commit out of order and terminals' clocks differ, so no counter says what is new: the newest are
read by their own time with some grace, every payment of the open business dates is known by its posting, and
a sweep over each date finds what came later. A date is settled once it is over and swept. What is kept in
memory is worked out again from the books after a kill: the same payments give the same hits, and a hit that
is written down already is not written again.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from switch.domain.calendar import SEOUL
from switch.domain.watch import DAY_S
from switch.domain.watch_engine import Engine as Detectors
from switch.service.watch import metrics
from switch.service.watch.rules import Pending, Rules, read_rules
from switch.store.schema import control
from switch.store.schema_watch import mark
from switch.store.watch_feed import Row, of_dates, of_day, recent
from switch.store.watch_flags import write_hits

log = structlog.get_logger()

GRACE_S: Final = 120  # from a payment's own time to its commit; what takes longer only a sweep finds
SWEEP_S: Final = 300.0
SETTLE_S: Final = 600  # after a business date's end nothing is booked on it any more
FORGET_S: Final = 3_600
WRITE_AT: Final = 5_000  # hits kept while history is read
BACK_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_LEAD = text("SELECT pg_try_advisory_lock(hashtext('dure_watch'))")
_YIELD = text("SELECT pg_advisory_unlock(hashtext('dure_watch'))")


class NotLeadingError(RuntimeError):
    """Another process watches already."""


class Follower:
    """Watches all programmes that have rules. One leads; others stand by."""

    def __init__(self, engine: Engine, now: Callable[[], datetime]) -> None:
        self._engine = engine
        self._now = now
        self._leading: Connection | None = None
        self._rules: Rules | None = None
        self._detectors: dict[int, Detectors] = {}
        self._settled: dict[int, date] = {}
        # programme_no → ordinal of a business date, the last settled one and later → postings seen, each as
        # one number of wallet and sequence
        self._seen: dict[int, dict[int, set[int]]] = {}
        self._pending = Pending()
        self._looked = 0  # seconds: everything before was looked at, but for what came late
        self._remembering = False
        self._sweep_at = 0
        self._forget_at = 0

    # ── beginning ───────────────────────────────────────────────────────────────────────────────────────
    def start(self) -> None:
        """Lead, read the rules, and remember what windows reach back to. Raises NotLeadingError."""
        if self._leading is None:
            leading = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if not leading.execute(_LEAD).scalar_one():
                leading.close()
                raise NotLeadingError("another process watches")
            self._leading = leading
        with self._engine.begin() as connection:
            self._rules = read_rules(connection)
            self._settled = self._read_marks(connection, self._rules)
        self._detectors = {number: self._rules.detectors(number) for number in self._rules.watches}
        self._seen = {number: {} for number in self._rules.watches}
        self._remember(self._rules)

    def stop(self) -> None:
        """Let another process lead."""
        if self._leading is not None:
            leading, self._leading = self._leading, None
            with suppress(DBAPIError):  # else the next waits until the server sees the session's end
                leading.execute(_YIELD)
            leading.invalidate()  # the lock goes with the session, not back into the pool
            leading.close()

    def _read_marks(self, connection: Connection, rules: Rules) -> dict[int, date]:
        """How far each programme is settled; one that is watched for the first time begins with today."""
        known = {row[0]: row[1] for row in connection.execute(select(mark))}
        now = self._now()
        for number in rules.watches:
            if number not in known:
                known[number] = rules.business_date(number, now) - timedelta(days=1)
                _set_mark(connection, number, known[number])
        return known

    def _remember(self, rules: Rules) -> None:
        today = self._now().astimezone(SEOUL).date()
        self._looked = _seconds(self._now()) - GRACE_S
        self._remembering = True
        back = max([one.lookback_days for one in self._detectors.values()], default=0)
        for ahead in range(-back, 3):  # clocks of terminals may be ahead
            day = today + timedelta(days=ahead)
            with self._engine.connect() as connection:
                self._take(of_day(connection, list(rules.watches), day))
            for one in self._detectors.values():
                one.forget(min(day.toordinal() * DAY_S + DAY_S - 1, self._looked))
        self._remembering = False
        self._write()
        self._sweep(rules)

    # ── following ───────────────────────────────────────────────────────────────────────────────────────
    def look(self) -> int:
        """One round: the newest payments, and now and then a sweep. Returns how many were new."""
        rules = self._rules
        if rules is None or self._leading is None:
            raise NotLeadingError("start first")
        self._leading.execute(text("SELECT 1"))  # the lock is held only as long as the session lives
        with self._engine.connect() as connection:
            if connection.execute(select(control.c.reference_epoch)).scalar_one() != rules.epoch:
                rules = self._renew(connection, rules)
            until = _seconds(self._now())
            found = self._take(
                recent(connection, list(rules.watches), self._looked - GRACE_S, until + GRACE_S)
            )
        self._write()
        self._looked = until
        metrics.LOOKED_AT.set(self._now().timestamp())
        if until >= self._sweep_at:
            late = self._sweep(rules)
            metrics.LATE.inc(by=late)
            found += late
            self._settle(rules)
        if until >= self._forget_at:
            for one in self._detectors.values():
                one.forget(until)
            self._forget_at = until + FORGET_S
        metrics.SUBJECTS.set(sum(one.subjects for one in self._detectors.values()))
        return found

    def _renew(self, connection: Connection, rules: Rules) -> Rules:
        """The reference data changed: begin anew where rules did, else take over new shops."""
        new = read_rules(connection)
        if new.watches != rules.watches or new.cutovers != rules.cutovers:
            log.info("the rules changed: reading back")
            self.start()
            assert self._rules is not None  # noqa: S101 - start() has read them
            return self._rules
        rules.opened.update(new.opened)
        self._rules = Rules(new.epoch, rules.watches, rules.cutovers, rules.programme_id, rules.opened)
        return self._rules

    def _take(self, rows: Iterable[Row]) -> int:
        """Give the detectors what they have not seen; hits of dates settled before are known already."""
        new = 0
        for seen, business in rows:
            number = seen.programme_no
            settled = self._settled[number].toordinal()
            if business >= settled:
                dates = self._seen[number]
                postings = dates.get(business)
                if postings is None:
                    postings = dates[business] = set()
                posting = seen.wallet_id << 32 | seen.seq
                if posting in postings:
                    continue
                postings.add(posting)
            elif not self._remembering:
                continue  # a clock that is ahead: it was seen when it came
            new += 1
            for hit in self._detectors[number].observe(seen):
                if business > settled:
                    self._pending.add(hit)
            if len(self._pending) >= WRITE_AT:
                self._write()
        metrics.SEEN.inc(by=new)
        return new

    def _write(self) -> None:
        if not len(self._pending):
            return
        with self._engine.begin() as connection:
            written = write_hits(connection, self._pending.take(), self._now())
        for number, detector in written.opened:
            metrics.FLAGS.inc(detector)
            log.warning("flagged", flag=number, detector=detector)
        metrics.STOPS.inc(by=written.stopped)

    def _sweep(self, rules: Rules) -> int:
        """Every payment of the open business dates: finds what came late. Returns how many were new."""
        found = 0
        now = self._now()
        for number in rules.watches:
            with self._engine.connect() as connection:
                through = rules.business_date(number, now) + timedelta(days=1)
                found += self._take(of_dates(connection, number, self._settled[number], through))
        self._write()
        self._sweep_at = _seconds(now) + int(SWEEP_S)
        return found

    def _settle(self, rules: Rules) -> None:
        """Remember what is over and swept: after a kill nothing of it is written again."""
        over = self._now() - timedelta(seconds=SETTLE_S)
        for number in rules.watches:
            through = rules.business_date(number, over) - timedelta(days=1)
            if through <= self._settled[number]:
                continue
            with self._engine.begin() as connection:
                _set_mark(connection, number, through)
            self._settled[number] = through
            dates = self._seen[number]
            for business in [one for one in dates if one < through.toordinal()]:
                del dates[business]


def _set_mark(connection: Connection, number: int, through: date) -> None:
    row = upsert(mark).values(programme_no=number, settled_through=through)
    connection.execute(
        row.on_conflict_do_update(index_elements=["programme_no"], set_={"settled_through": through})
    )


def _seconds(now: datetime) -> int:
    local = now.astimezone(SEOUL)
    return local.toordinal() * DAY_S + local.hour * 3_600 + local.minute * 60 + local.second


def follow(engine: Engine, now: Callable[[], datetime], stop: threading.Event, *, poll_s: float) -> None:
    """Watch until `stop` is set; whatever breaks is waited for and begun again from the books."""
    follower = Follower(engine, now)
    failures = 0
    started = False
    while not stop.is_set():
        try:
            if not started:
                follower.start()
                started = True
                log.info("watching")
            found = follower.look()
            failures = 0
            stop.wait(0 if found > 1_000 else poll_s)
        except NotLeadingError:
            stop.wait(BACK_S[-1] if poll_s > BACK_S[-1] else poll_s)
        except SQLAlchemyError as error:  # the pool's time-out too
            follower.stop()
            started = False
            metrics.BROKEN.inc()
            log.warning("the books cannot be read; the watch begins again", error=type(error).__name__)
            stop.wait(BACK_S[min(failures, len(BACK_S) - 1)])
            failures += 1
    follower.stop()
