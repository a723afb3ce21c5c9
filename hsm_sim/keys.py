"""Keys that are at hand: decrypted once from under the LMK, then kept in bounded caches.

A real unit decrypts keys on every command in hardware; in software the key schedules cost more than the work.
"""

import secrets
from functools import lru_cache
from typing import Final

import msgspec

from hsm_sim.body import CommandRefused
from hsm_sim.crypto import dukpt_aes, dukpt_tdes, uses
from hsm_sim.crypto.aes import Aes, Cmac
from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.dukpt import BadSerialNumber
from hsm_sim.crypto.kcv import check_value, check_value_aes
from hsm_sim.crypto.lmk import BLOCK_SCHEME, KeyRefused, Lmk
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.tdes import DOUBLE_KEY_BYTES, SINGLE_KEY_BYTES, Tdes, odd_parity
from hsm_sim.crypto.tr31 import Header

# Serial numbers whose keys are kept: one serves the MAC, the PIN and the reply of a payment.
_SERIAL_NUMBERS_CACHED_MAX: Final = 4_096
_AES_BYTES: Final = {"A1": 16, "A2": 24, "A3": 32}


class ClearKey(msgspec.Struct, frozen=True):
    """A key in the clear, its algorithm (T or A), and its header if it came as a key block."""

    algorithm: str
    key: bytes
    header: Header | None = None

    def __repr__(self) -> str:
        return f"ClearKey(algorithm={self.algorithm})"

    @property
    def is_aes(self) -> bool:
        """Whether the key is for AES; else it is for TDES."""
        return self.algorithm == uses.AES

    def check_value(self, digits: int = 6) -> str:
        """The key's check value by its algorithm."""
        return (check_value_aes if self.is_aes else check_value)(self.key, digits)


class Keys:
    """The LMK and the keys under it. Not for several threads: the contexts in the caches chain."""

    def __init__(self, lmk: Lmk, *, cached_max: int = 65_536) -> None:
        self.lmk = lmk
        # A refused key is never cached: exceptions pass through.
        self.cipher = lru_cache(cached_max)(self._cipher)
        self.retail_mac = lru_cache(cached_max)(self._retail_mac)
        self.block_mac = lru_cache(cached_max)(self._block_mac)
        self.cvv = lru_cache(cached_max)(self._cvv)
        self._initial_key = lru_cache(cached_max)(self._derive_initial_key)
        self.dukpt = lru_cache(_SERIAL_NUMBERS_CACHED_MAX)(self._dukpt)

    def clear(self, use: uses.Use, text: str) -> ClearKey:
        """The clear key of a key text. Raises KeyRefused, also if the key's block does not allow the use."""
        if text[:1] == BLOCK_SCHEME:
            header, key = self.lmk.decrypt_block(text)
            use.check(header)
            return ClearKey(header.algorithm, key, header)
        return ClearKey(uses.TDES, self.lmk.decrypt(use.key_type, text))

    def double(self, use: uses.Use, text: str) -> bytes:
        """A double-length TDES key. Raises KeyRefused, 27 if it is not one."""
        key = self.clear(use, text)
        if key.is_aes or len(key.key) != DOUBLE_KEY_BYTES:
            raise KeyRefused("27", "a double-length key is needed")
        return key.key

    def fresh(self, scheme: str, algorithm: str = "T2") -> bytes:
        """A new random key: T2 in the length of the scheme with odd parity, A1 to A3 of 16 to 32 bytes.

        Raises KeyRefused A7 on another algorithm.
        """
        if algorithm in _AES_BYTES:
            return secrets.token_bytes(_AES_BYTES[algorithm])
        if algorithm != "T2":
            raise KeyRefused("A7", "the algorithm is none of this unit's")
        if scheme == "Z":
            return odd_parity(secrets.token_bytes(SINGLE_KEY_BYTES))
        while True:
            key = odd_parity(secrets.token_bytes(DOUBLE_KEY_BYTES))
            if key[:8] != key[8:]:
                return key

    def _cipher(self, use: uses.Use, text: str) -> Tdes | Aes:
        key = self.clear(use, text)
        return Aes(key.key) if key.is_aes else Tdes(key.key)

    def tdes(self, use: uses.Use, text: str) -> Tdes:
        """A cipher of a use that AES keys do not have. Raises KeyRefused."""
        cipher = self.cipher(use, text)
        if not isinstance(cipher, Tdes):
            raise KeyRefused("A7", "a TDES key is needed")
        return cipher

    def _retail_mac(self, type_and_text: bytes) -> RetailMac:
        # One slice of the request is the cache's key: the M6 and M8 path copies nothing else.
        try:
            text = type_and_text.decode("ascii")
        except UnicodeDecodeError:
            raise CommandRefused("15") from None
        if text[:3] != "003":
            raise KeyRefused("28", "only a TAK makes MACs")
        if text[3:4] == BLOCK_SCHEME:
            raise KeyRefused("26", "a key block's mode of use depends on the command")
        return RetailMac(self.double(uses.TAK_GENERATE, text[3:]))

    def _block_mac(self, use: uses.Use, text: str) -> RetailMac | Cmac:
        key = self.clear(use, text)
        return Cmac(key.key) if key.is_aes else RetailMac(self.double(use, text))

    def _cvv(self, use: uses.Use, text: str) -> CvvKey:
        return CvvKey(self.double(use, text))

    # --- DUKPT ---------------------------------------------------------------------------------------------

    def _dukpt(self, bdk: str, ksn: bytes) -> dukpt_tdes.TransactionKeys | dukpt_aes.TransactionKeys:
        """The working keys of a serial number. Raises KeyRefused, or CommandRefused 15 on a bad number."""
        try:
            if len(ksn) == dukpt_aes.KSN_BYTES:
                initial = self._initial_key(bdk, ksn[: dukpt_aes.INITIAL_KEY_ID_BYTES])
                return dukpt_aes.TransactionKeys(dukpt_aes.transaction_key(initial, ksn), ksn)
            initial = self._initial_key(bdk, _device_of(ksn))
            return dukpt_tdes.TransactionKeys(dukpt_tdes.transaction_key(initial, ksn))
        except BadSerialNumber:
            raise CommandRefused("15") from None

    def _derive_initial_key(self, bdk: str, device: bytes) -> bytes:
        key = self.clear(uses.BDK, bdk)
        if key.is_aes:
            return dukpt_aes.initial_key(key.key, device)
        return dukpt_tdes.initial_key(self.double(uses.BDK, bdk), device)


def says_aes(text: str) -> bool:
    """Whether a key text says that its key is for AES. That it is true shows when the key is decrypted."""
    return text[:1] == BLOCK_SCHEME and text[8:9] == uses.AES


def _device_of(ksn: bytes) -> bytes:
    """A TDES serial number without its counter: what all transactions of a device share."""
    return (int.from_bytes(ksn) & ~((1 << dukpt_tdes.COUNTER_BITS) - 1)).to_bytes(dukpt_tdes.KSN_BYTES)
