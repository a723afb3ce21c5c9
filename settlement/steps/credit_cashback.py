"""Step 3: what was promised at the payments becomes points, a few buckets of wallets at a time.

Each transaction settles its buckets for good and says so in credit_mark, so that the step can stop anywhere
and go on. A lane that holds a wallet's lock reads either the old mark and the old points, or both new.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from settlement.domain.credit import Credit, credit
from settlement.domain.run import State, Step
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.report import CreditOutcome, FunderCashback
from settlement.steps import close_day, verify_cashback
from settlement.store.runs import begin_step, end_step, open_for_booking
from switch.domain.calendar import day_of_date
from switch.domain.payment import BUCKETS
from switch.domain.reasons import REASONS
from switch.domain.wallet import Lot, LotKind, points_expiry
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.store.dayhash import payment_window
from switch.store.schema import credit_mark

_USES = msgspec.json.Decoder(tuple[tuple[int, int, int], ...])
BUCKETS_AT_ONCE = 8
"""Buckets in one transaction: fewer commits, yet no member's payment waits long for a wallet."""

_ACCRUED = f"""
    FROM entry
    WHERE programme_no = :programme_no AND business_date = :day AND source = {Source.PAYMENT:d}
      AND (debit = {Account.CASHBACK_ACCRUED:d} OR credit = {Account.CASHBACK_ACCRUED:d})
"""
_NET = f"sum(CASE WHEN credit = {Account.CASHBACK_ACCRUED:d} THEN won ELSE -won END)"
_TOTALS = text(f"""
    SELECT count(*) FILTER (WHERE net > 0) AS wallets,
           coalesce(sum(net) FILTER (WHERE net > 0), 0)::bigint AS credited,
           coalesce(-sum(net) FILTER (WHERE net < 0), 0)::bigint AS taken
    FROM (SELECT {_NET} AS net {_ACCRUED} GROUP BY bucket, wallet_id) w
""")  # noqa: S608 (numbers of our own enumerations)
_FUNDERS = text(f"""
    SELECT funder_no,
           coalesce(sum(won) FILTER (WHERE debit = {Account.FUNDER_DUE:d}), 0)::bigint AS granted,
           coalesce(sum(won) FILTER (WHERE credit = {Account.FUNDER_DUE:d}), 0)::bigint AS taken_back
    {_ACCRUED} AND funder_no > 0 GROUP BY funder_no ORDER BY funder_no
""")
_EXCEPTIONS = text("""
    SELECT count(*) FROM payment WHERE programme_no = :programme_no AND business_date = :day
       AND local_day BETWEEN :first AND :last AND reason = :exception
""")
_WORK_BUCKETS = text(f"""
    SELECT DISTINCT bucket FROM (
        SELECT bucket {_ACCRUED} GROUP BY bucket, wallet_id HAVING {_NET} <> 0) w
    WHERE NOT EXISTS (SELECT FROM credit_mark m WHERE m.programme_no = :programme_no
                      AND m.bucket = w.bucket AND m.credited_through >= :day)
    ORDER BY bucket
""")  # noqa: S608
# The rows of a closed date stand still, so the nets may be read before the wallets are locked.
_NETS = text(f"""
    SELECT bucket, wallet_id, {_NET}::bigint AS net {_ACCRUED} AND bucket = ANY(CAST(:buckets AS smallint[]))
    GROUP BY bucket, wallet_id HAVING {_NET} <> 0 ORDER BY bucket, wallet_id
""")
_WANTED = "unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[])) AS x(bucket, wallet_id)"
_LOCK = text(f"""
    SELECT w.bucket, w.wallet_id, w.seq, w.lot_seq, w.receivable, w.holds FROM wallet w
    JOIN {_WANTED} USING (bucket, wallet_id) ORDER BY w.bucket, w.wallet_id FOR NO KEY UPDATE OF w
""")  # noqa: S608
_LOTS = text(f"""
    SELECT l.* FROM {_WANTED} CROSS JOIN LATERAL (
        SELECT * FROM lot l WHERE l.bucket = x.bucket AND l.wallet_id = x.wallet_id
           AND l.kind = {LotKind.POINTS:d} OFFSET 0) l
    ORDER BY l.bucket, l.wallet_id, l.lot_no
""")  # noqa: S608
# Money that a pre-authorisation holds is not taken, even where its time has just run out: the wallet's next
# payment frees it.
_HOLDS = text(f"""
    SELECT h.bucket, h.wallet_id, h.uses FROM {_WANTED} JOIN hold h USING (bucket, wallet_id)
""")  # noqa: S608
# A batch touches one wallet in a hundred or fewer. Statistics lag behind a night that opens many lots, and a
# plan that reads the whole table for each batch would take hours; so only indexes may be used.
_BY_INDEX = text("""
    SELECT set_config('enable_seqscan', 'off', true),
           set_config('idle_in_transaction_session_timeout', '30s', true)
""")  # the second: a program that stands still loses the wallets that it has locked
_UPDATE_WALLETS = text("""
    UPDATE wallet w SET seq = w.seq + 1, lot_seq = w.lot_seq + x.opened, receivable = x.receivable
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:opened AS integer[]),
                CAST(:receivables AS bigint[])) AS x(bucket, wallet_id, opened, receivable)
    WHERE w.bucket = x.bucket AND w.wallet_id = x.wallet_id
""")
_UPDATE_LOTS = text("""
    UPDATE lot l SET balance = l.balance + x.won, granted = l.granted + greatest(x.won, 0)
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:lots AS integer[]),
                CAST(:wons AS bigint[])) AS x(bucket, wallet_id, lot_no, won)
    WHERE l.bucket = x.bucket AND l.wallet_id = x.wallet_id AND l.lot_no = x.lot_no
""")
_INSERT_LOTS = text("""
    INSERT INTO lot (bucket, wallet_id, lot_no, kind, funder_no, balance, granted, opened, expires)
    SELECT bucket, wallet_id, lot_no, :kind, 0, won, won, :opened, :expires
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:lots AS integer[]),
                CAST(:wons AS bigint[])) AS x(bucket, wallet_id, lot_no, won)
""")
_INSERT_ENTRIES = text("""
    INSERT INTO entry (bucket, business_date, wallet_id, seq, line, programme_no, source, debit, credit, won,
                       lot_no, merchant_no, funder_no)
    SELECT bucket, :booked_on, wallet_id, seq, line, :programme_no, :source, debit, credit, won, lot_no, 0, 0
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:seqs AS integer[]),
                CAST(:lines AS smallint[]), CAST(:debits AS smallint[]), CAST(:credits AS smallint[]),
                CAST(:wons AS bigint[]), CAST(:lots AS integer[]))
         AS x(bucket, wallet_id, seq, line, debit, credit, won, lot_no)
""")
_MARK_IDLE = text("""
    INSERT INTO credit_mark (programme_no, bucket, credited_through)
    SELECT :programme_no, bucket, :day FROM generate_series(0, :last_bucket) AS bucket
    WHERE NOT bucket = ANY(CAST(:busy AS integer[]))
    ON CONFLICT (programme_no, bucket) DO UPDATE SET credited_through = excluded.credited_through
    WHERE credit_mark.credited_through < excluded.credited_through
""")


def preview(frame: Frame) -> CreditOutcome:
    """Recompute the date, and say what crediting it comes to. Raises ControlMismatchError."""
    verify_cashback.verify(frame)
    return _outcome(frame)


def run(frame: Frame) -> CreditOutcome:
    """Recompute, then credit what is not credited yet. Raises ControlMismatchError with nothing credited."""
    connection, key = frame.connection, frame.key
    with connection.begin():
        begin_step(connection, key, Step.CREDIT_CASHBACK, frame.now(), close_day.frozen_sha256(frame))
    with connection.begin():
        verify_cashback.verify(frame)
        outcome = _outcome(frame)
    frame.observer.reached("credit_cashback:verified")
    with connection.begin():
        work = list(connection.execute(_WORK_BUCKETS, frame.of_day()).scalars())
        idle = {"last_bucket": BUCKETS - 1, "busy": work}
        connection.execute(_MARK_IDLE, {**frame.of_day(), **idle})
    tick = frame.reporter(Step.CREDIT_CASHBACK, len(work))
    booked_on: date | None = None
    for start in range(0, len(work), BUCKETS_AT_ONCE):
        if booked_on != frame.open_date():
            booked_on = frame.open_date()
            with connection.begin():  # of its own: it makes whoever else asks for a partition wait
                connection.execute(select(text("dure_ensure_day(:day)")), {"day": booked_on})
        _credit_buckets(frame, work[start : start + BUCKETS_AT_ONCE], booked_on)
        tick(min(start + BUCKETS_AT_ONCE, len(work)))
        frame.observer.reached(f"credit_cashback:batch:{start}")
    with connection.begin():
        end_step(connection, key, Step.CREDIT_CASHBACK, frame.now(), State.DONE, outcome)
    return outcome


def _outcome(frame: Frame) -> CreditOutcome:
    totals = frame.connection.execute(_TOTALS, frame.of_day()).one()
    funders = frame.connection.execute(_FUNDERS, frame.of_day()).all()
    first, last = payment_window(frame.day)
    window = {"first": first, "last": last, "exception": REASONS["exception"].number}
    exceptions = frame.connection.execute(_EXCEPTIONS, {**frame.of_day(), **window}).scalar_one()
    cashback = tuple(
        FunderCashback(frame.facts.funder_id[row.funder_no], row.granted, row.taken_back) for row in funders
    )
    return CreditOutcome(cashback, totals.wallets, totals.credited, totals.taken, exceptions)


def _credit_buckets(frame: Frame, buckets: list[int], booked_on: date) -> None:
    """One transaction: lock, work out, write, mark."""
    connection, key = frame.connection, frame.key
    with connection.begin():
        connection.execute(_BY_INDEX)
        open_for_booking(connection, key.programme_no, booked_on)
        nets = connection.execute(_NETS, {**frame.of_day(), "buckets": buckets}).all()
        batch = _Batch(frame, booked_on)
        wanted = {"buckets": [row.bucket for row in nets], "wallets": [row.wallet_id for row in nets]}
        # Lots are read by a statement of their own, after the lock: one that locks and reads together
        # would see lots as they were before it waited.
        wallets = {(row.bucket, row.wallet_id): row for row in connection.execute(_LOCK, wanted)}
        lots: dict[tuple[int, int], list[Lot]] = {}
        for row in connection.execute(_LOTS, wanted):
            lots.setdefault((row.bucket, row.wallet_id), []).append(_lot(row))
        if any(row.holds for row in wallets.values()):
            _leave_held(lots, connection.execute(_HOLDS, wanted))
        for row in nets:
            where = (row.bucket, row.wallet_id)
            if where not in wallets:
                raise ControlMismatchError(f"wallet {row.wallet_id} has entries, but is gone: restore it")
            batch.add(wallets[where], row.net, lots.get(where, []))
        batch.write(connection)
        for bucket in buckets:
            _mark(connection, key.programme_no, bucket, frame.day)
        frame.observer.reached(f"credit_cashback:written:{buckets[0]}")


def _lot(row: Any) -> Lot:
    return Lot(row.lot_no, row.kind, row.funder_no, row.balance, row.granted, row.opened, row.expires)


def _leave_held(lots: dict[tuple[int, int], list[Lot]], holds: Iterable[Any]) -> None:
    """Let each lot show only what no hold keeps."""
    for row in holds:
        held = {lot_no: won for lot_no, _, won in _USES.decode(row.uses)}
        for lot in lots.get((row.bucket, row.wallet_id), ()):
            lot.balance -= held.get(lot.lot_no, 0)


def _mark(connection: Connection, programme_no: int, bucket: int, day: date) -> None:
    connection.execute(
        upsert(credit_mark)
        .values(programme_no=programme_no, bucket=bucket, credited_through=day)
        .on_conflict_do_update(constraint=credit_mark.primary_key, set_={"credited_through": day})
    )


class _Batch:
    """The columns of one transaction's rows, gathered wallet by wallet and written set by set."""

    def __init__(self, frame: Frame, booked_on: date) -> None:
        policy = frame.facts.policy_of(frame.day)
        self._expires = points_expiry(day_of_date(frame.day), policy.points_expiry_months)
        self._booked_on = booked_on
        self._programme_no = frame.key.programme_no
        self._wallets: list[tuple[int, int, int, int]] = []
        self._lots: list[tuple[int, int, int, int]] = []
        self._new_lots: list[tuple[int, int, int, int]] = []
        self._entries: list[tuple[int, int, int, int, int, int, int, int]] = []

    def add(self, wallet: Any, net: int, lots: list[Lot]) -> None:
        booked: Credit = credit(
            net,
            receivable=wallet.receivable,
            lots=lots,
            lot_seq=wallet.lot_seq,
            expires=self._expires,
            booked_on=day_of_date(self._booked_on),
        )
        bucket, wallet_id = wallet.bucket, wallet.wallet_id
        self._wallets.append((bucket, wallet_id, 1 if booked.new_lot else 0, booked.receivable))
        self._lots += [(bucket, wallet_id, lot_no, won) for lot_no, won in booked.lot_changes]
        if booked.new_lot:
            self._new_lots.append((bucket, wallet_id, booked.new_lot.lot_no, booked.new_lot.balance))
        for line, entry in enumerate(booked.entries):
            self._entries.append(
                (bucket, wallet_id, wallet.seq + 1, line, entry.debit, entry.credit, entry.won, entry.lot_no)
            )

    def write(self, connection: Connection) -> None:
        lot_columns = ("buckets", "wallets", "lots", "wons")
        _write(connection, _UPDATE_WALLETS, ("buckets", "wallets", "opened", "receivables"), self._wallets)
        _write(connection, _UPDATE_LOTS, lot_columns, self._lots)
        opened = {
            "kind": int(LotKind.POINTS),
            "opened": day_of_date(self._booked_on),
            "expires": self._expires,
        }
        _write(connection, _INSERT_LOTS, lot_columns, self._new_lots, opened)
        columns = ("buckets", "wallets", "seqs", "lines", "debits", "credits", "wons", "lots")
        where = {
            "booked_on": self._booked_on,
            "programme_no": self._programme_no,
            "source": int(Source.CREDIT),
        }
        _write(connection, _INSERT_ENTRIES, columns, self._entries, where)


def _write(
    connection: Connection,
    statement: Any,
    names: tuple[str, ...],
    rows: list[Any],
    more: dict[str, Any] | None = None,
) -> None:
    if rows:
        columns = (list(map(int, column)) for column in zip(*rows, strict=True))
        connection.execute(statement, {**dict(zip(names, columns, strict=True)), **(more or {})})
