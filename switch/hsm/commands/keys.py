"""A0 (generate), A6 (import), A8 (export) and BU (check value)."""

from typing import Final

import msgspec

from switch.hsm.commands.base import accepted, cut_key, exactly

DOUBLE_TDES: Final = "T2"
# What an AES key of a type is for, as X9.143 writes it: usage and mode of use of its key block.
_BLOCK_USE: Final = {
    "000": ("K0", "B"),
    "001": ("P0", "B"),
    "002": ("P0", "B"),
    "003": ("M6", "C"),
    "009": ("B0", "X"),
    "109": ("E0", "X"),
    "402": ("C0", "C"),
}
_MODE_OF_USAGE: Final = {
    "K0": "B",
    "K1": "B",
    "P0": "B",
    "M3": "C",
    "M6": "C",
    "B0": "X",
    "V1": "C",
    "V2": "C",
}


class KeyResult(msgspec.Struct, frozen=True, gc=False):
    """A key text (under the LMK once imported, under the ZMK or TMK once exported), its check value."""

    key: str
    check_value: str

    def __repr__(self) -> str:
        return f"KeyResult(check_value={self.check_value})"


class GeneratedKey(msgspec.Struct, frozen=True, gc=False):
    """A new key under the LMK, under the ZMK or TMK if one was named, and its check value (6 hex digits)."""

    lmk: str
    exported: str | None
    kcv: str

    def __repr__(self) -> str:
        return f"GeneratedKey(kcv={self.kcv})"


def generate_key(
    key_type: str,
    *,
    scheme: str,
    under: str | None,
    under_tmk: bool,
    exported_scheme: str,
    algorithm: str = DOUBLE_TDES,
    usage: str | None = None,
) -> bytes:
    """A0: mode 0 makes a key under the LMK; mode 1 gives it under a TMK or ZMK as well.

    `algorithm` T2, or A1 to A3 for AES of 128, 192 or 256 bits, and `usage` (two characters of X9.143) go
    into the key block's header and are for scheme S only. Raises ValueError otherwise.
    """
    head = (
        f"{'0' if under is None else '1'}{exactly('key type', key_type, 3)}{exactly('key scheme', scheme, 1)}"
    )
    tail = "" if under is None else f";{int(under_tmk)}{under}{exactly('key scheme', exported_scheme, 1)}"
    return f"A0{head}{tail}{_header(key_type, scheme, algorithm, usage)}".encode("ascii")


def _header(key_type: str, scheme: str, algorithm: str, usage: str | None) -> str:
    """The header wanted for the key block: # usage, algorithm, mode, version, exportability, no options."""
    if algorithm == DOUBLE_TDES and usage is None:
        return ""
    if scheme != "S":
        raise ValueError("an algorithm or a usage of its own needs key scheme S")
    of_type, mode = _BLOCK_USE[key_type]
    if usage is None:
        usage = of_type
    else:
        mode = _MODE_OF_USAGE.get(usage, mode)
    return f"#{exactly('usage', usage, 2)}{exactly('algorithm', algorithm, 2)}{mode}00E00"


def import_key(key_type: str, key: str, *, zmk: str, scheme: str) -> bytes:
    """A6: key type, ZMK, the key under it, and the scheme wanted under the LMK."""
    return f"A6{exactly('key type', key_type, 3)}{zmk}{key}{exactly('key scheme', scheme, 1)}".encode("ascii")


def export_key(key_type: str, key: str, *, under: str, under_tmk: bool, scheme: str) -> bytes:
    # The flag is sent only where it says something: units without TMK export take the short form.
    """A8: key type, the TMK or ZMK, the key under the LMK, and the scheme wanted for it."""
    flag = ";1" if under_tmk else ""
    wanted = exactly("key scheme", scheme, 1)
    return f"A8{exactly('key type', key_type, 3)}{flag}{under}{key}{wanted}".encode("ascii")


def check_value(key_type: str, key: str) -> bytes:
    # Code FF says that the 3-character key type follows the key.
    """BU: key type, length flag and key. The flag says nothing of a key block, which says it itself."""
    length = "0" if len(key) <= 17 else "1"
    return f"BUFF{length}{key};{exactly('key type', key_type, 3)}".encode("ascii")


def parse_generated_key(error: bytes, body: bytes) -> GeneratedKey:
    """A1: the key under the LMK, perhaps under another key, and its check value. Raises HsmRefused."""
    accepted("A0", error)
    key, rest = cut_key(body.decode("ascii"))
    if len(rest) <= 6:
        return GeneratedKey(key, None, rest)
    exported, rest = cut_key(rest)
    return GeneratedKey(key, exported, rest[:6])


def parse_imported_key(error: bytes, body: bytes) -> KeyResult:
    """A7: the key under the LMK and its check value. Raises HsmRefused."""
    accepted("A6", error)
    return KeyResult(*cut_key(body.decode("ascii")))


def parse_exported_key(error: bytes, body: bytes) -> KeyResult:
    """A9: the key under the TMK or ZMK and its check value. Raises HsmRefused."""
    accepted("A8", error)
    return KeyResult(*cut_key(body.decode("ascii")))


def parse_check_value(error: bytes, body: bytes) -> str:
    """BV: the check value. Raises HsmRefused."""
    accepted("BU", error)
    return body[:6].decode("ascii")
