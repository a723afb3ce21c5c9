"""The codec: payload bytes ↔ numbered fields.

Messages of one till look alike: the same fields, the same lengths. So decoding has two ways that give the
same answer. The *walk* goes field by field and can say which field is wrong. A *shape* (MTI, bitmap and
variable lengths) that the walk has found good several times is compiled into one regular expression that
checks and cuts the whole message at once; whatever it does not match is walked. Both memories are bounded.
Encoding keeps a template per shape.
"""

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Final

import msgspec

from switch.wire.layout import STANDARD_LAYOUT
from switch.wire.presence import MESSAGES, Carries, entries_fitting, entry_of, presence_fault
from switch.wire.spec import (
    ECHO_FIELDS,
    FIELDS,
    MAC_LENGTH,
    MAC_PRIMARY,
    MAC_SECONDARY,
    PAYLOAD_MAX,
    Field,
    is_request,
)

_MTI_LENGTH: Final = 4
_BITMAP_LENGTH: Final = 16
_PRIMARY_END: Final = _MTI_LENGTH + _BITMAP_LENGTH
_SECONDARY_END: Final = _PRIMARY_END + _BITMAP_LENGTH
_MTI_FIELD: Final = 0
_SHAPES_MAX: Final = 512
_SIGHTINGS_MAX: Final = 4096
_SIGHTINGS_TO_COMPILE: Final = 8

CODE_FORMAT: Final = "30"
CODE_INVALID_TRANSACTION: Final = "12"


class Message(msgspec.Struct, gc=False):
    """A decoded message.

    `fields` leaves out the bitmaps and the MAC, which covers payload[:mac_input_len].
    """

    mti: str
    fields: dict[int, str]
    mac: str | None
    mac_input_len: int

    def __repr__(self) -> str:
        return f"Message({self.mti}, fields={sorted(self.fields)})"


class MessageError(ValueError):
    """A message that is refused.

    With `mti` None it was not legible: close the connection. Otherwise answer with `code` (30 unless the
    trade has a better one), DE44 = `field` in three digits when the code is 30 (000 is the MTI itself), and
    the `echo` fields. Carries no value of any other field.
    """

    def __init__(
        self,
        reason: str,
        *,
        field: int | None = None,
        mti: str | None = None,
        echo: dict[int, str] | None = None,
        code: str = CODE_FORMAT,
    ) -> None:
        super().__init__(reason if field is None else f"field {field}: {reason}")
        self.field = field
        self.mti = mti
        self.echo = echo or {}
        self.code = code


_LENGTHS: Final[dict[str, int]] = {f"{n:02d}": n for n in range(100)} | {f"{n:03d}": n for n in range(1000)}
"""A table and not int(): int() takes '+1', ' 1', '1_0' and digits of other scripts."""


def _expression(field: Field, shortest: int, longest: int) -> str:
    """What a value of that many characters looks like."""
    if not field.length_digits:
        return field.content
    return f"{field.content}{{{shortest // field.step},{longest // field.step}}}"


_CONTENT: Final = {
    number: re.compile(_expression(field, field.length_min, field.length)).fullmatch
    for number, field in FIELDS.items()
}
_HEAD = re.compile(r"0[1-8][0-9]{2}[0-9A-F]{16}").match
_BITMAP = re.compile(r"[0-9A-F]{16}").fullmatch


class _Shape(msgspec.Struct):
    """All messages with one MTI and bitmap:

    where their variable fields stand, and what was compiled for them.
    """

    start: int
    numbers: tuple[int, ...]  # without the MAC
    has_mac: bool
    steps: tuple[
        tuple[int, int], ...
    ]  # fixed characters to step over, then digits of the length that follows
    matchers: dict[str, Callable[[str], re.Match[str] | None]]


_shapes: dict[str, _Shape] = {}
_sightings: dict[str, int] = {}
_matcher_count = 0


def decode(payload: bytes) -> Message:
    """The fields of a payload, each valid by type and content, present as the specification wants.

    Raises MessageError, and nothing else, on anything else.
    """
    text = payload.decode("latin-1")
    shape = _shapes.get(text[:_SECONDARY_END] if text[4:5] >= "8" else text[:_PRIMARY_END])
    if shape is None:
        return _walk(text)
    position = shape.start
    lengths = ""
    for gap, digits in shape.steps:
        position += gap + digits
        written = text[position - digits : position]
        length = _LENGTHS.get(written)
        if length is None:
            return _walk(text)
        lengths += written
        position += length
    matcher = shape.matchers.get(lengths)
    match = matcher(text) if matcher is not None else None
    if match is None:
        return _walk(text)
    values = match.groups()
    if shape.has_mac:
        return Message(
            text[:4], dict(zip(shape.numbers, values, strict=False)), values[-1], len(text) - MAC_LENGTH
        )
    return Message(text[:4], dict(zip(shape.numbers, values, strict=True)), None, len(text))


def _walk(text: str) -> Message:
    """Decode field by field, and say what is wrong. Remembers good shapes."""
    mti, start, present = announced(text)
    found: dict[int, str] = {}
    lengths = ""
    position = start
    for number in present:
        digits, longest = STANDARD_LAYOUT.get(number, (0, -1))
        length = longest
        if digits:
            written = text[position : position + digits]
            length = _LENGTHS.get(written, -1)
            lengths += written
        position += digits
        if not 0 <= length <= longest or position + length > len(text):
            raise refused_field("its length does not fit", number, mti, found)
        found[number] = text[position : position + length]
        position += length
    if position != len(text):
        raise refused_field("bytes after the last field", present[-1] if present else 1, mti, found)
    _check(mti, present, found)
    _remember(text[:start], start, present, lengths)
    mac = found.pop(MAC_SECONDARY, None) or found.pop(MAC_PRIMARY, None)
    return Message(mti, found, mac, len(text) - (MAC_LENGTH if mac else 0))


def announced(text: str) -> tuple[str, int, list[int]]:
    """The MTI, where the fields begin, and which they are. Raises MessageError when that is not legible."""
    if len(text) > PAYLOAD_MAX or _HEAD(text) is None:
        raise MessageError("not an ISO 8583:1987 message: no MTI and bitmap at its beginning")
    mti = text[:_MTI_LENGTH]
    if not is_request(mti) and mti not in MESSAGES:
        raise MessageError("an MTI that asks for no answer")
    return mti, *_present(text)


def _present(text: str) -> tuple[int, list[int]]:
    """Where the fields begin, and which they are, in order. The bitmap's own bit, 1, is not among them."""
    start, bits, width = _PRIMARY_END, int(text[_MTI_LENGTH:_PRIMARY_END], 16), 64
    if bits >> 63:
        secondary = text[_PRIMARY_END:_SECONDARY_END]
        if _BITMAP(secondary) is None:
            raise MessageError("the second bitmap is announced and not there")
        start, bits, width = _SECONDARY_END, bits << 64 | int(secondary, 16), 128
    return start, [n for n in range(2, width + 1) if bits >> (width - n) & 1]


def _check(mti: str, present: list[int], found: dict[int, str]) -> None:
    """Presence first, then content, lowest field first."""
    carries = _carries(mti, found)
    fields = frozenset(present)
    fault = presence_fault(carries, fields, entry_of(found.get(22, "")))
    if fault is not None:
        reason = "not part of this message" if fault in fields else "missing"
        raise refused_field(reason, fault, mti, found)
    if MAC_PRIMARY in fields and present[-1] != MAC_PRIMARY:
        raise refused_field("the MAC must be the last field", MAC_PRIMARY, mti, found)
    for number, value in found.items():
        if _CONTENT[number](value) is None:
            code = _code_of_unknown(value) if number == 3 else CODE_FORMAT
            raise refused_field(f"not a valid {FIELDS[number].name}", number, mti, found, code)


def _carries(mti: str, found: dict[int, str]) -> Carries:
    variants = MESSAGES.get(mti)
    if variants is None:
        raise refused_field("unknown message type", _MTI_FIELD, mti, found)
    carries = variants.get(None) or variants.get(found.get(3, ""))
    if carries is not None:
        return carries
    kind = found.get(3)
    if kind is None:
        raise refused_field("missing", 3, mti, found)
    raise refused_field("not a processing code of this switch", 3, mti, found, _code_of_unknown(kind))


def _code_of_unknown(processing_code: str) -> str:
    """Six digits that name no payment we make are an invalid transaction; anything else is a format error."""
    legible = processing_code.isascii() and processing_code.isdecimal()
    return CODE_INVALID_TRANSACTION if legible else CODE_FORMAT


def refused_field(
    reason: str, field: int, mti: str, found: dict[int, str], code: str = CODE_FORMAT
) -> MessageError:
    """What to raise: with an answer for a request, and in it what of `found` is well-formed and echoed."""
    echo: dict[int, str] = {
        n: found[n] for n in ECHO_FIELDS if n in found and _CONTENT[n](found[n]) is not None
    }
    if not is_request(mti):
        return MessageError(reason, field=field)
    return MessageError(reason, field=field, mti=mti, echo=echo, code=code)


def _remember(head: str, start: int, present: list[int], lengths: str) -> None:
    """Count a good message; compile its shape when it has come often enough to be worth a millisecond."""
    global _matcher_count
    key = head + lengths
    seen = _sightings.get(key, 0) + 1
    if seen < _SIGHTINGS_TO_COMPILE:
        if len(_sightings) >= _SIGHTINGS_MAX:
            _sightings.clear()
        _sightings[key] = seen
        return
    _sightings.pop(key, None)
    if _matcher_count >= _SHAPES_MAX:
        _shapes.clear()
        _matcher_count = 0
    shape = _shapes.get(head)
    if shape is None:
        shape = _shapes[head] = _shape(start, present)
    if lengths not in shape.matchers:
        shape.matchers[lengths] = _compile(head, present, lengths)
        _matcher_count += 1


def _shape(start: int, present: list[int]) -> _Shape:
    steps: list[tuple[int, int]] = []
    gap = 0
    for number in present:
        field = FIELDS[number]
        if field.length_digits:
            steps.append((gap, field.length_digits))
            gap = 0
        else:
            gap += field.length
    has_mac = bool(present) and present[-1] in (MAC_PRIMARY, MAC_SECONDARY)
    numbers = tuple(present[:-1] if has_mac else present)
    return _Shape(start, numbers, has_mac, tuple(steps), {})


def _compile(head: str, present: list[int], lengths: str) -> Callable[[str], re.Match[str] | None]:
    """One expression for a whole message of known lengths."""
    parts = [head]
    fields = frozenset(present)
    variants = MESSAGES[head[:_MTI_LENGTH]]
    # The fields present decide which processing codes and entry modes this bitmap may be used with.
    fitting = {code: entries_fitting(carries, fields) for code, carries in variants.items()}
    codes = [code for code, entries in fitting.items() if code and entries]
    entries = frozenset.intersection(*(one for one in fitting.values() if one))
    for number in present:
        field = FIELDS[number]
        if field.length_digits:
            written, lengths = lengths[: field.length_digits], lengths[field.length_digits :]
            parts.append(f"{written}({_expression(field, int(written), int(written))})")
        elif number == 3 and None not in variants:
            parts.append(f"({'|'.join(codes)})")
        elif number == 22:
            parts.append(f"((?:{'|'.join(sorted(entries))})[0-9])")
        else:
            parts.append(f"({field.content})")
    return re.compile("".join(parts)).fullmatch


class Layout(msgspec.Struct):
    """How to write one MTI with one set of fields: their order, and a template for each set of lengths."""

    numbers: tuple[int, ...]
    values: Callable[[dict[int, str]], tuple[str, ...]]
    head: str
    templates: dict[tuple[int, ...], str]


_layouts: dict[tuple[str, bool, tuple[int, ...]], Layout] = {}
_TEMPLATES_MAX: Final = 1024


def encode(mti: str, fields: dict[int, str]) -> bytes:
    """A message without a MAC.

    Raises ValueError naming the field when a value does not fit the specification.
    """
    return _encode(mti, fields, mac=False)


def encode_for_mac(mti: str, fields: dict[int, str]) -> bytes:
    """A message whose bitmap announces the MAC; the sender appends it, 16 hex characters, made over this."""
    return _encode(mti, fields, mac=True)


def _encode(mti: str, fields: dict[int, str], *, mac: bool) -> bytes:
    key = (mti, mac, tuple(fields))
    layout = _layouts.get(key)
    if layout is None:
        if len(_layouts) >= _SHAPES_MAX:
            _layouts.clear()
        layout = _layouts[key] = layout_of(mti, fields, mac=mac)
    values = layout.values(fields)
    lengths = tuple(map(len, values))
    template = layout.templates.get(lengths)
    if template is None:
        if len(layout.templates) >= _TEMPLATES_MAX:
            layout.templates.clear()
        template = layout.templates[lengths] = _template(layout, lengths)
    text = template % values
    if not text.isascii():
        raise ValueError(f"a value of message {mti} is not ASCII")
    return text.encode("ascii")


def layout_of(mti: str, fields: dict[int, str], *, mac: bool) -> Layout:
    """How these fields are written; raises ValueError naming one that the encoder does not take."""
    numbers = tuple(sorted(fields))
    for number in numbers:
        if number not in FIELDS or number in (MAC_PRIMARY, MAC_SECONDARY):
            raise ValueError(f"field {number} cannot be given to the encoder")
    if len(mti) != _MTI_LENGTH or not (mti.isascii() and mti.isdecimal()):
        raise ValueError("an MTI is four digits")
    wide = bool(numbers) and numbers[-1] > 64
    width = 128 if wide else 64
    last = (MAC_SECONDARY if wide else MAC_PRIMARY,) if mac else ()
    bits = sum(1 << (width - n) for n in (*numbers, *last)) | (1 << 127 if wide else 0)
    if len(numbers) == 1:
        only = numbers[0]
        return Layout(numbers, lambda given: (given[only],), f"{mti}{bits:0{width // 4}X}", {})
    if not numbers:
        return Layout(numbers, lambda _: (), f"{mti}{bits:0{width // 4}X}", {})
    return Layout(numbers, itemgetter(*numbers), f"{mti}{bits:0{width // 4}X}", {})


def _template(layout: Layout, lengths: tuple[int, ...]) -> str:
    parts = [layout.head]
    for number, length in zip(layout.numbers, lengths, strict=True):
        field = field_of_length(number, length)
        parts.append(f"{length:0{field.length_digits}d}%s" if field.length_digits else "%s")
    return "".join(parts)


def field_of_length(number: int, length: int) -> Field:
    """The field, which may have that many characters; raises ValueError when it may not."""
    field = FIELDS[number]
    if not field.length_digits and length != field.length:
        raise ValueError(f"field {number} has {length} characters, its length is {field.length}")
    if field.length_digits and not field.length_min <= length <= field.length:
        raise ValueError(f"field {number} has {length} characters, limits {field.length_min}..{field.length}")
    if length % field.step:
        raise ValueError(f"field {number} has {length} characters, it has whole bytes of {field.step}")
    return field
