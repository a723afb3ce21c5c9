"""The one place where card numbers are encrypted.

A card is found by HMAC-SHA256 of its number under an index key, and its number is kept with AES-256-GCM
under a sealing key, bound to its row: a box copied to another row does not open. The key file:

    # comments and empty lines
    index 1 <64 hex digits>
    seal 1 <64 hex digits>
    index 2 <64 hex digits>    cards are added under the highest version, and found under every one
    seal 2 <64 hex digits>     the highest version seals, every version opens

More than one version stands in it only while the keys are rotated (see switch.service.vault_rotation).
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_LINE = re.compile(r"(index|seal) ([1-9][0-9]{0,3}) ([0-9a-f]{64})")
_NONCE = 12  # bytes, NIST SP 800-38D clause 8.2.2: random nonces, far below 2**32 boxes a key
_FILE_MAX = 65_536
INDEX_VERSIONS_MAX = 4  # each is one more look-up of a card that is not in memory

log = structlog.get_logger()


class VaultError(Exception):
    """A key file or a box that cannot be used, and what to do. Holds neither key nor card number."""


class Vault:
    """Seals, opens and looks up card numbers. Keys are bytes, by version."""

    __slots__ = ("_boxes", "_index", "_older", "version")

    def __init__(self, index_keys: dict[int, bytes], seal_keys: dict[int, bytes]) -> None:
        states = [hmac.new(key, digestmod=hashlib.sha256) for _, key in sorted(index_keys.items())]
        self._index = states.pop()
        self._older = states
        self._boxes = {version: AESGCM(key) for version, key in seal_keys.items()}
        self.version = max(seal_keys)  # of the sealing key in use

    def __repr__(self) -> str:
        return f"Vault(seals with version {self.version})"

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
        return cls(*parse_keys(path, text))

    def pan_hmac(self, pan: str) -> bytes:
        """The 32 bytes by which a card is found, under the newest index key."""
        state = self._index.copy()  # half the cost of keying anew, on the path of every payment
        state.update(pan.encode("ascii"))
        return state.digest()

    def older_hmacs(self, pan: str) -> list[bytes]:
        """What the card may still be found by while keys are rotated, the oldest first; else nothing."""
        found: list[bytes] = []
        for keyed in self._older:
            state = keyed.copy()
            state.update(pan.encode("ascii"))
            found.append(state.digest())
        return found

    def seal(self, pan: str, row_id: bytes) -> tuple[int, bytes]:
        """(key version, box) of a card number, bound to its row (see card_row_id)."""
        nonce = secrets.token_bytes(_NONCE)
        return self.version, nonce + self._boxes[self.version].encrypt(nonce, pan.encode("ascii"), row_id)

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


def parse_keys(path: Path, text: str) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Index keys and sealing keys by version. Raises VaultError, which names `path`."""
    keys: dict[str, dict[int, bytes]] = {"index": {}, "seal": {}}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        found = _LINE.fullmatch(content)
        if not found:
            raise VaultError(f"{path}:{number}: must read `index VERSION HEX64` or `seal VERSION HEX64`")
        name, version = found[1], int(found[2])
        if version in keys[name]:
            raise VaultError(
                f"{path}:{number}: `{name} {version}` stands twice: give each key a version of its own"
            )
        keys[name][version] = bytes.fromhex(found[3])
    if not keys["index"] or not keys["seal"]:
        raise VaultError(f"{path}: needs at least one `index` line and at least one `seal` line")
    if len(keys["index"]) > INDEX_VERSIONS_MAX:
        raise VaultError(f"{path}: more than {INDEX_VERSIONS_MAX} index keys: finish a rotation first")
    return keys["index"], keys["seal"]


class VaultKeeper:
    """The vault of a key file that may change while programs run: a rotation adds keys and takes old ones."""

    def __init__(self, path: Path) -> None:
        """Raises VaultError."""
        self._path = path
        self._stamp = self._stat()
        self.vault = Vault.load(path)

    def renew(self) -> bool:
        """Read the file again if it has changed; whether it had. A file that cannot be used changes nothing.

        Blocks for as long as a small local file takes: an inode's facts, or a kilobyte.
        """
        stamp = self._stat()
        if stamp == self._stamp:
            return False
        try:
            self.vault = Vault.load(self._path)
        except VaultError as error:
            log.error("the vault's key file cannot be used: the keys of before stay", error=str(error))
            return False
        self._stamp = stamp
        return True

    def _stat(self) -> tuple[int, int, int]:
        try:
            status = os.stat(self._path)  # asked for every unknown card, so no Path
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_ino, status.st_size)
