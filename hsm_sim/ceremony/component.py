"""One custodian's component of a key or LMK: random or typed in, and sealed in a file by a passphrase.

The file stands where a custodian's smart card stands at a real unit: without the passphrase it says nothing,
and two of them under one account are still two people's.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hsm_sim.ceremony.forming import KINDS, component_check_value

PASSPHRASE_CHARACTERS_MIN: Final = 8
FILE_BYTES_MAX: Final = 16_384
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_SCRYPT_COST: Final = 2**15  # 32 MB and a tenth of a second for each guess


class CeremonyError(Exception):
    """An act that cannot be done as asked; the text says what to do, and quotes nothing secret."""


class Component(msgspec.Struct, frozen=True):
    """A custodian's part. `kind` is lmk, tdes or aes; `check_value` six hex digits. Its repr hides it."""

    kind: str
    custodian: str
    secret: bytes

    @property
    def check_value(self) -> str:
        """What the custodian compares, six hex digits."""
        return component_check_value(self.kind, self.secret)

    def __repr__(self) -> str:
        return f"Component(kind={self.kind}, custodian={self.custodian}, check_value={self.check_value})"


def made(kind: str, custodian: str, length: int) -> Component:
    """A random component of `length` bytes."""
    return Component(kind, _name(custodian), secrets.token_bytes(length))


def entered(kind: str, custodian: str, lines: list[str]) -> Component:
    """A component from lines of hex digits; blanks within them do no harm. Raises CeremonyError."""
    parts: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        digits = "".join(line.split())
        if not digits or len(digits) % 32 or any(c not in "0123456789abcdefABCDEF" for c in digits):
            raise CeremonyError(f"line {number} is not 32 or 64 hex digits: type the component again")
        parts.append(bytes.fromhex(digits))
    return Component(kind, _name(custodian), b"".join(parts))


def save(component: Component, path: Path, passphrase: str) -> None:
    """Seals the component in a new file, mode 0600. Raises CeremonyError; never writes over a file."""
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise CeremonyError(f"the passphrase is shorter than {PASSPHRASE_CHARACTERS_MIN} characters")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    head = {"kind": component.kind, "custodian": component.custodian, "check_value": component.check_value}
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, component.secret, _bound(head))
    text = json.dumps(
        head | {"salt": salt.hex(), "nonce": nonce.hex(), "sealed": sealed.hex()}, ensure_ascii=False
    )
    write_new(path, text + "\n")


def read_head(path: Path) -> dict[str, str]:
    """What a component's file says without its passphrase. Raises CeremonyError."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError
        found = json.loads(path.read_text("utf-8"))
        head = {name: found[name] for name in ("kind", "custodian", "check_value", "salt", "nonce", "sealed")}
        if head["kind"] not in KINDS or not all(isinstance(value, str) for value in head.values()):
            raise ValueError
    except OSError as error:
        raise CeremonyError(f"{path}: cannot be read ({error.strerror}): name a component's file") from None
    except (ValueError, KeyError, TypeError):
        raise CeremonyError(f"{path}: is no component: make one with `component`") from None
    return head


def load(path: Path, passphrase: str) -> Component:
    """Opens a component's file. Raises CeremonyError: not readable, not one, or not this passphrase."""
    head = read_head(path)
    try:
        salt, nonce, sealed = (bytes.fromhex(head[name]) for name in ("salt", "nonce", "sealed"))
        secret = AESGCM(_key(passphrase, salt)).decrypt(nonce, sealed, _bound(head))
    except (InvalidTag, ValueError):
        raise CeremonyError(
            f"{path}: does not open: the passphrase is not {head['custodian']}'s, or the file was changed"
        ) from None
    return Component(head["kind"], head["custodian"], secret)


def write_new(path: Path, text: str) -> None:
    """Writes a new file that only its owner can read. Raises CeremonyError if there is one already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CeremonyError(f"{path}: is there already: name another file") from None
    except OSError as error:
        raise CeremonyError(f"{path}: cannot be written ({error.strerror}): name another place") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _name(custodian: str) -> str:
    name = custodian.strip()
    if not 1 <= len(name) <= 40 or not name.isprintable():
        raise CeremonyError("a custodian's name has 1 to 40 characters")
    return name


def _bound(head: dict[str, str]) -> bytes:
    return "\0".join((head["kind"], head["custodian"], head["check_value"])).encode("utf-8")


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_SCRYPT_COST, r=8, p=1).derive(passphrase.encode("utf-8"))
