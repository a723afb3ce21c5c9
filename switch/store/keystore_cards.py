"""Card rows under the rotation of the vault's keys: read in order, changed in batches, old index taken."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, select, text, tuple_

from switch.store.bulk import lock_wallets
from switch.store.schema import card, control


class CardBox(msgspec.Struct, frozen=True, gc=False):
    """A card's row as far as the vault's keys reach: where it is, what it is found by, its sealed number."""

    bucket: int
    wallet_id: int
    card_no: int
    pan_hmac: bytes
    pan_box: bytes
    key_version: int

    @property
    def place(self) -> tuple[int, int, int]:
        """The key of the row."""
        return self.bucket, self.wallet_id, self.card_no


def count_cards(connection: Connection) -> dict[int, int]:
    """How many cards are sealed under each version."""
    rows = connection.execute(select(card.c.key_version, func.count()).group_by(card.c.key_version))
    return {row[0]: row[1] for row in rows}


def card_boxes(connection: Connection, after: tuple[int, int, int], limit: int) -> list[CardBox]:
    """The next rows behind `after`, in the order of their keys."""
    columns = card.c
    place = (columns.bucket, columns.wallet_id, columns.card_no)
    rows = connection.execute(
        select(*place, columns.pan_hmac, columns.pan_box, columns.key_version)
        .where(tuple_(*place) > tuple_(*after))
        .order_by(*place)
        .limit(limit)
    )
    return [CardBox(row[0], row[1], row[2], bytes(row[3]), bytes(row[4]), row[5]) for row in rows]


def put_boxes(connection: Connection, before: Sequence[CardBox], after: Sequence[CardBox]) -> int:
    """Give rows their new sealed numbers, and a second index by which they are found. Returns how many.

    A row that changed meanwhile is left alone. Wallets are locked in the lanes' own order and only for this.
    """
    lock_wallets(connection, ((one.bucket, one.wallet_id) for one in before))
    values = {
        "buckets": [one.bucket for one in after],
        "wallets": [one.wallet_id for one in after],
        "numbers": [one.card_no for one in after],
        "hmacs": [one.pan_hmac for one in after],
        "boxes": [one.pan_box for one in after],
        "versions": [one.key_version for one in after],
        "old_boxes": [one.pan_box for one in before],
    }
    result = connection.execute(
        text(
            "WITH k AS (SELECT * FROM unnest(CAST(:buckets AS smallint[]), CAST(:wallets AS bigint[]),"
            " CAST(:numbers AS smallint[]), CAST(:hmacs AS bytea[]), CAST(:boxes AS bytea[]),"
            " CAST(:versions AS smallint[]), CAST(:old_boxes AS bytea[]))"
            " AS k(bucket, wallet_id, card_no, pan_hmac, pan_box, key_version, old_box)),"
            " changed AS (UPDATE card c SET pan_hmac = k.pan_hmac, pan_box = k.pan_box,"
            " key_version = k.key_version FROM k WHERE c.bucket = k.bucket AND c.wallet_id = k.wallet_id"
            " AND c.card_no = k.card_no AND c.pan_box = k.old_box"
            " RETURNING c.pan_hmac, c.bucket, c.wallet_id, c.card_no)"
            " INSERT INTO card_index (pan_hmac, bucket, wallet_id, card_no) SELECT * FROM changed"
            " ON CONFLICT (pan_hmac) DO NOTHING"
        ),
        values,
    )
    return int(result.rowcount)


def take_old_index(connection: Connection, limit: int) -> int:
    """Remove up to `limit` index rows that are not their card's own any more. Returns how many.

    Only the owner of the tables may. What is left of a card is the row of its newest key.
    """
    result = connection.execute(
        text(
            "DELETE FROM card_index WHERE pan_hmac IN (SELECT i.pan_hmac FROM card_index i JOIN card c"
            " ON c.bucket = i.bucket AND c.wallet_id = i.wallet_id AND c.card_no = i.card_no"
            " WHERE i.pan_hmac <> c.pan_hmac LIMIT :limit)"
        ),
        {"limit": limit},
    )
    return int(result.rowcount)


def vault_version(connection: Connection) -> int:
    """The lowest version of the vault's keys under which cards may be added."""
    return int(connection.scalar(select(control.c.vault_version)) or 0)


def set_vault_version(connection: Connection, version: int) -> None:
    """Let no key file of before this version add cards."""
    connection.execute(control.update().values(vault_version=version))
