"""PIN blocks of ISO 9564-1: formats 0, 3 and 4, and those that a terminal never sends us (1, 2).

A bad block has ONE error whatever is wrong with it: telling a wrong control digit from a wrong filler would
let an attacker search for the PIN by asking (a PIN block oracle).

- format 0 (ANSI X9.8) and 3: 8 bytes, the PIN field ⊕ the account field; filled with F or random A to F;
- format 4: 16 bytes under AES, E(E(PIN field) ⊕ PAN field), so clear and account never meet in the open.
"""

import hmac
import secrets
from typing import Final, Protocol

from hsm_sim.crypto.tdes import xor8

PIN_DIGITS_MIN: Final = 4
PIN_DIGITS_MAX: Final = 12
ACCOUNT_DIGITS: Final = 12
PAN_DIGITS_MAX: Final = 19
BLOCK_BYTES: Final = 8
AES_BLOCK_BYTES: Final = 16
_RANDOM_FILLERS: Final = "ABCDEF"
# What may stand behind the PIN, turned into F. Other than A, format 4 has no F there either.
_RANDOM_FILL: Final = str.maketrans(_RANDOM_FILLERS, "F" * 6)
_ANY_FILL: Final = str.maketrans("0123456789ABCDEF", "F" * 16)
_FORMAT_4_FILL: Final = str.maketrans("AF", "FA")


class BlockCipher(Protocol):
    """One key, block by block."""

    def encrypt(self, blocks: bytes, /) -> bytes:
        """Whole blocks."""
        ...

    def decrypt(self, blocks: bytes, /) -> bytes:
        """Whole blocks."""
        ...


class BadPinBlock(Exception):
    """No PIN block of this account: wrong key, wrong account or damaged. Never says which."""

    def __init__(self) -> None:
        super().__init__("the PIN block is not valid")


def account_part(pan: str) -> str:
    """The 12 rightmost digits of a PAN without its check digit, zero-filled on the left."""
    return pan[:-1][-ACCOUNT_DIGITS:].rjust(ACCOUNT_DIGITS, "0")


def encode_format0(pin: str, account12: str) -> bytes:
    """The clear 8-byte block. Raises ValueError (without the PIN) on a bad PIN or account part."""
    return _encode8(f"0{_pin_field(pin)}".ljust(16, "F"), account12)


def decode_format0(block: bytes, account12: str) -> str:
    """The PIN in a clear block. Raises BadPinBlock for every kind of bad block."""
    return _decode8("0", block, account12)


def encode_format3(pin: str, account12: str) -> bytes:
    """As format 0, filled with random A to F, so that a PIN has many blocks. Raises ValueError."""
    field = f"3{_pin_field(pin)}"
    return _encode8(field + _random_fill(16 - len(field)), account12)


def decode_format3(block: bytes, account12: str) -> str:
    """The PIN in a clear block. Raises BadPinBlock for every kind of bad block."""
    return _decode8("3", block, account12, _RANDOM_FILL)


def encode_format1(pin: str) -> bytes:
    """Bound to no account, filled at random: for where no PAN is known. Raises ValueError."""
    field = f"1{_pin_field(pin)}"
    return bytes.fromhex(field + secrets.token_hex(8)[: 16 - len(field)])


def decode_format1(block: bytes) -> str:
    """The PIN in a clear block. Raises BadPinBlock for every kind of bad block."""
    return _decode8("1", block, "0" * ACCOUNT_DIGITS, _ANY_FILL)


def encode_format2(pin: str) -> bytes:
    """What a reader hands to a chip for its own check; bound to no account. Raises ValueError."""
    return bytes.fromhex(f"2{_pin_field(pin)}".ljust(16, "F"))


def decode_format2(block: bytes) -> str:
    """The PIN in a clear block. Raises BadPinBlock for every kind of bad block."""
    return _decode8("2", block, "0" * ACCOUNT_DIGITS)


def encode_diebold(pin: str) -> bytes:
    """The PIN filled with F, bound to no account: what old cash machines send. Raises ValueError."""
    _pin_field(pin)
    return bytes.fromhex(pin.ljust(16, "F"))


def decode_diebold(block: bytes) -> str:
    """The PIN in a clear block. Raises BadPinBlock for every kind of bad block."""
    text = block.hex().upper()
    pin = text.rstrip("F")
    if len(block) != BLOCK_BYTES or not PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX or not _digits(pin):
        raise BadPinBlock
    return pin


def format4_pin_field(pin: str) -> bytes:
    """The clear 16-byte PIN field: control, length, PIN, fill A, 8 random bytes. Raises ValueError."""
    return bytes.fromhex(f"4{_pin_field(pin)}".ljust(16, "A")) + secrets.token_bytes(8)


def format4_pan_field(pan: str) -> bytes:
    """The clear 16-byte PAN field: digits above 12, then the PAN. Raises ValueError on a PAN above 19."""
    if not 0 < len(pan) <= PAN_DIGITS_MAX or not _digits(pan):
        raise ValueError(f"a PAN has up to {PAN_DIGITS_MAX} digits")
    field = f"{max(len(pan) - ACCOUNT_DIGITS, 0)}{pan.rjust(ACCOUNT_DIGITS, '0')}"
    return bytes.fromhex(field.ljust(32, "0"))


def encipher_format4(cipher: BlockCipher, pin: str, pan: str) -> bytes:
    """The enciphered 16-byte block under an AES key. Raises ValueError on a bad PIN or PAN."""
    inner = cipher.encrypt(format4_pin_field(pin))
    return cipher.encrypt(_xor16(inner, format4_pan_field(pan)))


def decipher_format4(cipher: BlockCipher, block: bytes, pan: str) -> str:
    """The PIN in an enciphered block. Raises BadPinBlock for every kind of bad block."""
    try:
        pan_field = format4_pan_field(pan)
    except ValueError:
        raise BadPinBlock from None
    if len(block) != AES_BLOCK_BYTES:
        raise BadPinBlock
    field = cipher.decrypt(_xor16(cipher.decrypt(block), pan_field))
    return _decode_field("4", field[:BLOCK_BYTES].hex().upper(), _FORMAT_4_FILL)


def _encode8(field: str, account12: str) -> bytes:
    if len(account12) != ACCOUNT_DIGITS or not _digits(account12):
        raise ValueError(f"the account part has {ACCOUNT_DIGITS} digits")
    return xor8(bytes.fromhex(field), bytes.fromhex("0000" + account12))


def _decode8(control: str, block: bytes, account12: str, fill: dict[int, int] | None = None) -> str:
    if len(block) != BLOCK_BYTES or len(account12) != ACCOUNT_DIGITS or not _digits(account12):
        raise BadPinBlock
    return _decode_field(control, xor8(block, bytes.fromhex("0000" + account12)).hex().upper(), fill)


def _decode_field(control: str, field: str, fill: dict[int, int] | None) -> str:
    """The PIN of a clear field of 16 hex digits; `fill` turns what may stand behind the PIN into F."""
    length = min(max(int(field[1], 16), PIN_DIGITS_MIN), PIN_DIGITS_MAX)
    end = 2 + length
    pin = field[2:end]
    if fill is not None:
        field = field[:end] + field[end:].translate(fill)
    # Built again from the PIN and compared whole, so no check ends earlier than another.
    good = hmac.compare_digest(f"{control}{length:X}{pin}".ljust(16, "F"), field) & _digits(pin)
    if not good:
        raise BadPinBlock
    return pin


def _pin_field(pin: str) -> str:
    if not (PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX and _digits(pin)):
        raise ValueError(f"a PIN has {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")
    return f"{len(pin):X}{pin}"


def _random_fill(count: int) -> str:
    return "".join(secrets.choice(_RANDOM_FILLERS) for _ in range(count))


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _xor16(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a) ^ int.from_bytes(b)).to_bytes(AES_BLOCK_BYTES)
