"""DE55: chip data as BER-TLV (EMV 4.3 Book 3, annex B), read strictly.

A tag given twice, a length that lies, has more bytes than it needs or is indefinite, a template with objects
inside, or bytes after the last object are refused: what two readers could read differently proves nothing.
Text is upper-case hex throughout; nothing here is shown by its repr.
"""

from typing import Final

import msgspec

STORED_TAGS: Final = frozenset(
    {
        "82",  # application interchange profile
        "84",  # application identifier
        "95",  # terminal verification results
        "9A",  # transaction date
        "9B",  # transaction status
        "9C",  # transaction type
        "5F2A",  # currency
        "5F34",  # card sequence number
        "9F02",  # amount
        "9F03",  # other amount
        "9F09",  # application version
        "9F10",  # issuer application data
        "9F1A",  # terminal country
        "9F26",  # cryptogram
        "9F27",  # cryptogram information
        "9F33",  # terminal capabilities
        "9F34",  # cardholder verification
        "9F35",  # terminal type
        "9F36",  # transaction counter
        "9F37",  # unpredictable number
        "9F41",  # transaction sequence counter
        "9F53",  # transaction category
        "9F6E",  # form factor
    }
)
"""What may be kept. Anything else is not: above all 57, 5A, 9F6B (track 2 and PAN) and 5F20 (the name)."""

ICC_RESPONSE: Final = "91"  # issuer authentication data: ARPC and response code

_TAG_BYTES_MAX: Final = 3
_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_LONG_LENGTH: Final = 0x81
_SHORT_MAX: Final = 0x7F


class IccError(ValueError):
    """DE55 cannot be read, or lacks what a cryptogram needs. Names a tag, never a value."""


def parse_icc(text: str) -> dict[str, str]:
    """The objects by tag, in their order: tag in hex → value in hex.

    Raises IccError on anything that is not exactly one reading of a row of primitive objects.
    """
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise IccError("not hexadecimal") from None
    if len(data) * 2 != len(text):  # fromhex steps over blanks
        raise IccError("not hexadecimal")
    objects: dict[str, str] = {}
    at = 0
    while at < len(data):
        tag, at = _tag(data, at)
        length, at = _length(data, at, tag)
        if at + length > len(data):
            raise IccError(f"tag {tag} is shorter than its length says")
        if tag in objects:
            raise IccError(f"tag {tag} is given twice")
        objects[tag] = data[at : at + length].hex().upper()
        at += length
    if not objects:
        raise IccError("no chip data in it")
    return objects


def _tag(data: bytes, at: int) -> tuple[str, int]:
    first, start = data[at], at
    if first in (0x00, 0xFF):
        raise IccError("bytes between the objects")
    if first & _CONSTRUCTED:
        raise IccError("a template, where only single objects are taken")
    at += 1
    if first & _LONG_TAG == _LONG_TAG:
        while True:
            if at >= len(data) or at - start >= _TAG_BYTES_MAX:
                raise IccError("a tag that does not end")
            at += 1
            if not data[at - 1] & 0x80:
                break
        if data[start + 1] == 0x80:
            raise IccError("a tag that begins with nothing")
    return data[start:at].hex().upper(), at


def _length(data: bytes, at: int, tag: str) -> tuple[int, int]:
    if at >= len(data):
        raise IccError(f"tag {tag} has no length")
    length = data[at]
    if length <= _SHORT_MAX:
        return length, at + 1
    # Two bytes suffice for all that DE55 can hold; 80 would be the indefinite form.
    if length != _LONG_LENGTH or at + 1 >= len(data) or data[at + 1] <= _SHORT_MAX:
        raise IccError(f"the length of tag {tag} is not written as it must be")
    return data[at + 1], at + 2


def encode_icc(objects: dict[str, str]) -> str:
    """DE55 of these objects, in their order. Raises IccError when a tag or value is not hex, or too long."""
    parts = []
    for tag, value in objects.items():
        length = len(value) // 2
        if length > 0xFF:
            raise IccError(f"tag {tag} is too long")
        parts.append(f"{tag}{length:02X}{value}" if length <= _SHORT_MAX else f"{tag}81{length:02X}{value}")
    text = "".join(parts).upper()
    if parse_icc(text).keys() != {tag.upper() for tag in objects}:
        raise IccError("a tag is not one")
    return text


def storable(objects: dict[str, str]) -> dict[str, str]:
    """What of them may be kept: those of STORED_TAGS."""
    return {tag: value for tag, value in objects.items() if tag in STORED_TAGS}


_LENGTHS: Final = {
    "9F26": 8, "9F27": 1, "9F36": 2, "9F37": 4, "95": 5, "9A": 3, "9C": 1, "5F2A": 2, "9F02": 6, "9F03": 6,
    "9F1A": 2, "82": 2,
}  # fmt: skip
_NUMERIC: Final = ("9A", "9C", "5F2A", "9F02", "9F03", "9F1A")
_IAD_BYTES: Final = (1, 32)
_INPUT_ORDER: Final = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")


class Cryptogram(msgspec.Struct, frozen=True, gc=False):
    """What a chip signed, and its signature (EMV 4.3 Book 2, 8.1). Values in hex but where a type says more.

    `amount` and `other_amount` in won as the chip was told them; `psn` is "" where the chip gave none.
    """

    cryptogram: str  # 9F26
    information: int  # 9F27
    atc: int  # 9F36
    unpredictable: str  # 9F37
    issuer_data: str  # 9F10
    verification: str  # 95
    date: str  # 9A, yymmdd
    type: str  # 9C, as the first two digits of DE3
    currency: str  # 5F2A, four digits
    amount: int  # 9F02
    other_amount: int  # 9F03
    country: str  # 9F1A, four digits
    profile: str  # 82
    psn: str  # 5F34

    def __repr__(self) -> str:
        return f"Cryptogram(atc={self.atc})"

    @property
    def is_request(self) -> bool:
        """Whether the chip asked for a decision online (ARQC): the first two bits of 9F27 are 10."""
        return self.information & 0xC0 == 0x80

    @property
    def is_certificate(self) -> bool:
        """Whether the chip approved offline (TC): 01."""
        return self.information & 0xC0 == 0x40


def cryptogram_of(objects: dict[str, str]) -> Cryptogram:
    """The cryptogram among these objects. Raises IccError naming the tag that is missing or malformed."""
    for tag, length in _LENGTHS.items():
        value = objects.get(tag)
        if value is None:
            raise IccError(f"tag {tag} is missing")
        if len(value) != length * 2 or (tag in _NUMERIC and not value.isdecimal()):
            raise IccError(f"tag {tag} is not what it must be")
    issuer_data, psn = objects.get("9F10"), objects.get("5F34", "")
    if issuer_data is None:
        raise IccError("tag 9F10 is missing")
    if not _IAD_BYTES[0] <= len(issuer_data) // 2 <= _IAD_BYTES[1]:
        raise IccError("tag 9F10 is not what it must be")
    if psn and not (len(psn) == 2 and psn.isdecimal()):
        raise IccError("tag 5F34 is not what it must be")
    return Cryptogram(
        cryptogram=objects["9F26"],
        information=int(objects["9F27"], 16),
        atc=int(objects["9F36"], 16),
        unpredictable=objects["9F37"],
        issuer_data=issuer_data,
        verification=objects["95"],
        date=objects["9A"],
        type=objects["9C"],
        currency=objects["5F2A"],
        amount=int(objects["9F02"]),
        other_amount=int(objects["9F03"]),
        country=objects["9F1A"],
        profile=objects["82"],
        psn=psn,
    )


def arqc_input(objects: dict[str, str]) -> bytes:
    """What the cryptogram is made over: EMV 4.3 Book 2, 8.1.1, and all issuer application data behind it.

    Unpadded: the security module pads. Needs what `cryptogram_of` has found good.
    """
    return bytes.fromhex("".join([objects[tag] for tag in _INPUT_ORDER]) + objects["9F10"])
