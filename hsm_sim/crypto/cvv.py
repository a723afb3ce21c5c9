"""The card verification value (Visa CVV, Mastercard CVC; also CVV2 and iCVV by their service codes)."""

from typing import Final

from hsm_sim.crypto.pvv import decimalise
from hsm_sim.crypto.tdes import Tdes, xor8

CVV_DIGITS: Final = 3


class CvvKey:
    """A card verification key pair A‖B with its schedules computed once."""

    __slots__ = ("_left", "_pair")

    def __init__(self, key16: bytes) -> None:
        self._left = Tdes(key16[:8])
        self._pair = Tdes(key16)

    def value(self, pan: str, expiry_yymm: str, service_code: str) -> str:
        """The 3-digit value. `expiry_yymm`: 4 digits in the card's order; `service_code`: 3 digits."""
        data = bytes.fromhex((pan + expiry_yymm + service_code).ljust(32, "0"))
        chained = xor8(self._left.encrypt(data[:8]), data[8:])
        return decimalise(self._pair.encrypt(chained).hex().upper(), CVV_DIGITS)
