"""Keeping card data out of whatever is written down.

It is the last line, not the first: nothing should hand card data to a log. So it prefers to remove too much.
A run of digits with a PAN inside is removed whole; what is named like a secret is removed unseen; binary data
is never shown.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from switch.wire.private import SENSITIVE_TAGS, PrivateDataError, decode_private
from switch.wire.spec import SENSITIVE_FIELDS

REMOVED: Final = "[removed]"
_PAN_MIN: Final = 13
_PAN_MAX: Final = 19
_DEPTH_MAX: Final = 8
_ITEMS_MAX: Final = 200
_TEXT_MAX: Final = 20_000

_CARD_NAMES: Final = (
    *("pan", "card_number", "expiry", "track", "track1", "track2"),
    *("cvv", "cvc", "cvv2", "icc"),
)
_KEY_NAMES: Final = ("pin", "pin_block", "pinblock", "key", "ksn", "clear_key", "secret", "password", "token")
_TAG_NAMES: Final = tuple(tag.lower() for tag in SENSITIVE_TAGS)
_SECRET_NAMES: Final = frozenset(
    (*_CARD_NAMES, *_KEY_NAMES, *_TAG_NAMES, "authorization", "payload", "frame")
)
_SECRET_ENDINGS: Final = (
    *("_pan", "_pin", "_pin_block", "_key", "_secret", "_password", "_payload"),
    *("_track", "_track2", "_cvv", "_cvv2", "_icc", "_ksn"),
)
_PRIVATE_NAMES: Final = (48, "48", "de48", "DE48")
# Grouped by four as printed on cards, or in one run.
_DIGITS = re.compile(r"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|[0-9]{13,}")
_MESSAGE = re.compile(r"(?<![0-9A-F])0[1-8][0-9]{2}[0-9A-F]{16}")  # MTI and bitmap: a whole message
# Track 2, with separator as text or as half a byte, whatever its digits add up to.
_TRACK = re.compile(r"[0-9]{12,19}[=D][0-9]{7,}F?")
# A PIN block, MAC, key, chip data: bytes in hex, perhaps with a scheme letter before them.
# Needs a letter among them: digits alone are judged above.
_HEX = re.compile(r"(?<![0-9A-Za-z])[UXTS]?(?=[0-9]*[A-F])[0-9A-F]{16,}(?![0-9A-Za-z])")
# A TR-31 key block: version, length, usage, algorithm, mode (ANSI X9.143, table 1).
_BLOCK = re.compile(r"(?<![0-9A-Za-z])[RS]?[ABCD][0-9]{4}[A-Z0-9]{2}[A-Z0-9][A-Z][0-9A-Z]{8,}")


def mask_pan(pan: str) -> str:
    """A PAN for people: its first 6 and last 4 digits. Of anything shorter than 13 characters, nothing."""
    if len(pan) < _PAN_MIN:
        return "*" * len(pan)
    return f"{pan[:6]}{'*' * (len(pan) - 10)}{pan[-4:]}"


_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = sum(map(int, digits[-1::-2])) + sum(_DOUBLED[int(d)] for d in digits[-2::-2])
    return total % 10 == 0


def redact(value: Any, depth: int = 0) -> Any:
    """The value without card data: text, numbers, mappings and sequences to a depth of 8.

    All else is shown by its repr. Numbers that could be a PAN become text. Never raises.
    """
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, int):
        return value if abs(value) < 10 ** (_PAN_MIN - 1) or not _holds_pan(str(abs(value))) else REMOVED
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= _DEPTH_MAX:
        return REMOVED
    if isinstance(value, Mapping):
        return {_name(k): _redact_named(k, v, depth) for k, v in list(value.items())[:_ITEMS_MAX]}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in list(value)[:_ITEMS_MAX]]
    return _redact_object(value)


def redact_event(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same as a log processor: put it first, and once more behind whatever turns exceptions into text."""
    for name, value in event.items():
        if name != "exc_info":
            event[name] = _redact_named(name, value, 0)
    return event


def _redact_named(name: object, value: Any, depth: int) -> Any:
    if isinstance(name, int) and name in SENSITIVE_FIELDS:
        return REMOVED if value is not None else None
    if name in _PRIVATE_NAMES and isinstance(value, str):
        return _redact_private(value)
    if isinstance(name, str) and value is not None and not isinstance(value, bool):
        low = name.lower()
        if low in _SECRET_NAMES or low.endswith(_SECRET_ENDINGS):
            return REMOVED
        if low.removeprefix("de").isdecimal() and int(low.removeprefix("de")) in SENSITIVE_FIELDS:
            return REMOVED
    return redact(value, depth + 1)


def _redact_private(text: str) -> object:
    """DE48 by its tags; nothing of it when it cannot be read."""
    try:
        return {tag: _redact_named(tag, value, 0) for tag, value in decode_private(text).items()}
    except PrivateDataError:
        return REMOVED


def _name(name: object) -> object:
    return name if isinstance(name, int) and abs(name) < 10 ** (_PAN_MIN - 1) else _redact_text(str(name))


def _redact_object(value: object) -> str:
    try:
        shown = f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001 - a repr may do anything, a log line must not fail for it
        return f"[{type(value).__name__}]"
    return _redact_text(shown)


def _redact_text(text: str) -> str:
    if len(text) < _PAN_MIN:
        return text
    if _MESSAGE.search(text):
        return REMOVED
    text = _BLOCK.sub(REMOVED, _TRACK.sub(REMOVED, text[:_TEXT_MAX]))
    return _HEX.sub(REMOVED, _DIGITS.sub(_judge, text))


def _judge(run: re.Match[str]) -> str:
    text = run[0]
    digits = text.replace(" ", "").replace("-", "")
    return REMOVED if _holds_pan(digits) else text


def _holds_pan(digits: str) -> bool:
    """Whether some 13 to 19 neighbouring digits are a possible PAN;

    in a longer run there nearly always are.
    """
    if len(digits) > _PAN_MAX:
        return True
    return any(
        luhn_valid(digits[start : start + length])
        for length in range(_PAN_MIN, len(digits) + 1)
        for start in range(len(digits) - length + 1)
    )
