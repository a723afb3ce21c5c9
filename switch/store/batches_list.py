"""Terminals' batches for people: how each stands, and whether the books have changed since it closed."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, RowMapping, and_, or_, select

from switch.domain.payment import Kind
from switch.domain.terminal_batch import CREDITS, DEBITS, Totals, totals_of
from switch.store.batches import PROCESSING_KINDS, batch_of, records_of
from switch.store.schema import merchant, payment, programme
from switch.store.schema_terminal import terminal_batch, terminal_batch_difference

BATCHES_MAX = 1_000


class BatchView(msgspec.Struct, frozen=True):
    """A batch. `told` is what the terminal counted, `host` what the books had at its last close, won.

    `state` is open_differs, closed or closed_differs; `changed_after_close`: payments or reversals of it
    came later, and `host` is no longer what the books have.
    """

    terminal: str
    batch_no: int
    merchant: str
    programme: str
    business_date: str
    state: str
    reported_at: str
    closed_at: str
    told: Totals
    host: Totals
    details: int
    differences: int
    changed_after_close: bool


class DifferenceView(msgspec.Struct, frozen=True):
    """A record on which terminal and books differ. `what`: host_lacks, terminal_lacks or amount_differs."""

    what: str
    kind: str
    stan: str
    transmission: str
    host_won: int
    terminal_won: int


def batch_list(
    engine: Engine,
    *,
    days_back: int,
    terminal_id: str | None = None,
    business_date: date | None = None,
    batch_no: int | None = None,
    differing: bool = False,
    last: int = 50,
) -> list[BatchView]:
    """Batches that a terminal has told of, oldest first, the `last` of them.

    `differing`: only those that are out of balance, closed or not. `days_back`: days by which a payment's own
    date may lie before its batch's close (the switch's limit of that name).
    """
    wanted = []
    if terminal_id is not None:
        wanted.append(terminal_batch.c.terminal_id == terminal_id)
    if business_date is not None:
        wanted.append(terminal_batch.c.business_date == business_date)
    if batch_no is not None:
        wanted.append(terminal_batch.c.batch_no == batch_no)
    if differing:
        wanted.append(terminal_batch.c.state != "closed")
    query = (
        select(terminal_batch, merchant.c.merchant_id, programme.c.programme_id)
        .outerjoin(merchant, merchant.c.merchant_no == terminal_batch.c.merchant_no)
        .outerjoin(programme, programme.c.programme_no == terminal_batch.c.programme_no)
        .where(and_(True, *wanted))
        .order_by(
            terminal_batch.c.reported_at.desc(),
            terminal_batch.c.terminal_id.desc(),
            terminal_batch.c.batch_no.desc(),
        )
        .limit(min(last, BATCHES_MAX))
    )
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()[::-1]
        now = _totals_now(connection, rows, days_back)
    return [_view(row, now) for row in rows]


def difference_list(engine: Engine, terminal_id: str, batch_no: int) -> list[DifferenceView]:
    """The differences kept of a batch, in the order of their records."""
    table = terminal_batch_difference
    query = (
        select(table)
        .where(table.c.terminal_id == terminal_id, table.c.batch_no == batch_no)
        .order_by(table.c.line)
    )
    with engine.connect() as connection:
        return [
            DifferenceView(
                *(row.what, Kind(PROCESSING_KINDS[row.processing]).name.lower(), f"{row.stan:06d}"),
                *(row.transmission, row.host_won, row.terminal_won),
            )
            for row in connection.execute(query)
        ]


def _totals_now(
    connection: Connection, rows: Sequence[RowMapping], days_back: int
) -> dict[tuple[str, int], Totals]:
    """What the books have of these batches now."""
    if not rows:
        return {}
    since = min(row["business_date"] for row in rows) - timedelta(days=days_back + 1)
    counted = [int(kind) for kind in DEBITS | CREDITS]
    query = select(
        payment.c.kind,
        payment.c.stan,
        payment.c.transmission,
        payment.c.approved,
        payment.c.bucket,
        payment.c.wallet_id,
        payment.c.seq,
        payment.c.original_seq,
        payment.c.terminal_id,
        payment.c.batch_no,
    ).where(
        payment.c.terminal_id.in_({row["terminal_id"] for row in rows}),
        payment.c.local_day >= since,
        payment.c.approved > 0,
        or_(
            and_(payment.c.kind.in_(counted), payment.c.batch_no.in_({row["batch_no"] for row in rows})),
            payment.c.kind == int(Kind.REVERSAL),
        ),
    )
    by_batch: dict[tuple[str, int], list[Sequence[Any]]] = {}
    reversals: dict[str, list[Sequence[Any]]] = {}
    for one in connection.execute(query):
        if one.kind == Kind.REVERSAL:
            reversals.setdefault(one.terminal_id, []).append(one[:8])
        else:
            by_batch.setdefault((one.terminal_id, one.batch_no), []).append(one[:8])
    return {
        key: totals_of(records_of([*payments, *reversals.get(key[0], ())]))
        for key, payments in by_batch.items()
    }


def _view(row: RowMapping, now: dict[tuple[str, int], Totals]) -> BatchView:
    batch = batch_of(row)
    closed_at = row["closed_at"]
    books = now.get((row["terminal_id"], row["batch_no"]), Totals())
    return BatchView(
        terminal=row["terminal_id"],
        batch_no=row["batch_no"],
        merchant=row["merchant_id"] or "",
        programme=row["programme_id"] or "",
        business_date=row["business_date"].isoformat(),
        state=row["state"],
        reported_at=row["reported_at"].isoformat(timespec="seconds"),
        closed_at="" if closed_at is None else closed_at.isoformat(timespec="seconds"),
        told=batch.told,
        host=batch.host,
        details=row["details"],
        differences=batch.differences,
        changed_after_close=batch.is_closed and books != batch.host,
    )
