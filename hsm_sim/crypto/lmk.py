"""Keys at rest under the local master key, in the variant scheme of payShield-class HSMs.

An LMK is 20 pairs of DES keys; a key type names a pair and a variant of it, so a key of one use is noise
under the pair of another. Key texts, all upper-case hex:

- 16 digits, or Z + 16: single length, ECB;
- U + 32: double length; half n is encrypted with the n-th scheme variant of the wrapping key;
- X + 32: double length, ECB (ANSI X9.17), the form other makers' devices take;
- S + a key block: any key with a header that says what it is for, AES keys in this form only. How a real unit
  protects its blocks is the maker's; here it is X9.143 version D under an AES key that comes from the LMK.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from hsm_sim.crypto import tr31
from hsm_sim.crypto.refused import KeyRefused
from hsm_sim.crypto.tdes import DOUBLE_KEY_BYTES, Tdes, has_odd_parity

# The variants of a pair are made by adding these to the first byte of its left half.
_VARIANTS: Final = (0x00, 0xA6, 0x5A, 0x6A, 0xDE, 0x2B, 0x50, 0x74, 0x9C, 0xFA)
# The scheme variants for halves 1 and 2 of a U key, added to the first byte of the right half.
_HALVES: Final = (0xA6, 0x5A)
PAIRS: Final = 20
KEY_SCHEMES: Final = "ZUX"
BLOCK_SCHEME: Final = "S"

__all__ = [
    "BLOCK_SCHEME",
    "KEY_SCHEMES",
    "KEY_TYPES",
    "PAIRS",
    "TEST_LMK",
    "KeyRefused",
    "KeyType",
    "Lmk",
    "unwrap",
    "wrap",
]


class KeyType(msgspec.Struct, frozen=True, gc=False):
    """A use of keys: the 3-character code, the LMK pair (its first number halved) and the variant."""

    code: str
    pair: int
    variant: int


KEY_TYPES: Final = {
    t.code: t
    for t in (
        KeyType("000", 2, 0),  # ZMK, pair 04-05
        KeyType("001", 3, 0),  # ZPK, pair 06-07
        KeyType("002", 7, 0),  # TMK, TPK, PVK, pair 14-15
        KeyType("003", 8, 0),  # TAK, pair 16-17
        KeyType("009", 14, 0),  # BDK, pair 28-29
        KeyType("109", 14, 1),  # MK-AC, pair 28-29 variant 1
        KeyType("302", 7, 3),  # IKEY, the initial key of a DUKPT device, pair 14-15 variant 3
        KeyType("402", 7, 4),  # CVK, pair 14-15 variant 4
    )
}

# Published test LMK pairs of the maker; every test unit of the trade has them.
_TEST_PAIRS: Final = (
    "01010101010101017902CD1FD36EF8BA 20202020202020203131313131313131 40404040404040405151515151515151 "
    "61616161616161617070707070707070 80808080808080809191919191919191 A1A1A1A1A1A1A1A1B0B0B0B0B0B0B0B0 "
    "C1C1010101010101D0D0010101010101 E0E0010101010101F1F1010101010101 1C587F1C13924FEF0101010101010101 "
    "01010101010101010101010101010101 02020202020202020404040404040404 07070707070707071010101010101010 "
    "13131313131313131515151515151515 16161616161616161919191919191919 1A1A1A1A1A1A1A1A1C1C1C1C1C1C1C1C "
    "23232323232323232525252525252525 26262626262626262929292929292929 2A2A2A2A2A2A2A2A2C2C2C2C2C2C2C2C "
    "2F2F2F2F2F2F2F2F3131313131313131 01010101010101010101010101010101"
)


class Lmk:
    """A local master key. Its repr shows the check value only."""

    def __init__(self, pairs: Sequence[bytes]) -> None:
        """Raises ValueError unless there are 20 pairs of 16 bytes with odd parity."""
        if len(pairs) != PAIRS or any(len(p) != DOUBLE_KEY_BYTES for p in pairs):
            raise ValueError(f"an LMK is {PAIRS} pairs of {DOUBLE_KEY_BYTES} bytes")
        if not all(has_odd_parity(p) for p in pairs):
            raise ValueError("an LMK pair has a byte of even parity: check what was typed in")
        self._wrapping = {t.code: _flip(pairs[t.pair], 0, _VARIANTS[t.variant]) for t in KEY_TYPES.values()}
        self._block_key = hmac.digest(b"".join(pairs), b"key blocks", sha256)
        # A real unit's own formula is not public; any change of any pair changes this one too.
        self.check_value = sha256(b"".join(pairs)).hexdigest()[:16].upper()

    def __repr__(self) -> str:
        return f"Lmk(check_value={self.check_value})"

    def decrypt(self, key_type: str, text: str) -> bytes:
        """The clear key. Raises KeyRefused: 26 scheme, 28 key type, 15 not hex, 10 parity."""
        return unwrap(self._pair(key_type), text)

    def encrypt(self, key_type: str, scheme: str, key: bytes) -> str:
        """The key text under this LMK. Raises KeyRefused: 26 scheme, 28 key type, 27 length."""
        return wrap(self._pair(key_type), scheme, key)

    def decrypt_block(self, text: str) -> tuple[tr31.Header, bytes]:
        """Header and clear key of an S text. Raises KeyRefused: 26 not one, and what tr31.unwrap raises."""
        if text[:1] != BLOCK_SCHEME:
            raise KeyRefused("26", "this is not a key block under the LMK")
        return tr31.unwrap(self._block_key, text[1:], "D")

    def encrypt_block(self, header: tr31.Header, key: bytes) -> str:
        """The S text of a key. Raises KeyRefused as tr31.wrap does."""
        return BLOCK_SCHEME + tr31.wrap(self._block_key, msgspec.structs.replace(header, version="D"), key)

    def _pair(self, key_type: str) -> bytes:
        pair = self._wrapping.get(key_type)
        if pair is None:
            raise KeyRefused("28", "the key type is not known")
        return pair


def wrap(wrapping: bytes, scheme: str, key: bytes) -> str:
    """A key under a wrapping key (an LMK pair, ZMK or TMK). Raises KeyRefused: 26 scheme, 27 lengths."""
    if scheme not in KEY_SCHEMES or len(scheme) != 1:
        raise KeyRefused("26", "the key scheme is not known")
    if len(key) != (8 if scheme == "Z" else DOUBLE_KEY_BYTES):
        raise KeyRefused("27", "the key's length does not fit the key scheme")
    match scheme:
        case "Z":
            return Tdes(wrapping).encrypt(key).hex().upper()
        case "X":
            return "X" + Tdes(wrapping).encrypt(key).hex().upper()
        case _:
            halves = (Tdes(k).encrypt(h) for k, h in zip(_halves(wrapping), (key[:8], key[8:]), strict=True))
            return "U" + b"".join(halves).hex().upper()


def unwrap(wrapping: bytes, text: str) -> bytes:
    """The clear key of a key text. Raises KeyRefused: 26 scheme, 15 not hex, 27 lengths, 10 parity."""
    scheme, digits = (text[0], text[1:]) if text[:1] in ("U", "X", "Z") else ("Z", text)
    if len(digits) != (16 if scheme == "Z" else 32):
        raise KeyRefused("26", "the key's text does not fit any key scheme")
    try:
        cipher = bytes.fromhex(digits)
    except ValueError:
        raise KeyRefused("15", "the key's text is not hexadecimal") from None
    if len(cipher) * 2 != len(digits):  # fromhex skips blanks
        raise KeyRefused("15", "the key's text is not hexadecimal")
    if scheme == "U":
        first, second = _halves(wrapping)
        key = Tdes(first).decrypt(cipher[:8]) + Tdes(second).decrypt(cipher[8:])
    else:
        key = Tdes(wrapping).decrypt(cipher)
    if not has_odd_parity(key):
        raise KeyRefused("10", "the key has even parity: it is not a key of this type under this key")
    return key


def _halves(wrapping: bytes) -> tuple[bytes, bytes]:
    if len(wrapping) != DOUBLE_KEY_BYTES:
        raise KeyRefused("27", "scheme U needs a double-length wrapping key")
    return _flip(wrapping, 8, _HALVES[0]), _flip(wrapping, 8, _HALVES[1])


def _flip(key: bytes, index: int, bits: int) -> bytes:
    return key[:index] + bytes((key[index] ^ bits,)) + key[index + 1 :]


TEST_LMK: Final = Lmk([bytes.fromhex(p) for p in _TEST_PAIRS.split()])
