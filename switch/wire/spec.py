"""The message specification, once, as data: which fields exist, what they hold, which messages carry them.

ISO 8583:1987, ASCII dialect: text as ASCII, binary fields and bitmaps as upper-case hex. A field's content is
a regular expression over printable ASCII, so that "two digits" and "an hour of a day" are checked in the same
way. Lengths count characters on the wire (a binary field of 8 bytes is 16 characters).
"""

from typing import Final

import msgspec

PAYLOAD_MAX: Final = 2048
CURRENCY_WON: Final = "410"  # ISO 4217 numeric, exponent 0

PROCESSING_CODES: Final[dict[str, str]] = {
    "000000": "purchase",
    "200000": "refund",
    "210000": "topup",
    "310000": "inquiry",
}
PROCESSING_CODE_OF_KIND: Final = {kind: code for code, kind in PROCESSING_CODES.items()}

NETWORK_FUNCTIONS: Final[dict[str, str]] = {
    "001": "sign_on",
    "002": "sign_off",
    "101": "key_exchange",
    "301": "echo",
}

MAC_LENGTH: Final = 16  # 8 bytes, hex
MAC_PRIMARY: Final = 64
MAC_SECONDARY: Final = 128

ECHO_FIELDS: Final = (7, 11, 12, 13, 37, 41, 42)
"""A reply gives these back exactly as they came."""


class Field(msgspec.Struct, frozen=True, gc=False):
    """One field. `content` matches one character of a variable field, and all of a fixed one."""

    number: int
    name: str
    content: str
    length: int
    length_digits: int = 0  # 0 fixed, 2 LLVAR, 3 LLLVAR
    length_min: int = 0
    sensitive: bool = False


_DIGIT = "[0-9]"
_AN = "[0-9A-Za-z]"
_PRINTABLE = "[ -~]"
_HEX = "[0-9A-F]"
# 29 February is possible in some year; which year is meant is inferred later.
_MMDD = (
    "(?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)"
    "|02(?:0[1-9]|[12][0-9]))"
)
_HHMMSS = "(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]"


def _fixed(number: int, name: str, kind: str, length: int, *, sensitive: bool = False) -> Field:
    return Field(number, name, f"{kind}{{{length}}}", length, sensitive=sensitive)


def _llvar(
    number: int, name: str, kind: str, longest: int, shortest: int = 1, *, sensitive: bool = False
) -> Field:
    return Field(number, name, kind, longest, 2, shortest, sensitive)


def _lllvar(number: int, name: str, kind: str, longest: int) -> Field:
    return Field(number, name, kind, longest, 3, 1)


FIELDS: Final[dict[int, Field]] = {
    field.number: field
    for field in (
        _llvar(2, "primary account number", _DIGIT, 19, 12, sensitive=True),
        Field(3, "processing code", "(?:" + "|".join(PROCESSING_CODES) + ")", 6),
        _fixed(4, "amount, won", _DIGIT, 12),
        Field(7, "transmission date and time, UTC", _MMDD + _HHMMSS, 10),
        _fixed(11, "systems trace audit number", _DIGIT, 6),
        Field(12, "local time", _HHMMSS, 6),
        Field(13, "local date", _MMDD, 4),
        Field(14, "expiry, YYMM", "[0-9]{2}(?:0[1-9]|1[0-2])", 4, sensitive=True),
        Field(15, "business date", _MMDD, 4),
        _fixed(22, "entry mode", _DIGIT, 3),
        _llvar(32, "acquirer", _DIGIT, 11),
        _fixed(37, "retrieval reference number", _AN, 12),
        _fixed(38, "approval code", _AN, 6),
        _fixed(39, "response code", _AN, 2),
        _fixed(41, "terminal", _PRINTABLE, 8),
        _fixed(42, "merchant", _PRINTABLE, 15),
        _llvar(44, "refused field", _AN, 25),
        _lllvar(48, "private data", _PRINTABLE, 999),
        Field(49, "currency", CURRENCY_WON, 3),
        Field(52, "PIN block", f"{_HEX}{{16}}", 16, sensitive=True),
        _lllvar(54, "balances", _AN, 120),
        Field(MAC_PRIMARY, "MAC", f"{_HEX}{{16}}", MAC_LENGTH),
        Field(70, "network function", "(?:" + "|".join(NETWORK_FUNCTIONS) + ")", 3),
        _fixed(90, "original data elements", _DIGIT, 42),
        Field(MAC_SECONDARY, "MAC", f"{_HEX}{{16}}", MAC_LENGTH),
    )
}

SENSITIVE_FIELDS: Final = frozenset(n for n, f in FIELDS.items() if f.sensitive) | {35, 36, 45, 55}


class Carries(msgspec.Struct, frozen=True):
    """What a message must and may carry. The MAC is apart: `mac` says whether it may be there.

    A missing MAC is not a format error: a terminal without session keys cannot make one, and is told so.
    """

    must: frozenset[int]
    may: frozenset[int] = frozenset()
    mac: bool = True


_PAYMENT = frozenset({2, 3, 7, 11, 12, 13, 22, 32, 41, 42, 49})
_PAYMENT_MAY = frozenset({14, 37, 48, 52})
_REVERSAL = Carries(frozenset({2, 3, 4, 7, 11, 12, 13, 32, 41, 42, 49, 90}), frozenset({37}))
_NETWORK = Carries(frozenset({7, 11, 12, 13, 41, 70}), frozenset({37}), mac=False)
_PAYMENTS: dict[str | None, Carries] = {
    "000000": Carries(_PAYMENT | {4}, _PAYMENT_MAY),
    "200000": Carries(_PAYMENT | {4, 90}, _PAYMENT_MAY),
    "210000": Carries(_PAYMENT | {4}, _PAYMENT_MAY),
    "310000": Carries(_PAYMENT, _PAYMENT_MAY | {4}),
}
# Replies to a refused message can echo only what was legible, so only the code itself is certain.
_REPLY_MAY = frozenset({3, 4, 7, 11, 12, 13, 15, 37, 41, 42, 44, 49})

MESSAGES: Final[dict[str, dict[str | None, Carries]]] = {
    "0200": _PAYMENTS,
    "0201": _PAYMENTS,
    "0210": {None: Carries(frozenset({39}), _REPLY_MAY | {38, 48, 54})},
    "0400": {None: _REVERSAL},
    "0401": {None: _REVERSAL},
    "0410": {None: Carries(frozenset({39}), _REPLY_MAY)},
    "0420": {None: _REVERSAL},
    "0421": {None: _REVERSAL},
    "0430": {None: Carries(frozenset({39}), _REPLY_MAY)},
    "0800": {None: _NETWORK},
    "0801": {None: _NETWORK},
    "0810": {None: Carries(frozenset({39}), frozenset({7, 11, 12, 13, 37, 41, 42, 44, 48, 70}), mac=False)},
}
"""By MTI, then by processing code where it matters (None where it does not)."""


def presence_fault(carries: Carries, present: frozenset[int]) -> int | None:
    """The lowest field that is there and may not be, or must be there and is not; None when all is well."""
    mac = {MAC_PRIMARY, MAC_SECONDARY} if carries.mac else set()
    faults = (present - carries.must - carries.may - mac) | (carries.must - present)
    return min(faults, default=None)


def is_request(mti: str) -> bool:
    """Whether an MTI of version 1987 asks for an answer (third digit even: request, advice).

    An answer to an answer could travel to and fro for ever, so anything else gets none.
    """
    return len(mti) == 4 and mti[0] == "0" and mti[1] in "12345678" and mti[2] in "02" and mti[3] in "012345"


def reply_mti(mti: str) -> str:
    """The MTI that answers `mti`, repeats included: 0200 and 0201 → 0210, 0420 and 0421 → 0430.

    Raises ValueError when `mti` asks for no answer.
    """
    if not is_request(mti):
        raise ValueError("only a request or an advice is answered")
    return f"{mti[:2]}{int(mti[2]) + 1}0"


def _standard_layout() -> dict[int, tuple[int, int]]:
    """Field number → (length digits, length) of ISO 8583:1987, table of data elements, without the bitmaps.

    Needed to step over a field that no message here may carry, so that its sender is told which one it was.
    """
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
        16: (52, 53, 64, 86, 87, 88, 89, 96, 128),
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
