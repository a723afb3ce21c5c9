"""What a shadow reads: wallets with postings that it has not judged, as they stood before those.

By posting number, which is gapless in each wallet: a payment that commits late cannot be overlooked, whatever
its time or day. Usage, days and lots are today's less what came since.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import psycopg

from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.payment import Kind
from switch.domain.programme_file import HOLD_DAYS_MAX
from switch.domain.replay_booked import hold_again, usage_of
from switch.domain.replay_values import Booked, Past
from switch.domain.request import Stored
from switch.domain.wallet import Lot, MonthUsage, Wallet
from switch.ledger.journal import Source
from switch.service.review.history import (
    MOVED,
    STORED_COLUMNS,
    Journey,
    booked_of,
    past_of,
    posting,
    state_of,
)

_WAITING = """\
SELECT w.bucket, w.wallet_id, w.programme_no, w.points_on, w.tags, w.holder, w.seq, coalesce(m.seq, 0),
       w.month, w.month_spent, w.month_basis, w.month_topup
FROM wallet w LEFT JOIN shadow_mark m
  ON m.bucket = w.bucket AND m.wallet_id = w.wallet_id AND m.shadow_no = %(shadow_no)s
WHERE w.bucket BETWEEN %(low)s AND %(high)s AND w.programme_no = %(programme_no)s
  AND w.seq > coalesce(m.seq, 0)
ORDER BY w.bucket, w.wallet_id LIMIT %(most)s"""
_SINCE = """\
unnest(%(buckets)s::smallint[], %(wallets)s::bigint[], %(marks)s::integer[]) AS k(bucket, wallet_id, seq)"""
_PAYMENTS = f"""\
SELECT {STORED_COLUMNS} FROM {_SINCE}
JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.seq > k.seq
WHERE p.local_day >= %(floor)s AND p.kind <> {Kind.INQUIRY:d}
ORDER BY p.bucket, p.wallet_id, p.seq"""  # noqa: S608 (numbers of our own)
_LOTS = f"""\
SELECT l.wallet_id, l.lot_no, l.kind, l.funder_no, l.balance - coalesce(m.won, 0), l.granted, l.opened,
       l.expires, l.campaign_no
FROM {_SINCE} JOIN lot l ON l.bucket = k.bucket AND l.wallet_id = k.wallet_id
LEFT JOIN (
    SELECT e.wallet_id, e.lot_no, {MOVED} AS won FROM {_SINCE}
    JOIN entry e ON e.bucket = k.bucket AND e.wallet_id = k.wallet_id AND e.seq > k.seq
    WHERE e.business_date >= %(floor)s AND e.lot_no > 0
    GROUP BY e.wallet_id, e.lot_no) m ON m.wallet_id = l.wallet_id AND m.lot_no = l.lot_no
WHERE l.balance > 0 OR m.wallet_id IS NOT NULL"""  # noqa: S608
_BOOKED = f"""\
SELECT e.wallet_id, e.seq, e.business_date, e.lot_no, {MOVED} FROM {_SINCE}
JOIN entry e ON e.bucket = k.bucket AND e.wallet_id = k.wallet_id AND e.seq > k.seq
WHERE e.business_date >= %(floor)s AND e.source <> {Source.PAYMENT:d} AND e.lot_no > 0
GROUP BY e.wallet_id, e.seq, e.business_date, e.lot_no ORDER BY e.wallet_id, e.seq, e.lot_no"""  # noqa: S608
_MONTHS = f"""\
SELECT u.wallet_id, u.month, u.spent, u.basis, u.topup FROM {_SINCE}
JOIN usage_month u ON u.bucket = k.bucket AND u.wallet_id = k.wallet_id AND u.month >= %(month)s"""  # noqa: S608
_HELD = f"""\
SELECT {STORED_COLUMNS} FROM {_SINCE}
JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.seq <= k.seq
WHERE p.local_day >= %(floor)s - {HOLD_DAYS_MAX} AND (p.kind = {Kind.PREAUTH:d}
   OR p.original_seq > 0 AND p.kind IN ({Kind.PURCHASE:d}, {Kind.REVERSAL:d}, {Kind.VOID:d}))
ORDER BY p.bucket, p.wallet_id, p.seq"""  # noqa: S608
_DAYS = f"""\
SELECT p.wallet_id, p.local_day, sum(p.approved - p.returned)::bigint FROM {_SINCE}
JOIN payment p ON p.bucket = k.bucket AND p.wallet_id = k.wallet_id AND p.kind = {Kind.PURCHASE:d}
WHERE p.local_day = ANY(%(days)s::date[]) GROUP BY p.wallet_id, p.local_day"""  # noqa: S608


class Waiting(msgspec.Struct):
    """A wallet with its postings since its mark; `seq` is the mark to set."""

    bucket: int
    wallet_id: int
    seq: int
    journey: Journey


def waiting(
    connection: psycopg.Connection[Any],
    shadow_no: int,
    programme_no: int,
    low: int,
    high: int,
    floor: date,
    most: int,
) -> list[Waiting]:
    """Up to `most` wallets of the buckets low..high that have postings since their marks.

    `floor` is the earliest local day that such a posting can have.
    """
    wanted: dict[str, Any] = {
        "shadow_no": shadow_no, "programme_no": programme_no, "low": low, "high": high, "most": most,
    }  # fmt: skip
    rows = connection.execute(_WAITING, wanted).fetchall()
    if not rows:
        return []
    keys: dict[str, Any] = {
        "buckets": [row[0] for row in rows],
        "wallets": [row[1] for row in rows],
        "marks": [row[7] for row in rows],
        "floor": floor,
        "month": day_of_date(floor) // 100,
    }
    payments: dict[int, list[Past]] = {}
    for row in connection.execute(_PAYMENTS, keys):
        past = past_of(row)
        payments.setdefault(past.stored.wallet_id, []).append(past)
    lots: dict[int, dict[int, Lot]] = {}
    for row in connection.execute(_LOTS, keys):
        lots.setdefault(row[0], {})[row[1]] = Lot(*row[1:])
    booked = booked_of(connection.execute(_BOOKED, keys))
    months: dict[int, dict[int, MonthUsage]] = {}
    for row in connection.execute(_MONTHS, keys):
        months.setdefault(row[0], {})[row[1]] = MonthUsage(*row[2:])
    days = _days(connection, keys, payments)
    holding: dict[int, list[Past]] = {}
    for row in connection.execute(_HELD, keys):
        past = past_of(row)
        holding.setdefault(past.stored.wallet_id, []).append(past)
    found = []
    for row in rows:
        number = row[1]
        events: list[Past | Booked] = [*payments.get(number, ()), *booked.get(number, ())]
        events.sort(key=posting)
        state = state_of(row[:6], lots.get(number, {}), 0)
        _usage(
            state.wallet, row[8:12], months.get(number, {}), days.get(number, {}), payments.get(number, ())
        )
        known: dict[int, Stored] = {}
        for past in holding.get(number, ()):
            hold_again(state.wallet, past.stored, past.detail, known)
        found.append(Waiting(row[0], number, row[6], Journey(state, events)))
    return found


def _days(
    connection: psycopg.Connection[Any], keys: dict[str, Any], payments: dict[int, list[Past]]
) -> dict[int, dict[int, int]]:
    """Won spent on the days of these payments, by wallet and day (yyyymmdd), as they stand now."""
    dates = sorted({past.stored.key.local_day for every in payments.values() for past in every})
    found: dict[int, dict[int, int]] = {}
    if dates:
        wanted = {**keys, "days": [date_of_day(day) for day in dates]}
        for wallet_id, day, won in connection.execute(_DAYS, wanted):
            found.setdefault(wallet_id, {})[day_of_date(day)] = won
    return found


def _usage(
    wallet: Wallet,
    now: Sequence[int],
    past: dict[int, MonthUsage],
    days: dict[int, int],
    since: Sequence[Past],
) -> None:
    """Set the wallet's counters to what they were before `since`; `now` are month, spent, basis, topup."""
    wallet.month, wallet.month_spent, wallet.month_basis, wallet.month_topup = now
    wallet.past = past
    known = {past.stored.seq: past.stored for past in since}
    for one in since:
        change = usage_of(one.stored, one.detail, known)
        if change is None:
            continue
        if change.month == wallet.month:
            wallet.month_spent -= change.spent
            wallet.month_basis -= change.basis
            wallet.month_topup -= change.topup
        elif change.month in past:
            past[change.month].spent -= change.spent
            past[change.month].basis -= change.basis
            past[change.month].topup -= change.topup
        if change.day in days:
            days[change.day] -= change.spent
    if days:
        wallet.day = max(days)
        wallet.day_spent = days.pop(wallet.day)
        wallet.past_days = days
