"""GW: generates or verifies a MAC under the keys of a serial number.

The layout is the maker's. Its method 1 (X9.19 under the request key, for both directions) is public; methods
2 (X9.19 under the response key), 6 and 7 (CMAC under the AES request and response keys) are ours, as is that
data need not come in whole blocks of 8: X9.19 fills it with zeros.
"""

import hmac
from typing import Final

from hsm_sim.body import DATA_LENGTH, INVALID_INPUT, Body, CommandRefused
from hsm_sim.crypto import aes, dukpt_aes
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.handlers.pin import serial_number
from hsm_sim.keys import Keys

_MAC_DIGITS: Final = 16
# Mode: which digits of the MAC it is about.
_VERIFY: Final = {"1": slice(0, 16), "2": slice(0, 8), "3": slice(8, 16)}
_GENERATE: Final = {"4": slice(0, 16), "5": slice(0, 8), "6": slice(8, 16)}
_X919: Final = {"1": "mac_request", "2": "mac_response"}
_CMAC: Final = {"6": "mac_request", "7": "mac_response"}


def gw(keys: Keys, body: bytes) -> bytes:
    """Mode 1N, method 1N, BDK, KSN descriptor 3H, KSN [, MAC 16H | 8H], length 4N, data → 00 [MAC] or 01."""
    fields = Body(body)
    mode, method = fields.take(1), fields.take(1)
    part = _VERIFY.get(mode) or _GENERATE.get(mode)
    if part is None or (method not in _X919 and method not in _CMAC):
        raise CommandRefused(INVALID_INPUT)
    bdk_text = fields.key_pair()
    ksn = serial_number(fields, bdk_text)
    given = fields.hex_digits(part.stop - part.start) if mode in _VERIFY else ""
    length = int(fields.digits(4))
    if not length or length != fields.left:
        raise CommandRefused(DATA_LENGTH)
    mac = _mac(keys, method, bdk_text, ksn, fields.raw(length))[part]
    if mode in _GENERATE:
        return b"00" + mac.encode("ascii")
    return b"00" if hmac.compare_digest(mac, given) else b"01"


def _mac(keys: Keys, method: str, bdk_text: str, ksn: bytes, data: bytes) -> str:
    working = keys.dukpt(bdk_text, ksn)
    if isinstance(working, dukpt_aes.TransactionKeys) != (method in _CMAC):
        raise CommandRefused(INVALID_INPUT)
    if method in _CMAC:
        return aes.cmac(getattr(working, _CMAC[method]), data).hex().upper()[:_MAC_DIGITS]
    return RetailMac(getattr(working, _X919[method])).mac(data).hex().upper()
