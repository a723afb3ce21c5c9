"""A terminal's store of derived keys (X9.24): each message takes the next, and what is used is forgotten.

Base derivation keys of the simulated estate come from a seed, as master keys do: never for real terminals.
"""

import hashlib
from typing import Final

from hsm_sim.crypto import dukpt_aes, dukpt_tdes
from hsm_sim.crypto.aes import Aes, cmac
from hsm_sim.crypto.dukpt import BadSerialNumber
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.pinblock import encipher_format4
from hsm_sim.crypto.tdes import Tdes, odd_parity
from terminal_sim.reply import TerminalError
from terminal_sim.session import FORMAT_AES, Keys, clear_block

TDES: Final = "dukpt_tdes"
AES: Final = "dukpt_aes"
MAC_BYTES: Final = 8
_KEY_BYTES: Final = 16


def base_key(seed: int, mode: str) -> bytes:
    """The 16-byte base derivation key of the estate for a mode."""
    key = hashlib.sha256(f"base derivation key/{seed}/{mode}".encode()).digest()[:_KEY_BYTES]
    return odd_parity(key) if mode == TDES else key


def initial_serial(terminal_id: str, mode: str) -> str:
    """The initial key serial number of a terminal, hex, its counter at zero: 20 digits TDES, 24 AES."""
    name = hashlib.sha256(f"key serial number/{terminal_id}".encode()).digest()
    if mode == AES:
        return (name[: dukpt_aes.INITIAL_KEY_ID_BYTES] + bytes(4)).hex().upper()
    number = int.from_bytes(name[: dukpt_tdes.KSN_BYTES]) >> dukpt_tdes.COUNTER_BITS
    return f"{number << dukpt_tdes.COUNTER_BITS:020X}"


class TdesStore:
    """X9.24-1: derived with triple DES; PIN block format 0 or 3, retail MACs."""

    def __init__(self, base: bytes, serial: str) -> None:
        """`base` is the base derivation key, `serial` the initial key serial number in hex."""
        ksn = bytes.fromhex(serial)
        self._device = dukpt_tdes.Device(dukpt_tdes.initial_key(base, ksn), ksn)

    def next(self) -> Keys:
        try:
            keys = _TdesKeys(self._device.keys, self._device.ksn)
            self._device.advance()
        except BadSerialNumber as error:
            raise TerminalError(str(error)) from None
        return keys


class AesStore:
    """X9.24-3: derived with AES; PIN block format 4, CMACs of 8 bytes."""

    def __init__(self, base: bytes, serial: str) -> None:
        identity = bytes.fromhex(serial)[: dukpt_aes.INITIAL_KEY_ID_BYTES]
        self._device = dukpt_aes.Device(dukpt_aes.initial_key(base, identity), identity)

    def next(self) -> Keys:
        try:
            keys = _AesKeys(self._device.keys, self._device.ksn)
            self._device.advance()
        except BadSerialNumber as error:
            raise TerminalError(str(error)) from None
        return keys


class _TdesKeys:
    def __init__(self, keys: dukpt_tdes.TransactionKeys, ksn: bytes) -> None:
        self.ksn = ksn.hex().upper()
        self._pin = Tdes(keys.pin)
        self.mac = RetailMac(keys.mac_request).mac
        self.reply_mac = RetailMac(keys.mac_response).mac

    def pin_block(self, pin: str, pan: str, pin_format: str) -> str:
        return self._pin.encrypt(clear_block(pin, pan, pin_format)).hex().upper()


class _AesKeys:
    def __init__(self, keys: dukpt_aes.TransactionKeys, ksn: bytes) -> None:
        self.ksn = ksn.hex().upper()
        self._keys = keys

    def mac(self, covered: bytes) -> bytes:
        return cmac(self._keys.mac_request, covered)[:MAC_BYTES]

    def reply_mac(self, covered: bytes) -> bytes:
        return cmac(self._keys.mac_response, covered)[:MAC_BYTES]

    def pin_block(self, pin: str, pan: str, pin_format: str) -> str:
        if pin_format != FORMAT_AES:
            raise TerminalError("an AES key takes PIN block format 4 only")
        return encipher_format4(Aes(self._keys.pin), pin, pan).hex().upper()
