"""How a listener's terminals write the one specification: in ASCII, or in BCD and binary.

The ASCII dialect is `message`. In the BCD dialect

    MTI            2 bytes BCD                     bitmaps       8 or 16 bytes
    n              two digits a byte, right-justified behind a leading 0 where their number is odd
    z (track 2)    two digits a byte, "=" as D, filled with F at the end where their number is odd
    x + n          C or D in ASCII, then as n
    an, ans        ASCII
    b              bytes; the MAC is the last eight
    LLVAR, LLLVAR  length in 1 or 2 bytes BCD: digits of n and z, characters of an and ans, bytes of b

and a message is unpacked to the ASCII dialect's text, so that one set of checks judges both.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from switch.wire.layout import BINARY, FORM, NUMERIC, SIGNED, STANDARD_LAYOUT, TEXT, TRACK
from switch.wire.message import (
    Layout,
    Message,
    MessageError,
    announced,
    decode,
    encode,
    encode_for_mac,
    field_of_length,
    layout_of,
    refused_field,
)
from switch.wire.spec import MAC_LENGTH, PAYLOAD_MAX

_MTI_BYTES: Final = 2
_PRIMARY_END: Final = 10
_SECONDARY_END: Final = 18
_MAC_BYTES: Final = MAC_LENGTH // 2
_PLANS_MAX: Final = 512
_DIGITS: Final = frozenset("0123456789")
_TRACK_DIGITS: Final = _DIGITS | {"="}


class Codec(msgspec.Struct, frozen=True):
    """A dialect. `decode` raises MessageError and nothing else, the encoders ValueError naming a field.

    `encode_for_mac` announces a MAC in the bitmap, `with_mac` appends it (16 hex characters) to that body.
    """

    name: str
    decode: Callable[[bytes], Message]
    encode: Callable[[str, dict[int, str]], bytes]
    encode_for_mac: Callable[[str, dict[int, str]], bytes]
    with_mac: Callable[[bytes, str], bytes]

    def __repr__(self) -> str:
        return f"Codec({self.name!r})"


class _Step(msgspec.Struct, frozen=True, gc=False):
    """How one field is unpacked: bytes of its length (0: fixed), and the most characters it may have."""

    number: int
    form: str
    length_bytes: int
    longest: int


class _Plan(msgspec.Struct, frozen=True):
    mti: str
    steps: tuple[_Step, ...]


_plans: dict[str, _Plan] = {}
_layouts: dict[tuple[str, bool, tuple[int, ...]], Layout] = {}


def _decode(body: bytes) -> Message:
    message = decode(_unpacked(body).encode("latin-1"))
    message.mac_input_len = len(body) - (_MAC_BYTES if message.mac is not None else 0)
    return message


def _unpacked(body: bytes) -> str:
    """The ASCII dialect's text of a BCD message. Raises MessageError where none can be made."""
    if not _PRIMARY_END <= len(body) <= PAYLOAD_MAX:
        raise MessageError("not an ISO 8583:1987 message: no MTI and bitmap at its beginning")
    digits = body.hex().upper()
    at = _SECONDARY_END if body[_MTI_BYTES] & 0x80 else _PRIMARY_END
    head = digits[: 2 * at]
    plan = _plans.get(head) or _planned(head)
    found: dict[int, str] = {}
    parts = [head]
    for step in plan.steps:
        length, form = step.longest, step.form
        if step.length_bytes:
            counted = digits[2 * at : 2 * (at + step.length_bytes)]
            at += step.length_bytes
            length = _counted(counted, step)
            parts.append(f"{length:0{step.length_bytes + 1}d}")
        end = at + _bytes_of(form, length) if length >= 0 else -1
        if not at <= end <= len(body):
            raise refused_field("its length does not fit", step.number, plan.mti, found)
        if form == TEXT:
            value = body[at:end].decode("latin-1")
        elif form == SIGNED:
            value = chr(body[at]) + digits[2 * at + 2 : 2 * end]
        else:
            value = digits[2 * at : 2 * end]
            if len(value) != length:
                value = _unfilled(value, step, plan, found)
            if form == TRACK:
                value = value.replace("D", "=")
        found[step.number] = value
        parts.append(value)
        at = end
    if at != len(body):
        last = plan.steps[-1].number if plan.steps else 1
        raise refused_field("bytes after the last field", last, plan.mti, found)
    return "".join(parts)


def _planned(head: str) -> _Plan:
    mti, _, present = announced(head)
    steps = []
    for number in present:
        digits, longest = STANDARD_LAYOUT[number]
        steps.append(_Step(number, FORM[number], digits and digits - 1, longest))
    if len(_plans) >= _PLANS_MAX:
        _plans.clear()
    plan = _plans[head] = _Plan(mti, tuple(steps))
    return plan


def _counted(written: str, step: _Step) -> int:
    """The characters that a variable field has in the ASCII dialect; -1 when its length is none."""
    if not written.isdecimal():
        return -1
    length = int(written) * (2 if step.form == BINARY else 1)
    return length if length <= step.longest else -1


def _bytes_of(form: str, length: int) -> int:
    """The bytes of so many characters."""
    if form == TEXT:
        return length
    return length // 2 + 1 if form == SIGNED else (length + 1) // 2


def _unfilled(value: str, step: _Step, plan: _Plan, found: dict[int, str]) -> str:
    """An odd number of digits without the half byte that fills them up."""
    if step.form == TRACK and value[-1] == "F":
        return value[:-1]
    if step.form == NUMERIC and value[0] == "0":
        return value[1:]
    raise refused_field("half a byte too many", step.number, plan.mti, found)


def _encode(mti: str, fields: dict[int, str]) -> bytes:
    return _packed(mti, fields, mac=False)


def _encode_for_mac(mti: str, fields: dict[int, str]) -> bytes:
    return _packed(mti, fields, mac=True)


def _packed(mti: str, fields: dict[int, str], *, mac: bool) -> bytes:
    key = (mti, mac, tuple(fields))
    layout = _layouts.get(key)
    if layout is None:
        if len(_layouts) >= _PLANS_MAX:
            _layouts.clear()
        layout = _layouts[key] = layout_of(mti, fields, mac=mac)
    packed = [_packed_field(number, fields[number]) for number in layout.numbers]
    return bytes.fromhex(layout.head) + b"".join(packed)


def _packed_field(number: int, value: str) -> bytes:
    field = field_of_length(number, len(value))
    form = FORM[number]
    count = len(value) // 2 if form == BINARY else len(value)
    head = bytes.fromhex(f"{count:0{2 * field.length_digits - 2}d}") if field.length_digits else b""
    if form == TEXT:
        return head + _ascii(number, value)
    if form == SIGNED:
        return head + _ascii(number, value[0]) + _packed_digits(number, form, value[1:])
    return head + _packed_digits(number, form, value)


def _ascii(number: int, text: str) -> bytes:
    if not text.isascii():
        raise ValueError(f"field {number} is not ASCII")
    return text.encode("ascii")


def _packed_digits(number: int, form: str, digits: str) -> bytes:
    if form == BINARY:
        try:
            return bytes.fromhex(digits)
        except ValueError:
            raise ValueError(f"field {number} is not hexadecimal") from None
    allowed = _TRACK_DIGITS if form == TRACK else _DIGITS
    if not allowed.issuperset(digits):
        raise ValueError(f"field {number} is not {'a track' if form == TRACK else 'digits'}")
    if len(digits) % 2:
        digits = digits + "F" if form == TRACK else "0" + digits
    return bytes.fromhex(digits.replace("=", "D"))


def _with_mac_text(body: bytes, mac: str) -> bytes:
    return body + mac.encode("ascii")


def _with_mac_bytes(body: bytes, mac: str) -> bytes:
    return body + bytes.fromhex(mac)


ASCII: Final = Codec("ascii", decode, encode, encode_for_mac, _with_mac_text)
BCD: Final = Codec("bcd", _decode, _encode, _encode_for_mac, _with_mac_bytes)
CODECS: Final[dict[str, Codec]] = {codec.name: codec for codec in (ASCII, BCD)}
"""By the name that a listener's configuration gives."""
