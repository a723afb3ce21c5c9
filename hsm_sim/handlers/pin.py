"""DC (verify a terminal's PIN by PVV) and DG (generate a PVV)."""

import hmac
from typing import Final

from hsm_sim.body import Body, CommandRefused
from hsm_sim.crypto.lmk import KeyRefused
from hsm_sim.crypto.pinblock import PIN_DIGITS_MAX, PIN_DIGITS_MIN, BadPinBlock, decode_format0
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.keys import Keys

_FORMAT_0: Final = "01"  # the maker's code for ISO 9564-1 format 0
_TPK_OR_PVK: Final = "002"


def dc(keys: Keys, body: bytes) -> bytes:
    """TPK, PVK, PIN block 16H, format 01, account 12N, PVKI 1N, PVV 4N → 00 right, 01 wrong, 20 bad block."""
    fields = Body(body)
    tpk_text, pvk_text = fields.key(), fields.key_pair()
    block, block_format = fields.hex_bytes(16), fields.digits(2)
    account, key_index, expected = fields.digits(12, "22"), fields.digits(1), fields.digits(4)
    fields.end()
    if block_format != _FORMAT_0:
        raise CommandRefused("23")
    tpk = keys.cipher(_TPK_OR_PVK, tpk_text)
    try:
        pvk = keys.cipher(_TPK_OR_PVK, pvk_text)
    except KeyRefused as refused:
        raise CommandRefused("11" if refused.code == "10" else refused.code) from None
    try:
        pin = decode_format0(tpk.decrypt(block), account)
    except BadPinBlock:
        return b"20"
    value = pin_verification_value(pvk, account, key_index, pin)
    return b"00" if hmac.compare_digest(value, expected) else b"01"


def dg(keys: Keys, body: bytes) -> bytes:
    """PVK, PIN under the LMK, account 12N, PVKI 1N → PVV 4N.

    How a real unit encrypts a PIN under pair 02-03 is not public; as in the published examples, the form
    here is the PIN with a zero in front. Issuing tools of the simulation use it, the switch never does.
    """
    fields = Body(body)
    pvk = keys.cipher(_TPK_OR_PVK, fields.key_pair())
    pin = fields.digits(fields.left - 13, "14").removeprefix("0")
    account, key_index = fields.digits(12, "22"), fields.digits(1)
    if not PIN_DIGITS_MIN <= len(pin) <= PIN_DIGITS_MAX:
        raise CommandRefused("14")
    return b"00" + pin_verification_value(pvk, account, key_index, pin).encode("ascii")
