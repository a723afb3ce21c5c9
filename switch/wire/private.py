"""The two fields with an inner structure: DE48 (tagged private data) and DE54 (balances).

DE48 is a row of items: tag of 2 characters, length of 3 digits, value. DE54 is a row of 20-character amounts
after ISO 8583:1987: account type, amount type, currency, sign C or D, 12 digits.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from switch.wire.spec import CURRENCY_WON

TAG_CASHBACK: Final = "CB"  # won granted by this payment, decimal
TAG_PIN_KEY: Final = "TP"  # session PIN key under the terminal master key: a TR-31 block, or X9.17
TAG_MAC_KEY: Final = "TM"  # session MAC key, likewise
TAG_PIN_KEY_CHECK: Final = "KP"  # check values, 6 hex characters
TAG_MAC_KEY_CHECK: Final = "KM"
TAG_KEYS_UNTIL: Final = "KX"  # end of validity of the session keys, yyyymmddhhmmss, UTC

TAG_CHANNEL: Final = "CH"
TAG_ORDER: Final = "OR"
TAG_BATCH: Final = "BN"  # batch number, 1 to 999999
TAG_PARTIAL: Final = "PA"  # "1": this terminal takes partial approvals
TAG_CVV2: Final = "CV"
TAG_KEY_SERIAL: Final = "KS"  # key serial number of a DUKPT terminal, hex: 10 bytes TDES, 12 AES
TAG_PIN_FORMAT: Final = "PF"  # ISO 9564 PIN block format
TAG_PIN_BLOCK: Final = "PB"  # format 4, 16 bytes in hex, instead of DE52
TAG_LAST: Final = "LB"  # "1": the last detail of a batch
TAG_CASE: Final = "DC"  # donation case that a payment is a gift to
TAG_GIFT_FROM: Final = "DF"  # "P": made from points only; "C": from charged money only
TAG_REFERENCE: Final = "XR"  # reference of a top-up outside this system: good for one top-up

CHANNELS: Final = frozenset({"pos", "online", "delivery", "mall"})
CHANNEL_DEFAULT: Final = "pos"
PIN_FORMAT_DEFAULT: Final = "0"

_REQUEST_CONTENT: Final = {
    TAG_CHANNEL: "|".join(sorted(CHANNELS)),
    TAG_ORDER: ".*",
    TAG_BATCH: "(?=.{1,6}$)0*[1-9][0-9]*",
    TAG_PARTIAL: "1",
    TAG_CVV2: "[0-9]{3}",
    TAG_KEY_SERIAL: "[0-9A-F]{20}|[0-9A-F]{24}",
    TAG_PIN_FORMAT: "[034]",
    TAG_PIN_BLOCK: "[0-9A-F]{32}",
    TAG_LAST: "1",
    TAG_CASE: "[A-Z0-9-]{1,20}",
    TAG_GIFT_FROM: "[PC]",
    TAG_REFERENCE: "[A-Za-z0-9._:-]{1,40}",
}
_REQUEST_MATCH: Final = {tag: re.compile(content).fullmatch for tag, content in _REQUEST_CONTENT.items()}
SENSITIVE_TAGS: Final = frozenset({TAG_CVV2, TAG_PIN_BLOCK, TAG_KEY_SERIAL, TAG_PIN_KEY, TAG_MAC_KEY})
"""Never shown, logged or stored."""

_ANY: Final = frozenset({TAG_BATCH, TAG_KEY_SERIAL})
_ASKED: Final = _ANY | {TAG_CHANNEL, TAG_ORDER, TAG_PARTIAL, TAG_CVV2, TAG_PIN_FORMAT, TAG_PIN_BLOCK}
TAGS_OF: Final[dict[str, frozenset[str]]] = {
    "010": _ASKED,
    "020": _ASKED | {TAG_CASE, TAG_GIFT_FROM, TAG_REFERENCE},
    "022": _ANY | {TAG_CHANNEL, TAG_ORDER},
    "032": _ANY | {TAG_LAST},
    "040": _ANY | {TAG_REFERENCE},
    "042": _ANY | {TAG_REFERENCE},
    "050": _ANY,
    "080": frozenset({TAG_KEY_SERIAL}),
}
"""Which tags a request may carry, by the first three digits of its MTI."""

ACCOUNT_DEFAULT: Final = "00"
AMOUNT_LEDGER: Final = "01"
AMOUNT_AVAILABLE: Final = "02"

_LENGTHS: Final = {f"{n:03d}": n for n in range(1000)}
_HEADER: Final = 5
_VALUE_MAX: Final = 999
_AMOUNT_MAX: Final = 10**12
_BALANCE_LENGTH: Final = 20


class PrivateDataError(ValueError):
    """DE48 or DE54 does not hold what it says. Carries no value."""


_PAYMENT_CLASS: Final = "2"
_COMMON: Final = frozenset({TAG_CHANNEL, TAG_BATCH, TAG_PARTIAL})
_KNOWN_MAX: Final = 1_024
_known: dict[tuple[str, str], dict[str, str]] = {}
"""DE48 of payments that many others have too: nothing of a card, an order or a key. By MTI's third digit."""


def decode_private(text: str) -> dict[str, str]:
    """The items by tag.

    Raises PrivateDataError on an unfinished item, a length that lies, or a tag given twice.
    """
    items: dict[str, str] = {}
    position = 0
    while position < len(text):
        tag = text[position : position + 2]
        length = _LENGTHS.get(text[position + 2 : position + _HEADER])
        if length is None or not (tag.isascii() and tag.isalnum()):
            raise PrivateDataError("an item must begin with a tag of 2 and a length of 3 characters")
        position += _HEADER
        if position + length > len(text):
            raise PrivateDataError("an item is shorter than its length says")
        if tag in items:
            raise PrivateDataError("a tag is given twice")
        items[tag] = text[position : position + length]
        position += length
    return items


def encode_private(items: dict[str, str]) -> str:
    """The field of these items, in their order. Raises PrivateDataError on a bad tag or a value too long."""
    for tag, value in items.items():
        if len(tag) != 2 or not (tag.isascii() and tag.isalnum()) or len(value) > _VALUE_MAX:
            raise PrivateDataError("a tag has 2 letters or digits, a value at most 999 characters")
    return "".join([f"{tag}{len(value):03d}{value}" for tag, value in items.items()])


def decode_request_private(mti: str, text: str) -> Mapping[str, str]:
    """The items of a request's DE48. Raises PrivateDataError also on a tag or value of no such request."""
    known = _known.get((mti[2], text))
    if known is not None and mti[1] == _PAYMENT_CLASS:
        return known
    items = decode_private(text)
    allowed = TAGS_OF[mti[:3]]
    for tag, value in items.items():
        if tag not in allowed:
            raise PrivateDataError("a tag that this request does not carry")
        if _REQUEST_MATCH[tag](value) is None:
            raise PrivateDataError(f"not a value of tag {tag}")
    if mti[1] == _PAYMENT_CLASS and items.keys() <= _COMMON:
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        _known[mti[2], text] = items
    return items


class Balances(msgspec.Struct, frozen=True, gc=False):
    """What a card holds, won: all of it, and what may be spent at the merchant that asks."""

    ledger: int
    available: int


def encode_balances(balances: Balances) -> str:
    """DE54. Raises PrivateDataError unless both are 0..999,999,999,999 won: no wallet is overdrawn."""
    if not (0 <= balances.ledger < _AMOUNT_MAX and 0 <= balances.available < _AMOUNT_MAX):
        raise PrivateDataError("a balance is 0 to 999,999,999,999 won")
    return (
        f"{ACCOUNT_DEFAULT}{AMOUNT_LEDGER}{CURRENCY_WON}C{balances.ledger:012d}"
        f"{ACCOUNT_DEFAULT}{AMOUNT_AVAILABLE}{CURRENCY_WON}C{balances.available:012d}"
    )


def decode_balances(text: str) -> Balances:
    """Reads DE54. Raises PrivateDataError unless both amounts are there once, in won and not negative."""
    amounts: dict[str, int] = {}
    for start in range(0, len(text), _BALANCE_LENGTH):
        item = text[start : start + _BALANCE_LENGTH]
        digits = item[8:]
        if len(item) != _BALANCE_LENGTH or item[4:8] != CURRENCY_WON + "C" or not _decimal(digits):
            raise PrivateDataError("a balance is 20 characters: account, kind, 410, C, 12 digits")
        if item[:2] != ACCOUNT_DEFAULT or item[2:4] in amounts:
            raise PrivateDataError("a balance of an unknown account, or given twice")
        amounts[item[2:4]] = int(digits)
    if amounts.keys() != {AMOUNT_LEDGER, AMOUNT_AVAILABLE}:
        raise PrivateDataError("the ledger balance and the available balance are both needed")
    return Balances(amounts[AMOUNT_LEDGER], amounts[AMOUNT_AVAILABLE])


def _decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal()
