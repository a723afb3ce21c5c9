"""Money that came in by an operator's file, as lots and entries in the books."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import msgspec
from sqlalchemy import Connection, Engine, func, select, text

from switch.domain.wallet import LOT_KIND_NO
from switch.ledger.chart import LOT_ACCOUNT, Account
from switch.ledger.journal import Entry, Source, entry
from switch.store.bulk import chunks, copy_rows, lock_wallets
from switch.store.schema import funding, lot

OPEN_DATE_TRIES = 4


class NewFunding(msgspec.Struct, frozen=True, gc=False):
    """One amount (won) for one wallet. `opened`, `expires` (last valid day) are yyyymmdd."""

    reference: str
    bucket: int
    wallet_id: int
    kind: str
    won: int
    funder_no: int
    opened: int
    expires: int


class BookedFunding(msgspec.Struct, frozen=True, gc=False):
    """What a reference has booked before: where, what kind and how much."""

    bucket: int
    wallet_id: int
    kind: int
    funder_no: int
    opened: int
    won: int


class NoOpenDateError(RuntimeError):
    """The books are closed ahead of the clock."""


def find_funding(
    connection: Connection, programme_no: int, references: Iterable[str]
) -> dict[str, BookedFunding]:
    """What is booked under these references."""
    found: dict[str, BookedFunding] = {}
    for chunk in chunks(references):
        rows = connection.execute(
            select(
                funding.c.reference,
                funding.c.bucket,
                funding.c.wallet_id,
                lot.c.kind,
                lot.c.funder_no,
                lot.c.opened,
                funding.c.won,
            )
            .join(
                lot,
                (lot.c.bucket == funding.c.bucket)
                & (lot.c.wallet_id == funding.c.wallet_id)
                & (lot.c.lot_no == funding.c.lot_no),
            )
            .where(funding.c.programme_no == programme_no, funding.c.reference == func.any(chunk))
        )
        for reference, *booked in rows:
            found[reference] = BookedFunding(*booked)
    return found


def ensure_days(engine: Engine, first: date) -> None:
    """Make the partitions of a business date and the next few.

    Each in a transaction of its own: making one takes a lock that lanes wait for.
    """
    for ahead in range(OPEN_DATE_TRIES):
        with engine.begin() as connection:
            connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": first + timedelta(days=ahead)})


def hold_open_date(connection: Connection, programme_no: int, business_date: date) -> date:
    """Hold the business date open for this transaction, or the next one if it is closed already.

    The same lock as a lane's, and as there before the wallets': whoever closes the date waits for it.
    Raises NoOpenDateError.
    """
    day = business_date
    for _ in range(OPEN_DATE_TRIES):
        connection.execute(
            text("SELECT pg_advisory_xact_lock_shared(:programme_no, :day)"),
            {"programme_no": programme_no, "day": day.year * 10_000 + day.month * 100 + day.day},
        )
        closed = connection.scalar(
            text("SELECT closed_through FROM programme WHERE programme_no = :programme_no"),
            {"programme_no": programme_no},
        )
        if closed is None or day > closed:
            return day
        day += timedelta(days=1)
    raise NoOpenDateError(
        f"the books are closed through {closed}, days after {business_date}: check the clock"
    )


def book_funding(
    connection: Connection, programme_no: int, business_date: date, rows: Sequence[NewFunding]
) -> None:
    """Book every row as a lot of its own and one posting of its wallet, in the order given.

    Call with the business date held (hold_open_date), then the wallets locked (bulk.lock_wallets).
    """
    standing = {
        (row[0], row[1]): (row[2], row[3])
        for row in lock_wallets(connection, ((row.bucket, row.wallet_id) for row in rows))
    }
    placed: list[tuple[NewFunding, int, int, Entry]] = []
    for row in rows:
        key = (row.bucket, row.wallet_id)
        seq, lot_no = standing[key][0] + 1, standing[key][1] + 1
        standing[key] = (seq, lot_no)
        placed.append((row, seq, lot_no, _entry(row, lot_no)))
    copy_rows(
        connection,
        "lot",
        ("bucket", "wallet_id", "lot_no", "kind", "funder_no", "balance", "granted", "opened", "expires"),
        (
            (
                *(row.bucket, row.wallet_id, lot_no, LOT_KIND_NO[row.kind], row.funder_no),
                *(row.won, row.won, row.opened, row.expires),
            )
            for row, _, lot_no, _ in placed
        ),
    )
    copy_rows(
        connection,
        "entry",
        (
            *("bucket", "business_date", "wallet_id", "seq", "line", "programme_no", "source"),
            *("debit", "credit", "won", "lot_no", "merchant_no", "funder_no"),
        ),
        (
            (
                *(row.bucket, business_date, row.wallet_id, seq, 1, programme_no, int(Source.FUNDING)),
                *(int(one.debit), int(one.credit), one.won, one.lot_no, one.merchant_no, one.funder_no),
            )
            for row, seq, _, one in placed
        ),
    )
    copy_rows(
        connection,
        "funding",
        ("programme_no", "reference", "bucket", "wallet_id", "lot_no", "won"),
        (
            (programme_no, row.reference, row.bucket, row.wallet_id, lot_no, row.won)
            for row, _, lot_no, _ in placed
        ),
    )
    _advance(connection, standing)


def _entry(row: NewFunding, lot_no: int) -> Entry:
    source = Account.FUNDER_DUE if row.kind == "points" else Account.SAFEGUARDED
    return entry(source, LOT_ACCOUNT[row.kind], row.won, lot_no=lot_no, funder_no=row.funder_no)


def _advance(connection: Connection, standing: dict[tuple[int, int], tuple[int, int]]) -> None:
    for chunk in chunks(standing.items()):
        connection.execute(
            text(
                "UPDATE wallet w SET seq = k.seq, lot_seq = k.lot_seq"
                " FROM unnest(CAST(:buckets AS smallint[]),"
                " CAST(:wallets AS bigint[]), CAST(:seqs AS integer[]), CAST(:lot_seqs AS integer[]))"
                " AS k(bucket, wallet_id, seq, lot_seq)"
                " WHERE w.bucket = k.bucket AND w.wallet_id = k.wallet_id"
            ),
            {
                "buckets": [key[0] for key, _ in chunk],
                "wallets": [key[1] for key, _ in chunk],
                "seqs": [value[0] for _, value in chunk],
                "lot_seqs": [value[1] for _, value in chunk],
            },
        )
