"""What a terminal asks for, typed, and the fields of the answer.

A `Payment`, `Reversal` or `Network` is a view of one decoded message; nothing in it has been checked against
the books. Printing one shows neither card nor PIN block.
"""

from typing import Final

import msgspec

from switch.wire.message import CODE_FORMAT, Message, MessageError
from switch.wire.private import (
    CHANNEL_DEFAULT,
    CHANNELS,
    REQUEST_TAGS,
    TAG_CHANNEL,
    TAG_ORDER,
    Balances,
    PrivateDataError,
    decode_private,
    encode_balances,
    encode_private,
)
from switch.wire.redact import mask_pan
from switch.wire.spec import ECHO_FIELDS, NETWORK_FUNCTIONS, PROCESSING_CODES, is_request, reply_mti

__all__ = [
    "Network",
    "OriginalData",
    "Payment",
    "Request",
    "Reversal",
    "error_fields",
    "parse_request",
    "reply_fields",
    "reply_mti",
]

_REPLY_ECHO: Final = (3, 4, 7, 11, 12, 13, 37, 41, 42, 49, 70)


class OriginalData(msgspec.Struct, frozen=True, gc=False):
    """DE90:

    which message is meant. Any part may be zero, which is "not known" (ISO 8583:1987, data element 90).
    """

    mti: str
    stan: int
    transmission: str  # the original's DE7
    acquirer: str  # without leading zeros, "" when not given
    forwarder: str

    def encode(self) -> str:
        """The 42 digits."""
        return (
            f"{self.mti}{self.stan:06d}{self.transmission}{self.acquirer.zfill(11)}{self.forwarder.zfill(11)}"
        )


class Payment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0200, 0201: kind is purchase, refund, topup or inquiry; amount in won, 0 for an inquiry."""

    kind: str
    repeat: bool
    pan: str
    expiry: str | None  # YYMM
    amount: int
    stan: int
    transmission: str  # DE7, MMDDhhmmss, UTC
    local_time: int  # hhmmss
    local_mmdd: int
    entry_mode: str
    acquirer: str
    rrn: str | None
    terminal_id: str  # 8 characters as they came
    merchant_id: str  # DE42 without the blanks at its end
    pin_block: str | None  # 16 hex characters, under the terminal's session key
    channel: str
    order_id: str | None
    original: OriginalData | None

    def __repr__(self) -> str:
        return (
            f"Payment({self.kind}{', repeat' if self.repeat else ''}, {mask_pan(self.pan)}, "
            f"{self.amount} won, terminal={self.terminal_id!r}, stan={self.stan:06d}, "
            f"at={self.local_mmdd:04d}/{self.local_time:06d})"
        )


class Reversal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0400 (advice False), 0420 (advice True) and their repeats.

    Kind, amount, local time and date are the original's.
    """

    kind: str
    advice: bool
    repeat: bool
    pan: str
    amount: int
    stan: int  # the reversal's own
    transmission: str
    local_time: int
    local_mmdd: int
    acquirer: str
    rrn: str | None
    terminal_id: str
    merchant_id: str
    original: OriginalData

    def __repr__(self) -> str:
        return (
            f"Reversal({self.kind}, {mask_pan(self.pan)}, {self.amount} won, terminal={self.terminal_id!r}, "
            f"stan={self.stan:06d}, original={self.original.stan:06d}/{self.original.transmission})"
        )


class Network(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0800, 0801: function is sign_on, sign_off, key_exchange or echo."""

    function: str
    repeat: bool
    stan: int
    transmission: str
    local_time: int
    local_mmdd: int
    rrn: str | None
    terminal_id: str


Request = Payment | Reversal | Network


def parse_request(message: Message) -> Request:
    """The typed view of a decoded request.

    Raises MessageError: with `mti` None when the message asks for no answer, else naming the field (4 an
    inquiry with an amount, 48 private data that cannot be read).
    """
    match message.mti[:3]:
        case "020":
            return _payment(message)
        case "040" | "042":
            return _reversal(message)
        case "080":
            return _network(message)
    raise MessageError("a message that asks for no answer")


def _payment(message: Message) -> Payment:
    fields = message.fields
    get = fields.get
    kind = PROCESSING_CODES[fields[3]]
    amount = int(get(4, "0"))
    if amount and kind == "inquiry":
        raise _refusal("an inquiry has no amount", 4, message)
    private = _private(message) if 48 in fields else None
    return Payment(
        kind=kind,
        repeat=message.mti[3] == "1",
        pan=fields[2],
        expiry=get(14),
        amount=amount,
        stan=int(fields[11]),
        transmission=fields[7],
        local_time=int(fields[12]),
        local_mmdd=int(fields[13]),
        entry_mode=fields[22],
        acquirer=fields[32],
        rrn=get(37),
        terminal_id=fields[41],
        merchant_id=fields[42].rstrip(" "),
        pin_block=get(52),
        channel=CHANNEL_DEFAULT if private is None else private.get(TAG_CHANNEL, CHANNEL_DEFAULT),
        order_id=None if private is None else private.get(TAG_ORDER),
        original=_original(fields[90]) if 90 in fields else None,
    )


def _reversal(message: Message) -> Reversal:
    fields = message.fields
    return Reversal(
        kind=PROCESSING_CODES[fields[3]],
        advice=message.mti[2] == "2",
        repeat=message.mti[3] == "1",
        pan=fields[2],
        amount=int(fields[4]),
        stan=int(fields[11]),
        transmission=fields[7],
        local_time=int(fields[12]),
        local_mmdd=int(fields[13]),
        acquirer=fields[32],
        rrn=fields.get(37),
        terminal_id=fields[41],
        merchant_id=fields[42].rstrip(" "),
        original=_original(fields[90]),
    )


def _network(message: Message) -> Network:
    fields = message.fields
    return Network(
        function=NETWORK_FUNCTIONS[fields[70]],
        repeat=message.mti[3] == "1",
        stan=int(fields[11]),
        transmission=fields[7],
        local_time=int(fields[12]),
        local_mmdd=int(fields[13]),
        rrn=fields.get(37),
        terminal_id=fields[41],
    )


def _original(text: str) -> OriginalData:
    return OriginalData(
        text[:4], int(text[4:10]), text[10:20], text[20:31].lstrip("0"), text[31:42].lstrip("0")
    )


def _private(message: Message) -> dict[str, str]:
    try:
        items = decode_private(message.fields[48])
    except PrivateDataError as error:
        raise _refusal(str(error), 48, message) from None
    if not items.keys() <= REQUEST_TAGS:
        raise _refusal("a tag that no request carries", 48, message)
    if items.get(TAG_CHANNEL, CHANNEL_DEFAULT) not in CHANNELS:
        raise _refusal("not a channel", 48, message)
    return items


def _refusal(reason: str, field: int, message: Message) -> MessageError:
    echo: dict[int, str] = {n: message.fields[n] for n in ECHO_FIELDS if n in message.fields}
    return MessageError(reason, field=field, mti=message.mti, echo=echo)


def reply_fields(
    message: Message,
    *,
    code: str,
    rrn: str | None = None,
    business_mmdd: str | None = None,
    approval: str | None = None,
    private: dict[str, str] | None = None,
    balances: Balances | None = None,
) -> dict[int, str]:
    """The fields that answer `message` with `code` (DE39).

    Its DE7, 11, 12, 13, 37, 41, 42 come back unchanged. `rrn` is used only when the request brought none.
    `approval` is DE38 (6 characters), `business_mmdd` DE15.
    Raises PrivateDataError when `private` or `balances` do not fit.
    """
    given = message.fields
    fields: dict[int, str] = {number: given[number] for number in _REPLY_ECHO if number in given}
    fields[39] = code
    if rrn is not None and 37 not in fields:
        fields[37] = rrn
    if business_mmdd is not None:
        fields[15] = business_mmdd
    if approval is not None:
        fields[38] = approval
    if private:
        fields[48] = encode_private(private)
    if balances is not None:
        fields[54] = encode_balances(balances)
    return fields


def error_fields(error: MessageError) -> dict[int, str]:
    """The fields that answer a refused message: its echo, DE39, and with code 30 the field's number in DE44.

    Raises ValueError when the message was not legible: then there is nothing to answer, the connection is
    closed.
    """
    if error.mti is None or not is_request(error.mti):
        raise ValueError("an illegible message is not answered")
    fields = {**error.echo, 39: error.code}
    if error.code == CODE_FORMAT:
        fields[44] = f"{error.field or 0:03d}"
    return fields
