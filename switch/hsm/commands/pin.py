"""DC (verify a PIN), GQ (the same under DUKPT) and CA (translate a PIN block).

`account` is what the block's format binds: for formats 01 and 47 the 12 rightmost digits of the PAN without
its check digit, for format 48 the whole PAN, which goes with a delimiter behind it.
"""

from enum import Enum
from typing import Final

from switch.hsm.commands.base import (
    DELIMITER,
    NO_ERROR,
    VERIFICATION_FAILED,
    HsmRefused,
    accepted,
    exactly,
)
from switch.hsm.commands.mac import serial_number

# The maker's codes of ISO 9564-1 formats 0, 3 and 4.
FORMAT_0: Final = "01"
FORMAT_3: Final = "47"
FORMAT_4: Final = "48"

_ACCOUNT_DIGITS: Final = 12
_PAN_DIGITS: Final = (12, 19)
_BLOCK_DIGITS: Final = 16
_AES_BLOCK_DIGITS: Final = 32
_PIN_DIGITS_MAX: Final = "12"


class PinResult(Enum):
    """What a PIN verification says. Every kind of bad PIN block is one result, so nobody learns which."""

    OK = "ok"
    WRONG = "wrong"
    BAD_BLOCK_OR_KEY = "bad_block_or_key"


def verify_pin(
    tpk: str,
    pvk: str,
    pin_block_hex: str,
    account: str,
    pvki: str,
    pvv: str,
    *,
    block_format: str = FORMAT_0,
) -> bytes:
    """DC: TPK, PVK, PIN block, format, account, PVKI, PVV."""
    checked = _checked(pin_block_hex, account, block_format, pvki, pvv)
    return f"DC{tpk}{pvk}{checked}".encode("ascii")


def verify_pin_dukpt(
    bdk: str,
    pvk: str,
    ksn: str,
    pin_block_hex: str,
    account: str,
    pvki: str,
    pvv: str,
    *,
    block_format: str = FORMAT_0,
) -> bytes:
    """GQ, mode 0 (no MAC): BDK, PVK, key serial number, PIN block, format, account, PVKI, PVV."""
    checked = _checked(pin_block_hex, account, block_format, pvki, pvv)
    return f"GQ0{bdk}{pvk}{serial_number(ksn)}{checked}".encode("ascii")


def _checked(pin_block_hex: str, account: str, block_format: str, pvki: str, pvv: str) -> str:
    block = _block(pin_block_hex, block_format)
    reference = exactly("PVKI", pvki, 1) + exactly("PVV", pvv, 4)
    return f"{block}{block_format}{_account(account, block_format)}{reference}"


def translate_pin(
    tpk: str, zpk: str, pin_block_hex: str, account: str, *, from_format: str, to_format: str
) -> bytes:
    """CA: TPK, ZPK, maximum PIN length, PIN block, its format, the format wanted, account."""
    # The longer form of the account serves both formats.
    account_format = FORMAT_4 if FORMAT_4 in (from_format, to_format) else from_format
    return (
        f"CA{tpk}{zpk}{_PIN_DIGITS_MAX}{_block(pin_block_hex, from_format)}{from_format}{to_format}"
        f"{_account(account, account_format)}"
    ).encode("ascii")


def _block(pin_block_hex: str, block_format: str) -> str:
    exactly("PIN block format", block_format, 2)
    return exactly(
        "PIN block", pin_block_hex, _AES_BLOCK_DIGITS if block_format == FORMAT_4 else _BLOCK_DIGITS
    )


def _account(account: str, block_format: str) -> str:
    if block_format != FORMAT_4:
        return exactly("account number", account, _ACCOUNT_DIGITS)
    shortest, longest = _PAN_DIGITS
    if not shortest <= len(account) <= longest:
        raise ValueError(f"a PAN has {shortest} to {longest} digits")
    return account + DELIMITER


def parse_pin_result(error: bytes, _body: bytes) -> PinResult:
    """DD: 00 right, 01 wrong, 20 and its like an unreadable block. Raises HsmRefused on the rest."""
    return _pin_result("DC", error)


def parse_pin_result_dukpt(error: bytes, _body: bytes) -> PinResult:
    """GR: as DD. Raises HsmRefused on the rest."""
    return _pin_result("GQ", error)


def _pin_result(command: str, error: bytes) -> PinResult:
    if error == NO_ERROR:
        return PinResult.OK
    if error == VERIFICATION_FAILED:
        return PinResult.WRONG
    # 24 (PIN length) is what a real unit makes of some blocks under a wrong key.
    if error in (b"20", b"24"):
        return PinResult.BAD_BLOCK_OR_KEY
    raise HsmRefused(command, error.decode("ascii", "replace"))


def parse_translated_pin(error: bytes, body: bytes) -> str:
    """CB: the PIN block under the ZPK, 16 or 32 hex digits. Raises HsmRefused, 20 for an unreadable block."""
    accepted("CA", error)
    # The PIN's length stands in front, the format behind: the caller needs neither.
    return body[2:-2].decode("ascii")
