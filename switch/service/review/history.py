"""The history of wallets as the books have it, wallet by wallet in the order of their postings.

A wallet's lots as they stood at the start are today's less what every entry since has moved, so no old state
has to be kept. Everything is read in one snapshot, a few buckets at a time; payments are streamed.
"""

from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import psycopg

from switch.domain.calendar import add_days, date_of_day, day_of_date
from switch.domain.decision import Detail
from switch.domain.payment import Kind, PaymentKey
from switch.domain.replay_values import Booked, Past, State
from switch.domain.request import Stored
from switch.domain.wallet import Lot, Wallet
from switch.ledger.chart import LOT_ACCOUNT
from switch.ledger.journal import Source

ROWS_AT_ONCE = 2_000
LATE_DAYS_MAX = 62
"""A payment may be dated so many days before the business date that it was booked on."""

STORED_COLUMNS = """\
p.bucket, p.local_day, p.local_time, p.terminal_id, p.stan, p.kind, p.wallet_id, p.seq, p.card_no,
p.merchant_no, p.programme_no, p.policy_no, p.business_date, p.transmission, p.content, p.amount, p.approved,
p.outcome, p.reason, p.approval, p.rrn, p.channel, p.basis, p.usage_month, p.usage_before, p.cashback,
p.ledger_after, p.available_after, p.returned, p.original_seq, p.batch_no, p.detail"""
_LOT_ACCOUNTS = ", ".join(f"{account:d}" for account in LOT_ACCOUNT.values())
MOVED = f"""\
sum(CASE WHEN e.credit IN ({_LOT_ACCOUNTS}) THEN e.won ELSE 0 END
    - CASE WHEN e.debit IN ({_LOT_ACCOUNTS}) THEN e.won ELSE 0 END)::bigint"""

_WALLETS = """\
SELECT w.bucket, w.wallet_id, w.programme_no, w.points_on, w.tags, w.holder FROM wallet w
WHERE w.bucket BETWEEN %(low)s AND %(high)s AND w.programme_no = %(programme_no)s"""
_LOTS = f"""\
SELECT l.wallet_id, l.lot_no, l.kind, l.funder_no, l.balance - coalesce(m.won, 0), l.granted, l.opened,
       l.expires, l.campaign_no
FROM lot l LEFT JOIN (
    SELECT e.wallet_id, e.lot_no, {MOVED} AS won FROM entry e
    WHERE e.bucket BETWEEN %(low)s AND %(high)s AND e.business_date >= %(first)s AND e.lot_no > 0
    GROUP BY e.wallet_id, e.lot_no) m ON m.wallet_id = l.wallet_id AND m.lot_no = l.lot_no
WHERE l.bucket BETWEEN %(low)s AND %(high)s AND (l.balance > 0 OR m.wallet_id IS NOT NULL)"""  # noqa: S608
_BOOKED = f"""\
SELECT e.wallet_id, e.seq, e.business_date, e.lot_no, {MOVED} FROM entry e
WHERE e.bucket BETWEEN %(low)s AND %(high)s AND e.business_date BETWEEN %(first)s AND %(last)s
  AND e.source <> {Source.PAYMENT:d} AND e.lot_no > 0
GROUP BY e.wallet_id, e.seq, e.business_date, e.lot_no ORDER BY e.wallet_id, e.seq, e.lot_no"""  # noqa: S608
_PAYMENTS = f"""\
SELECT {STORED_COLUMNS} FROM payment p
WHERE p.bucket BETWEEN %(low)s AND %(high)s AND p.programme_no = %(programme_no)s
  AND p.business_date BETWEEN %(first)s AND %(last)s
  AND p.local_day BETWEEN %(earliest)s AND %(latest)s AND p.kind <> {Kind.INQUIRY:d}
ORDER BY p.bucket, p.wallet_id, p.seq"""  # noqa: S608 (numbers of our own)

_detail_of = msgspec.json.Decoder(Detail).decode
_day_of = lru_cache(maxsize=4096)(day_of_date)
_new_stored: Callable[..., Stored] = Stored  # rows come as tuples of anything
_wallet_id = attrgetter("stored.wallet_id")


class Journey(msgspec.Struct):
    """A wallet as it stood at the start, and what happened to it since, in the order of its postings."""

    state: State
    events: list[Past | Booked]


def past_of(row: tuple[Any, ...]) -> Past:
    """A row of STORED_COLUMNS as a payment."""
    key = PaymentKey(row[0], _day_of(row[1]), *row[2:6])
    stored = _new_stored(key, *row[6:12], _day_of(row[12]), *row[13:31], row[31].encode())
    return Past(stored, _detail_of(row[31]))


def journeys(
    connection: psycopg.Connection[Any], programme_no: int, low: int, high: int, first: int, last: int
) -> Iterator[Journey]:
    """Wallets of the buckets low..high that have payments on the business days first..last (yyyymmdd)."""
    wanted = {
        "programme_no": programme_no,
        "low": low,
        "high": high,
        "first": date_of_day(first),
        "last": date_of_day(last),
        "earliest": date.fromordinal(date_of_day(first).toordinal() - LATE_DAYS_MAX),
        "latest": date_of_day(add_days(last, 2)),
    }
    wallets = {row[1]: row for row in connection.execute(_WALLETS, wanted)}
    if not wallets:
        return
    lots: dict[int, dict[int, Lot]] = {}
    for row in connection.execute(_LOTS, wanted):
        if row[0] in wallets:
            lots.setdefault(row[0], {})[row[1]] = Lot(*row[1:])
    booked = booked_of(connection.execute(_BOOKED, wanted))
    with connection.cursor(name="payments") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(_PAYMENTS, wanted)
        for number, rows in groupby(map(past_of, cursor), key=_wallet_id):
            payments = list(rows)
            events: list[Past | Booked] = [*payments, *booked.get(number, ())]
            if number in booked:
                events.sort(key=posting)
            yield Journey(state_of(wallets[number], lots.pop(number, {}), first // 100), events)


def posting(event: Past | Booked) -> int:
    """The posting number of an event."""
    return event.seq if isinstance(event, Booked) else event.stored.seq


def state_of(row: tuple[Any, ...], lots: dict[int, Lot], first_month: int) -> State:
    """A wallet (bucket, id, programme_no, points_on, tags, holder) with its lots and no usage yet."""
    bucket, wallet_id, programme_no, points_on, tags, holder = row
    wallet = Wallet(
        bucket=bucket,
        wallet_id=wallet_id,
        programme_no=programme_no,
        active=True,
        points_on=points_on,
        seq=0,
        lot_seq=max(lots, default=0),
        receivable=0,
        month=0,
        month_spent=0,
        month_basis=0,
        month_topup=0,
        day=0,
        day_spent=0,
        holds=0,
        tags=tags,
        holder=holder,
        lots=lots,
        past={},
        cards={},
    )
    return State(wallet, first_month)


def booked_of(rows: Any) -> dict[int, list[Booked]]:
    """Postings that are no payments, by wallet: (wallet_id, seq, business date, lot_no, won) in order."""
    found: dict[int, list[Booked]] = {}
    for (wallet_id, seq, day), group in groupby(rows, key=lambda row: row[:3]):
        moves = tuple([(row[3], row[4]) for row in group])
        found.setdefault(wallet_id, []).append(Booked(seq, _day_of(day), moves))
    return found
