"""The hot list as acts on cards: versions without gaps, given out one act at a time."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from switch.store.bulk import chunks
from switch.store.schema import card, member, programme
from switch.store.schema_messages import hotlist


class CardMark(msgspec.Struct, frozen=True, gc=False):
    """A card that goes on the list or off it, and the word for why."""

    bucket: int
    wallet_id: int
    card_no: int
    listed: bool
    reason: str


class ListedCard(msgspec.Struct, frozen=True):
    """A card on the list, for people."""

    version: int
    programme: str
    member: str
    card_no: int
    card: str
    reason: str
    noted_at: datetime


def note_cards(connection: Connection, marks: Sequence[CardMark]) -> int:
    """Write acts down, where they change anything; returns the list's version after them.

    The last lock that a transaction takes: whoever holds it waits for nobody. Versions follow the order of
    commits, because the next act waits for this one's commit.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('dure_hotlist'))"))
    version = hotlist_version(connection)
    rows = []
    last = _last_acts(connection, marks)
    for mark in marks:
        before = last.get((mark.bucket, mark.wallet_id, mark.card_no))
        if before == (mark.listed, mark.reason) or (before is None and not mark.listed):
            continue
        version += 1
        rows.append({"version": version, **msgspec.structs.asdict(mark)})
    if rows:
        connection.execute(insert(hotlist), rows)
    return version


def hotlist_version(connection: Connection) -> int:
    """The version of the list, 0 before its first act."""
    return int(connection.scalar(select(func.coalesce(func.max(hotlist.c.version), 0))) or 0)


def _last_acts(
    connection: Connection, marks: Sequence[CardMark]
) -> dict[tuple[int, int, int], tuple[bool, str]]:
    """(listed, reason) of the last act on each of these cards that ever was on the list."""
    found: dict[tuple[int, int, int], tuple[bool, str]] = {}
    for chunk in chunks(marks):
        rows = connection.execute(
            text(
                "SELECT DISTINCT ON (h.bucket, h.wallet_id, h.card_no) h.bucket, h.wallet_id, h.card_no,"
                " h.listed, h.reason FROM hotlist h JOIN unnest(CAST(:buckets AS smallint[]),"
                " CAST(:wallets AS bigint[]), CAST(:cards AS smallint[])) k(bucket, wallet_id, card_no)"
                " ON h.bucket = k.bucket AND h.wallet_id = k.wallet_id AND h.card_no = k.card_no"
                " ORDER BY h.bucket, h.wallet_id, h.card_no, h.version DESC"
            ),
            {
                "buckets": [mark.bucket for mark in chunk],
                "wallets": [mark.wallet_id for mark in chunk],
                "cards": [mark.card_no for mark in chunk],
            },
        )
        found.update(((row[0], row[1], row[2]), (row[3], row[4])) for row in rows)
    return found


def is_listed(connection: Connection, bucket: int, wallet_id: int, card_no: int) -> bool:
    """Whether a card is on the list now."""
    mark = CardMark(bucket, wallet_id, card_no, listed=True, reason="")
    return _last_acts(connection, [mark]).get((bucket, wallet_id, card_no), (False, ""))[0]


def listed_cards(connection: Connection, most: int) -> list[ListedCard]:
    """The cards on the list, the latest first, at most so many."""
    last = (
        select(hotlist)
        .ext(distinct_on(hotlist.c.bucket, hotlist.c.wallet_id, hotlist.c.card_no))
        .order_by(hotlist.c.bucket, hotlist.c.wallet_id, hotlist.c.card_no, hotlist.c.version.desc())
        .subquery()
    )
    rows = connection.execute(
        select(
            last.c.version,
            programme.c.programme_id,
            member.c.member_id,
            last.c.card_no,
            card.c.masked,
            last.c.reason,
            last.c.noted_at,
        )
        .join(
            card,
            (card.c.bucket == last.c.bucket)
            & (card.c.wallet_id == last.c.wallet_id)
            & (card.c.card_no == last.c.card_no),
        )
        .join(member, member.c.wallet_id == last.c.wallet_id)
        .join(programme, programme.c.programme_no == member.c.programme_no)
        .where(last.c.listed)
        .order_by(last.c.version.desc())
        .limit(most)
    )
    return [ListedCard(*row) for row in rows]
