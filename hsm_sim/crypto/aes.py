"""AES (FIPS 197) and the CMACs of NIST SP 800-38B."""

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

BLOCK_BYTES: Final = 16
KEY_BYTES: Final = (16, 24, 32)


class Aes:
    """One key, block by block (ECB), its key schedule computed once. Not for use from several threads."""

    __slots__ = ("_decryptor", "_encryptor")

    def __init__(self, key: bytes) -> None:
        """Raises ValueError unless the key has 16, 24 or 32 bytes."""
        cipher = Cipher(AES(key), modes.ECB())  # noqa: S305 single blocks are meant
        self._encryptor = cipher.encryptor()
        self._decryptor = cipher.decryptor()

    def encrypt(self, blocks: bytes) -> bytes:
        """Encrypts a multiple of 16 bytes. Raises ValueError on any other length."""
        _whole_blocks(blocks)
        return self._encryptor.update(blocks)

    def decrypt(self, blocks: bytes) -> bytes:
        """Decrypts a multiple of 16 bytes. Raises ValueError on any other length."""
        _whole_blocks(blocks)
        return self._decryptor.update(blocks)


def encrypt_once(key: bytes, blocks: bytes) -> bytes:
    """ECB under a key that is not used again: a whole number of blocks of 16 bytes."""
    return Cipher(AES(key), modes.ECB()).encryptor().update(blocks)  # noqa: S305 single blocks are meant


class Cmac:
    """CMACs under one AES key, in the form that RetailMac has."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mac(self, data: bytes, _iv: bytes = b"") -> bytes:
        """The 16-byte MAC of a whole message."""
        return cmac(self._key, data)

    def chain(self, _data: bytes, _iv: bytes = b"") -> bytes:
        """Raises ValueError: a CMAC is not continued here."""
        raise ValueError("a CMAC is made of a whole message")


def cmac(key: bytes, data: bytes) -> bytes:
    """The 16-byte CMAC of `data` under an AES key."""
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def cbc_encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """CBC over whole blocks. Raises ValueError on any other length."""
    _whole_blocks(blocks)
    return Cipher(AES(key), modes.CBC(iv)).encryptor().update(blocks)


def cbc_decrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """CBC over whole blocks. Raises ValueError on any other length."""
    _whole_blocks(blocks)
    return Cipher(AES(key), modes.CBC(iv)).decryptor().update(blocks)


def ctr(key: bytes, first: bytes, data: bytes) -> bytes:
    """Counter mode, which is its own reverse; `first` is the first counter block."""
    return Cipher(AES(key), modes.CTR(first)).encryptor().update(data)


def _whole_blocks(data: bytes) -> None:
    # A part of a block would stay in the living context and poison the next caller's.
    if len(data) % BLOCK_BYTES:
        raise ValueError("AES works on whole blocks of 16 bytes")
