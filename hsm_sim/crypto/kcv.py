"""Key check value: the first bytes of a zero block under the key, as all TDES devices have it."""

from hsm_sim.crypto.tdes import BLOCK_BYTES, Tdes


def check_value(key: bytes, digits: int = 6) -> str:
    """The check value of a key as upper-case hex, 1 to 16 digits."""
    return Tdes(key).encrypt(bytes(BLOCK_BYTES)).hex().upper()[:digits]
