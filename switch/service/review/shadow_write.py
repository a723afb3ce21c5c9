"""What a shadow writes: the payments that it judges otherwise, totals of each day, its budgets, its marks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import psycopg

from switch.domain.budget import Grants, Line, PoolKey
from switch.domain.calendar import date_of_day
from switch.domain.payment import Kind
from switch.domain.replay_budget import Burn
from switch.domain.replay_values import RETURNS, Past
from switch.service.review.shadow_read import Waiting

_ASKED = frozenset({Kind.PURCHASE, Kind.PREAUTH, Kind.TOPUP})
_GRANTS = msgspec.json.Decoder(tuple[tuple[int, int, int], ...])

_RESULTS = """\
INSERT INTO shadow_result (bucket, wallet_id, shadow_no, seq, local_day, local_time, kind, amount,
    live_reason, reason, live_approved, approved, live_cashback, cashback, grants)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_MARKS = """\
INSERT INTO shadow_mark (bucket, wallet_id, shadow_no, seq)
SELECT bucket, wallet_id, %s, seq
FROM unnest(%s::smallint[], %s::bigint[], %s::integer[]) AS k(bucket, wallet_id, seq)
ON CONFLICT (bucket, wallet_id, shadow_no) DO UPDATE SET seq = excluded.seq"""
_DAY = """\
INSERT INTO shadow_day AS d
    (shadow_no, business_date, payments, live_declined, declined, live_cashback, cashback)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (shadow_no, business_date) DO UPDATE SET payments = d.payments + excluded.payments,
    live_declined = d.live_declined + excluded.live_declined, declined = d.declined + excluded.declined,
    live_cashback = d.live_cashback + excluded.live_cashback, cashback = d.cashback + excluded.cashback"""
_POOLS = "SELECT code, funder, month, taken FROM shadow_pool WHERE shadow_no = %s"
_POOL = """\
INSERT INTO shadow_pool AS p (shadow_no, code, funder, month, taken, missed, ended)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (shadow_no, code, funder, month) DO UPDATE SET taken = p.taken + excluded.taken,
    missed = p.missed + excluded.missed,
    ended = CASE WHEN p.ended = 0 THEN excluded.ended ELSE p.ended END"""
_EARLIER = """\
SELECT r.wallet_id, r.seq, r.kind, r.live_approved, r.grants
FROM unnest(%s::smallint[], %s::bigint[], %s::integer[]) AS k(bucket, wallet_id, seq)
JOIN shadow_result r
  ON r.bucket = k.bucket AND r.wallet_id = k.wallet_id AND r.shadow_no = %s AND r.seq = k.seq"""


class Row(msgspec.Struct):
    """A payment, and what the shadow makes of it; `cashback` and `grants` are negative where taken back."""

    past: Past
    was: int
    approved: int
    reason: int
    cashback: int
    grants: Grants

    @property
    def differs(self) -> bool:
        """Whether the shadow answers or rates it otherwise."""
        stored = self.past.stored
        return (self.was, stored.reason, stored.cashback) != (self.approved, self.reason, self.cashback)

    def found(self) -> tuple[int, int, Grants]:
        """What a later return must know: kind, won approved at the time, won by funder and budget."""
        return self.past.stored.key.kind, self.was, self.grants


def pools(
    connection: psycopg.Connection[Any], shadow_no: int, lines: Mapping[int, Line]
) -> tuple[dict[PoolKey, int], Callable[[Mapping[PoolKey, Burn]], None]]:
    """What the shadow's budgets have left where something was taken, and how to write what was taken now."""
    number = {(line.budget.code, line.budget.funder): no for no, line in lines.items()}
    left: dict[PoolKey, int] = {}
    for code, funder, month, taken in connection.execute(_POOLS, (shadow_no,)):
        line = number.get((code, funder))
        if line is not None:
            left[line, month] = lines[line].budget.amount_of(month) - taken

    def save(burns: Mapping[PoolKey, Burn]) -> None:
        for (line, month), burn in burns.items():
            budget = lines[line].budget
            values = (shadow_no, budget.code, budget.funder, month, burn.granted, burn.missed, burn.ended)
            connection.execute(_POOL, values)

    return left, save


def earlier(
    connection: psycopg.Connection[Any], shadow_no: int, payments: Sequence[Past]
) -> dict[tuple[int, int], tuple[int, int, Grants]]:
    """What the shadow found of the originals of these payments, where it was not what the books have."""
    back = [past.stored for past in payments if past.stored.key.kind in RETURNS and past.stored.original_seq]
    if not back:
        return {}
    keys = ([s.key.bucket for s in back], [s.wallet_id for s in back], [s.original_seq for s in back])
    return {
        (wallet_id, seq): (kind, approved, _GRANTS.decode(grants))
        for wallet_id, seq, kind, approved, grants in connection.execute(_EARLIER, (*keys, shadow_no))
    }


def write(
    connection: psycopg.Connection[Any], shadow_no: int, wallets: Sequence[Waiting], rows: Sequence[Row]
) -> None:
    """Write differences, totals and marks, in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.executemany(_RESULTS, [_result(shadow_no, row) for row in rows if row.differs])
    totals: dict[int, list[int]] = {}
    for row in rows:
        stored = row.past.stored
        day = totals.setdefault(stored.business_day, [0, 0, 0, 0, 0])
        if stored.key.kind in _ASKED:
            day[0] += 1
            day[1] += not row.was
            day[2] += not row.approved
        day[3] += stored.cashback
        day[4] += row.cashback
    for number, counts in sorted(totals.items()):
        connection.execute(_DAY, (shadow_no, date_of_day(number), *counts))
    marks = (
        [one.bucket for one in wallets],
        [one.wallet_id for one in wallets],
        [one.seq for one in wallets],
    )
    connection.execute(_MARKS, (shadow_no, *marks))


def _result(shadow_no: int, row: Row) -> tuple[Any, ...]:
    stored = row.past.stored
    key = stored.key
    return (
        *(key.bucket, stored.wallet_id, shadow_no, stored.seq, date_of_day(key.local_day), key.local_time),
        *(int(key.kind), stored.amount, stored.reason, row.reason, row.was, row.approved),
        *(stored.cashback, row.cashback, msgspec.json.encode(row.grants).decode()),
    )
