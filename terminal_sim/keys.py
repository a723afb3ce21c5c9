"""Terminal master keys of the simulated estate: from a seed, so that two programs make the same ones.

A real terminal gets its master key in a key-loading room and never tells it. Here whoever knows the seed
knows the keys.
"""

import hashlib

from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.tdes import odd_parity
from hsm_sim.crypto.tr31 import Header
from terminal_sim.dukpt import TDES, base_key

TMK_TYPE = "002"
TMK_SCHEME = "U"
BDK_TYPE = "009"


def tmk(seed: int, terminal_id: str) -> bytes:
    """The clear double-length master key of a terminal: 16 bytes of odd parity."""
    digest = hashlib.sha256(f"terminal master key/{seed}/{terminal_id}".encode()).digest()
    return odd_parity(digest[:16])


def tmk_under_lmk(key: bytes) -> str:
    """The key as the switch stores it: under the test LMK as a TMK, U and 32 hex digits."""
    return TEST_LMK.encrypt(TMK_TYPE, TMK_SCHEME, key)


def tmk_check_value(key: bytes) -> str:
    """Six hex digits, to see that two places hold the same key."""
    return check_value(key)


def base_key_under_lmk(seed: int, mode: str) -> str:
    """The estate's base derivation key for a mode: triple DES as U and 32 hex digits, AES as key block."""
    key = base_key(seed, mode)
    if mode == TDES:
        return TEST_LMK.encrypt(BDK_TYPE, TMK_SCHEME, key)
    return TEST_LMK.encrypt_block(Header("D", "B0", "A", "X"), key)
