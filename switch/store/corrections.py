"""Corrections in the books: the payments of a time, what corrections have booked, proposals, their lines."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, text, update

from switch.domain.calendar import date_of_day, day_of_date
from switch.domain.correction import Difference, Purchase
from switch.domain.decision import decode_detail
from switch.domain.payment import Kind, Outcome
from switch.domain.wallet import Holder
from switch.store.bulk import chunks, copy_rows
from switch.store.schema_review import correction

ROWS_AT_A_TIME = 2_000
OPEN, POSTED, LEFT_OUT = 0, 1, 2
"""States of a line: not booked yet; booked; left out, because the payment had changed since."""

Key = tuple[int, int, int]
"""(bucket, wallet_id, posting number) of a payment."""

_COLUMNS = f"""
    p.bucket, p.wallet_id, p.seq, p.local_day, p.usage_month, p.channel, p.approved, p.returned, p.basis,
    p.usage_before, w.holder = {Holder.COMPANY:d} AS company, p.policy_no, p.detail, p.merchant_no
    FROM payment p JOIN wallet w ON w.bucket = p.bucket AND w.wallet_id = p.wallet_id
"""
_POSTED_PURCHASE = f"""
    p.kind = {Kind.PURCHASE:d} AND p.basis > 0
    AND p.outcome IN ({Outcome.APPROVED:d}, {Outcome.RETURNED_PARTLY:d}, {Outcome.RETURNED:d})
"""
_OF_TIME = text(f"""
    SELECT {_COLUMNS}
    WHERE p.programme_no = :programme_no AND p.local_day BETWEEN :first AND :last
      AND to_char(p.local_day, 'YYYYMMDD')::bigint * 1000000 + p.local_time >= :since
      AND to_char(p.local_day, 'YYYYMMDD')::bigint * 1000000 + p.local_time < :until
      AND p.policy_no <> :policy_no AND {_POSTED_PURCHASE}
    ORDER BY p.bucket, p.wallet_id, p.seq
""")
_OF_KEYS = text(f"""
    SELECT {_COLUMNS}
    JOIN unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:seqs AS integer[]),
                CAST(:days AS date[])) AS k(bucket, wallet_id, seq, local_day)
      ON k.bucket = p.bucket AND k.wallet_id = p.wallet_id AND k.seq = p.seq AND k.local_day = p.local_day
    WHERE p.local_day BETWEEN :first AND :last AND {_POSTED_PURCHASE}
    ORDER BY p.bucket, p.wallet_id, p.seq
""")
_KEYS = "unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[])) AS k(bucket, wallet_id)"
_KINDS = text(f"""
    SELECT l.bucket, l.wallet_id, l.lot_no, l.kind FROM {_KEYS} JOIN lot l USING (bucket, wallet_id)
""")  # noqa: S608
_SETTLED = text(f"""
    SELECT bucket, wallet_id, seq, funder_no, budget_no, sum(booked)::bigint AS booked,
           sum(waived)::bigint AS waived
    FROM {_KEYS} JOIN correction_line USING (bucket, wallet_id)
    WHERE booked <> 0 OR waived <> 0 GROUP BY 1, 2, 3, 4, 5
""")  # noqa: S608
_ORDER = "ORDER BY l.bucket, l.wallet_id, l.seq, l.funder_no, l.budget_no"
_LINES = text(f"""
    SELECT l.*, m.member_id FROM correction_line l JOIN member m USING (wallet_id)
    WHERE l.correction_no = :number {_ORDER}
""")  # noqa: S608
_LINES_AT = text(f"""
    SELECT l.* FROM {_KEYS} JOIN correction_line l USING (bucket, wallet_id)
    WHERE l.correction_no = :number {_ORDER}
""")  # noqa: S608
_WALLETS = text("""
    SELECT bucket, wallet_id, sum(due - stood) < 0 AS loses FROM correction_line
    WHERE correction_no = :number AND state = 0 GROUP BY bucket, wallet_id ORDER BY bucket, wallet_id
""")
_MARK = text("""
    UPDATE correction_line l SET booked = k.booked, waived = k.waived, state = k.state
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:seqs AS integer[]),
                CAST(:funders AS smallint[]), CAST(:budgets AS smallint[]), CAST(:booked AS bigint[]),
                CAST(:waived AS bigint[]), CAST(:states AS smallint[]))
         AS k(bucket, wallet_id, seq, funder_no, budget_no, booked, waived, state)
    WHERE l.correction_no = :number AND l.bucket = k.bucket AND l.wallet_id = k.wallet_id AND l.seq = k.seq
      AND l.funder_no = k.funder_no AND l.budget_no = k.budget_no AND l.state = 0
""")
# Points of a correction raise what their lot was granted, as the nightly credit does.
_GRANTED = text("""
    UPDATE lot l SET granted = l.granted + k.won
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]), CAST(:lots AS integer[]),
                CAST(:wons AS bigint[])) AS k(bucket, wallet_id, lot_no, won)
    WHERE l.bucket = k.bucket AND l.wallet_id = k.wallet_id AND l.lot_no = k.lot_no
""")


class NewCorrection(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal's own row, before it is approved."""

    correction_no: int
    programme_no: int
    policy_no: int
    since: datetime
    until: datetime
    only_group: str
    only_category: str
    forgive_below: int
    owe: bool
    payments: int
    members: int
    over: int
    under: int
    sha256: str
    proposed_by: str
    proposed_at: datetime


class Line(msgspec.Struct, frozen=True):
    """A stored line: the difference, and what became of it."""

    difference: Difference
    booked: int
    waived: int
    state: int


class Found(msgspec.Struct, frozen=True):
    """A purchase of a time, its merchant's number, and what corrections have booked and waived of it."""

    purchase: Purchase
    merchant_no: int
    booked: dict[tuple[int, int], int]
    waived: dict[tuple[int, int], int]


def purchases_of(
    connection: Connection, programme_no: int, policy_no: int, since: int, until: int
) -> Iterator[list[Found]]:
    """The purchases of a time (yyyymmddhhmmss, until exclusive) that other versions judged, in key order."""
    days = {"first": date_of_day(since // 1_000_000), "last": date_of_day(until // 1_000_000)}
    at = {"programme_no": programme_no, "policy_no": policy_no, "since": since, "until": until, **days}
    rows = connection.execute(_OF_TIME, at, execution_options={"yield_per": ROWS_AT_A_TIME})
    for part in rows.partitions(ROWS_AT_A_TIME):
        yield _found(connection, part)


def purchases_by_key(connection: Connection, lines: Iterable[Difference]) -> list[Found]:
    """The purchases that lines are about, as they stand now."""
    keys = sorted({(one.bucket, one.wallet_id, one.seq, one.local_day) for one in lines})
    found: list[Found] = []
    for chunk in chunks(keys, ROWS_AT_A_TIME):
        days = [date_of_day(key[3]) for key in chunk]
        at: dict[str, object] = {
            "buckets": [key[0] for key in chunk],
            "wallets": [key[1] for key in chunk],
            "seqs": [key[2] for key in chunk],
            "days": days,
            "first": min(days),
            "last": max(days),
        }
        found += _found(connection, connection.execute(_OF_KEYS, at).all())
    return found


def _found(connection: Connection, rows: Sequence[Row[Any]]) -> list[Found]:
    wallets = sorted({(row.bucket, row.wallet_id) for row in rows})
    at = {"buckets": [key[0] for key in wallets], "wallets": [key[1] for key in wallets]}
    partly = sorted({(row.bucket, row.wallet_id) for row in rows if 0 < row.returned < row.approved})
    kinds: dict[tuple[int, int], dict[int, int]] = {}
    if partly:
        some = {"buckets": [key[0] for key in partly], "wallets": [key[1] for key in partly]}
        for bucket, wallet_id, lot_no, kind in connection.execute(_KINDS, some):
            kinds.setdefault((bucket, wallet_id), {})[lot_no] = kind
    booked: dict[Key, dict[tuple[int, int], int]] = {}
    waived: dict[Key, dict[tuple[int, int], int]] = {}
    for one in connection.execute(_SETTLED, at):
        key, of = (one.bucket, one.wallet_id, one.seq), (one.funder_no, one.budget_no)
        booked.setdefault(key, {})[of] = one.booked
        waived.setdefault(key, {})[of] = one.waived
    found = []
    for row in rows:
        purchase = Purchase(
            *(row.bucket, row.wallet_id, row.seq, day_of_date(row.local_day), row.usage_month, row.channel),
            *(row.approved, row.returned, row.basis, row.usage_before, row.company, row.policy_no),
            decode_detail(row.detail.encode()),
            kinds.get((row.bucket, row.wallet_id), {}),
        )
        key = (row.bucket, row.wallet_id, row.seq)
        found.append(Found(purchase, row.merchant_no, booked.get(key, {}), waived.get(key, {})))
    return found


def next_number(connection: Connection) -> int:
    """The number of the next proposal; call it under lock_administration."""
    return int(connection.scalar(select(func.coalesce(func.max(correction.c.correction_no), 0))) or 0) + 1


def put_proposal(connection: Connection, one: NewCorrection, lines: Iterable[Difference]) -> None:
    """Store a proposal with its lines."""
    connection.execute(insert(correction), [msgspec.structs.asdict(one)])
    copy_rows(
        connection,
        "correction_line",
        (
            *("correction_no", "bucket", "wallet_id", "seq", "funder_no", "budget_no"),
            *("local_day", "month", "stood", "due"),
        ),
        (
            (
                *(one.correction_no, line.bucket, line.wallet_id, line.seq, line.funder_no, line.budget_no),
                *(date_of_day(line.local_day), line.month, line.stood, line.due),
            )
            for line in lines
        ),
    )


def approve(connection: Connection, number: int, by: str, at: datetime) -> bool:
    """Note who approves; False if somebody has already."""
    done = connection.execute(
        update(correction)
        .where(correction.c.correction_no == number, correction.c.approved_by.is_(None))
        .values(approved_by=by, approved_at=at)
    )
    return done.rowcount == 1


def finish(connection: Connection, number: int, at: datetime) -> None:
    """Note that every line is done with."""
    connection.execute(
        update(correction)
        .where(correction.c.correction_no == number, correction.c.posted_at.is_(None))
        .values(posted_at=at)
    )


def find(connection: Connection, number: int) -> Row[Any] | None:
    """A proposal's row."""
    return connection.execute(select(correction).where(correction.c.correction_no == number)).first()


def all_of(connection: Connection, programme_no: int | None, last: int) -> Sequence[Row[Any]]:
    """The last proposals, the newest first."""
    query = select(correction).order_by(correction.c.correction_no.desc()).limit(last)
    if programme_no is not None:
        query = query.where(correction.c.programme_no == programme_no)
    return connection.execute(query).all()


def lines_of(connection: Connection, number: int) -> Iterator[tuple[Line, str]]:
    """The lines of a proposal with the member's id, in key order."""
    rows = connection.execute(_LINES, {"number": number}, execution_options={"yield_per": ROWS_AT_A_TIME})
    for row in rows:
        yield _line(row), row.member_id


def lines_at(connection: Connection, number: int, wallets: Sequence[tuple[int, int]]) -> list[Line]:
    """The lines of a proposal that are about these wallets, in key order."""
    at = {"buckets": [key[0] for key in wallets], "wallets": [key[1] for key in wallets]}
    return [_line(row) for row in connection.execute(_LINES_AT, {"number": number, **at})]


def _line(row: Row[Any]) -> Line:
    difference = Difference(
        *(row.bucket, row.wallet_id, row.seq, row.funder_no, row.budget_no, day_of_date(row.local_day)),
        *(row.month, row.stood, row.due),
    )
    return Line(difference, row.booked, row.waived, row.state)


def open_wallets(connection: Connection, number: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The wallets with lines not done yet, in key order: those that lose won, and all others."""
    rows = connection.execute(_WALLETS, {"number": number}).all()
    return (
        [(row.bucket, row.wallet_id) for row in rows if row.loses],
        [(row.bucket, row.wallet_id) for row in rows if not row.loses],
    )


def mark(connection: Connection, number: int, done: Sequence[Line]) -> None:
    """Note what became of lines."""
    for chunk in chunks(done):
        lines = [one.difference for one in chunk]
        connection.execute(
            _MARK,
            {
                "number": number,
                "buckets": [one.bucket for one in lines],
                "wallets": [one.wallet_id for one in lines],
                "seqs": [one.seq for one in lines],
                "funders": [one.funder_no for one in lines],
                "budgets": [one.budget_no for one in lines],
                "booked": [one.booked for one in chunk],
                "waived": [one.waived for one in chunk],
                "states": [one.state for one in chunk],
            },
        )


def raise_granted(connection: Connection, lots: Sequence[tuple[int, int, int, int]]) -> None:
    """Raise what lots were granted: (bucket, wallet_id, lot_no, won)."""
    for chunk in chunks(lots):
        names = ("buckets", "wallets", "lots", "wons")
        columns = [list(column) for column in zip(*chunk, strict=True)]
        connection.execute(_GRANTED, dict(zip(names, columns, strict=True)))
