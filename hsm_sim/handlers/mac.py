"""M6 (generate a MAC) and M8 (verify one): ISO 9797-1 algorithm 3 with a double-length TAK.

Body: mode 1N, input format 1N, MAC size 1N, algorithm 1N, padding 1N, key type 3A, TAK [, IV 16H in modes 2
and 3], length 4H, data [, MAC in M8]. The hottest path here, hence plain slices instead of a cursor.
"""

import hmac
from typing import Final

from hsm_sim.body import DATA_LENGTH, INVALID_INPUT, CommandRefused
from hsm_sim.crypto.mac import ZERO_IV, RetailMac
from hsm_sim.keys import Keys

_KEY_AT: Final = 5  # the key type's place; the TAK follows it
_KEY_TYPE_CHARACTERS: Final = 3
_MAC_DIGITS: Final = {0x30: 8, 0x31: 16}
_KEY_CHARACTERS: Final = {ord("U"): 33, ord("X"): 33, ord("Z"): 17}


def m6(keys: Keys, body: bytes) -> bytes:
    """→ MAC length 4H and MAC in modes 0 (whole) and 3 (last); IV 16H in modes 1 (first) and 2 (middle)."""
    mac_key, iv, data, end = _request(keys, body)
    if end != len(body):
        raise CommandRefused(DATA_LENGTH)
    if body[0] in b"12":
        return b"00" + mac_key.chain(data, iv).hex().upper().encode("ascii")
    digits = _MAC_DIGITS[body[2]]
    return b"00%04X%b" % (digits, mac_key.mac(data, iv).hex().upper()[:digits].encode("ascii"))


def m8(keys: Keys, body: bytes) -> bytes:
    """→ 00 if the MAC is right, 01 if not; IV 16H in modes 1 and 2, which carry no MAC."""
    mac_key, iv, data, end = _request(keys, body)
    if body[0] in b"12":
        if end != len(body):
            raise CommandRefused(DATA_LENGTH)
        return b"00" + mac_key.chain(data, iv).hex().upper().encode("ascii")
    digits = _MAC_DIGITS[body[2]]
    if len(body) - end != digits:
        raise CommandRefused(DATA_LENGTH)
    expected = mac_key.mac(data, iv).hex().upper()[:digits].encode("ascii")
    return b"00" if hmac.compare_digest(expected, body[end:].upper()) else b"01"


def _request(keys: Keys, body: bytes) -> tuple[RetailMac, bytes, bytes, int]:
    """The key, the IV, the padded data and where the data ends in the body."""
    if len(body) < _KEY_AT + _KEY_TYPE_CHARACTERS + 1:
        raise CommandRefused(INVALID_INPUT)
    mode, input_format, size, algorithm, padding = body[:_KEY_AT]
    if (
        mode not in b"0123"
        or input_format not in b"012"
        or size not in _MAC_DIGITS
        or algorithm != 0x33
        or padding not in b"012"
    ):
        raise CommandRefused(INVALID_INPUT)
    text_at = _KEY_AT + _KEY_TYPE_CHARACTERS
    at = text_at + _KEY_CHARACTERS.get(body[text_at], 16)
    mac_key = keys.retail_mac(body[_KEY_AT:at])
    iv = ZERO_IV
    try:
        if mode in b"23":
            iv = bytes.fromhex(body[at : at + 16].decode("ascii"))
            at += 16
        data_at = at + 4
        end = data_at + int(body[at:data_at], 16)
        data = body[data_at:end]
        if input_format == 0x31:
            data = bytes.fromhex(data.decode("ascii"))
    except ValueError:
        raise CommandRefused(INVALID_INPUT) from None
    if not data or end > len(body) or len(iv) != 8:
        raise CommandRefused(DATA_LENGTH)
    if padding == 0x32 and mode in b"03":
        data += b"\x80"  # method 2; the zeros that follow are method 1's, which RetailMac does
    elif len(data) % 8 and (padding == 0x30 or mode in b"12"):
        raise CommandRefused(DATA_LENGTH)
    return mac_key, iv, data, end
