"""Whom the watch stops: members in their wallet's row, shops in the reference data, each stop by its flag."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select, text, update

from switch.domain.watch import Subject
from switch.store.bulk import bump_epoch, lock_administration, lock_wallets
from switch.store.schema_watch import stop


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """A flag that stops a subject, the last day (yyyymmdd) of that, and whether it was lifted since."""

    flag_no: int
    subject: int
    until_day: int
    lifted: bool = False


def stopped_shops(connection: Connection) -> dict[int, int]:
    """merchant_no → the last day (yyyymmdd) on which some flag stops it."""
    rows = connection.execute(
        select(stop.c.merchant_no, func.max(stop.c.until_day))
        .where(stop.c.subject == int(Subject.SHOP), stop.c.lifted_at.is_(None))
        .group_by(stop.c.merchant_no)
    )
    return {row[0]: row[1] for row in rows}


def stops_of(
    connection: Connection, programme_no: int, wallet_id: int, merchant_no: int, day: int
) -> list[Stopped]:
    """The flags whose stops cover this wallet or shop on a day (yyyymmdd), lifted since or not.

    For operators only: a member is not told of flags.
    """
    rows = connection.execute(
        select(stop.c.flag_no, stop.c.subject, stop.c.until_day, stop.c.lifted_at.is_not(None))
        .where(
            stop.c.programme_no == programme_no,
            stop.c.until_day >= day,
            ((stop.c.subject == int(Subject.MEMBER)) & (stop.c.wallet_id == wallet_id))
            | ((stop.c.subject == int(Subject.SHOP)) & (stop.c.merchant_no == merchant_no)),
        )
        .order_by(stop.c.flag_no)
    )
    return [Stopped(*row) for row in rows]


def lift(connection: Connection, programme_no: int, flag_no: int, now: datetime) -> bool:
    """End the stop of a flag; whether there was one. Other flags' stops of the same subject stand."""
    row = connection.execute(
        update(stop)
        .where(stop.c.programme_no == programme_no, stop.c.flag_no == flag_no, stop.c.lifted_at.is_(None))
        .values(lifted_at=now)
        .returning(stop.c.subject, stop.c.bucket, stop.c.wallet_id)
    ).first()
    if row is None:
        return False
    of_member = row.subject == Subject.MEMBER
    put_in_force(connection, {(row.bucket, row.wallet_id)} if of_member else set(), shops=not of_member)
    return True


def put_in_force(connection: Connection, wallets: set[tuple[int, int]], *, shops: bool) -> None:
    """Write what the stops of these wallets come to into their rows; tell the lanes of stopped shops."""
    if shops:
        lock_administration(connection)
        bump_epoch(connection)
    if wallets:
        lock_wallets(connection, wallets)
        connection.execute(_MARK_WALLETS, {"wallets": [wallet for _, wallet in wallets],
                                           "buckets": [bucket for bucket, _ in wallets]})  # fmt: skip


_MARK_WALLETS = text("""
    UPDATE wallet w SET stopped_until = coalesce((
        SELECT max(s.until_day) FROM watch_stop s
        WHERE s.bucket = w.bucket AND s.wallet_id = w.wallet_id AND s.subject = 1 AND s.lifted_at IS NULL), 0)
    FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[])) k(bucket, wallet_id)
    WHERE w.bucket = k.bucket AND w.wallet_id = k.wallet_id
""")
