"""The one place where card numbers are encrypted.

A card is found by HMAC-SHA256 of its number under the index key, and its number is kept with AES-256-GCM
under a sealing key, bound to its row: a box copied to another row does not open. The key file:

    # comments and empty lines
    index 1 <64 hex digits>
    seal 1 <64 hex digits>
    seal 2 <64 hex digits>     the highest version seals; every version opens
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_LINE = re.compile(r"(index|seal) ([1-9][0-9]{0,3}) ([0-9a-f]{64})")
_NONCE = 12  # bytes, NIST SP 800-38D clause 8.2.2: random nonces, far below 2**32 boxes a key
_FILE_MAX = 65_536


class VaultError(Exception):
    """A key file or a box that cannot be used, and what to do. Holds neither key nor card number."""


class Vault:
    """Seals, opens and looks up card numbers. Keys are bytes; `seal_keys` by version."""

    __slots__ = ("_boxes", "_index", "_version")

    def __init__(self, index_key: bytes, seal_keys: dict[int, bytes]) -> None:
        self._index = hmac.new(index_key, digestmod=hashlib.sha256)
        self._boxes = {version: AESGCM(key) for version, key in seal_keys.items()}
        self._version = max(seal_keys)

    def __repr__(self) -> str:
        return f"Vault(seals with version {self._version})"

    @classmethod
    def load(cls, path: Path) -> "Vault":
        """Read a key file. Raises VaultError; a file that others may read is refused."""
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise VaultError(
                        f"{path}: others may read the vault's keys (mode {mode:04o}): run `chmod 600 {path}`"
                    )
                text = file.read(_FILE_MAX).decode("ascii")
        except FileNotFoundError:
            raise VaultError(
                f"{path}: there is no such key file: make it once with `dure-switch vault new {path}`"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise VaultError(f"{path}: the key file cannot be read ({type(error).__name__})") from None
        return cls(*_parse(path, text))

    def pan_hmac(self, pan: str) -> bytes:
        """The 32 bytes by which a card is found."""
        state = self._index.copy()  # half the cost of keying anew, on the path of every payment
        state.update(pan.encode("ascii"))
        return state.digest()

    def seal(self, pan: str, row_id: bytes) -> tuple[int, bytes]:
        """(key version, box) of a card number, bound to its row (see card_row_id)."""
        nonce = secrets.token_bytes(_NONCE)
        return self._version, nonce + self._boxes[self._version].encrypt(nonce, pan.encode("ascii"), row_id)

    def open(self, version: int, box: bytes, row_id: bytes) -> str:
        """The card number in a box. Raises VaultError when the box, its row or its key is not the one."""
        opener = self._boxes.get(version)
        if opener is None:
            raise VaultError(
                f"the key file has no `seal {version}`: restore the line, cards are sealed with it"
            )
        try:
            return opener.decrypt(box[:_NONCE], box[_NONCE:], row_id).decode("ascii")
        except InvalidTag:
            raise VaultError(
                "a sealed card number does not open: it was changed, moved, or sealed with another key"
            ) from None


def card_row_id(bucket: int, wallet_id: int, card_no: int) -> bytes:
    """What a sealed card number is bound to: the key of its row."""
    return f"{bucket}:{wallet_id}:{card_no}".encode("ascii")


def new_key_file(path: Path) -> None:
    """Write fresh keys, readable by this user only. Raises VaultError; an existing file is never touched."""
    text = (
        "# Keys of the card vault. Whoever has this file and the database can read card numbers;\n"
        "# whoever loses it loses them. Keep a copy in a safe place, apart from the database's backups.\n"
        f"index 1 {secrets.token_hex(32)}\n"
        f"seal 1 {secrets.token_hex(32)}\n"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise VaultError(f"{path}: exists already and is left as it is: name another file") from None
    except OSError as error:
        raise VaultError(f"{path}: cannot be written ({type(error).__name__}): name another file") from None


def _parse(path: Path, text: str) -> tuple[bytes, dict[int, bytes]]:
    index: list[bytes] = []
    seals: dict[int, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        found = _LINE.fullmatch(content)
        if not found:
            raise VaultError(f"{path}:{number}: must read `index 1 HEX64` or `seal VERSION HEX64`")
        version, key = int(found[2]), bytes.fromhex(found[3])
        if found[1] == "index":
            index.append(key)
        elif version in seals:
            raise VaultError(
                f"{path}:{number}: `seal {version}` stands twice: give each key a version of its own"
            )
        else:
            seals[version] = key
    if len(index) != 1 or not seals:
        raise VaultError(f"{path}: needs exactly one `index` line and at least one `seal` line")
    return index[0], seals
