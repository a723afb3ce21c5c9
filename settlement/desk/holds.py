"""Payouts held, and parts of them kept back: placed and released by a person, obeyed by the next run."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, insert, select, text, update

from settlement.desk.merchants import find
from settlement.errors import UsageError
from settlement.people.audit import note
from settlement.people.identity import Actor
from settlement.store.schema_merchants import merchant_hold
from switch.domain.money import PPM, WON_MAX

HOLD, RESERVE = "hold", "reserve"
LOCK_SPACE = 0x484F4C44  # "HOLD": the numbers of a programme's holds follow each other
REASON_MAX = 200

_LIVE = text("""
    SELECT m.merchant_id, m.name, h.kind, h.rate_ppm, h.max_won, h.reason, h.placed_by, h.placed_at,
           p.programme_id
    FROM merchant_hold h JOIN merchant m USING (merchant_no) JOIN programme p
      ON p.programme_no = h.programme_no
    WHERE h.released_at IS NULL ORDER BY h.placed_at, h.programme_no, h.hold_no
""")


class Hold(msgspec.Struct, frozen=True):
    """A hold or a reserve in force: `rate_ppm` and `max_won` are a reserve's."""

    programme: str
    merchant: str
    name: str
    kind: str
    rate_ppm: int
    max_won: int
    reason: str
    placed_by: str
    placed_at: datetime


def place(
    connection: Connection,
    merchant_id: str,
    reason: str,
    actor: Actor,
    at: datetime,
    *,
    rate_ppm: int = 0,
    max_won: int = 0,
) -> None:
    """Hold all payouts of a merchant, or keep back `rate_ppm` of each day's net up to `max_won` in all.

    In the caller's transaction. Raises UsageError: one of a kind is in force, or it says nothing.
    """
    kind = RESERVE if rate_ppm or max_won else HOLD
    if not 0 < len(reason.strip()) <= REASON_MAX or not reason.isprintable():
        raise UsageError(f"a hold needs a reason of 1 to {REASON_MAX} printable characters")
    if kind == RESERVE and not (0 < rate_ppm <= PPM and 0 < max_won <= WON_MAX):
        raise UsageError("a reserve needs a rate above 0 and up to 100 %, and --max won above 0")
    row = find(connection, merchant_id, lock=True)
    connection.execute(select(func.pg_advisory_xact_lock(LOCK_SPACE, row.programme_no)))
    table = merchant_hold.c
    there = connection.execute(
        select(table.reason).where(
            table.programme_no == row.programme_no,
            table.merchant_no == row.merchant_no,
            table.kind == kind,
            table.released_at.is_(None),
        )
    ).first()
    if there is not None:
        raise UsageError(f"{merchant_id} has a {kind} already ({there.reason}): release that one first")
    last = connection.execute(
        select(func.coalesce(func.max(table.hold_no), 0)).where(table.programme_no == row.programme_no)
    ).scalar_one()
    connection.execute(
        insert(merchant_hold).values(
            programme_no=row.programme_no,
            hold_no=last + 1,
            merchant_no=row.merchant_no,
            kind=kind,
            rate_ppm=rate_ppm,
            max_won=max_won,
            reason=reason.strip(),
            placed_by=actor.name,
            placed_at=at,
        )
    )
    detail: dict[str, object] = {"rate_ppm": rate_ppm, "max_won": max_won, "reason": reason.strip()}
    note(connection, at, actor.name, f"merchant:{kind}", merchant_id, detail)


def release(connection: Connection, merchant_id: str, kind: str, actor: Actor, at: datetime) -> None:
    """End a merchant's hold or reserve, in the caller's transaction. Raises UsageError if there is none."""
    row = find(connection, merchant_id, lock=True)
    table = merchant_hold.c
    done = connection.execute(
        update(merchant_hold)
        .where(
            table.programme_no == row.programme_no,
            table.merchant_no == row.merchant_no,
            table.kind == kind,
            table.released_at.is_(None),
        )
        .values(released_by=actor.name, released_at=at)
    )
    if done.rowcount != 1:
        raise UsageError(f"{merchant_id} has no {kind}: `hold` without a merchant lists those in force")
    note(connection, at, actor.name, f"merchant:release {kind}", merchant_id, {})


def in_force(connection: Connection) -> Iterator[Hold]:
    """All holds and reserves in force, oldest first."""
    for row in connection.execute(_LIVE):
        yield Hold(
            row.programme_id,
            row.merchant_id,
            row.name,
            row.kind,
            row.rate_ppm,
            row.max_won,
            row.reason,
            row.placed_by,
            row.placed_at,
        )
