"""New keys for card numbers while payments go on: add a version, move every card to it, take the old one.

    add      the key file gets `index N+1` and `seal N+1`; every switch then looks under both versions
    rotate   each card is sealed anew and gets a second index row; it is found by either at every instant
    retire   once every card has moved, the old index rows go, and then the old keys leave the file

Each step may be broken off and run again: what was done stands, the rest is done then.
"""

import os
import secrets
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine

from switch.service.import_files import Progress, no_progress
from switch.service.vault import Vault, VaultError, card_row_id, parse_keys
from switch.store import keystore_cards as cards
from switch.store.bulk import bump_epoch, lock_administration
from switch.store.keystore import note
from switch.store.keystore_cards import CardBox

BATCH: Final = 200  # cards whose wallets are locked at a time, for the length of one statement
_SCAN: Final = 2_000
_TAKEN: Final = 50_000


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation did: the version in use, cards in all, cards moved to it, old index rows taken."""

    version: int
    cards: int
    moved: int
    index_rows_taken: int = 0


class VaultStatus(msgspec.Struct, frozen=True):
    """The versions in the key file, and how many cards are sealed under each."""

    index_versions: list[int]
    seal_versions: list[int]
    cards: dict[int, int]
    lowest_for_new_cards: int


def refuse_old_keys(connection: Connection, vault: Vault) -> None:
    """Refuse a key file of before a rotation: a card added with it would not be found. Raises VaultError."""
    wanted = cards.vault_version(connection)
    if vault.version < wanted:
        raise VaultError(
            f"the key file has no version {wanted}, to which the cards were moved: name the newer key file"
        )


def add_version(path: Path) -> int:
    """Add keys of a new version to the key file; returns the version. Raises VaultError.

    Refused while a rotation is unfinished: its older keys stand in the file until `retire`.
    """
    text, index, seals = _read(path)
    if len(index) > 1:
        raise VaultError(
            f"{path}: holds {len(index)} index keys: finish that rotation first (vault rotate, vault retire)"
        )
    version = max(*index, *seals) + 1
    fresh = f"index {version} {secrets.token_hex(32)}\nseal {version} {secrets.token_hex(32)}\n"
    _replace(path, text if text.endswith("\n") else text + "\n", fresh)
    return version


def status(engine: Engine, path: Path) -> VaultStatus:
    """How far a rotation is. Raises VaultError."""
    _, index, seals = _read(path)
    with engine.connect() as connection:
        return VaultStatus(
            sorted(index), sorted(seals), cards.count_cards(connection), cards.vault_version(connection)
        )


def rotate(
    engine: Engine, path: Path, now: datetime, actor: str, progress: Progress = no_progress
) -> Rotated:
    """Move every card to the newest keys of the file. Runs beside payments. Raises VaultError."""
    vault = Vault.load(path)
    with engine.begin() as connection:
        lock_administration(connection)
        refuse_old_keys(connection, vault)
        before = cards.count_cards(connection)
        if cards.vault_version(connection) != vault.version:
            cards.set_vault_version(connection, vault.version)
            note(connection, now, actor, "vault_rotate", [("vault", f"to version {vault.version}")])
        bump_epoch(connection)  # switches read the key file again
    total = sum(before.values())
    seen, moved = _move(engine, vault, total, progress)
    if moved:
        done = ("vault", f"version {vault.version}: {moved} cards")
        with engine.begin() as connection:
            note(connection, now, actor, "vault_rotated", [done])
    return Rotated(vault.version, seen, moved)


def _move(engine: Engine, vault: Vault, total: int, progress: Progress) -> tuple[int, int]:
    """(cards seen, cards moved). Cards that are added meanwhile are of the newest version already."""
    after = (-1, -1, -1)
    seen = moved = 0
    while True:
        with engine.connect() as connection:
            rows = cards.card_boxes(connection, after, _SCAN)
        if not rows:
            return seen, moved
        after = rows[-1].place
        pairs = [(row, new) for row in rows if (new := _newest(vault, row)) is not None]
        for start in range(0, len(pairs), BATCH):
            batch = pairs[start : start + BATCH]
            with engine.begin() as connection:
                moved += cards.put_boxes(connection, [old for old, _ in batch], [new for _, new in batch])
        seen += len(rows)
        progress("rotating", seen, max(total, seen))


def _newest(vault: Vault, row: CardBox) -> CardBox | None:
    """The row under the newest keys; None when it is there already. Every box is opened, and so proved."""
    row_id = card_row_id(*row.place)
    pan = vault.open(row.key_version, row.pan_box, row_id)
    key = vault.pan_hmac(pan)
    if row.key_version == vault.version and row.pan_hmac == key:
        return None
    version, box = vault.seal(pan, row_id)
    return CardBox(*row.place, key, box, version)


def retire(owner: Engine, path: Path, now: datetime, actor: str, progress: Progress = no_progress) -> Rotated:
    """Take the old index rows, then the old keys out of the file. `owner` is an engine of the tables' owner.

    Cards that have not moved yet are moved first, so that nothing is lost. Raises VaultError.
    """
    done = rotate(owner, path, now, actor, progress)
    taken = 0
    while True:
        with owner.begin() as connection:
            lock_administration(connection)  # an import adds a card and its index in one transaction
            count = cards.take_old_index(connection, _TAKEN)
        taken += count
        progress("taking the old index", taken, 0)
        if count < _TAKEN:
            break
    with owner.begin() as connection:
        lock_administration(connection)
        left = {version: n for version, n in cards.count_cards(connection).items() if version != done.version}
        if left:
            raise VaultError(f"cards are still sealed under version {min(left)}: run `vault retire` again")
        text, index, _ = _read(path)
        kept = _without(text, max(index), done.version)
        if kept != text:
            _replace(path, kept, "")
            note(connection, now, actor, "vault_retire", [("vault", f"only version {done.version} is left")])
        bump_epoch(connection)
    return Rotated(done.version, done.cards, done.moved, taken)


def _without(text: str, index: int, seal: int) -> str:
    """The file without the keys of other versions; comments stay."""
    keep = (f"index {index} ", f"seal {seal} ")
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if not line.lstrip().startswith(("index ", "seal ")) or line.lstrip().startswith(keep)
    )


def _read(path: Path) -> tuple[str, dict[int, bytes], dict[int, bytes]]:
    Vault.load(path)  # its rights, and that it can be used
    text = path.read_text(encoding="ascii")
    index, seals = parse_keys(path, text)
    return text, index, seals


def _replace(path: Path, text: str, more: str) -> None:
    """Write the file anew: whoever reads it sees the old one or the new one. Raises VaultError."""
    try:
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text + more)
                file.flush()
                os.fsync(file.fileno())
            owner = path.stat()
            if owner.st_uid != os.geteuid():
                os.chown(draft, owner.st_uid, owner.st_gid)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise VaultError(
            f"{path}: cannot be written ({error.strerror}): run this as the user who owns it"
        ) from None
