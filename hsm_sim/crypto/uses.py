"""What a key may be used for: the LMK pair of its type, and the header of its key block.

A key in the older form (U, X, Z) is held to its type by the LMK pair it is under; some uses share a type
(TMK, TPK and PVK are all 002). A key block says exactly what it is for, and is held to that.
"""

from typing import Final

from hsm_sim.crypto.refused import KeyRefused
from hsm_sim.crypto.tr31 import Header

TDES: Final = "T"
AES: Final = "A"
# Exportability of X9.143: under a wrapping key as a key block; never; in older forms as well.
EXPORTABLE: Final = "E"
NOT_EXPORTABLE: Final = "N"
SENSITIVE: Final = "S"

_CIPHER_MODES: Final = "BDEN"
_MAC_MODES: Final = "CGVN"
_DERIVING_MODES: Final = "XN"

# Which modes of use make sense with a usage (X9.143 table 3).
MODES_OF_USAGE: Final = {
    "B0": _DERIVING_MODES,
    "B1": _DERIVING_MODES,
    "C0": _MAC_MODES,
    "E0": _DERIVING_MODES,
    "K0": _CIPHER_MODES,
    "K1": _CIPHER_MODES,
    "M3": _MAC_MODES,
    "M6": _MAC_MODES,
    "P0": _CIPHER_MODES,
    "V0": _MAC_MODES,
    "V1": _MAC_MODES,
    "V2": _MAC_MODES,
}
# Usages whose method fixes the algorithm: X9.19, CVV, PVV and IBM are DES; EMV here is TDES.
_ALGORITHMS_OF_USAGE: Final = {
    "B0": "TA",
    "B1": "TA",
    "C0": "T",
    "E0": "T",
    "K0": "TA",
    "K1": "TA",
    "M3": "T",
    "M6": "A",
    "P0": "TA",
    "V0": "T",
    "V1": "T",
    "V2": "T",
}
# The usages that keys of an older type may have; the first is what a key of the type is taken for.
USAGES_OF_TYPE: Final = {
    "000": ("K0", "K1"),
    "001": ("P0",),
    "002": ("P0", "K0", "K1", "V0", "V1", "V2"),
    "003": ("M3", "M6"),
    "009": ("B0",),
    "109": ("E0",),
    "302": ("B1",),
    "402": ("C0",),
}
TERMINAL_TYPES: Final = frozenset({"002", "003", "302"})
"""Types of the keys that a terminal is given. Others do not go out under its master key."""


class Use:
    """One use of a key by a command: its type, and what the header of a key block must say."""

    __slots__ = ("algorithms", "key_type", "modes", "usages")

    def __init__(self, key_type: str, usages: tuple[str, ...], modes: str, algorithms: str) -> None:
        self.key_type = key_type
        self.usages = usages
        self.modes = modes
        self.algorithms = algorithms

    def check(self, header: Header) -> None:
        """Raises KeyRefused unless the header allows this use: A6 usage, A7 algorithm, A8 mode."""
        if header.usage not in self.usages:
            raise KeyRefused("A6", "the key block's usage does not allow this")
        if header.algorithm not in self.algorithms:
            raise KeyRefused("A7", "the key block's algorithm does not allow this")
        if header.mode not in self.modes:
            raise KeyRefused("A8", "the key block's mode of use does not allow this")


_WRAPPING: Final = ("K0", "K1")
ZMK_OUT: Final = Use("000", _WRAPPING, "BEN", "TA")
ZMK_IN: Final = Use("000", _WRAPPING, "BDN", "TA")
TMK_OUT: Final = Use("002", _WRAPPING, "BEN", "TA")
TPK: Final = Use("002", ("P0",), "BDN", "TA")
ZPK_IN: Final = Use("001", ("P0",), "BDN", "TA")
ZPK_OUT: Final = Use("001", ("P0",), "BEN", "TA")
TAK_GENERATE: Final = Use("003", ("M3",), "CGN", "T")
TAK_VERIFY: Final = Use("003", ("M3",), "CVN", "T")
CMAC_GENERATE: Final = Use("003", ("M6",), "CGN", "A")
CMAC_VERIFY: Final = Use("003", ("M6",), "CVN", "A")
PVK_GENERATE: Final = Use("002", ("V0", "V2"), "CGN", "T")
PVK_VERIFY: Final = Use("002", ("V0", "V2"), "CVN", "T")
IBM_PVK: Final = Use("002", ("V0", "V1"), "CVN", "T")
CVK_GENERATE: Final = Use("402", ("C0",), "CGN", "T")
CVK_VERIFY: Final = Use("402", ("C0",), "CVN", "T")
BDK: Final = Use("009", ("B0",), "XN", "TA")
MK_AC: Final = Use("109", ("E0",), "XN", "T")


def any_use(key_type: str) -> Use:
    """Every use that a type has: for check values and exports. Raises KeyRefused 28."""
    usages = USAGES_OF_TYPE.get(key_type)
    if usages is None:
        raise KeyRefused("28", "the key type is not known")
    return Use(key_type, usages, "BCDEGNVX", "TA")


def default_header(key_type: str, algorithm: str, exportability: str) -> Header:
    """The header of a key that has only a type. Raises KeyRefused 28."""
    usage = any_use(key_type).usages[0]
    if key_type == "003" and algorithm == AES:
        usage = "M6"
    # The first mode of each family is the one that allows both directions.
    return Header("D", usage, algorithm, MODES_OF_USAGE[usage][0], "00", exportability)


def check_header(header: Header) -> Header:
    """The header, if its parts go together. Raises KeyRefused A6, A7, A8 or AA."""
    if header.usage not in MODES_OF_USAGE:
        raise KeyRefused("A6", "the key block's usage is none of this unit's")
    if header.algorithm not in _ALGORITHMS_OF_USAGE[header.usage]:
        raise KeyRefused("A7", "the key block's algorithm does not go with its usage")
    if header.mode not in MODES_OF_USAGE[header.usage]:
        raise KeyRefused("A8", "the key block's mode of use does not go with its usage")
    if header.exportability not in (EXPORTABLE, NOT_EXPORTABLE, SENSITIVE):
        raise KeyRefused("AA", "the key block's exportability is not E, N or S")
    return header
