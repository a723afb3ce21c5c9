"""The Visa PIN verification value (Visa Payment Technology Standards Manual, PVV method)."""

from hsm_sim.crypto.tdes import Tdes

_LETTERS_AS_DIGITS = str.maketrans("ABCDEF", "012345")


def pin_verification_value(pvk: Tdes, account12: str, key_index: str, pin: str) -> str:
    """The 4-digit PVV of a PIN; only its 4 leftmost digits count.

    `account12` is the 12 rightmost PAN digits without the check digit, `key_index` one digit (PVKI).
    """
    transformed = account12[1:] + key_index + pin[:4]
    cipher = pvk.encrypt(bytes.fromhex(transformed)).hex().upper()
    return decimalise(cipher, 4)


def decimalise(cipher_hex: str, count: int) -> str:
    """The first `count` digits: those that are decimal, then A to F as 0 to 5 (Visa, PVV and CVV)."""
    digits = [c for c in cipher_hex if c.isdigit()]
    letters = [c.translate(_LETTERS_AS_DIGITS) for c in cipher_hex if not c.isdigit()]
    return "".join((digits + letters)[:count])
