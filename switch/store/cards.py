"""Members, their wallets and cards: what imports and operators read and change."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, text

from switch.store.bulk import chunks, copy_rows, lock_wallets
from switch.store.schema import card, card_index, member, wallet


class MemberAt(msgspec.Struct, frozen=True, gc=False):
    """Where a member's wallet is."""

    bucket: int
    wallet_id: int
    points_on: bool


class CardAt(msgspec.Struct, frozen=True, gc=False):
    """A stored card, without its number."""

    bucket: int
    wallet_id: int
    card_no: int
    expiry: int
    state: str
    pvki: str
    pvv: str
    form: str

    def __repr__(self) -> str:
        return f"CardAt(wallet {self.wallet_id}, card {self.card_no}, {self.state})"


class NewCard(msgspec.Struct, frozen=True, gc=False):
    """A card to be stored, its number already sealed."""

    bucket: int
    wallet_id: int
    card_no: int
    pan_hmac: bytes
    pan_box: bytes
    key_version: int
    masked: str
    expiry: int
    state: str
    pvki: str
    pvv: str
    form: str

    def __repr__(self) -> str:
        return f"NewCard(wallet {self.wallet_id}, {self.masked})"


def find_members(connection: Connection, programme_no: int, member_ids: Iterable[str]) -> dict[str, MemberAt]:
    """The members of a programme that are known, by member id."""
    found: dict[str, MemberAt] = {}
    for chunk in chunks(member_ids):
        rows = connection.execute(
            select(member.c.member_id, member.c.bucket, member.c.wallet_id, wallet.c.points_on)
            .join(wallet, (wallet.c.bucket == member.c.bucket) & (wallet.c.wallet_id == member.c.wallet_id))
            .where(member.c.programme_no == programme_no, member.c.member_id == func.any(chunk))
        )
        found.update((row[0], MemberAt(row[1], row[2], row[3])) for row in rows)
    return found


def next_wallet_id(connection: Connection) -> int:
    """The first wallet id that is free."""
    return int(connection.scalar(select(func.coalesce(func.max(member.c.wallet_id), 0))) or 0) + 1


def add_members(connection: Connection, rows: Sequence[tuple[int, str, int, int, bool]]) -> None:
    """Store (programme_no, member_id, bucket, wallet_id, points_on) with an empty wallet each."""
    copy_rows(
        connection,
        "wallet",
        ("bucket", "wallet_id", "programme_no", "points_on"),
        ((bucket, wallet_id, programme_no, on) for programme_no, _, bucket, wallet_id, on in rows),
    )
    copy_rows(
        connection, "member", ("programme_no", "member_id", "bucket", "wallet_id"), (row[:4] for row in rows)
    )


def switch_points(connection: Connection, changes: Sequence[tuple[int, int, bool]]) -> None:
    """Set whether points may be spent: (bucket, wallet_id, on)."""
    lock_wallets(connection, ((bucket, wallet_id) for bucket, wallet_id, _ in changes))
    for chunk in chunks(changes):
        buckets, wallets, flags = zip(*chunk, strict=True)
        connection.execute(
            text(
                "UPDATE wallet w SET points_on = k.points_on FROM unnest(CAST(:buckets AS smallint[]),"
                " CAST(:wallets AS bigint[]), CAST(:flags AS boolean[])) AS k(bucket, wallet_id, points_on)"
                " WHERE w.bucket = k.bucket AND w.wallet_id = k.wallet_id"
            ),
            {"buckets": list(buckets), "wallets": list(wallets), "flags": list(flags)},
        )


def find_cards(connection: Connection, hmacs: Iterable[bytes]) -> dict[bytes, CardAt]:
    """The cards that are known, by the HMAC of their number."""
    found: dict[bytes, CardAt] = {}
    for chunk in chunks(hmacs):
        rows = connection.execute(
            select(
                card_index.c.pan_hmac,
                card.c.bucket,
                card.c.wallet_id,
                card.c.card_no,
                card.c.expiry,
                card.c.state,
                card.c.pvki,
                card.c.pvv,
                card.c.form,
            )
            .join(
                card,
                (card.c.bucket == card_index.c.bucket)
                & (card.c.wallet_id == card_index.c.wallet_id)
                & (card.c.card_no == card_index.c.card_no),
            )
            .where(card_index.c.pan_hmac == func.any(chunk))
        )
        found.update((bytes(row[0]), CardAt(*row[1:])) for row in rows)
    return found


def last_card_numbers(connection: Connection, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """The highest card_no of each wallet that has a card."""
    found: dict[tuple[int, int], int] = {}
    for chunk in chunks(keys):
        rows = connection.execute(
            text(
                "SELECT c.bucket, c.wallet_id, max(c.card_no) FROM card c"
                " JOIN unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[])) k(bucket, wallet_id)"
                " ON c.bucket = k.bucket AND c.wallet_id = k.wallet_id GROUP BY c.bucket, c.wallet_id"
            ),
            {"buckets": [key[0] for key in chunk], "wallets": [key[1] for key in chunk]},
        )
        found.update(((row[0], row[1]), row[2]) for row in rows)
    return found


def add_cards(
    connection: Connection, cards: Sequence[NewCard], older: Sequence[Sequence[bytes]] = ()
) -> None:
    """Store new cards and the index by which they are found; `older` of each card while keys are rotated."""
    columns = NewCard.__struct_fields__
    copy_rows(connection, "card", columns, (msgspec.structs.astuple(new) for new in cards))
    copy_rows(
        connection,
        "card_index",
        ("pan_hmac", "bucket", "wallet_id", "card_no"),
        (
            (key, new.bucket, new.wallet_id, new.card_no)
            for new, keys in zip(cards, older or repeat(()), strict=False)
            for key in (new.pan_hmac, *keys)
        ),
    )


def change_cards(connection: Connection, cards: Sequence[CardAt]) -> None:
    """Give stored cards a new expiry, PVV, form or state. A new PVV starts with no wrong tries."""
    lock_wallets(connection, ((one.bucket, one.wallet_id) for one in cards))
    for chunk in chunks(cards):
        fields = list(zip(*(msgspec.structs.astuple(one) for one in chunk), strict=True))
        values: dict[str, Any] = {f"f{number}": list(column) for number, column in enumerate(fields)}
        connection.execute(
            text(
                "UPDATE card c SET expiry = k.expiry, state = k.state, pvki = k.pvki, pvv = k.pvv,"
                " form = k.form,"
                " pin_tries = CASE WHEN c.pvv = k.pvv THEN c.pin_tries ELSE 0 END"
                " FROM unnest(CAST(:f0 AS smallint[]), CAST(:f1 AS bigint[]), CAST(:f2 AS smallint[]),"
                " CAST(:f3 AS integer[]), CAST(:f4 AS text[]), CAST(:f5 AS text[]), CAST(:f6 AS text[]),"
                " CAST(:f7 AS text[])) AS k(bucket, wallet_id, card_no, expiry, state, pvki, pvv, form)"
                " WHERE c.bucket = k.bucket AND c.wallet_id = k.wallet_id AND c.card_no = k.card_no"
            ),
            values,
        )
