"""The fields of the message specification, as data: which exist, what they hold. Messages: see `presence`.

ISO 8583:1987, ASCII dialect: text as ASCII, binary fields and bitmaps as upper-case hex. A field's content is
a regular expression over printable ASCII, so that "two digits" and "an hour of a day" are checked in the same
way. Lengths count characters on the wire (a binary field of 8 bytes is 16 characters). How the BCD dialect
writes the same values: see `dialect`.
"""

from typing import Final

import msgspec

PAYLOAD_MAX: Final = 2048
ICC_BYTES_MAX: Final = 255
CURRENCY_WON: Final = "410"  # ISO 4217 numeric, exponent 0

PROCESSING_CODES: Final[dict[str, str]] = {
    "000000": "purchase",
    "200000": "refund",
    "210000": "topup",
    "310000": "inquiry",
    "020000": "void",
}
"""DE3. A pre-authorisation has the purchase's code; its MTI, 0100, tells it apart."""
PROCESSING_CODE_OF_KIND: Final = {kind: code for code, kind in PROCESSING_CODES.items()}

NETWORK_FUNCTIONS: Final[dict[str, str]] = {
    "001": "sign_on",
    "002": "sign_off",
    "101": "key_exchange",
    "201": "cutover",
    "301": "echo",
}

ENTRY_MODES: Final[dict[str, str]] = {
    "01": "keyed",
    "02": "stripe",
    "90": "stripe",
    "03": "qr",
    "05": "chip",
    "07": "contactless",
    "91": "contactless",
    "10": "ecommerce",
    "81": "ecommerce",
}
"""How the card was read, by the first two digits of DE22. The third tells of PIN entry, and is not used."""

MAC_LENGTH: Final = 16  # 8 bytes, hex
MAC_PRIMARY: Final = 64
MAC_SECONDARY: Final = 128

ECHO_FIELDS: Final = (7, 11, 12, 13, 37, 41, 42)
"""A reply gives these back exactly as they came."""


class Field(msgspec.Struct, frozen=True, gc=False):
    """One field. `content` matches `step` characters of a variable field, and all of a fixed one."""

    number: int
    name: str
    content: str
    length: int
    length_digits: int = 0  # 0 fixed, 2 LLVAR, 3 LLLVAR
    length_min: int = 0
    sensitive: bool = False
    step: int = 1


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
_INSTANT = _MMDD + _HHMMSS


def _fixed(number: int, name: str, kind: str, length: int, *, sensitive: bool = False) -> Field:
    return Field(number, name, f"{kind}{{{length}}}", length, sensitive=sensitive)


def _llvar(
    number: int, name: str, kind: str, longest: int, shortest: int = 1, *, sensitive: bool = False
) -> Field:
    return Field(number, name, kind, longest, 2, shortest, sensitive)


_SUMS = ("credits", "credits reversed", "debits", "debits reversed")


def _lllvar(number: int, name: str, kind: str, longest: int) -> Field:
    return Field(number, name, kind, longest, 3, 1)


FIELDS: Final[dict[int, Field]] = {
    field.number: field
    for field in (
        _llvar(2, "primary account number", _DIGIT, 19, 12, sensitive=True),
        Field(3, "processing code", "(?:" + "|".join(PROCESSING_CODES) + ")", 6),
        _fixed(4, "amount, won", _DIGIT, 12),
        Field(7, "transmission date and time, UTC", _INSTANT, 10),
        _fixed(11, "systems trace audit number", _DIGIT, 6),
        Field(12, "local time", _HHMMSS, 6),
        Field(13, "local date", _MMDD, 4),
        Field(14, "expiry, YYMM", "[0-9]{2}(?:0[1-9]|1[0-2])", 4, sensitive=True),
        Field(15, "business date", _MMDD, 4),
        Field(22, "entry mode", f"(?:{'|'.join(ENTRY_MODES)})[0-9]", 3),
        _fixed(23, "card sequence number", _DIGIT, 3),
        _llvar(32, "acquirer", _DIGIT, 11),
        _llvar(35, "track 2", "[0-9=]", 37, sensitive=True),
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
        Field(55, "chip data", f"(?:{_HEX}{{2}})", ICC_BYTES_MAX * 2, 3, 2, sensitive=True, step=2),
        Field(MAC_PRIMARY, "MAC", f"{_HEX}{{16}}", MAC_LENGTH),
        Field(66, "settlement code", "[12]", 1),
        Field(70, "network function", "(?:" + "|".join(NETWORK_FUNCTIONS) + ")", 3),
        *(
            _fixed(number, f"{name}, number", _DIGIT, 10)
            for number, name in zip(range(74, 78), _SUMS, strict=True)
        ),
        *(
            _fixed(number, f"{name}, won", _DIGIT, 16)
            for number, name in zip(range(86, 90), _SUMS, strict=True)
        ),
        # A part that the terminal does not know is zeros.
        Field(90, "original data elements", f"[0-9]{{10}}(?:{_INSTANT}|0{{10}})[0-9]{{22}}", 42),
        Field(95, "replacement amount", "[0-9]{12}0{30}", 42),
        Field(97, "net, won", "[CD][0-9]{16}", 17),
        Field(MAC_SECONDARY, "MAC", f"{_HEX}{{16}}", MAC_LENGTH),
    )
}

SENSITIVE_FIELDS: Final = frozenset(n for n, f in FIELDS.items() if f.sensitive) | {36, 45}


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
