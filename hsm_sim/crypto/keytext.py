"""Clear keys to key texts under an LMK: for ceremonies, personalisation and tests, never host commands."""

import msgspec

from hsm_sim.crypto import uses
from hsm_sim.crypto.lmk import Lmk


def key_text(
    lmk: Lmk, key_type: str, key: bytes, *, algorithm: str = uses.TDES, usage: str | None = None
) -> str:
    """The key under the LMK: U + 32 hex digits, or S + a key block for AES or if a usage is named.

    `key_type` 000 ZMK, 001 ZPK, 002 TMK, TPK or PVK, 003 TAK, 009 BDK, 109 MK-AC, 402 CVK; `usage` of X9.143
    such as K1 or P0, by default that of the type. TDES keys have 16 bytes of odd parity, AES keys 16, 24 or
    32. Raises KeyRefused.
    """
    if algorithm == uses.TDES and usage is None:
        return lmk.encrypt(key_type, "U", key)
    header = uses.default_header(key_type, algorithm, uses.EXPORTABLE)
    if usage is not None:
        modes = uses.MODES_OF_USAGE.get(usage, "")
        header = msgspec.structs.replace(header, usage=usage, mode=modes[:1])
    return lmk.encrypt_block(uses.check_header(header), key)
