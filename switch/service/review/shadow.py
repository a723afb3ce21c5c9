"""Shadow policies: rules that judge every live payment beside the rules in force, and only record.

A follower, never in a lane's way: it reads what is committed, by each wallet's posting numbers, and writes
its findings and its marks in one transaction, so that after a kill it goes on exactly where it was. Each
payment is judged in the situation that it really met - usage, lots and limits as they were -, so differences
do not add up over a month as a simulation's do; the shadow's budgets do: they are its own. What follows
another payment (returns, completions) is not judged: a return takes its part of what the shadow granted.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Engine, select, text, update

from switch.domain.budget import Grants
from switch.domain.calendar import SEOUL
from switch.domain.granting import total
from switch.domain.payment import BUCKETS, Kind, Outcome
from switch.domain.programme import Programme
from switch.domain.programme_file import canonical_json, canonical_sha256, from_canonical
from switch.domain.replay import meet, replay, warm_up
from switch.domain.replay_budget import Till, moment_of_arrival, step_of
from switch.domain.replay_values import AS_BOOKED, RETURNS, Booked, Past, Verdict
from switch.service.admin import NotFoundError, RefusedError
from switch.service.review.as_if import as_if
from switch.service.review.history import LATE_DAYS_MAX
from switch.service.review.shadow_read import Waiting, waiting
from switch.service.review.shadow_write import Row, earlier, pools, write
from switch.store.bulk import lock_administration
from switch.store.engine import conninfo
from switch.store.reference import load_reference, read_epoch
from switch.store.reference_write import find_programmes, next_number
from switch.store.schema_shadow import shadow

WALLETS_AT_ONCE = 500
BUCKETS_AT_ONCE = 64
_NOT_DONE = frozenset({Outcome.DECLINED, Outcome.ACKNOWLEDGED, Outcome.EXCEPTION})
_LATENESS = timedelta(days=LATE_DAYS_MAX)


class AlreadyFollowedError(RuntimeError):
    """Another process follows this shadow."""


class Shadow(msgspec.Struct, frozen=True):
    """A shadow policy that was started."""

    shadow_no: int
    programme_no: int
    programme: str
    name: str
    sha256: str
    started_by: str
    started_at: datetime
    stopped_at: datetime | None


def start(engine: Engine, programme_id: str, wanted: Programme, name: str, by: str, now: datetime) -> Shadow:
    """Let `wanted` judge every payment from now on. Raises NotFoundError, RefusedError."""
    with engine.begin() as connection:
        lock_administration(connection)
        at = find_programmes(connection).get(programme_id)
        if at is None:
            raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
        if wanted.programme_id != programme_id:
            raise RefusedError(f'the file describes "{wanted.programme_id}", not "{programme_id}"')
        taken = select(shadow.c.shadow_no).where(
            shadow.c.programme_no == at.programme_no, shadow.c.name == name
        )
        if connection.scalar(taken) is not None:
            raise RefusedError(f'a shadow "{name}" of {programme_id} exists: choose another name')
        number = next_number(connection, shadow, "shadow_no")
        connection.execute(
            shadow.insert().values(
                shadow_no=number,
                programme_no=at.programme_no,
                name=name,
                document=canonical_json(wanted).decode(),
                sha256=canonical_sha256(wanted),
                started_by=by,
                started_at=now,
            )
        )
        connection.execute(
            text(
                "INSERT INTO shadow_mark (bucket, wallet_id, shadow_no, seq)"
                " SELECT bucket, wallet_id, :number, seq FROM wallet WHERE programme_no = :programme_no"
                " AND seq > 0"
            ),
            {"number": number, "programme_no": at.programme_no},
        )
    return find(engine, programme_id, name)


def stop(engine: Engine, programme_id: str, name: str, now: datetime) -> Shadow:
    """Let a shadow end; what it found stays. Stopping twice is the same. Raises NotFoundError."""
    one = find(engine, programme_id, name)
    with engine.begin() as connection:
        connection.execute(
            update(shadow)
            .where(shadow.c.shadow_no == one.shadow_no, shadow.c.stopped_at.is_(None))
            .values(stopped_at=now)
        )
    return find(engine, programme_id, name)


def find(engine: Engine, programme_id: str, name: str) -> Shadow:
    """The shadow of this name. Raises NotFoundError with those that there are."""
    with engine.connect() as connection:
        at = find_programmes(connection).get(programme_id)
        if at is None:
            raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
        rows = connection.execute(select(shadow).where(shadow.c.programme_no == at.programme_no)).all()
    for row in rows:
        if row.name == name:
            told = (row.name, row.sha256, row.started_by, row.started_at, row.stopped_at)
            return Shadow(row.shadow_no, row.programme_no, programme_id, *told)
    known = ", ".join(row.name for row in rows) or "none"
    raise NotFoundError(f'{programme_id} has no shadow "{name}": there are {known}')


class Follower:
    """Judges what was committed since its last transaction. One for each shadow: a lock says so."""

    def __init__(self, engine: Engine, one: Shadow) -> None:
        self._engine, self._one = engine, one
        # Until a round over all wallets is done, their postings may be as old as the shadow.
        self._floor = one.started_at.astimezone(SEOUL).date() - _LATENESS
        self._epoch = -1
        self._load()
        self._connection: psycopg.Connection[Any] = psycopg.connect(
            conninfo(engine.url), autocommit=True, connect_timeout=10, options="-c timezone=Asia/Seoul"
        )
        got: Any = self._connection.execute(
            "SELECT pg_try_advisory_lock(hashtext('dure_shadow'), %s)", (one.shadow_no,)
        ).fetchone()
        if not got[0]:
            self._connection.close()
            raise AlreadyFollowedError(f'another process follows the shadow "{one.name}": one is enough')

    def close(self) -> None:
        """Give the shadow free for another follower."""
        self._connection.close()

    def round(self, now: datetime, ended: Callable[[], bool] = lambda: False) -> int:
        """Judge whatever waits in any wallet, a transaction at a time; returns how many payments it were."""
        self._load()
        judged = 0
        for low in range(0, BUCKETS, BUCKETS_AT_ONCE):
            while not ended():
                wallets, payments = self._batch(low, low + BUCKETS_AT_ONCE - 1)
                judged += payments
                if wallets < WALLETS_AT_ONCE:
                    break
        if not ended():
            self._floor = max(self._floor, now.astimezone(SEOUL).date() - _LATENESS)
        return judged

    def _load(self) -> None:
        """Take changed reference data in: merchants move between groups under a shadow too."""
        epoch = read_epoch(self._engine)
        if epoch == self._epoch:
            return
        self._epoch = epoch
        with self._engine.connect() as connection:
            document = connection.scalar(
                select(shadow.c.document).where(shadow.c.shadow_no == self._one.shadow_no)
            )
        wanted = from_canonical(str(document).encode())
        self._rules = as_if(load_reference(self._engine), self._one.programme_no, wanted)

    def _batch(self, low: int, high: int) -> tuple[int, int]:
        """One transaction: (wallets, payments) judged. Marks and findings stand together or not at all."""
        one, connection = self._one, self._connection
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            found = waiting(
                connection, one.shadow_no, one.programme_no, low, high, self._floor, WALLETS_AT_ONCE
            )
            if not found:
                return 0, 0
            verdicts = [verdict for each in found for verdict in self._judge(each)]
            rows = self._settle(connection, verdicts)
            write(connection, one.shadow_no, found, rows)
        return len(found), len(verdicts)

    def _judge(self, each: Waiting) -> list[Verdict]:
        """What the wallet's postings come to, each in the situation that it met."""
        state, found = each.journey.state, []
        for event in each.journey.events:
            if isinstance(event, Booked):
                meet(state, event)
            elif event.stored.original_seq:
                found.append(warm_up(state, event, self._rules))
            else:
                found.append(replay(state, event, self._rules, keep=False))
        return found

    def _settle(self, connection: psycopg.Connection[Any], verdicts: list[Verdict]) -> list[Row]:
        """Ask the shadow's own budgets, in order of arrival."""
        lines = self._rules.budgets.lines
        till = Till(lines)
        left, save = pools(connection, self._one.shadow_no, lines)
        till.have(left)
        found = earlier(connection, self._one.shadow_no, [verdict.past for verdict in verdicts])
        rows = []
        for verdict in sorted(verdicts, key=_arrival):
            past, stored = verdict.past, verdict.past.stored
            if stored.key.kind in RETURNS and (stored.wallet_id, stored.original_seq) in found:
                verdict.due = _proportion(past, found[stored.wallet_id, stored.original_seq])
                verdict.of, verdict.rated = stored.original_seq, AS_BOOKED
            step = step_of(verdict, _arrival(verdict)[0], returns=False, counted=True)
            grants: Grants = till.take(step) if step is not None else ()
            was = 0 if stored.outcome in _NOT_DONE else stored.approved
            now = verdict.approved if verdict.judged else was
            row = Row(past, was, now, verdict.reason, total(grants), grants)
            rows.append(row)
            if row.differs:
                found[stored.wallet_id, stored.seq] = row.found()
        save(till.burns)
        return rows


def _arrival(verdict: Verdict) -> tuple[int, int, int]:
    stored = verdict.past.stored
    moment = moment_of_arrival(stored.business_day, stored.key.local_day, stored.key.local_time)
    return moment, stored.wallet_id, stored.seq


def _proportion(past: Past, origin: tuple[int, int, Grants]) -> Grants:
    """What a return takes of what the shadow granted, (kind, approved, grants) of its original: the part of
    the won that came back. Of a return that is undone: all that it took, negative."""
    kind, approved, grants = origin
    if kind != Kind.PURCHASE or not approved:  # what was refused live is taken back whole, if at all
        return grants
    before, after = past.detail.returned or (0, past.stored.approved)
    shares = [
        (funder, budget, won * after // approved - won * before // approved) for funder, budget, won in grants
    ]
    return tuple([part for part in shares if part[2]])
