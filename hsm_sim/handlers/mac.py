"""M6 (generate a MAC) and M8 (verify one): ISO 9797-1 algorithm 3, or CMAC with an AES key.

Body: mode 1N, input format 1N, MAC size 1N, algorithm 1N, padding 1N, key type 3A, TAK [, IV 16H in modes 2
and 3], length 4H, data [, MAC in M8]. The hottest path here, hence plain slices instead of a cursor. CMAC is
algorithm 6, for whole messages only (mode 0), which it pads itself; 16 digits are the first half of it.
"""

import hmac
from typing import Final, Protocol

from hsm_sim.body import DATA_LENGTH, INVALID_INPUT, CommandRefused
from hsm_sim.crypto.lmk import KeyRefused
from hsm_sim.crypto.mac import ZERO_IV
from hsm_sim.crypto.uses import CMAC_GENERATE, CMAC_VERIFY, TAK_GENERATE, TAK_VERIFY, Use
from hsm_sim.keys import Keys

_KEY_AT: Final = 5  # the key type's place; the TAK follows it
_KEY_TYPE_CHARACTERS: Final = 3
_MAC_DIGITS: Final = {0x30: 8, 0x31: 16}
_KEY_CHARACTERS: Final = {ord("U"): 33, ord("X"): 33, ord("Z"): 17}
_BLOCK: Final = ord("S")
_WHOLE: Final = 0x30
_X919: Final = 0x33
_CMAC: Final = 0x36


class MacKey(Protocol):
    """Makes MACs under one key."""

    def mac(self, data: bytes, iv: bytes = ZERO_IV, /) -> bytes:
        """The MAC of data, 8 bytes at least."""
        ...

    def chain(self, data: bytes, iv: bytes = ZERO_IV, /) -> bytes:
        """The chaining value after whole blocks of a longer message."""
        ...


def m6(keys: Keys, body: bytes) -> bytes:
    """→ MAC length 4H and MAC in modes 0 (whole) and 3 (last); IV 16H in modes 1 (first) and 2 (middle)."""
    mac_key, iv, data, end = _request(keys, body, TAK_GENERATE, CMAC_GENERATE)
    if end != len(body):
        raise CommandRefused(DATA_LENGTH)
    if body[0] in b"12":
        return b"00" + mac_key.chain(data, iv).hex().upper().encode("ascii")
    digits = _MAC_DIGITS[body[2]]
    return b"00%04X%b" % (digits, mac_key.mac(data, iv).hex().upper()[:digits].encode("ascii"))


def m8(keys: Keys, body: bytes) -> bytes:
    """→ 00 if the MAC is right, 01 if not; IV 16H in modes 1 and 2, which carry no MAC."""
    mac_key, iv, data, end = _request(keys, body, TAK_VERIFY, CMAC_VERIFY)
    if body[0] in b"12":
        if end != len(body):
            raise CommandRefused(DATA_LENGTH)
        return b"00" + mac_key.chain(data, iv).hex().upper().encode("ascii")
    digits = _MAC_DIGITS[body[2]]
    if len(body) - end != digits:
        raise CommandRefused(DATA_LENGTH)
    expected = mac_key.mac(data, iv).hex().upper()[:digits].encode("ascii")
    return b"00" if hmac.compare_digest(expected, body[end:].upper()) else b"01"


def _request(keys: Keys, body: bytes, x919_use: Use, cmac_use: Use) -> tuple[MacKey, bytes, bytes, int]:
    """The key, the IV, the padded data and where the data ends in the body."""
    if len(body) < _KEY_AT + _KEY_TYPE_CHARACTERS + 1:
        raise CommandRefused(INVALID_INPUT)
    mode, input_format, size, algorithm, padding = body[:_KEY_AT]
    if (
        mode not in b"0123"
        or input_format not in b"012"
        or size not in _MAC_DIGITS
        or (algorithm != _X919 and (algorithm != _CMAC or mode != _WHOLE))
        or padding not in b"012"
    ):
        raise CommandRefused(INVALID_INPUT)
    text_at = _KEY_AT + _KEY_TYPE_CHARACTERS
    if body[text_at] == _BLOCK:
        mac_key, at = _from_block(keys, body, text_at, x919_use if algorithm == _X919 else cmac_use)
    else:
        at = text_at + _KEY_CHARACTERS.get(body[text_at], 16)
        if algorithm != _X919:
            raise KeyRefused("A7", "CMAC is for AES keys, which are key blocks")
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
    if algorithm == _CMAC:
        return mac_key, iv, data, end
    if padding == 0x32 and mode in b"03":
        data += b"\x80"  # method 2; the zeros that follow are method 1's, which RetailMac does
    elif len(data) % 8 and (padding == 0x30 or mode in b"12"):
        raise CommandRefused(DATA_LENGTH)
    return mac_key, iv, data, end


def _from_block(keys: Keys, body: bytes, text_at: int, use: Use) -> tuple[MacKey, int]:
    """The key of a key block, and where its text ends."""
    if body[_KEY_AT:text_at] != b"003":
        raise KeyRefused("28", "only a TAK makes MACs")
    length = body[text_at + 2 : text_at + 6]
    if len(length) != 4 or not length.isdigit():
        raise CommandRefused(INVALID_INPUT)
    end = text_at + 1 + int(length)
    try:
        return keys.block_mac(use, body[text_at:end].decode("ascii")), end
    except UnicodeDecodeError:
        raise CommandRefused(INVALID_INPUT) from None
