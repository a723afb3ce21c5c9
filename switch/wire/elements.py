"""Readers of the data elements with an inner structure that several messages carry: DE35, DE48, DE90.

Each raises MessageError naming its field, and never with a value in it.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from switch.wire.message import Message, MessageError
from switch.wire.private import PrivateDataError, decode_request_private
from switch.wire.spec import ECHO_FIELDS

_TRACK2 = re.compile(r"([0-9]{12,19})=([0-9]{2}(?:0[1-9]|1[0-2]))([0-9]{3})([0-9]*)").fullmatch
_UNKNOWN_MTI: Final = "0000"


class OriginalData(msgspec.Struct, frozen=True, gc=False):
    """DE90: which message is meant. Any part may be zero, which is "not known" (ISO 8583:1987, DE90)."""

    mti: str
    stan: int
    transmission: str  # the original's DE7; ten zeros when not known
    acquirer: str  # without leading zeros, "" when not given
    forwarder: str

    @property
    def family(self) -> str:
        """The first three digits of the original's MTI, so that a repeat counts as what it repeats.

        "" when not known.
        """
        return "" if self.mti == _UNKNOWN_MTI else self.mti[:3]

    def encode(self) -> str:
        """The 42 digits."""
        return (
            f"{self.mti}{self.stan:06d}{self.transmission}{self.acquirer.zfill(11)}{self.forwarder.zfill(11)}"
        )


class Track2(msgspec.Struct, frozen=True, gc=False):
    """Track 2 (ISO/IEC 7813): `expiry` yymm; `service` the service code; the rest is the issuer's own."""

    pan: str
    expiry: str
    service: str
    discretionary: str

    def __repr__(self) -> str:
        return "Track2()"


def original_of(message: Message, families: frozenset[str]) -> OriginalData:
    """DE90 of a message that may name these kinds of original (first three digits of their MTI)."""
    text = message.fields[90]
    original = OriginalData(
        text[:4], int(text[4:10]), text[10:20], text[20:31].lstrip("0"), text[31:42].lstrip("0")
    )
    if original.mti != _UNKNOWN_MTI and original.mti[:3] not in families:
        raise refusal("names a message that this one cannot refer to", 90, message)
    return original


def private_of(message: Message) -> Mapping[str, str]:
    """DE48 by tag; nothing when the message has none."""
    text = message.fields.get(48)
    if text is None:
        return {}
    try:
        return decode_request_private(message.mti, text)
    except PrivateDataError as error:
        raise refusal(str(error), 48, message) from None


def parse_track2(text: str) -> Track2 | None:
    """DE35; None when it is no track 2."""
    found = _TRACK2(text)
    return None if found is None else Track2(*found.groups())


def track2_of(message: Message) -> Track2:
    """DE35, of the card that DE2 and DE14 name."""
    fields = message.fields
    track = parse_track2(fields[35])
    if track is None:
        raise refusal("not a track 2", 35, message)
    if track.pan != fields[2] or fields.get(14, track.expiry) != track.expiry:
        raise refusal("another card's than fields 2 and 14 say", 35, message)
    return track


def refusal(reason: str, field: int, message: Message) -> MessageError:
    """What to raise when a well-formed field cannot be meant."""
    echo: dict[int, str] = {n: message.fields[n] for n in ECHO_FIELDS if n in message.fields}
    return MessageError(reason, field=field, mti=message.mti, echo=echo)
