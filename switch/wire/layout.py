"""Every data element of ISO 8583:1987 by its length and form, whether or not a message here may carry it.

Needed to step over a field that no message here may carry, so that its sender is told which one it was.
"""

from typing import Final

NUMERIC: Final = "n"  # BCD dialect: two digits a byte, an odd number of them behind a leading 0
TRACK: Final = "z"  # BCD dialect: as numeric, "=" is D, an odd number filled with F at its end
SIGNED: Final = "xn"  # C or D, then numeric
BINARY: Final = "b"  # ASCII dialect: hex, so twice as many characters as bytes
TEXT: Final = "ans"

_SIGNED_FIELDS: Final = (28, 29, 30, 31, 97)
_BINARY_FIELDS: Final = (52, 55, 64, 65, 96, 128)
_TRACK_FIELDS: Final = (35, 36)
_TEXT_FIELDS: Final = (
    *(34, *range(37, 49), 54, *range(56, 64), *range(91, 96), 98, *range(101, 128)),
)  # fmt: skip


def _standard_layout() -> dict[int, tuple[int, int]]:
    fixed = {
        6: (3, 11, 12, 38, 73),
        12: (4, 5, 6, 37, 82, 83, 84, 85),
        10: (7, 74, 75, 76, 77, 78, 79, 80, 81),
        8: (8, 9, 10, 41),
        4: (13, 14, 15, 16, 17, 18, 71, 72),
        3: (19, 20, 21, 22, 23, 24, 40, 49, 50, 51, 68, 69, 70),
        2: (25, 26, 39, 67, 92),
        1: (27, 66, 91),
        9: (28, 29, 30, 31),
        15: (42,),
        40: (43,),
        16: (52, 53, 64, 65, 86, 87, 88, 89, 96, 128),
        42: (90, 95),
        5: (93,),
        7: (94,),
        17: (97,),
        25: (98,),
    }
    llvar = {
        2: 19,
        32: 11,
        33: 11,
        34: 28,
        35: 37,
        44: 25,
        45: 76,
        99: 11,
        100: 11,
        101: 17,
        102: 28,
        103: 28,
    }
    lllvar = {36: 104, 46: 999, 47: 999, 48: 999, 54: 120, 104: 100}
    lllvar |= dict.fromkeys((*range(55, 64), *range(105, 128)), 999)
    layout = {number: (0, length) for length, numbers in fixed.items() for number in numbers}
    layout |= {number: (2, length) for number, length in llvar.items()}
    layout |= {number: (3, length) for number, length in lllvar.items()}
    return layout


STANDARD_LAYOUT: Final = _standard_layout()
"""Field number → (length digits, length) in the ASCII dialect, without the bitmaps."""

FORM: Final[dict[int, str]] = {
    number: SIGNED
    if number in _SIGNED_FIELDS
    else BINARY
    if number in _BINARY_FIELDS
    else TRACK
    if number in _TRACK_FIELDS
    else TEXT
    if number in _TEXT_FIELDS
    else NUMERIC
    for number in STANDARD_LAYOUT
}
"""Field number → how the BCD dialect writes it."""
