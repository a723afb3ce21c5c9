"""A0 (generate), A6 (import), A8 (export), BU (check value).

Key schemes under the LMK: U, X, Z and S (a key block). Under a ZMK or TMK: U, X, Z and R (a key block of
X9.143: version B under a TDES key, D under an AES one). The header wanted follows a # at the end of A0, as
the maker has it for key blocks; that A8 takes one as well is ours: a type such as 002 has several usages.
"""

from typing import Final

import msgspec

from hsm_sim.body import Body, CommandRefused
from hsm_sim.crypto import tr31, uses
from hsm_sim.crypto.lmk import BLOCK_SCHEME, KeyRefused, unwrap, wrap
from hsm_sim.crypto.tr31 import Header
from hsm_sim.handlers.pin import as_second
from hsm_sim.keys import ClearKey, Keys

EXPORTED_BLOCK_SCHEME: Final = "R"
_TYPE_IN_HEADER: Final = "FFF"
# BU's older 2-character key type codes; FF says the 3-character type follows.
_TYPE_OF_CODE: Final = {"00": "000", "01": "001", "02": "002", "03": "003"}
_LENGTH_OF_FLAG: Final = {"0": 8, "1": 16}
_CHECK_DIGITS_OF_TYPE: Final = {"0": 16, "1": 6}


def a0(keys: Keys, body: bytes) -> bytes:
    """Mode 0 | 1, key type, LMK scheme [; ZMK/TMK flag] [ZMK or TMK, scheme] [# header] → key [key], KCV.

    The second key is the one under the ZMK or TMK.
    Header: usage 2A, algorithm 2A (T2, A1 to A3), mode 1A, version 2A, exportability 1A, 00 optional blocks.
    """
    fields = Body(body)
    mode, key_type, scheme = fields.take(1), fields.take(3), fields.take(1)
    if mode not in ("0", "1"):
        raise CommandRefused("15")
    wrapping = _wrapping_key(keys, fields) if mode == "1" else None
    exported_scheme = fields.take(1) if wrapping is not None else ""
    wanted = _wanted_header(fields, key_type)
    fields.end()
    algorithm, header = wanted if wanted is not None else ("T2", None)
    if scheme == BLOCK_SCHEME and header is None:
        header = uses.default_header(key_type, uses.TDES, uses.EXPORTABLE)
    key = ClearKey(algorithm[0], keys.fresh(scheme, algorithm), header)
    under_lmk = _under_lmk(keys, key_type, scheme, key)
    exported = ""
    if wrapping is not None:
        given = header or uses.default_header(key_type, key.algorithm, uses.EXPORTABLE)
        exported = _exported(wrapping, exported_scheme, ClearKey(key.algorithm, key.key, given))
    return f"00{under_lmk}{exported}{key.check_value()}".encode("ascii")


def a6(keys: Keys, body: bytes) -> bytes:
    """Key type, ZMK, key under the ZMK, LMK scheme → key under the LMK, KCV 6H.

    A key block becomes a key block under the LMK (S), header and all. In the older schemes its header would
    be lost, so they take only a block that may be exported again.
    """
    fields = Body(body)
    key_type = fields.take(3)
    zmk = keys.clear(uses.ZMK_IN, fields.key())
    foreign, scheme = fields.key(), fields.take(1)
    fields.end()
    try:
        key = _foreign(zmk, key_type, foreign)
    except KeyRefused as refused:
        raise as_second(refused) from None
    if key.header is not None and scheme != BLOCK_SCHEME and key.header.exportability == uses.NOT_EXPORTABLE:
        raise KeyRefused("AA", "a block that may not be exported stays a block: import it under scheme S")
    return f"00{_under_lmk(keys, key_type, scheme, key)}{key.check_value()}".encode("ascii")


def a8(keys: Keys, body: bytes) -> bytes:
    """Key type [; ZMK/TMK flag], ZMK or TMK, key under the LMK, scheme [# header] → exported key, KCV 6H.

    Under a TMK goes only what a terminal may have. (A PVK has a TPK's type, unless it is a key block.)
    """
    fields = Body(body)
    key_type = fields.take(3)
    wrapping = _wrapping_key(keys, fields)
    text, scheme = fields.key(), fields.take(1)
    wanted = _wanted_header(fields, key_type)
    fields.end()
    if wrapping.is_tmk and key_type not in uses.TERMINAL_TYPES:
        raise CommandRefused("29")  # whoever has opened one terminal must not get the issuer's keys with it
    try:
        key = keys.clear(uses.any_use(key_type), text)
    except KeyRefused as refused:
        raise as_second(refused) from None
    if key.header is None:
        header = wanted[1] if wanted is not None else None
        given = header or uses.default_header(key_type, key.algorithm, uses.EXPORTABLE)
        if given.algorithm != key.algorithm:
            raise KeyRefused("A7", "the key is not of the algorithm that the header names")
        key = ClearKey(key.algorithm, key.key, given)
    elif wanted is not None:
        raise CommandRefused("15")  # a block's own header is not to be rewritten
    else:
        _check_exportable(key.header, scheme)
    return f"00{_exported(wrapping, scheme, key)}{key.check_value()}".encode("ascii")


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
    key = keys.clear(uses.any_use(key_type), text)
    # The flag is older than key blocks, which say their length themselves.
    if key.header is None and len(key.key) != length:
        raise CommandRefused("05")
    return f"00{key.check_value(digits)}".encode("ascii")


class _Wrapping(msgspec.Struct, frozen=True):
    """A ZMK or TMK to wrap with."""

    key: ClearKey
    is_tmk: bool


def _wrapping_key(keys: Keys, fields: Body) -> _Wrapping:
    flag = fields.take(1) if fields.skip(";") else "0"
    if flag not in ("0", "1"):
        raise CommandRefused("15")
    is_tmk = flag == "1"
    return _Wrapping(keys.clear(uses.TMK_OUT if is_tmk else uses.ZMK_OUT, fields.key()), is_tmk)


def _wanted_header(fields: Body, key_type: str) -> tuple[str, Header] | None:
    """Algorithm code and header, if there is a #. Raises CommandRefused or KeyRefused."""
    if not fields.skip("#"):
        if key_type == _TYPE_IN_HEADER:
            raise CommandRefused("28")
        return None
    usage, algorithm, mode = fields.take(2), fields.take(2), fields.take(1)
    version, exportability, optional = fields.take(2), fields.take(1), fields.take(2)
    if not version.isalnum() or optional != "00":
        raise CommandRefused("15" if not version.isalnum() else "AB")
    if key_type != _TYPE_IN_HEADER and usage not in uses.any_use(key_type).usages:
        raise KeyRefused("A6", "a key of this type does not have this usage")
    header = Header("D", usage, algorithm[0], mode, version, exportability)
    return algorithm, uses.check_header(header)


def _under_lmk(keys: Keys, key_type: str, scheme: str, key: ClearKey) -> str:
    if scheme == BLOCK_SCHEME:
        header = key.header or uses.default_header(key_type, key.algorithm, uses.EXPORTABLE)
        return keys.lmk.encrypt_block(header, key.key)
    if key.is_aes:
        raise KeyRefused("26", "an AES key goes under the LMK as a key block: scheme S")
    if key_type == _TYPE_IN_HEADER:
        raise KeyRefused("28", "the key type is not known")
    return keys.lmk.encrypt(key_type, scheme, key.key)


def _foreign(zmk: ClearKey, key_type: str, text: str) -> ClearKey:
    if text[:1] == EXPORTED_BLOCK_SCHEME:
        header, key = tr31.unwrap(zmk.key, text[1:], "D" if zmk.is_aes else "B")
        uses.any_use(key_type).check(uses.check_header(header))
        return ClearKey(header.algorithm, key, header)
    if zmk.is_aes or text[:1] == BLOCK_SCHEME:
        raise KeyRefused("26", "under this ZMK keys come as X9.143 key blocks: scheme R")
    return ClearKey(uses.TDES, unwrap(zmk.key, text))


def _exported(wrapping: _Wrapping, scheme: str, key: ClearKey) -> str:
    if scheme == EXPORTED_BLOCK_SCHEME:
        assert key.header is not None  # noqa: S101 both callers give one
        version = "D" if wrapping.key.is_aes else "B"
        header = msgspec.structs.replace(key.header, version=version)
        if wrapping.is_tmk:  # a terminal's keys go no further
            header = msgspec.structs.replace(header, exportability=uses.NOT_EXPORTABLE)
        return EXPORTED_BLOCK_SCHEME + tr31.wrap(wrapping.key.key, header, key.key)
    if key.is_aes or wrapping.key.is_aes:
        raise KeyRefused("26", "AES keys travel, and wrap, as X9.143 key blocks: scheme R")
    return wrap(wrapping.key.key, scheme, key.key)


def _check_exportable(header: Header, scheme: str) -> None:
    # S is for forms other than key blocks too; E is not.
    if header.exportability == uses.NOT_EXPORTABLE:
        raise KeyRefused("AA", "the key block may not be exported")
    if header.exportability == uses.EXPORTABLE and scheme != EXPORTED_BLOCK_SCHEME:
        raise KeyRefused("AA", "the key block may be exported as a key block only: scheme R")
