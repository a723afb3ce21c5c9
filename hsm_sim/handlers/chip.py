"""KQ: verifies a chip's cryptogram and answers it.

Modes 0 to 2 and schemes 0 and 1 are the maker's public ones; modes 3 and 4 are what its KW has for ARPC
method 2. Scheme C is ours: the common session key of EMV, which cryptogram version 18 has. Data is filled
with zeros to whole blocks; a scheme's own padding is the host's.
"""

import hmac
from typing import Final

from hsm_sim.body import DATA_LENGTH, INVALID_INPUT, Body, CommandRefused
from hsm_sim.crypto import emv, uses
from hsm_sim.keys import Keys

_VERIFY: Final = "013"
_ANSWER_METHOD_1: Final = "12"
_ANSWER_METHOD_2: Final = "34"
_MODES: Final = "01234"
_VISA: Final = "0"  # cryptogram version 10: the card's own key, no session key
_M_CHIP: Final = "1"
_COMMON: Final = "C"


def kq(keys: Keys, body: bytes) -> bytes:
    """Mode, scheme, MK-AC, PAN and sequence number 8B, ATC 2B, UN 4B [, length 2H, data, ;], ARQC 8B
    [, ARC 2B] [, CSU 4B, length 1N, data] → 00 [ARPC 8B | 4B], 01 wrong.
    """
    fields = Body(body)
    mode, scheme = fields.take(1), fields.take(1)
    if mode not in _MODES or scheme not in (_VISA, _M_CHIP, _COMMON):
        raise CommandRefused(INVALID_INPUT)
    imk_text = fields.key_pair()
    card, atc, un = fields.raw(8), fields.raw(2), fields.raw(4)
    data = _transaction_data(fields) if mode in _VERIFY else b""
    arqc = fields.raw(emv.CRYPTOGRAM_BYTES)
    answer_to = _answer_data(fields, mode)
    fields.end()
    key = _session_key(emv.master_key_of(keys.double(uses.MK_AC, imk_text), card), scheme, atc, un)
    if mode in _VERIFY and not hmac.compare_digest(emv.arqc_padded(key, data), arqc):
        return b"01"
    if mode in _ANSWER_METHOD_1:
        return b"00" + emv.arpc(key, arqc, answer_to)
    if mode in _ANSWER_METHOD_2:
        return b"00" + emv.arpc_method_2(key, arqc, answer_to[: emv.CSU_BYTES], answer_to[emv.CSU_BYTES :])
    return b"00"


def _transaction_data(fields: Body) -> bytes:
    length = fields.hex_bytes(2)[0]
    if not length:
        raise CommandRefused(DATA_LENGTH)
    data = fields.raw(length)
    if not fields.skip(";"):
        raise CommandRefused(DATA_LENGTH)
    return data


def _answer_data(fields: Body, mode: str) -> bytes:
    """What the answer binds: the response code, or the card status update with proprietary data behind it."""
    if mode in _ANSWER_METHOD_1:
        return fields.raw(emv.ARC_BYTES)
    if mode in _ANSWER_METHOD_2:
        csu, length = fields.raw(emv.CSU_BYTES), int(fields.digits(1))
        if length > emv.PROPRIETARY_BYTES_MAX:
            raise CommandRefused(DATA_LENGTH)
        return csu + fields.raw(length)
    return b""


def _session_key(master: bytes, scheme: str, atc: bytes, un: bytes) -> bytes:
    if scheme == _VISA:
        return master
    return emv.session_key(master, atc, un) if scheme == _M_CHIP else emv.session_key(master, atc)
