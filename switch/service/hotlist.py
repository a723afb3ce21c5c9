"""The hot list: cards that terminals refuse even when they cannot ask.

The switch itself declines such a card from the moment an operator's command returns, by the card's state
under its wallet's lock. The list is for terminals that are off line; it travels when the broker is there.

A card stands on it as HMAC-SHA256 of its number under a key of its own, cut to eight bytes: who listens at
the broker learns no card number, and cannot try numbers out without the key that terminals are given.
"""

import hashlib
import hmac
import os
from pathlib import Path

from sqlalchemy import Engine

from switch.service.admin import NotFoundError, RefusedError, find_wallet
from switch.service.vault import Vault, card_row_id
from switch.store.hotlist import CardMark, is_listed, note_cards
from switch.store.outbox import Hot
from switch.wire.estate import (
    ENTRY_BYTES,
    HOTLIST_PART,
    HOTLIST_STEP,
    HOTLIST_TOPIC,
    HotDelta,
    HotPart,
    encode,
    part_topic,
)

_LABEL = "dure hot list"  # no card number: it holds letters


class HotKey:
    """The key under which cards stand on the list; it follows from the vault's index key."""

    __slots__ = ("_key", "check")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.check = hashlib.sha256(b"dure hot list check" + key).hexdigest()[:8]

    def __repr__(self) -> str:
        return f"HotKey({self.check})"

    @classmethod
    def of(cls, vault: Vault) -> "HotKey":
        """The key of an installation."""
        return cls(vault.pan_hmac(_LABEL))

    def entry(self, pan: str) -> str:
        """A card as it stands on the list: 16 hex digits."""
        return hmac.digest(self._key, pan.encode("ascii"), "sha256")[:ENTRY_BYTES].hex()

    def write(self, path: Path) -> None:
        """Write the key where terminals' provisioning takes it, readable by this user only.

        Raises RefusedError; an existing file is never touched.
        """
        about = f"# The key of the hot list, check {self.check}. For terminals' secure storage only.\n"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{about}{self._key.hex()}\n")
        except OSError as error:
            raise RefusedError(f"{path}: cannot be written ({error.strerror}): name a new file") from None


def delta_message(acts: list[Hot], version: int, key: HotKey, vault: Vault) -> tuple[str, bytes]:
    """(topic, payload): what changed since the last version that is told whole."""
    base = version // HOTLIST_STEP * HOTLIST_STEP
    changed = [act for act in acts if base < act.version <= version]
    whole = sum(1 for act in acts if act.version <= base and act.listed)
    delta = HotDelta(
        v=version,
        base=base,
        k=key.check,
        parts=-(-whole // HOTLIST_PART),
        add=tuple([_entry(act, key, vault) for act in changed if act.listed]),
        remove=tuple([_entry(act, key, vault) for act in changed if not act.listed]),
    )
    return HOTLIST_TOPIC, encode(delta)


def part_messages(acts: list[Hot], version: int, key: HotKey, vault: Vault) -> list[tuple[str, bytes]]:
    """(topic, payload) of each part of the whole list as of the last version that is told whole."""
    base = version // HOTLIST_STEP * HOTLIST_STEP
    entries = [_entry(act, key, vault) for act in acts if act.version <= base and act.listed]
    parts = [tuple(entries[at : at + HOTLIST_PART]) for at in range(0, len(entries), HOTLIST_PART)]
    return [
        (part_topic(number), encode(HotPart(base, key.check, number, len(parts), part)))
        for number, part in enumerate(parts)
    ]


def _entry(act: Hot, key: HotKey, vault: Vault) -> str:
    row = card_row_id(act.bucket, act.wallet_id, act.card_no)
    return key.entry(vault.open(act.key_version, act.pan_box, row))


def take_off(engine: Engine, programme_id: str, member_id: str, card_no: int) -> int:
    """Take a card off the list and leave its state alone: a lost card that has expired need not be on it.

    Returns the list's version. Raises NotFoundError.
    """
    with engine.begin() as connection:
        wallet = find_wallet(connection, programme_id, member_id)
        if not is_listed(connection, wallet.bucket, wallet.wallet_id, card_no):
            raise NotFoundError(
                f"card {card_no} of {member_id} is not on the hot list: `dure-switch hotlist list` shows it"
            )
        mark = CardMark(wallet.bucket, wallet.wallet_id, card_no, listed=False, reason="taken off")
        return note_cards(connection, [mark])
