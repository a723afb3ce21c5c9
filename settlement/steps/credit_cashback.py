"""Step 3: what was promised at the payments becomes points, a few buckets of wallets at a time.

Each transaction settles its buckets for good and says so in credit_mark, so that the step can stop anywhere
and go on. A lane that holds a wallet's lock reads either the old mark and the old points, or both new.

What a wallet gets is one net: of the date's entries without those of funders whose prepayment does not cover
them, and of earlier dates' entries of funders whose prepayment now does.
"""

from collections.abc import Iterator
from datetime import date

import msgspec
from sqlalchemy import Connection, select, text

from settlement.domain.run import State, Step
from settlement.frame import Frame
from settlement.report import CreditOutcome, FunderCashback
from settlement.steps import close_day, fund, verify_cashback
from settlement.steps.credit_wallets import credit_buckets
from settlement.steps.fund import Funding
from settlement.steps.sessions import APART_FROM, SESSIONS, apart, with_room
from settlement.store.runs import begin_step, end_step
from switch.domain.payment import BUCKETS
from switch.domain.reasons import REASONS
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from switch.store.dayhash import payment_window

BUCKETS_AT_ONCE = 32
WALLETS_AT_ONCE = 8_000
"""A transaction credits at most so many buckets and so many wallets: no member's payment waits longer than
that takes. But it credits one bucket at least: none is divided, and it is a thousandth of all wallets.
"""

_ACCRUED = f"""
    FROM entry
    WHERE programme_no = :programme_no AND business_date = :day AND source = {Source.PAYMENT:d}
      AND (debit = {Account.CASHBACK_ACCRUED:d} OR credit = {Account.CASHBACK_ACCRUED:d})
"""
_NET = f"sum(CASE WHEN credit = {Account.CASHBACK_ACCRUED:d} THEN won ELSE -won END)::bigint"
_TONIGHT = f"""
    SELECT bucket, wallet_id, debit, credit, won {_ACCRUED}
      AND bucket BETWEEN :first_bucket AND :last_bucket
      AND NOT funder_no = ANY(CAST(:stopped AS smallint[]))
"""
_RESUMED = f"""
    UNION ALL
    SELECT e.bucket, e.wallet_id, e.debit, e.credit, e.won
    FROM unnest(CAST(:days AS date[]), CAST(:funders AS smallint[])) AS r(day, funder_no)
    JOIN entry e ON e.business_date = r.day AND e.funder_no = r.funder_no
    WHERE e.programme_no = :programme_no AND e.source = {Source.PAYMENT:d}
      AND (e.debit = {Account.CASHBACK_ACCRUED:d} OR e.credit = {Account.CASHBACK_ACCRUED:d})
      AND e.bucket BETWEEN :first_bucket AND :last_bucket
"""  # noqa: S608 (numbers of our own enumerations)
_NETS = "SELECT bucket, wallet_id, {net} AS net FROM ({rows}) x GROUP BY bucket, wallet_id HAVING {net} <> 0"
_SUMS = """
    SELECT count(*) FILTER (WHERE net > 0) AS wallets,
           coalesce(sum(net) FILTER (WHERE net > 0), 0)::bigint AS credited,
           coalesce(-sum(net) FILTER (WHERE net < 0), 0)::bigint AS taken
    FROM {nets} n
"""
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
_WORK = text("""
    SELECT bucket, count(*) AS wallets FROM credit_net n
    WHERE NOT EXISTS (SELECT FROM credit_mark m WHERE m.programme_no = :programme_no
                      AND m.bucket = n.bucket AND m.credited_through >= :day)
    GROUP BY bucket ORDER BY bucket
""")
_MARK_IDLE = text("""
    INSERT INTO credit_mark (programme_no, bucket, credited_through)
    SELECT :programme_no, idle.bucket, :day
    FROM generate_series(CAST(:first_bucket AS integer), CAST(:last_bucket AS integer)) AS idle(bucket)
    WHERE NOT EXISTS (SELECT FROM credit_net n WHERE n.bucket = idle.bucket)
    ON CONFLICT (programme_no, bucket) DO UPDATE SET credited_through = excluded.credited_through
    WHERE credit_mark.credited_through < excluded.credited_through
""")


class _Sums(msgspec.Struct):
    """Wallets that get something, won that they get, won that are taken from the others."""

    wallets: int = 0
    credited: int = 0
    taken: int = 0


def preview(frame: Frame) -> CreditOutcome:
    """Recompute the date, and say what crediting it comes to. Raises ControlMismatchError."""
    verify_cashback.verify(frame)
    funding = fund.foresee(frame)
    nets = f"({_nets(funding)})"
    row = frame.connection.execute(text(_SUMS.format(nets=nets)), _asked(frame, funding)).one()
    return _outcome(frame, _Sums(row.wallets, row.credited, row.taken))


def run(frame: Frame) -> CreditOutcome:
    """Recompute, then credit what is not credited yet. Raises ControlMismatchError with nothing credited."""
    connection, key = frame.connection, frame.key
    with connection.begin():
        begin_step(connection, key, Step.CREDIT_CASHBACK, frame.now(), close_day.frozen_sha256(frame))
    with connection.begin():
        verify_cashback.verify(frame)
        large = close_day.entries(frame) >= APART_FROM
    frame.observer.reached("credit_cashback:verified")
    funding = fund.decide(frame)
    parts = SESSIONS if large else 1
    credit = _Credit(frame, funding, parts)
    sums = apart(connection, parts, credit.part) if large else [credit.part(connection, 0)]
    total = _Sums(
        *(sum(column) for column in zip(*(msgspec.structs.astuple(one) for one in sums), strict=True))
    )
    with connection.begin():
        outcome = _outcome(frame, total)
        end_step(connection, key, Step.CREDIT_CASHBACK, frame.now(), State.DONE, outcome)
    return outcome


class _Credit:
    """The credit of a date, by one session or by several with buckets of their own."""

    def __init__(self, frame: Frame, funding: Funding, parts: int) -> None:
        self._frame = frame
        self._funding = funding
        self._bounds = [BUCKETS * part // parts for part in range(parts + 1)]
        self._done = 0

    def part(self, session: Connection, part: int) -> _Sums:
        """Credit the buckets of a part; what it comes to is told for those credited before, too."""
        frame = self._frame
        buckets = {"first_bucket": self._bounds[part], "last_bucket": self._bounds[part + 1] - 1}
        with session.begin():
            sums = self._fill(session, buckets)
            session.execute(_MARK_IDLE, {**frame.of_day(), **buckets})
            work = [(row.bucket, row.wallets) for row in session.execute(_WORK, frame.of_day())]
        tick = frame.reporter(Step.CREDIT_CASHBACK, BUCKETS)
        booked_on: date | None = None
        for batch in _batches(work):
            if booked_on != frame.open_date():
                booked_on = frame.open_date()
                with session.begin():  # of its own: it makes whoever else asks for a partition wait
                    session.execute(select(text("dure_ensure_day(:day)")), {"day": booked_on})
            credit_buckets(frame, session, batch, booked_on)
            self._done += len(batch)
            tick(self._done)
            frame.observer.reached(f"credit_cashback:batch:{batch[0]}")
        with session.begin():
            session.execute(text("DROP TABLE credit_net"))
        return sums

    def _fill(self, session: Connection, buckets: dict[str, int]) -> _Sums:
        """Put the nets of these buckets into a table of this session alone."""
        # The rows of closed dates stand still, so they may be read before the wallets are locked.
        with_room(session)
        session.execute(text("DROP TABLE IF EXISTS pg_temp.credit_net"))
        fill = f"CREATE TEMPORARY TABLE credit_net AS {_nets(self._funding)}"
        session.execute(text(fill), {**_asked(self._frame, self._funding), **buckets})
        session.execute(text("CREATE INDEX ON credit_net (bucket, wallet_id)"))
        session.execute(text("ANALYZE credit_net"))
        row = session.execute(text(_SUMS.format(nets="credit_net"))).one()
        return _Sums(row.wallets, row.credited, row.taken)


def _nets(funding: Funding) -> str:
    rows = _TONIGHT + (_RESUMED if funding.resumed else "")
    return _NETS.format(net=_NET, rows=rows)


def _asked(frame: Frame, funding: Funding) -> dict[str, object]:
    return {
        **frame.of_day(),
        "first_bucket": 0,
        "last_bucket": BUCKETS - 1,
        "stopped": sorted(funding.stopped),
        "days": [day for day, _ in funding.resumed],
        "funders": [funder_no for _, funder_no in funding.resumed],
    }


def _batches(work: list[tuple[int, int]]) -> Iterator[list[int]]:
    """Buckets that are credited together, of (bucket, its wallets)."""
    batch: list[int] = []
    wallets = 0
    for bucket, more in work:
        if batch and (len(batch) == BUCKETS_AT_ONCE or wallets + more > WALLETS_AT_ONCE):
            yield batch
            batch, wallets = [], 0
        batch.append(bucket)
        wallets += more
    if batch:
        yield batch


def _outcome(frame: Frame, sums: _Sums) -> CreditOutcome:
    connection = frame.connection
    funders = connection.execute(_FUNDERS, frame.of_day()).all()
    first, last = payment_window(frame.day)
    window = {"first": first, "last": last, "exception": REASONS["exception"].number}
    exceptions = connection.execute(_EXCEPTIONS, {**frame.of_day(), **window}).scalar_one()
    cashback = tuple(
        FunderCashback(frame.facts.funder_id[row.funder_no], row.granted, row.taken_back) for row in funders
    )
    return CreditOutcome(cashback, sums.wallets, sums.credited, sums.taken, exceptions)
