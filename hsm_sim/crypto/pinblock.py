"""PIN block format 0 of ISO 9564-1 (ANSI X9.8), in the clear. Encryption under a PIN key is the caller's.

A bad block has ONE error whatever is wrong with it: telling a wrong control digit from a wrong filler would
let an attacker search for the PIN by asking (a PIN block oracle).
"""

import hmac
from typing import Final

from hsm_sim.crypto.tdes import xor8

PIN_DIGITS_MIN: Final = 4
PIN_DIGITS_MAX: Final = 12
ACCOUNT_DIGITS: Final = 12


class BadPinBlock(Exception):
    """No PIN block of this account: wrong key, wrong account or damaged. Never says which."""

    def __init__(self) -> None:
        super().__init__("the PIN block is not valid")


def account_part(pan: str) -> str:
    """The 12 rightmost digits of a PAN without its check digit, zero-filled on the left."""
    return pan[:-1][-ACCOUNT_DIGITS:].rjust(ACCOUNT_DIGITS, "0")


def encode_format0(pin: str, account12: str) -> bytes:
    """The clear 8-byte block. Raises ValueError (without the PIN) on a bad PIN or account part."""
    if not (PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX and _digits(pin)):
        raise ValueError(f"a PIN has {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")
    if len(account12) != ACCOUNT_DIGITS or not _digits(account12):
        raise ValueError(f"the account part has {ACCOUNT_DIGITS} digits")
    field = f"0{len(pin):X}{pin}".ljust(16, "F")
    return xor8(bytes.fromhex(field), bytes.fromhex("0000" + account12))


def decode_format0(block: bytes, account12: str) -> str:
    """The PIN in a clear block. Raises BadPinBlock for every kind of bad block."""
    if len(block) != 8 or len(account12) != ACCOUNT_DIGITS or not _digits(account12):
        raise BadPinBlock
    field = xor8(block, bytes.fromhex("0000" + account12)).hex().upper()
    length = min(max(int(field[1], 16), PIN_DIGITS_MIN), PIN_DIGITS_MAX)
    pin = field[2 : 2 + length]
    # Built again from the PIN and compared whole, so no check ends earlier than another.
    expected = f"0{length:X}{pin}".ljust(16, "F")
    good = hmac.compare_digest(expected, field) & _digits(pin)
    if not good:
        raise BadPinBlock
    return pin


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
