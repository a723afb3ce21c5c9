"""The IBM 3624 method: a natural PIN from the account, and an offset between it and the chosen one."""

import hmac
from collections import Counter
from typing import Final

from hsm_sim.crypto.tdes import Tdes

VALIDATION_CHARACTERS: Final = 12
OFFSET_CHARACTERS: Final = 12
_ACCOUNT_DIGITS_INSERTED: Final = 5
_HEX: Final = "0123456789ABCDEF"
# Tables outside these bounds make verification a search for the PIN's digits (Bond and Zieliński, 2003).
_TABLE_DIGITS_MIN: Final = 8
_TABLE_REPEATS_MAX: Final = 4


def check_table(table: str) -> str:
    """The table: 16 digits, 8 different ones at least, none more than 4 times. Raises ValueError."""
    if len(table) != len(_HEX) or not table.isascii() or not table.isdigit():
        raise ValueError("a decimalisation table has 16 digits")
    counts = Counter(table)
    if len(counts) < _TABLE_DIGITS_MIN or max(counts.values()) > _TABLE_REPEATS_MAX:
        raise ValueError("the decimalisation table is too uneven")
    return table


def validation_block(template: str, account12: str) -> bytes:
    """8 bytes: the template with the account's last 5 digits in the place of its one N. Raises ValueError."""
    if len(template) != VALIDATION_CHARACTERS or template.count("N") != 1:
        raise ValueError(f"PIN validation data has {VALIDATION_CHARACTERS} characters, one of them N")
    text = template.replace("N", account12[-_ACCOUNT_DIGITS_INSERTED:])
    if not set(text) <= set(_HEX):
        raise ValueError("PIN validation data is hexadecimal")
    return bytes.fromhex(text)


def natural_pin(pvk: Tdes, table: str, block: bytes, length: int) -> str:
    """The natural PIN of up to 16 digits."""
    cipher = pvk.encrypt(block).hex().upper()
    return "".join(table[int(digit, 16)] for digit in cipher[:length])


def offset_of(natural: str, pin: str) -> str:
    """The offset of a chosen PIN: the difference modulo 10, digit by digit."""
    return "".join(str((int(p) - int(n)) % 10) for p, n in zip(pin, natural, strict=True))


def offset_matches(pvk: Tdes, table: str, block: bytes, pin: str, offset: str) -> bool:
    """Whether the PIN is the one of this offset: 12 characters, filled with F behind the last digit."""
    expected = offset_of(natural_pin(pvk, table, block, len(pin)), pin).ljust(OFFSET_CHARACTERS, "F")
    return hmac.compare_digest(expected, offset)
