"""Keys that are at hand: decrypted once from under the LMK, then kept in bounded caches.

A real unit decrypts keys on every command in hardware; in software the key schedules cost more than the work.
"""

import secrets
from functools import lru_cache

from hsm_sim.body import CommandRefused
from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.lmk import KeyRefused, Lmk
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.tdes import DOUBLE_KEY_BYTES, SINGLE_KEY_BYTES, Tdes, odd_parity

CVK_TYPE = "402"


class Keys:
    """The LMK and the keys under it. Not for several threads: the contexts in the caches chain."""

    def __init__(self, lmk: Lmk, *, cached_max: int = 65_536) -> None:
        self.lmk = lmk
        # A refused key is never cached: exceptions pass through.
        self.cipher = lru_cache(cached_max)(self._cipher)
        self.retail_mac = lru_cache(cached_max)(self._retail_mac)
        self.cvv = lru_cache(cached_max)(self._cvv)

    def clear(self, key_type: str, text: str) -> bytes:
        """The clear key. Raises KeyRefused."""
        return self.lmk.decrypt(key_type, text)

    def fresh(self, scheme: str) -> bytes:
        """A new random key of odd parity in the length of the scheme."""
        if scheme == "Z":
            return odd_parity(secrets.token_bytes(SINGLE_KEY_BYTES))
        while True:
            key = odd_parity(secrets.token_bytes(DOUBLE_KEY_BYTES))
            if key[:8] != key[8:]:
                return key

    def _cipher(self, key_type: str, text: str) -> Tdes:
        return Tdes(self.clear(key_type, text))

    def _retail_mac(self, type_and_text: bytes) -> RetailMac:
        # One slice of the request is the cache's key: the M6 and M8 path copies nothing else.
        try:
            text = type_and_text.decode("ascii")
        except UnicodeDecodeError:
            raise CommandRefused("15") from None
        if text[:3] != "003":
            raise KeyRefused("28", "only a TAK makes MACs")
        return RetailMac(self._double("003", text[3:]))

    def _cvv(self, text: str) -> CvvKey:
        return CvvKey(self._double(CVK_TYPE, text))

    def _double(self, key_type: str, text: str) -> bytes:
        key = self.clear(key_type, text)
        if len(key) != DOUBLE_KEY_BYTES:
            raise KeyRefused("27", "a double-length key is needed")
        return key
