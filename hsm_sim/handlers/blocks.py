"""PIN blocks as commands carry them: the maker's format codes, and which may become which.

    01 ISO 9564-1 format 0    47 format 3    48 format 4 (AES)    03 Diebold, bound to no account

`account` is 12 digits (the rightmost of the PAN without its check digit); where format 48 takes part it is
the whole PAN with a delimiter behind it. That, and 32 digits of block, is how later units have it.
"""

from typing import Final

from hsm_sim.body import Body, CommandRefused
from hsm_sim.crypto import pinblock
from hsm_sim.crypto.aes import Aes
from hsm_sim.crypto.tdes import Tdes

FORMAT_0: Final = "01"
DIEBOLD: Final = "03"
FORMAT_3: Final = "47"
FORMAT_4: Final = "48"
# What verifies a terminal's PIN takes only blocks that are bound to the account.
BOUND: Final = (FORMAT_0, FORMAT_3, FORMAT_4)
ANY: Final = (*BOUND, DIEBOLD)

# Translation keeps the account and never weakens: a PIN has one format 0 block and many of format 3, whose
# random filler hides equal PINs; format 4 is bound under AES. Diebold has no account that could be kept, so
# it stays what it is: bound anew to an account of the caller's choice, it would open any PIN to a search.
TRANSLATIONS: Final = frozenset(
    {
        (FORMAT_0, FORMAT_0),
        (FORMAT_0, FORMAT_3),
        (FORMAT_0, FORMAT_4),
        (FORMAT_3, FORMAT_3),
        (FORMAT_3, FORMAT_4),
        (FORMAT_4, FORMAT_4),
        (DIEBOLD, DIEBOLD),
    }
)

_BLOCK_DIGITS: Final = 16
_AES_BLOCK_DIGITS: Final = 32
_BAD_FORMAT: Final = "23"
_BAD_ACCOUNT: Final = "22"
_PAN_DIGITS_MIN: Final = 12


def block_and_format(fields: Body, *, aes: bool, formats: tuple[str, ...] = BOUND) -> tuple[bytes, str]:
    """The enciphered block and its format code. Raises CommandRefused 15 or 23.

    AES keys carry format 4 only, and it goes under no other: the size of the block tells which is meant.
    """
    block = fields.hex_bytes(_AES_BLOCK_DIGITS if aes else _BLOCK_DIGITS)
    return block, format_code(fields, aes=aes, formats=formats)


def format_code(fields: Body, *, aes: bool, formats: tuple[str, ...] = BOUND) -> str:
    """A format code that a key of this algorithm may have. Raises CommandRefused 15 or 23."""
    code = fields.digits(2)
    if code not in formats or aes != (code == FORMAT_4):
        raise CommandRefused(_BAD_FORMAT)
    return code


def account(fields: Body, *formats: str) -> "Account":
    """12 digits, or the whole PAN if one of the formats is 48. Raises CommandRefused 22."""
    if FORMAT_4 not in formats:
        return Account(fields.digits(pinblock.ACCOUNT_DIGITS, _BAD_ACCOUNT), "")
    pan = fields.until(";")
    if not _PAN_DIGITS_MIN <= len(pan) <= pinblock.PAN_DIGITS_MAX or not pan.isdigit():
        raise CommandRefused(_BAD_ACCOUNT)
    return Account(pinblock.account_part(pan), pan)


class Account:
    """What a block is bound to: the 12 digits that PVV, IBM method and formats 0 and 3 take, and the PAN."""

    __slots__ = ("digits12", "pan")

    def __init__(self, digits12: str, pan: str) -> None:
        """`pan` is empty where no format needs it."""
        self.digits12 = digits12
        self.pan = pan


def opened(cipher: Tdes | Aes, block: bytes, code: str, bound_to: Account) -> str:
    """The PIN. Raises BadPinBlock whatever is wrong with the block."""
    if code == FORMAT_4:
        return pinblock.decipher_format4(cipher, block, bound_to.pan)
    clear = cipher.decrypt(block)
    if code == DIEBOLD:
        return pinblock.decode_diebold(clear)
    decode = pinblock.decode_format3 if code == FORMAT_3 else pinblock.decode_format0
    return decode(clear, bound_to.digits12)


def sealed(cipher: Tdes | Aes, pin: str, code: str, bound_to: Account) -> bytes:
    """The enciphered block of a PIN."""
    if code == FORMAT_4:
        return pinblock.encipher_format4(cipher, pin, bound_to.pan)
    if code == DIEBOLD:
        return cipher.encrypt(pinblock.encode_diebold(pin))
    encode = pinblock.encode_format3 if code == FORMAT_3 else pinblock.encode_format0
    return cipher.encrypt(encode(pin, bound_to.digits12))
