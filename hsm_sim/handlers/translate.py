"""CA and CI (translate a PIN block from a terminal's key to a zone's), JC (from a terminal's key to the LMK).

Which format may become which is one table (blocks.TRANSLATIONS); the account is one field, so a block cannot
be bound to another. The layouts are the maker's.
"""

from typing import Final

from hsm_sim.body import INVALID_INPUT, Body, CommandRefused
from hsm_sim.crypto import uses
from hsm_sim.crypto.aes import Aes
from hsm_sim.crypto.lmk import TEST_LMK, KeyRefused
from hsm_sim.crypto.pinblock import BadPinBlock
from hsm_sim.crypto.tdes import Tdes
from hsm_sim.handlers import blocks
from hsm_sim.handlers.pin import DISABLED, as_second, dukpt_pin_cipher
from hsm_sim.keys import Keys

_BAD_BLOCK: Final = b"20"
_NOT_ALLOWED: Final = "23"
_PIN_LENGTH_MAX: Final = "12"


def ca(keys: Keys, body: bytes) -> bytes:
    """TPK, ZPK, longest PIN 12, PIN block, its format, the format wanted, account → length, block, format."""
    fields = Body(body)
    tpk_text, zpk_text = fields.key(), fields.key()
    if fields.take(2) != _PIN_LENGTH_MAX:
        raise CommandRefused(INVALID_INPUT)
    source = keys.cipher(uses.TPK, tpk_text)
    target = _zpk(keys, zpk_text)
    block, from_format = blocks.block_and_format(fields, aes=isinstance(source, Aes), formats=blocks.ANY)
    to_format = blocks.format_code(fields, aes=isinstance(target, Aes), formats=blocks.ANY)
    account = blocks.account(fields, from_format, to_format)
    fields.end()
    return _translated(source, target, block, from_format, to_format, account)


def ci(keys: Keys, body: bytes) -> bytes:
    """BDK, ZPK, KSN descriptor, KSN, PIN block, the format wanted, account → length, block, format.

    The block that comes is format 0 under a TDES base key, format 4 under an AES one.
    """
    fields = Body(body)
    bdk_text, zpk_text = fields.key_pair(), fields.key()
    source = dukpt_pin_cipher(keys, fields, bdk_text)
    target = _zpk(keys, zpk_text)
    is_aes = isinstance(source, Aes)
    block = fields.hex_bytes(32 if is_aes else 16)
    from_format = blocks.FORMAT_4 if is_aes else blocks.FORMAT_0
    to_format = blocks.format_code(fields, aes=isinstance(target, Aes))
    account = blocks.account(fields, from_format, to_format)
    fields.end()
    return _translated(source, target, block, from_format, to_format, account)


def jc(keys: Keys, body: bytes) -> bytes:
    """TPK, PIN block, format, account → the PIN under the LMK.

    The form of that is the one DG takes, which hides nothing: so it is here for the published test LMK only,
    under any other the command is disabled.
    """
    if keys.lmk is not TEST_LMK:
        raise CommandRefused(DISABLED)
    fields = Body(body)
    cipher = keys.cipher(uses.TPK, fields.key())
    block, code = blocks.block_and_format(fields, aes=isinstance(cipher, Aes), formats=blocks.ANY)
    account = blocks.account(fields, code)
    fields.end()
    try:
        pin = blocks.opened(cipher, block, code, account)
    except BadPinBlock:
        return _BAD_BLOCK
    return f"000{pin}".encode("ascii")


def _zpk(keys: Keys, text: str) -> Tdes | Aes:
    try:
        return keys.cipher(uses.ZPK_OUT, text)
    except KeyRefused as refused:
        raise as_second(refused) from None


def _translated(
    source: Tdes | Aes,
    target: Tdes | Aes,
    block: bytes,
    from_format: str,
    to_format: str,
    account: blocks.Account,
) -> bytes:
    if (from_format, to_format) not in blocks.TRANSLATIONS:
        raise CommandRefused(_NOT_ALLOWED)
    try:
        pin = blocks.opened(source, block, from_format, account)
    except BadPinBlock:
        return _BAD_BLOCK
    sealed = blocks.sealed(target, pin, to_format, account).hex().upper()
    return f"00{len(pin):02d}{sealed}{to_format}".encode("ascii")
