"""The credit of one batch of wallets, in one transaction: lock, work out, write, mark.

A wallet whose net is positive and that owes nothing gets it by one statement for all of them; the others –
something owed, or taken back – are worked out one by one by `settlement.domain.credit`, which says what both
do.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from settlement.domain.credit import Credit, credit
from settlement.errors import ControlMismatchError
from settlement.frame import Frame
from settlement.store.runs import open_for_booking
from switch.domain.calendar import day_of_date
from switch.domain.payment import BUCKETS
from switch.domain.wallet import Lot, LotKind, points_expiry
from switch.ledger.chart import Account
from switch.ledger.journal import Source

_USES = msgspec.json.Decoder(tuple[tuple[int, int, int], ...])
BATCH_SPACE = 0x43524544
"""The first key of the locks, one a bucket, that let one session credit a bucket."""

# Whoever runs the night twice at once (a session that was lost does not know it yet) meets here.
_ALONE = text("""
    SELECT pg_advisory_xact_lock(:space, :programme_no * :buckets_max + bucket)
    FROM unnest(CAST(:buckets AS integer[])) AS bucket ORDER BY bucket
""")
_DONE = text("""
    SELECT bucket FROM credit_mark
    WHERE programme_no = :programme_no AND credited_through >= :day
      AND bucket = ANY(CAST(:buckets AS smallint[]))
""")
_OF_BATCH = "n.bucket = ANY(CAST(:buckets AS smallint[]))"
# Said of the wallets too: else their index is read from its first bucket on, by every batch anew.
_WALLETS_OF_BATCH = f"{_OF_BATCH} AND w.bucket = ANY(CAST(:buckets AS smallint[]))"
# Counting makes the statement lock every row before it ends.
_LOCK = text(f"""
    WITH locked AS (
        SELECT w.wallet_id FROM wallet w JOIN credit_net n USING (bucket, wallet_id)
        WHERE {_WALLETS_OF_BATCH} ORDER BY w.bucket, w.wallet_id FOR NO KEY UPDATE OF w)
    SELECT count(*) FROM locked
""")  # noqa: S608 (numbers and names of our own)
_GONE = text(f"""
    SELECT n.wallet_id FROM credit_net n LEFT JOIN wallet w USING (bucket, wallet_id)
    WHERE {_OF_BATCH} AND w.wallet_id IS NULL ORDER BY n.wallet_id LIMIT 1
""")  # noqa: S608
_COUNT = text(f"SELECT count(*) FROM credit_net n WHERE {_OF_BATCH}")  # noqa: S608
_PLAIN = "n.net > 0 AND w.receivable = 0"
# What `credit` does with a net above 0 where nothing is owed. Begun after the wallets are locked, so it sees
# the lots as they stand.
_GIVE = text(f"""
    WITH due AS MATERIALIZED (
        SELECT n.bucket, n.wallet_id, n.net, w.seq + 1 AS seq, w.lot_seq + 1 AS next_lot, (
            SELECT min(l.lot_no) FROM lot l
            WHERE l.bucket = n.bucket AND l.wallet_id = n.wallet_id AND l.kind = {LotKind.POINTS:d}
              AND l.expires = :expires AND l.funder_no = 0) AS lot_no
        FROM credit_net n JOIN wallet w USING (bucket, wallet_id)
        WHERE {_WALLETS_OF_BATCH} AND {_PLAIN}),
    numbered AS (
        UPDATE wallet w SET seq = due.seq, lot_seq = w.lot_seq + CASE WHEN lot_no IS NULL THEN 1 ELSE 0 END
        FROM due WHERE w.bucket = due.bucket AND w.wallet_id = due.wallet_id),
    grown AS (
        UPDATE lot l SET balance = l.balance + due.net, granted = l.granted + due.net
        FROM due WHERE l.bucket = due.bucket AND l.wallet_id = due.wallet_id AND l.lot_no = due.lot_no),
    opened AS (
        INSERT INTO lot (bucket, wallet_id, lot_no, kind, funder_no, balance, granted, opened, expires)
        SELECT bucket, wallet_id, next_lot, {LotKind.POINTS:d}, 0, net, net, :opened, :expires
        FROM due WHERE lot_no IS NULL)
    INSERT INTO entry (bucket, business_date, wallet_id, seq, line, programme_no, source, debit, credit, won,
                       lot_no, merchant_no, funder_no)
    SELECT bucket, :booked_on, wallet_id, seq, 0, :programme_no, {Source.CREDIT:d},
           {Account.CASHBACK_ACCRUED:d}, {Account.POINTS:d}, net, coalesce(lot_no, next_lot), 0, 0
    FROM due
""")  # noqa: S608
# Read after the lock and before the plain ones are written: those cannot become less plain by that.
_OTHERS = text(f"""
    SELECT w.bucket, w.wallet_id, w.seq, w.lot_seq, w.receivable, w.holds, n.net
    FROM credit_net n JOIN wallet w USING (bucket, wallet_id)
    WHERE {_WALLETS_OF_BATCH} AND NOT ({_PLAIN}) ORDER BY w.bucket, w.wallet_id
""")  # noqa: S608
_WANTED = "unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[])) AS x(bucket, wallet_id)"
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
_MARK = text("""
    INSERT INTO credit_mark (programme_no, bucket, credited_through)
    SELECT :programme_no, bucket, :day FROM unnest(CAST(:buckets AS smallint[])) AS bucket
    ON CONFLICT (programme_no, bucket) DO UPDATE SET credited_through = excluded.credited_through
    WHERE credit_mark.credited_through < excluded.credited_through
""")


def credit_buckets(frame: Frame, session: Connection, buckets: list[int], booked_on: date) -> None:
    """Credit the nets of these buckets' wallets (table credit_net of the session) in one transaction.

    Buckets that are credited already are left alone. Raises ControlMismatchError, RetryLaterError.
    """
    with session.begin():
        session.execute(_BY_INDEX)
        open_for_booking(session, frame.key.programme_no, booked_on)
        alone = {"space": BATCH_SPACE, "buckets_max": BUCKETS, "programme_no": frame.key.programme_no}
        session.execute(_ALONE, {**alone, "buckets": buckets})
        done = set(session.execute(_DONE, {**frame.of_day(), "buckets": buckets}).scalars())
        buckets = [bucket for bucket in buckets if bucket not in done]
        if not buckets:
            return
        batch = {"buckets": buckets}
        if session.execute(_LOCK, batch).scalar_one() != session.execute(_COUNT, batch).scalar_one():
            gone = session.execute(_GONE, batch).scalar_one()
            raise ControlMismatchError(f"wallet {gone} has entries, but is gone: restore it")
        others = _others(frame, session, batch, booked_on)
        policy = frame.facts.policy_of(frame.day)
        given = {
            "booked_on": booked_on,
            "opened": day_of_date(booked_on),
            "expires": points_expiry(day_of_date(frame.day), policy.points_expiry_months),
            "programme_no": frame.key.programme_no,
        }
        session.execute(_GIVE, {**batch, **given})
        others.write(session)
        session.execute(_MARK, {**frame.of_day(), **batch})
        frame.observer.reached(f"credit_cashback:written:{buckets[0]}")


def _others(frame: Frame, session: Connection, batch: dict[str, list[int]], booked_on: date) -> "_Batch":
    """What the wallets get that are not plain."""
    found = _Batch(frame, booked_on)
    wallets = session.execute(_OTHERS, batch).all()
    wanted = {"buckets": [row.bucket for row in wallets], "wallets": [row.wallet_id for row in wallets]}
    lots: dict[tuple[int, int], list[Lot]] = {}
    for row in session.execute(_LOTS, wanted) if wallets else ():
        lots.setdefault((row.bucket, row.wallet_id), []).append(_lot(row))
    if any(row.holds for row in wallets):
        _leave_held(lots, session.execute(_HOLDS, wanted))
    for row in wallets:
        found.add(row, row.net, lots.get((row.bucket, row.wallet_id), []))
    return found


def _lot(row: Any) -> Lot:
    return Lot(row.lot_no, row.kind, row.funder_no, row.balance, row.granted, row.opened, row.expires)


def _leave_held(lots: dict[tuple[int, int], list[Lot]], holds: Iterable[Any]) -> None:
    """Let each lot show only what no hold keeps."""
    for row in holds:
        held = {lot_no: won for lot_no, _, won in _USES.decode(row.uses)}
        for lot in lots.get((row.bucket, row.wallet_id), ()):
            lot.balance -= held.get(lot.lot_no, 0)


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
