"""Members, their wallets and cards: what imports and operators read and change."""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select, text

from switch.domain.wallet import Holder
from switch.store.bulk import chunks, copy_rows, lock_wallets
from switch.store.schema import card, card_index, member, wallet


class MemberAt(msgspec.Struct, frozen=True, gc=False):
    """Where a member's wallet is; its tags (bits) and holder as switch.domain.wallet.Wallet has them."""

    bucket: int
    wallet_id: int
    points_on: bool
    tags: int = 0
    holder: int = Holder.PERSON


class NewMember(msgspec.Struct, frozen=True, gc=False):
    """A member to be stored, with an empty wallet."""

    programme_no: int
    member_id: str
    bucket: int
    wallet_id: int
    points_on: bool
    tags: int = 0
    holder: int = Holder.PERSON


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
            select(
                member.c.member_id,
                member.c.bucket,
                member.c.wallet_id,
                wallet.c.points_on,
                wallet.c.tags,
                wallet.c.holder,
            )
            .join(wallet, (wallet.c.bucket == member.c.bucket) & (wallet.c.wallet_id == member.c.wallet_id))
            .where(member.c.programme_no == programme_no, member.c.member_id == func.any(chunk))
        )
        found.update((row[0], MemberAt(*row[1:])) for row in rows)
    return found


def next_wallet_id(connection: Connection) -> int:
    """The first wallet id that is free."""
    return int(connection.scalar(select(func.coalesce(func.max(member.c.wallet_id), 0))) or 0) + 1


def add_members(connection: Connection, members: Sequence[NewMember]) -> None:
    """Store members, each with an empty wallet."""
    copy_rows(
        connection,
        "wallet",
        ("bucket", "wallet_id", "programme_no", "points_on", "tags", "holder"),
        (
            (new.bucket, new.wallet_id, new.programme_no, new.points_on, new.tags, new.holder)
            for new in members
        ),
    )
    copy_rows(
        connection,
        "member",
        ("programme_no", "member_id", "bucket", "wallet_id"),
        ((new.programme_no, new.member_id, new.bucket, new.wallet_id) for new in members),
    )


def change_members(connection: Connection, changes: Sequence[MemberAt]) -> None:
    """Give wallets what their members now want: whether points may be spent, and their tags."""
    lock_wallets(connection, ((one.bucket, one.wallet_id) for one in changes))
    for chunk in chunks(changes):
        connection.execute(
            text(
                "UPDATE wallet w SET points_on = k.points_on, tags = k.tags"
                " FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]),"
                " CAST(:flags AS boolean[]), CAST(:tags AS integer[]))"
                " AS k(bucket, wallet_id, points_on, tags)"
                " WHERE w.bucket = k.bucket AND w.wallet_id = k.wallet_id"
            ),
            {
                "buckets": [one.bucket for one in chunk],
                "wallets": [one.wallet_id for one in chunk],
                "flags": [one.points_on for one in chunk],
                "tags": [one.tags for one in chunk],
            },
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
