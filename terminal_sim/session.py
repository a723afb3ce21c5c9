"""The keys that a terminal works with: session keys under its master key, or one key a message (DUKPT).

A terminal keeps the set of before, for an answer that crossed an exchange of keys. Nothing here prints a key.
"""

from typing import Final, Protocol

from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import unwrap
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.pinblock import account_part, encode_format0, encode_format3
from hsm_sim.crypto.refused import KeyRefused
from hsm_sim.crypto.tdes import Tdes
from hsm_sim.crypto.tr31 import unwrap as unwrap_block
from switch.wire.private import (
    TAG_MAC_KEY,
    TAG_MAC_KEY_CHECK,
    TAG_PIN_KEY,
    TAG_PIN_KEY_CHECK,
    PrivateDataError,
    decode_private,
)
from terminal_sim.reply import TerminalError

FORMAT_PLAIN: Final = "0"
FORMAT_RANDOM: Final = "3"
FORMAT_AES: Final = "4"
PIN_USE: Final = "P0"
MAC_USE: Final = ("M3", "M1")  # ISO 9797-1 algorithm 3, or 1 of the key block's own algorithm
_BLOCK_MARKS: Final = "RS"  # what stands before a key block where key texts of other schemes may stand


class Keys(Protocol):
    """What one message is protected with."""

    @property
    def ksn(self) -> str:
        """The key serial number, hex; "" for session keys."""

    def mac(self, covered: bytes) -> bytes:
        """The 8-byte MAC of a request."""

    def reply_mac(self, covered: bytes) -> bytes:
        """The 8-byte MAC that its answer must carry."""

    def pin_block(self, pin: str, pan: str, pin_format: str) -> str:
        """The encrypted PIN block in hex: 16 digits, 32 in format 4. Raises TerminalError."""


class DukptKeys(Protocol):
    """A terminal's store of derived keys: each message takes the next."""

    def next(self) -> Keys:
        """The keys of the next message. Raises TerminalError when the store is used up."""


class SessionKeys:
    """A pair of session keys: PIN and MAC."""

    __slots__ = ("_pin", "ksn", "mac", "reply_mac")

    def __init__(self, pin_key: bytes, mac_key: bytes) -> None:
        self._pin = Tdes(pin_key)
        self.ksn = ""
        self.mac = self.reply_mac = RetailMac(mac_key).mac

    def pin_block(self, pin: str, pan: str, pin_format: str) -> str:
        return self._pin.encrypt(clear_block(pin, pan, pin_format)).hex().upper()


def clear_block(pin: str, pan: str, pin_format: str) -> bytes:
    """The clear 8-byte PIN block of format 0 or 3 (ISO 9564-1). Raises TerminalError for another format."""
    if pin_format == FORMAT_PLAIN:
        return encode_format0(pin, account_part(pan))
    if pin_format == FORMAT_RANDOM:
        return encode_format3(pin, account_part(pan))
    raise TerminalError(f"PIN block format {pin_format} is not for keys of this kind")


def keys_of_exchange(tmk: bytes, private: str) -> SessionKeys:
    """The session keys that an exchange brought (DE48). Raises TerminalError when they cannot be used."""
    try:
        items = decode_private(private)
        pin_key = _unwrapped(tmk, items[TAG_PIN_KEY], (PIN_USE,))
        mac_key = _unwrapped(tmk, items[TAG_MAC_KEY], MAC_USE)
        checks = items[TAG_PIN_KEY_CHECK], items[TAG_MAC_KEY_CHECK]
    except (PrivateDataError, KeyError, KeyRefused):
        raise TerminalError(
            "the key exchange brought no usable session keys: the switch has other master keys"
        ) from None
    if (check_value(pin_key), check_value(mac_key)) != checks:
        raise TerminalError("a session key does not fit its check value: the master keys differ")
    return SessionKeys(pin_key, mac_key)


def _unwrapped(tmk: bytes, text: str, uses: tuple[str, ...]) -> bytes:
    """A key of an exchange: a key block for one of these uses, or the X9.17 form, which says nothing of use.

    Raises KeyRefused.
    """
    block = text[1:] if text[:1] in _BLOCK_MARKS else text
    if block[:1] not in "BD" or not block[1:5].isdecimal():
        return unwrap(tmk, text)
    header, key = unwrap_block(tmk, block)
    if header.usage not in uses:
        raise KeyRefused("A6", "the key block is for another use")
    return key
