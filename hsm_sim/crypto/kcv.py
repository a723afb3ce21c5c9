"""Key check values: the first bytes of what a key makes of zeros."""

from hsm_sim.crypto import aes
from hsm_sim.crypto.tdes import BLOCK_BYTES, Tdes


def check_value(key: bytes, digits: int = 6) -> str:
    """The check value of a TDES key, 1 to 16 hex digits: a zero block under it, as all devices have it."""
    return Tdes(key).encrypt(bytes(BLOCK_BYTES)).hex().upper()[:digits]


def check_value_aes(key: bytes, digits: int = 6) -> str:
    """The check value of an AES key, 1 to 32 hex digits: the CMAC of a zero block (X9.24-1:2017 annex A)."""
    return aes.cmac(key, bytes(aes.BLOCK_BYTES)).hex().upper()[:digits]
