"""Triple DES (NIST SP 800-67) in one place, with 24-byte keys only.

OpenSSL's binding has no single DES; K‖K‖K in the triple cipher is single DES with K.
"""

from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, modes
from cryptography.hazmat.primitives.cmac import CMAC

BLOCK_BYTES: Final = 8
SINGLE_KEY_BYTES: Final = 8
DOUBLE_KEY_BYTES: Final = 16

_ODD_PARITY: Final = bytes((b & 0xFE) | (1 - ((b & 0xFE).bit_count() & 1)) for b in range(256))


def full_key(key: bytes) -> bytes:
    """The 24-byte form K1‖K2‖K3 of a key of 8, 16 or 24 bytes. Raises ValueError on any other length."""
    match len(key):
        case 8:
            return key * 3
        case 16:
            return key + key[:8]
        case 24:
            return key
        case other:
            raise ValueError(f"a DES key has 8, 16 or 24 bytes, not {other}")


def odd_parity(key: bytes) -> bytes:
    """The key with the low bit of every byte set so that the byte has odd parity (FIPS 46-3)."""
    return key.translate(_ODD_PARITY)


def has_odd_parity(key: bytes) -> bool:
    """Whether every byte of a key has odd parity."""
    return key.translate(_ODD_PARITY) == key


def ecb_encryptor(key: bytes) -> CipherContext:
    """A context that encrypts whole blocks and keeps no state between them, so it may live with its key."""
    return Cipher(TripleDES(full_key(key)), modes.ECB()).encryptor()  # noqa: S305 single blocks are meant


def cbc_encryptor(key: bytes) -> CipherContext:
    """A CBC context from a zero IV. It goes on chaining over every block it is ever given."""
    return Cipher(TripleDES(full_key(key)), modes.CBC(bytes(BLOCK_BYTES))).encryptor()


class Tdes:
    """One key, block by block (ECB), its key schedule computed once. Not for use from several threads."""

    __slots__ = ("_decryptor", "_encryptor")

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(TripleDES(full_key(key)), modes.ECB())  # noqa: S305 single blocks are meant
        self._encryptor = cipher.encryptor()
        self._decryptor = cipher.decryptor()

    def encrypt(self, blocks: bytes) -> bytes:
        """Encrypts a multiple of 8 bytes. Raises ValueError on any other length."""
        _whole_blocks(blocks)
        return self._encryptor.update(blocks)

    def decrypt(self, blocks: bytes) -> bytes:
        """Decrypts a multiple of 8 bytes. Raises ValueError on any other length."""
        _whole_blocks(blocks)
        return self._decryptor.update(blocks)


def cmac(key: bytes, data: bytes) -> bytes:
    """The 8-byte CMAC of `data` under a triple DES key (NIST SP 800-38B)."""
    mac = CMAC(TripleDES(full_key(key)))
    mac.update(data)
    return mac.finalize()


def cbc_encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """CBC over whole blocks. Raises ValueError on any other length."""
    _whole_blocks(blocks)
    return Cipher(TripleDES(full_key(key)), modes.CBC(iv)).encryptor().update(blocks)


def cbc_decrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """CBC over whole blocks. Raises ValueError on any other length."""
    _whole_blocks(blocks)
    return Cipher(TripleDES(full_key(key)), modes.CBC(iv)).decryptor().update(blocks)


def _whole_blocks(data: bytes) -> None:
    # A part of a block would stay in the living context and poison the next caller's.
    if len(data) % BLOCK_BYTES:
        raise ValueError("DES works on whole blocks of 8 bytes")


def xor8(a: bytes, b: bytes) -> bytes:
    """The exclusive or of two blocks of 8 bytes."""
    return (int.from_bytes(a) ^ int.from_bytes(b)).to_bytes(8)
