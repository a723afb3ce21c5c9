"""The fingerprint of one business date, and the chain that ties each closed date to the one before.

Two levels: a SHA-256 per bucket over its entries in key order, then one over those digests, so that it
can be computed shard by shard and a difference can be traced to its bucket. Entries are insert-only, so
the fingerprint of a closed date never changes; if it does, somebody has been at the books.
"""

import hashlib
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import chain as chain_of
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from switch.domain.payment import BUCKETS

GENESIS = "0" * 64
"""What the first closed date of a programme is chained to."""

LOOKBACK_DAYS = 366
LOOKAHEAD_DAYS = 2
"""A payment of business date D has its local day in D−366..D+2: a reversal carries its original's day."""

# The budget of an entry stands at the end, where there is one: dates closed before there were budgets keep
# their fingerprint.
HOUSE_CHUNK_LINES = 10_000

_PAYMENTS = text("""
    SELECT count(*) FROM payment
    WHERE programme_no = :programme_no AND business_date = :day AND local_day BETWEEN :first AND :last
""")
_ENTRIES = text(r"""
    SELECT bucket, count(*), sum(won)::bigint,
           encode(sha256(convert_to(string_agg(
               concat_ws(',', wallet_id, seq, line, source, debit, credit, won,
                         lot_no, merchant_no, funder_no, nullif(budget_no, 0)),
               E'\n' ORDER BY wallet_id, seq, line), 'UTF8')), 'hex')
    FROM entry WHERE programme_no = :programme_no AND business_date = :day
      AND bucket BETWEEN :first_bucket AND :last_bucket
    GROUP BY bucket ORDER BY bucket
""")
_HOUSE = text(r"""
    SELECT posting, line / :chunk, count(*), sum(won)::bigint,
           encode(sha256(convert_to(string_agg(
               concat_ws(',', line, debit, credit, won, merchant_no, funder_no),
               E'\n' ORDER BY line), 'UTF8')), 'hex')
    FROM house_entry WHERE programme_no = :programme_no AND business_date = :day
    GROUP BY 1, 2 ORDER BY 1, 2
""")


class DayDigest(msgspec.Struct, frozen=True, gc=False):
    """One date of one programme: `payments` rows (declines too), `entries` (of wallets and of the house),
    `won` they move in sum, and the SHA-256 of all of it (64 hex digits)."""

    payments: int
    entries: int
    won: int
    sha256: str


class BucketDigest(NamedTuple):
    """The entries of one bucket: how many, the won they move, and the SHA-256 of their lines."""

    bucket: int
    entries: int
    won: int
    sha256: str


def payment_window(day: date) -> tuple[date, date]:
    """The first and last local day that a payment of this business date can have: prunes partitions."""
    return day - timedelta(days=LOOKBACK_DAYS), day + timedelta(days=LOOKAHEAD_DAYS)


def count_payments(connection: Connection, programme_no: int, day: date) -> int:
    """Payments of a business date, declines too."""
    first, last = payment_window(day)
    of_day = {"programme_no": programme_no, "day": day, "first": first, "last": last}
    return int(connection.execute(_PAYMENTS, of_day).scalar_one())


def bucket_digests(
    connection: Connection, programme_no: int, day: date, first: int = 0, last: int = BUCKETS - 1
) -> list[BucketDigest]:
    """The digests of the entries of some buckets, in their order: sessions may share them out."""
    of_day = {"programme_no": programme_no, "day": day, "first_bucket": first, "last_bucket": last}
    return [BucketDigest(*row) for row in connection.execute(_ENTRIES, of_day)]


def day_digest(
    connection: Connection,
    programme_no: int,
    day: date,
    *,
    payments: int | None = None,
    buckets: Iterable[BucketDigest] | None = None,
) -> DayDigest:
    """Read one business date and return its fingerprint. Frozen only once the date is closed.

    `payments` and `buckets`: what count_payments and bucket_digests (of all buckets) gave, where the caller
    has asked already.
    """
    if payments is None:
        payments = count_payments(connection, programme_no, day)
    if buckets is None:
        buckets = bucket_digests(connection, programme_no, day)
    return assemble(programme_no, day, payments, buckets, house_parts(connection, programme_no, day))


Parts = Iterable[tuple[Any, ...]]
"""Parts of a date's content: what names them, then rows, won, and the hex SHA-256 of their lines."""


def house_parts(connection: Connection, programme_no: int, day: date) -> Parts:
    """The house's entries of a date, by posting and part of it."""
    of_day = {"programme_no": programme_no, "day": day, "chunk": HOUSE_CHUNK_LINES}
    return (tuple(row) for row in connection.execute(_HOUSE, of_day))


def assemble(programme_no: int, day: date, payments: int, buckets: Parts, house: Parts) -> DayDigest:
    """The fingerprint of a date from its parts: entries by bucket, wherever read, and the house's."""
    content = hashlib.sha256(f"{programme_no} {day.isoformat()} {payments}\n".encode())
    entries = won = 0
    for part in chain_of(buckets, house):
        entries += part[-3]
        won += part[-2]
        content.update(f"{' '.join(map(str, part))}\n".encode())
    return DayDigest(payments, entries, won, content.hexdigest())


def chain(previous_sha256: str, digest: DayDigest) -> str:
    """The link of this date: SHA-256 over the link of the last closed date (or GENESIS) and its content."""
    return hashlib.sha256(f"{previous_sha256}\n{digest.sha256}\n".encode()).hexdigest()
