"""Putting components together: all are added (exclusive or), so each alone says nothing of the key."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from hsm_sim.crypto import uses
from hsm_sim.crypto.kcv import check_value, check_value_aes
from hsm_sim.crypto.lmk import BLOCK_SCHEME, KEY_TYPES, PAIRS, KeyRefused, Lmk
from hsm_sim.crypto.tdes import DOUBLE_KEY_BYTES, odd_parity

LMK: Final = "lmk"
TDES: Final = "tdes"
AES: Final = "aes"
KINDS: Final = {LMK: (PAIRS * DOUBLE_KEY_BYTES,), TDES: (DOUBLE_KEY_BYTES,), AES: (16, 32)}
"""The lengths of each kind of component, in bytes."""
COMPONENTS_MIN: Final = 2


class FormingError(Exception):
    """These components do not make a key; the text says why and what to do."""


def component_check_value(kind: str, secret: bytes) -> str:
    """Six hex digits by which a custodian recognises a component."""
    if kind == TDES:
        return check_value(secret)
    if kind == AES:
        return check_value_aes(secret)
    return sha256(secret).hexdigest()[:6].upper()


def combine(kind: str, parts: Sequence[tuple[str, bytes]]) -> bytes:
    """The sum of the parts, each given with its custodian. Raises FormingError; never tells a part."""
    if len(parts) < COMPONENTS_MIN:
        raise FormingError(f"{len(parts)} component: at least {COMPONENTS_MIN} custodians are needed")
    names = [name.casefold() for name, _ in parts]
    if len(set(names)) != len(names):
        raise FormingError("two components of one custodian: each comes from another person")
    secrets = [secret for _, secret in parts]
    if len({len(secret) for secret in secrets}) != 1 or len(secrets[0]) not in KINDS[kind]:
        raise FormingError("the components differ in length or do not fit: make them for the same key")
    if len(set(secrets)) != len(secrets) or any(len(set(secret)) == 1 for secret in secrets):
        raise FormingError("two components are alike, or one is all the same digit: make them at random")
    total = secrets[0]
    for secret in secrets[1:]:
        total = bytes(a ^ b for a, b in zip(total, secret, strict=True))
    if len(set(total)) == 1:
        raise FormingError("the components cancel each other: make them again")
    return total


def lmk_pairs(total: bytes) -> list[bytes]:
    """The 20 pairs of an LMK with odd parity. Raises FormingError if a pair is a single-length key twice."""
    size = DOUBLE_KEY_BYTES
    pairs = [odd_parity(total[n * size : (n + 1) * size]) for n in range(PAIRS)]
    if any(pair[:8] == pair[8:] for pair in pairs):
        raise FormingError("a pair has two equal halves: make the components again")
    return pairs


class FormedKey(msgspec.Struct, frozen=True):
    """A key text under the LMK and its check value."""

    key: str
    check_value: str

    def __repr__(self) -> str:
        return f"FormedKey(check_value={self.check_value})"


def key_under_lmk(lmk: Lmk, total: bytes, *, kind: str, key_type: str, scheme: str, usage: str) -> FormedKey:
    """The key of the components under the LMK: scheme U (TDES only) or S, a key block. Raises FormingError.

    `usage` is that of the key block, empty for the usual one of the type.
    """
    if key_type not in KEY_TYPES:
        raise FormingError(f"{key_type} is no key type: use one of {', '.join(sorted(KEY_TYPES))}")
    key = odd_parity(total) if kind == TDES else total
    if kind == TDES and key[:8] == key[8:]:
        raise FormingError("the key has two equal halves: make the components again")
    try:
        if scheme == BLOCK_SCHEME:
            algorithm = uses.TDES if kind == TDES else uses.AES
            header = uses.default_header(key_type, algorithm, uses.EXPORTABLE)
            if usage:
                if usage not in uses.USAGES_OF_TYPE[key_type]:
                    known = ", ".join(uses.USAGES_OF_TYPE[key_type])
                    raise FormingError(f"{usage} is no usage of type {key_type}: use one of {known}")
                mode = uses.MODES_OF_USAGE[usage][0]
                header = msgspec.structs.replace(header, usage=usage, mode=mode)
            text = lmk.encrypt_block(uses.check_header(header), key)
        elif kind == AES:
            raise FormingError("an AES key stands under the LMK as a key block only: use --scheme S")
        else:
            text = lmk.encrypt(key_type, scheme, key)
    except KeyRefused as refused:
        raise FormingError(f"{refused}: choose another type, scheme or usage") from None
    return FormedKey(text, component_check_value(kind, key))
