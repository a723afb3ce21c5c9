"""A0 (generate), A6 (import), A8 (export), BU (check value)."""

from typing import Final

from hsm_sim.body import Body, CommandRefused
from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import KeyRefused, unwrap, wrap
from hsm_sim.keys import Keys

_ZMK: Final = "000"
_TMK: Final = "002"
# BU's older 2-character key type codes; FF says the 3-character type follows.
_TYPE_OF_CODE: Final = {"00": "000", "01": "001", "02": "002", "03": "003"}
_LENGTH_OF_FLAG: Final = {"0": 8, "1": 16}
_CHECK_DIGITS_OF_TYPE: Final = {"0": 16, "1": 6}


def a0(keys: Keys, body: bytes) -> bytes:
    """Mode 0 | 1, key type, LMK scheme [; ZMK/TMK flag] [ZMK or TMK, scheme] → key [exported key], KCV 6H."""
    fields = Body(body)
    mode, key_type, scheme = fields.take(1), fields.take(3), fields.take(1)
    if mode not in ("0", "1"):
        raise CommandRefused("15")
    wrapping = _wrapping_key(keys, fields) if mode == "1" else None
    exported_scheme = fields.take(1) if wrapping is not None else ""
    fields.end()
    key = keys.fresh(scheme)
    under_lmk = keys.lmk.encrypt(key_type, scheme, key)
    exported = wrap(wrapping, exported_scheme, key) if wrapping is not None else ""
    return f"00{under_lmk}{exported}{check_value(key)}".encode("ascii")


def a6(keys: Keys, body: bytes) -> bytes:
    """Key type, ZMK, key under the ZMK, LMK scheme → key under the LMK, KCV 6H."""
    fields = Body(body)
    key_type = fields.take(3)
    zmk = keys.clear(_ZMK, fields.key())
    foreign, scheme = fields.key(), fields.take(1)
    fields.end()
    try:
        key = unwrap(zmk, foreign)
    except KeyRefused as refused:
        raise _as_second(refused) from None
    return f"00{keys.lmk.encrypt(key_type, scheme, key)}{check_value(key)}".encode("ascii")


def a8(keys: Keys, body: bytes) -> bytes:
    """Key type [; ZMK/TMK flag], ZMK or TMK, key under the LMK, scheme → key under the ZMK or TMK, KCV 6H."""
    fields = Body(body)
    key_type = fields.take(3)
    wrapping = _wrapping_key(keys, fields)
    text, scheme = fields.key(), fields.take(1)
    fields.end()
    try:
        key = keys.clear(key_type, text)
    except KeyRefused as refused:
        raise _as_second(refused) from None
    return f"00{wrap(wrapping, scheme, key)}{check_value(key)}".encode("ascii")


def bu(keys: Keys, body: bytes) -> bytes:
    """Key type code 2A, length flag 1N, key [; key type 3A if the code is FF] [; 00, KCV type 1N] → KCV."""
    fields = Body(body)
    code, length = fields.take(2), _LENGTH_OF_FLAG.get(fields.take(1))
    if length is None:
        raise CommandRefused("05")
    text = fields.key()
    if code == "FF":
        key_type: str | None = fields.take(3) if fields.skip(";") else None
    else:
        key_type = _TYPE_OF_CODE.get(code)
    if key_type is None:
        raise CommandRefused("04")
    digits: int | None = 16
    if fields.skip(";"):
        fields.take(2)
        digits = _CHECK_DIGITS_OF_TYPE.get(fields.take(1))
    fields.end()
    if digits is None:
        raise CommandRefused("15")
    key = keys.clear(key_type, text)
    if len(key) != length:
        raise CommandRefused("05")
    return f"00{check_value(key, digits)}".encode("ascii")


def _wrapping_key(keys: Keys, fields: Body) -> bytes:
    flag = fields.take(1) if fields.skip(";") else "0"
    if flag not in ("0", "1"):
        raise CommandRefused("15")
    return keys.clear(_TMK if flag == "1" else _ZMK, fields.key())


def _as_second(refused: KeyRefused) -> KeyRefused:
    # Parity of the first key is 10, of the second 11.
    return KeyRefused("11", str(refused)) if refused.code == "10" else refused
