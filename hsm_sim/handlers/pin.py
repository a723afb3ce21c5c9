"""Verification of PINs: DC (under a TPK), EC (under a ZPK), GQ and GO (under DUKPT); DG makes a PVV.

Whatever is wrong with a block, the answer is 20. The layouts are the maker's; of GQ and GO only mode 0 is
here, which carries no MAC.
"""

import hmac
from typing import Final

from hsm_sim.body import INVALID_INPUT, Body, CommandRefused
from hsm_sim.crypto import dukpt_aes, dukpt_tdes, ibm3624, uses
from hsm_sim.crypto.aes import Aes
from hsm_sim.crypto.lmk import TEST_LMK, KeyRefused
from hsm_sim.crypto.pinblock import PIN_DIGITS_MAX, PIN_DIGITS_MIN, BadPinBlock
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes
from hsm_sim.handlers import blocks
from hsm_sim.keys import Keys, says_aes

DISABLED: Final = "68"
_BAD_BLOCK: Final = b"20"
_RIGHT: Final = b"00"
_WRONG: Final = b"01"
_PIN_ONLY: Final = "0"
_BAD_TABLE: Final = "25"
_KSN_DESCRIPTOR_DIGITS: Final = 3


def dc(keys: Keys, body: bytes) -> bytes:
    """TPK, PVK, PIN block 16H | 32H, format, account, PVKI 1N, PVV 4N → 00 right, 01 wrong, 20 bad block."""
    fields = Body(body)
    return _verify_pvv(keys, fields, uses.TPK, blocks.BOUND)


def ec(keys: Keys, body: bytes) -> bytes:
    """ZPK, then as DC. Other switches still send blocks that are bound to no account."""
    fields = Body(body)
    return _verify_pvv(keys, fields, uses.ZPK_IN, blocks.ANY)


def _verify_pvv(keys: Keys, fields: Body, use: uses.Use, formats: tuple[str, ...]) -> bytes:
    pin_key_text, pvk_text = fields.key(), fields.key_pair()
    cipher = keys.cipher(use, pin_key_text)
    block, code = blocks.block_and_format(fields, aes=isinstance(cipher, Aes), formats=formats)
    account, key_index, expected = blocks.account(fields, code), fields.digits(1), fields.digits(4)
    fields.end()
    pvk = second(keys, uses.PVK_VERIFY, pvk_text)
    return _compare_pvv(cipher, pvk, block, code, account, key_index, expected)


def gq(keys: Keys, body: bytes) -> bytes:
    """Mode 0, BDK, PVK, KSN descriptor 3H, KSN 20H | 24H, then as DC from the PIN block."""
    fields = Body(body)
    cipher, pvk_text = _dukpt_pin_key(keys, fields)
    block, code = blocks.block_and_format(fields, aes=isinstance(cipher, Aes))
    account, key_index, expected = blocks.account(fields, code), fields.digits(1), fields.digits(4)
    fields.end()
    pvk = second(keys, uses.PVK_VERIFY, pvk_text)
    return _compare_pvv(cipher, pvk, block, code, account, key_index, expected)


def go(keys: Keys, body: bytes) -> bytes:
    """As GQ to the format; check length 2N, account, table 16N, validation data 12A, offset 12H.

    The check length is the shortest PIN that is taken; every digit of the PIN is checked.
    """
    fields = Body(body)
    cipher, pvk_text = _dukpt_pin_key(keys, fields)
    block, code = blocks.block_and_format(fields, aes=isinstance(cipher, Aes))
    check_length, account = int(fields.digits(2)), blocks.account(fields, code)
    table, template = fields.take(16), fields.take(ibm3624.VALIDATION_CHARACTERS)
    offset = fields.take(ibm3624.OFFSET_CHARACTERS)
    fields.end()
    if not PIN_DIGITS_MIN <= check_length <= PIN_DIGITS_MAX:
        raise CommandRefused(INVALID_INPUT)
    try:
        ibm3624.check_table(table)
    except ValueError:
        raise CommandRefused(_BAD_TABLE) from None
    try:
        validation = ibm3624.validation_block(template, account.digits12)
    except ValueError:
        raise CommandRefused(INVALID_INPUT) from None
    pvk = second(keys, uses.IBM_PVK, pvk_text)
    try:
        pin = blocks.opened(cipher, block, code, account)
    except BadPinBlock:
        return _BAD_BLOCK
    right = ibm3624.offset_matches(pvk, table, validation, pin, offset) & (len(pin) >= check_length)
    return _RIGHT if right else _WRONG


def dg(keys: Keys, body: bytes) -> bytes:
    """PVK, PIN under the LMK, account 12N, PVKI 1N → PVV 4N.

    How a real unit encrypts a PIN under pair 02-03 is not public; as in the published examples, the form
    here is the PIN with a zero in front. That hides nothing, and with it 10,000 questions find the PIN of any
    PVV: so it is here for the published test LMK only, under any other the command is disabled.
    """
    if keys.lmk is not TEST_LMK:
        raise CommandRefused(DISABLED)
    fields = Body(body)
    pvk = keys.tdes(uses.PVK_GENERATE, fields.key_pair())
    pin = fields.digits(fields.left - 13, "14").removeprefix("0")
    account, key_index = fields.digits(12, "22"), fields.digits(1)
    if not PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX:
        raise CommandRefused("14")
    return b"00" + pin_verification_value(pvk, account, key_index, pin).encode("ascii")


def _dukpt_pin_key(keys: Keys, fields: Body) -> tuple[Tdes | Aes, str]:
    """The cipher of the serial number's PIN key, and the PVK's text, which stands between."""
    if fields.digits(1) != _PIN_ONLY:
        raise CommandRefused(INVALID_INPUT)
    bdk_text, pvk_text = fields.key_pair(), fields.key_pair()
    return dukpt_pin_cipher(keys, fields, bdk_text), pvk_text


def dukpt_pin_cipher(keys: Keys, fields: Body, bdk_text: str) -> Tdes | Aes:
    """Reads descriptor and serial number; the cipher of its PIN key."""
    working = keys.dukpt(bdk_text, serial_number(fields, bdk_text))
    return Aes(working.pin) if isinstance(working, dukpt_aes.TransactionKeys) else Tdes(working.pin)


def serial_number(fields: Body, bdk_text: str) -> bytes:
    """Descriptor 3H and KSN. Its length follows from the base key: 20H for TDES, 24H for AES.

    The descriptor says where a short serial number is divided; these are whole, so it is only looked at.
    """
    fields.hex_digits(_KSN_DESCRIPTOR_DIGITS)
    size = dukpt_aes.KSN_BYTES if says_aes(bdk_text) else dukpt_tdes.KSN_BYTES
    return fields.hex_bytes(2 * size)


def second(keys: Keys, use: uses.Use, text: str) -> Tdes:
    """The second key of a command, whose parity error has a code of its own. Raises KeyRefused."""
    try:
        return keys.tdes(use, text)
    except KeyRefused as refused:
        raise as_second(refused) from None


def as_second(refused: KeyRefused) -> KeyRefused:
    """Parity of the first key is 10, of the second 11."""
    return KeyRefused("11", str(refused)) if refused.code == "10" else refused


def _compare_pvv(
    cipher: Tdes | Aes,
    pvk: Tdes,
    block: bytes,
    code: str,
    account: blocks.Account,
    key_index: str,
    expected: str,
) -> bytes:
    try:
        pin = blocks.opened(cipher, block, code, account)
    except BadPinBlock:
        return _BAD_BLOCK
    value = pin_verification_value(pvk, account.digits12, key_index, pin)
    return _RIGHT if hmac.compare_digest(value, expected) else _WRONG
