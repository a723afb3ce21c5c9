"""Flags as they are written down: once, however often a hit is seen, with the payments that speak for them.

A hit that lies within an earlier flag of the same rule and subject, or so many quiet days behind it, belongs
to that flag. So a history that is read again writes nothing new. A flag that somebody has judged stays as it
was judged.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from switch.domain.calendar import day_of_date
from switch.domain.watch import DAY_S, Hit, canonical_watch, moment_of_seconds, watch_sha256
from switch.store.schema_watch import flag, stop
from switch.store.watch_stops import put_in_force

EVIDENCE_MAX = 1_000
"""Payments that are kept of one flag, the oldest; the figures count all."""


class Written(msgspec.Struct):
    """What a round of writing did."""

    opened: list[tuple[int, str]] = []  # (flag_no, detector)
    extended: int = 0
    stopped: int = 0


def write_hits(connection: Connection, hits: Iterable[Hit], now: datetime) -> Written:
    """Write hits down in one transaction of the caller's; stops that a rule asks for come into force with it.

    `now` is the switch's own time: a stop that has passed already is not written.
    """
    written = Written()
    wallets: set[tuple[int, int]] = set()
    shops = False
    locked: set[int] = set()
    for hit in hits:
        if hit.programme_no not in locked:
            lock_flags(connection, hit.programme_no)
            locked.add(hit.programme_no)
        found = _flag_of(connection, hit)
        if found is not None and (found.state != "open" or _holds_all(found, hit)):
            continue
        if found is None:
            number = _open(connection, hit, now)
            written.opened.append((number, hit.watch.code))
        else:
            number = int(found.flag_no)
            _extend(connection, hit, found)
            written.extended += 1
        _add_evidence(connection, hit, number)
        if hit.watch.action == "decline" and _stop(connection, hit, number, day_of_date(now.date())):
            written.stopped += 1
            if hit.wallet_id:
                wallets.add((hit.bucket, hit.wallet_id))
            else:
                shops = True
    put_in_force(connection, wallets, shops=shops)
    return written


def lock_flags(connection: Connection, programme_no: int) -> None:
    """Be the only one to write flags of a programme, or to judge them, until the transaction ends."""
    connection.execute(_ONE_WRITER, {"programme_no": programme_no})


_ONE_WRITER = text("SELECT pg_advisory_xact_lock(hashtext('dure_watch_flags'), :programme_no)")


def _flag_of(connection: Connection, hit: Hit) -> Any:
    quiet = moment_of_seconds(hit.last - hit.watch.quiet_days * DAY_S)
    found: Any = connection.execute(
        select(flag.c.flag_no, flag.c.first_at, flag.c.last_at, flag.c.state, flag.c.figures)
        .where(
            flag.c.programme_no == hit.programme_no,
            flag.c.detector == hit.watch.code,
            flag.c.wallet_id == hit.wallet_id,
            flag.c.merchant_no == hit.merchant_no,
            flag.c.first_at <= moment_of_seconds(hit.last),
            flag.c.last_at >= quiet,
        )
        .order_by(flag.c.flag_no.desc())
        .limit(1)
    ).first()
    return found


def _holds_all(found: Row[Any], hit: Hit) -> bool:
    """Whether a flag says already what the hit says: the same time and no higher figures."""
    return (
        found.first_at <= moment_of_seconds(hit.first)
        and found.last_at >= moment_of_seconds(hit.last)
        and not _higher(hit, found.figures)
    )


def _higher(hit: Hit, figures: str) -> bool:
    known = msgspec.json.decode(figures, type=dict[str, int])
    return (hit.figures["won"], hit.figures["count"]) > (known["won"], known["count"])


def _open(connection: Connection, hit: Hit, now: datetime) -> int:
    last = connection.scalar(
        select(func.coalesce(func.max(flag.c.flag_no), 0)).where(flag.c.programme_no == hit.programme_no)
    )
    number = int(last or 0) + 1
    connection.execute(
        insert(flag).values(
            programme_no=hit.programme_no,
            flag_no=number,
            detector=hit.watch.code,
            rule=canonical_watch(hit.watch).decode(),
            rule_sha256=watch_sha256(hit.watch),
            subject=int(hit.watch.subject_no),
            bucket=hit.bucket,
            wallet_id=hit.wallet_id,
            merchant_no=hit.merchant_no,
            first_at=moment_of_seconds(hit.first),
            last_at=moment_of_seconds(hit.last),
            figures=msgspec.json.encode(hit.figures).decode(),
            noted_at=now,
        )
    )
    return number


def _extend(connection: Connection, hit: Hit, found: Row[Any]) -> None:
    values: dict[str, object] = {
        "first_at": min(found.first_at, moment_of_seconds(hit.first)),
        "last_at": max(found.last_at, moment_of_seconds(hit.last)),
    }
    if _higher(hit, found.figures):
        values["figures"] = msgspec.json.encode(hit.figures).decode()
    connection.execute(
        update(flag)
        .where(flag.c.programme_no == hit.programme_no, flag.c.flag_no == found.flag_no)
        .values(**values)
    )


# A shop's payments are found by its terminals, as the index has them.
_EVIDENCE = """
    INSERT INTO watch_evidence
    SELECT :programme_no, :flag_no, p.bucket, p.local_day, p.local_time, p.terminal_id, p.stan, p.kind
    FROM payment p
    WHERE p.programme_no = :programme_no AND p.local_day BETWEEN :first_day AND :last_day
      AND to_char(p.local_day, 'YYYYMMDD')::bigint * 1000000 + p.local_time BETWEEN :first AND :last
      AND p.outcome IN (1, 3)
      AND (p.kind = 1 AND p.approved - p.returned BETWEEN :least AND :most OR p.kind = 3 AND :topups)
      {subject}
    ORDER BY p.local_day, p.local_time, p.terminal_id, p.stan
    LIMIT greatest(0, :rows - (
        SELECT count(*) FROM watch_evidence e WHERE e.programme_no = :programme_no AND e.flag_no = :flag_no))
    ON CONFLICT DO NOTHING
"""
_OF_WALLET = "AND p.bucket = :bucket AND p.wallet_id = :wallet_id"
_AT_SHOP = "AND p.merchant_no = :merchant_no"
_BY_TERMINAL = (
    "AND p.terminal_id IN (SELECT t.terminal_id FROM terminal t WHERE t.merchant_no = :merchant_no)"
)
_WON_MOST = 2**62


def _add_evidence(connection: Connection, hit: Hit, flag_no: int) -> None:
    subject = _OF_WALLET if hit.of_wallet else _BY_TERMINAL
    if hit.of_merchant:
        subject += " " + _AT_SHOP
    connection.execute(
        text(_EVIDENCE.format(subject=subject)),
        {
            "programme_no": hit.programme_no,
            "flag_no": flag_no,
            "first_day": date.fromordinal(hit.first // DAY_S),
            "last_day": date.fromordinal(hit.last // DAY_S),
            "first": moment_of_seconds(hit.first),
            "last": moment_of_seconds(hit.last),
            "least": hit.least,
            "most": hit.most or _WON_MOST,
            "topups": hit.with_topups,
            "bucket": hit.of_bucket,
            "wallet_id": hit.of_wallet,
            "merchant_no": hit.of_merchant,
            "rows": EVIDENCE_MAX,
        },
    )


def _stop(connection: Connection, hit: Hit, flag_no: int, today: int) -> bool:
    """Write the stop that a rule asks for, or make it longer; whether there is one to put into force."""
    until = day_of_date(date.fromordinal(hit.last // DAY_S + hit.watch.stop_days))
    if until < today:
        return False
    row = upsert(stop).values(
        programme_no=hit.programme_no,
        flag_no=flag_no,
        subject=int(hit.watch.subject_no),
        bucket=hit.bucket,
        wallet_id=hit.wallet_id,
        merchant_no=hit.merchant_no,
        until_day=until,
    )
    longer = row.on_conflict_do_update(
        index_elements=["programme_no", "flag_no"],
        set_={"until_day": until},
        where=(stop.c.until_day < until) & stop.c.lifted_at.is_(None),
    )
    return connection.execute(longer.returning(stop.c.flag_no)).first() is not None
