"""The month's usage that each purchase was rated after: it must be the sum of what its wallet did before."""

from collections.abc import Collection, Iterator
from datetime import timedelta

from sqlalchemy import Connection, text

from settlement.frame import Frame
from settlement.steps.sessions import without
from settlement.steps.verify_exact import MOVING, POSTED, Range, name, window
from switch.domain.calendar import date_of_day
from switch.domain.payment import Kind
from switch.store.dayhash import LOOKAHEAD_DAYS

SUSPECTS_MAX = 1_000

# Sums of the months before this date come from one hashed pass; the window runs over this date only. So it
# costs a pass over the month's payments so far, each night.
_USAGE = text(f"""
    WITH earlier AS (
        SELECT bucket, wallet_id, usage_month, sum(basis)::bigint AS basis FROM payment
        WHERE programme_no = :programme_no AND business_date < :day AND {POSTED} AND {MOVING}
          AND usage_month = ANY(CAST(:months AS integer[]))
          AND business_date >= :since AND local_day BETWEEN :first AND :last
          AND bucket BETWEEN :first_bucket AND :last_bucket
        GROUP BY bucket, wallet_id, usage_month
    )
    SELECT bucket, wallet_id, seq, local_day FROM (
        SELECT bucket, wallet_id, seq, kind, usage_month, usage_before, local_day,
               coalesce(sum(basis) OVER (
                   PARTITION BY bucket, wallet_id, usage_month ORDER BY seq
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS so_far
        FROM payment
        WHERE programme_no = :programme_no AND business_date = :day AND local_day BETWEEN :first AND :last
          AND {POSTED} AND {MOVING} AND bucket BETWEEN :first_bucket AND :last_bucket
    ) t LEFT JOIN earlier e USING (bucket, wallet_id, usage_month)
    WHERE t.kind = {Kind.PURCHASE:d} AND t.usage_before <> coalesce(e.basis, 0) + t.so_far
    ORDER BY bucket, wallet_id, seq LIMIT :most
""")  # noqa: S608 (numbers of our own enumerations)
_EXACT = text(f"""
    SELECT p.bucket, p.wallet_id, p.seq, p.local_day, p.terminal_id, p.stan, p.usage_before,
           (SELECT coalesce(sum(b.basis), 0)::bigint FROM payment b
            WHERE b.bucket = p.bucket AND b.wallet_id = p.wallet_id AND b.seq < p.seq
              AND b.usage_month = p.usage_month AND b.business_date >= :since
              AND b.local_day BETWEEN :first AND :last AND b.{POSTED} AND b.{MOVING}) AS exact
    FROM payment p
    WHERE p.bucket = :bucket AND p.wallet_id = :wallet_id AND p.seq = :seq AND p.local_day = :local_day
""")  # noqa: S608


def faults(frame: Frame, session: Connection, part: Range, counted_in: Collection[int]) -> Iterator[str]:
    """The purchases of the date whose usage before them is not what the journal adds up to.

    `counted_in` are the months (yyyymm) that those of these wallets count in, all of them.
    """
    at, months = window(frame), sorted(counted_in)
    if not months:
        return
    # A return counts in its original's month, whatever day its terminal holds it to be: so the month is found
    # by business dates. The month's first payment can be booked that much earlier, if its clock was ahead.
    since = date_of_day(months[0] * 100 + 1) - timedelta(days=LOOKAHEAD_DAYS)
    wallets = {"first_bucket": part.first, "last_bucket": part.last}
    asked = {**at, **wallets, "months": months, "since": since, "most": SUSPECTS_MAX}
    # Without statistics, as a date filled at one go has, a nested loop over it takes minutes, not moments.
    with without(session, "nestloop"):
        found = session.execute(_USAGE, asked).all()
    for row in found:
        # A wallet may have posted on the next date already when a slower lane posted on this one, so what
        # the quick pass finds is asked again by posting number alone.
        key = {"bucket": row.bucket, "wallet_id": row.wallet_id, "seq": row.seq, "local_day": row.local_day}
        bounds = {"since": since, "first": at["first"], "last": at["last"]}
        one = session.execute(_EXACT, {**key, **bounds}).one()
        if one.exact != one.usage_before:
            yield f"{name(one)}: usage before it is {one.exact:,}, recorded {one.usage_before:,}"
