"""Step 2: what has expired goes back. Grants and coupons to their funder, the rest to whom the policy says.

A lot's value may be spent on its last valid day; once that business date is closed, what is left in it leaves
the wallet for the funder's treasury-return account. Money that a pre-authorisation holds stays until the hold
is gone: a later night takes it. Each transaction empties the lots of some buckets for good, so that the step
can stop anywhere and go on.
"""

from datetime import date
from typing import Any

from sqlalchemy import select, text

from settlement.domain.run import State, Step
from settlement.frame import Frame
from settlement.report import ExpiredPart, ExpireOutcome
from settlement.steps import close_day
from settlement.store.runs import begin_step, end_step, open_for_booking
from switch.domain.calendar import day_of_date
from switch.domain.programme import expired_to
from switch.domain.wallet import LOT_KIND_NAME, LotKind
from switch.ledger.chart import Account
from switch.ledger.journal import Source

BUCKETS_AT_ONCE = 8
"""Buckets in one transaction: fewer commits, yet no member's payment waits long for a wallet."""

_ACCOUNT = (
    f"CASE kind WHEN {LotKind.CHARGED:d} THEN {Account.CARD_MONEY:d} WHEN {LotKind.POINTS:d}"
    f" THEN {Account.POINTS:d} WHEN {LotKind.GRANT:d} THEN {Account.GRANTS:d} ELSE {Account.COUPONS:d} END"
)
_PAST = "l.balance > 0 AND l.expires BETWEEN 1 AND :until"
_WORK_BUCKETS = text(f"""
    SELECT DISTINCT l.bucket FROM lot l JOIN wallet w USING (bucket, wallet_id)
    WHERE w.programme_no = :programme_no AND {_PAST} ORDER BY l.bucket
""")  # noqa: S608 (numbers of our own enumerations)
_HELD = """
    held AS (
        SELECT h.bucket, h.wallet_id, (use ->> 0)::int AS lot_no, sum((use ->> 2)::bigint) AS won
        FROM hold h CROSS JOIN LATERAL jsonb_array_elements(h.uses::jsonb) AS use
        WHERE h.bucket = ANY(CAST(:buckets AS smallint[])) GROUP BY 1, 2, 3)
"""
_DUE = f"""
    WITH {_HELD}, due AS (
        SELECT l.bucket, l.wallet_id, l.lot_no, l.kind, l.campaign_no,
               CASE WHEN l.funder_no > 0 THEN l.funder_no ELSE :fallback END AS funder_no,
               (l.balance - coalesce(h.won, 0))::bigint AS won,
               row_number() OVER (PARTITION BY l.bucket, l.wallet_id ORDER BY l.lot_no) AS line
        FROM lot l JOIN wallet w USING (bucket, wallet_id) LEFT JOIN held h USING (bucket, wallet_id, lot_no)
        WHERE l.bucket = ANY(CAST(:buckets AS smallint[])) AND w.bucket = ANY(CAST(:buckets AS smallint[]))
          AND w.programme_no = :programme_no
          AND (CAST(:wallets AS bigint[]) IS NULL OR l.wallet_id = ANY(CAST(:wallets AS bigint[])))
          AND {_PAST} AND l.balance > coalesce(h.won, 0))
"""  # noqa: S608
_LOCK = text(f"""
    SELECT w.wallet_id FROM wallet w
    WHERE w.programme_no = :programme_no AND w.bucket = ANY(CAST(:buckets AS smallint[])) AND EXISTS (
        SELECT FROM lot l WHERE l.bucket = w.bucket AND l.wallet_id = w.wallet_id AND {_PAST})
    ORDER BY w.bucket, w.wallet_id FOR NO KEY UPDATE OF w
""")  # noqa: S608
# One statement, begun after the wallets are locked: it sees the lots as they stand, and what it takes is what
# it books, counts and adds up.
_EXPIRE = text(f"""
    {_DUE}, emptied AS (
        UPDATE lot l SET balance = l.balance - due.won FROM due
        WHERE l.bucket = due.bucket AND l.wallet_id = due.wallet_id AND l.lot_no = due.lot_no),
    numbered AS (
        UPDATE wallet w SET seq = w.seq + 1 FROM (SELECT DISTINCT bucket, wallet_id FROM due) d
        WHERE w.bucket = d.bucket AND w.wallet_id = d.wallet_id
        RETURNING w.bucket, w.wallet_id, w.seq),
    booked AS (
        INSERT INTO entry (bucket, business_date, wallet_id, seq, line, programme_no, source, debit, credit,
                           won, lot_no, merchant_no, funder_no)
        SELECT due.bucket, :booked_on, due.wallet_id, n.seq, due.line, :programme_no, {Source.EXPIRY:d},
               {_ACCOUNT}, {Account.TREASURY_RETURN:d}, due.won, due.lot_no, 0, due.funder_no
        FROM due JOIN numbered n USING (bucket, wallet_id))
    INSERT INTO expiry AS x (programme_no, business_date, kind, funder_no, campaign_no, lots, won)
    SELECT :programme_no, :day, kind, funder_no, campaign_no, count(*), sum(won)::bigint
    FROM due GROUP BY kind, funder_no, campaign_no
    ON CONFLICT (programme_no, business_date, kind, funder_no, campaign_no)
    DO UPDATE SET lots = x.lots + excluded.lots, won = x.won + excluded.won
""")  # noqa: S608
_PREVIEW = text(f"""
    {_DUE} SELECT kind, funder_no, count(*) AS lots, sum(won)::bigint AS won FROM due
    GROUP BY kind, funder_no ORDER BY kind, funder_no
""")  # noqa: S608
_TOLD = text("""
    SELECT kind, funder_no, sum(lots)::bigint AS lots, sum(won)::bigint AS won FROM expiry
    WHERE programme_no = :programme_no AND business_date = :day
    GROUP BY kind, funder_no ORDER BY kind, funder_no
""")
_MARK = text("""
    INSERT INTO expiry_mark (programme_no, expired_through) VALUES (:programme_no, :day)
    ON CONFLICT (programme_no) DO UPDATE SET expired_through = excluded.expired_through
    WHERE expiry_mark.expired_through < excluded.expired_through
""")
# As in the credit of cashback: a batch touches few wallets, and statistics must not mislead it.
_BY_INDEX = text("""
    SELECT set_config('enable_seqscan', 'off', true),
           set_config('idle_in_transaction_session_timeout', '30s', true)
""")  # the second: a program that stands still loses the wallets that it has locked


def preview(frame: Frame) -> ExpireOutcome:
    """What the step would take if it ran now."""
    at = _parameters(frame)
    buckets = list(frame.connection.execute(_WORK_BUCKETS, at).scalars())
    return _outcome(frame, frame.connection.execute(_PREVIEW, {**at, "buckets": buckets, "wallets": None}))


def run(frame: Frame) -> ExpireOutcome:
    """Empty every lot whose last valid day is the date or an earlier one."""
    connection, key = frame.connection, frame.key
    with connection.begin():
        begin_step(connection, key, Step.EXPIRE_LOTS, frame.now(), close_day.frozen_sha256(frame))
        work = list(connection.execute(_WORK_BUCKETS, _parameters(frame)).scalars())
    tick = frame.reporter(Step.EXPIRE_LOTS, len(work))
    booked_on: date | None = None
    for start in range(0, len(work), BUCKETS_AT_ONCE):
        if booked_on != frame.open_date():
            booked_on = frame.open_date()
            with connection.begin():  # of its own: it makes whoever else asks for a partition wait
                connection.execute(select(text("dure_ensure_day(:day)")), {"day": booked_on})
        buckets = work[start : start + BUCKETS_AT_ONCE]
        at = {**_parameters(frame), "buckets": buckets, "booked_on": booked_on}
        with connection.begin():
            connection.execute(_BY_INDEX)
            open_for_booking(connection, key.programme_no, booked_on)
            locked = list(connection.execute(_LOCK, at).scalars())
            connection.execute(_EXPIRE, {**at, "wallets": locked})
            frame.observer.reached(f"expire_lots:written:{buckets[0]}")
        tick(min(start + BUCKETS_AT_ONCE, len(work)))
        frame.observer.reached(f"expire_lots:batch:{start}")
    with connection.begin():
        outcome = _outcome(frame, connection.execute(_TOLD, frame.of_day()))
        connection.execute(_MARK, frame.of_day())
        end_step(connection, key, Step.EXPIRE_LOTS, frame.now(), State.DONE, outcome)
    return outcome


def _parameters(frame: Frame) -> dict[str, Any]:
    """Lots without a funder of their own go to the one that the date's policy names."""
    fallback = frame.facts.funder_no[expired_to(frame.facts.policy_of(frame.day))]
    return {**frame.of_day(), "until": day_of_date(frame.day), "fallback": fallback}


def _outcome(frame: Frame, rows: Any) -> ExpireOutcome:
    parts = tuple(
        ExpiredPart(LOT_KIND_NAME[row.kind], frame.facts.funder_id[row.funder_no], row.lots, row.won)
        for row in rows
    )
    return ExpireOutcome(parts, sum(part.lots for part in parts), sum(part.won for part in parts))
