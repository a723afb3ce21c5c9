"""What a terminal asks for, typed.

A `Payment`, `Reversal`, `Network`, `BatchClose` or `BatchDetail` is a view of one decoded message; nothing in
it has been checked against the books. Printing one shows neither card nor PIN block.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from switch.wire.batch import BatchClose, BatchDetail, close_reply, parse_close, parse_detail
from switch.wire.elements import OriginalData, original_of, private_of, refusal, track2_of
from switch.wire.emv import IccError, parse_icc
from switch.wire.message import Message, MessageError
from switch.wire.presence import entry_of
from switch.wire.private import (
    CHANNEL_DEFAULT,
    PIN_FORMAT_DEFAULT,
    TAG_BATCH,
    TAG_CASE,
    TAG_CHANNEL,
    TAG_CVV2,
    TAG_GIFT_FROM,
    TAG_KEY_SERIAL,
    TAG_ORDER,
    TAG_PARTIAL,
    TAG_PIN_BLOCK,
    TAG_PIN_FORMAT,
    TAG_REFERENCE,
)
from switch.wire.redact import mask_pan
from switch.wire.reply import error_fields, reply_fields
from switch.wire.spec import NETWORK_FUNCTIONS, PROCESSING_CODES, reply_mti

__all__ = [
    "BatchClose",
    "BatchDetail",
    "Network",
    "OriginalData",
    "Payment",
    "Request",
    "Reversal",
    "close_reply",
    "error_fields",
    "parse_request",
    "reply_fields",
    "reply_mti",
]

_PREAUTH: Final = "010"
_ADVICE: Final = "022"
_HOLDS: Final = frozenset({_PREAUTH})
_PAID: Final = frozenset({"020", _ADVICE})
_MONEY: Final = _HOLDS | _PAID
_ORIGINALS: Final[dict[str, frozenset[str]]] = {
    "preauth": _HOLDS,
    "purchase": _HOLDS,  # only an advice names one: the hold that it completes
    "refund": _PAID,
    "void": _MONEY,
}
"""Which messages the DE90 of a kind of payment may name, by the first three digits of their MTI."""

_NO_PRIVATE: Final[Mapping[str, str]] = {}


class Payment(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0100, 0200, 0220 and their repeats.

    Kind is preauth, purchase, refund, topup, inquiry or void; amount in won, 0 for an inquiry. An advice
    (0220) tells of a purchase made already: the completion of the hold that `original` names, else offline.
    A purchase with a `case` is a gift to that donation case, from points only, charged money only or either
    (`gift_from` "points", "charged", ""); a top-up may bear the `reference` that it has elsewhere.
    """

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
    pin_block: str | None  # under the terminal's session key: 16 hex characters, 32 in format 4
    channel: str
    order_id: str | None
    original: OriginalData | None
    advice: bool = False
    approval: str | None = None  # of an advice: DE38 of who approved it
    track2: str | None = None  # of a stripe, DE35
    cvv2: str | None = None
    psn: str | None = None  # card sequence number, DE23
    icc: str | None = None  # DE55 in hex: well-formed, no tag twice
    ksn: str | None = None
    pin_format: str = PIN_FORMAT_DEFAULT  # ISO 9564: "0", "3" or "4"
    partial_ok: bool = False
    batch_no: int = 0  # 0 none
    case: str = ""
    gift_from: str = ""
    reference: str = ""

    @property
    def entry(self) -> str:
        """How the card was read: keyed, stripe, qr, chip, contactless or ecommerce."""
        return entry_of(self.entry_mode) or ""

    def __repr__(self) -> str:
        return (
            f"Payment({self.kind}{', advice' if self.advice else ''}{', repeat' if self.repeat else ''}, "
            f"{mask_pan(self.pan)}, "
            f"{self.amount} won, terminal={self.terminal_id!r}, stan={self.stan:06d}, "
            f"at={self.local_mmdd:04d}/{self.local_time:06d})"
        )


class Reversal(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0400 (advice False), 0420 (advice True) and their repeats.

    Kind, amount, local time and date are the original's; a hold's kind is preauth where DE90 names its MTI.
    `replacement` is what shall remain of it, won, instead of nothing (DE95). `reference` names a top-up that
    bore one, whichever of its sends was booked.
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
    replacement: int | None = None
    ksn: str | None = None
    batch_no: int = 0
    reference: str = ""

    def __repr__(self) -> str:
        return (
            f"Reversal({self.kind}, {mask_pan(self.pan)}, {self.amount} won, terminal={self.terminal_id!r}, "
            f"stan={self.stan:06d}, original={self.original.stan:06d}/{self.original.transmission})"
        )


class Network(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """0800, 0801: function is sign_on, sign_off, key_exchange, cutover or echo."""

    function: str
    repeat: bool
    stan: int
    transmission: str
    local_time: int
    local_mmdd: int
    rrn: str | None
    terminal_id: str
    ksn: str | None = None

    def __repr__(self) -> str:
        return f"Network({self.function}, terminal={self.terminal_id!r}, stan={self.stan:06d})"


Request = Payment | Reversal | Network | BatchClose | BatchDetail


def parse_request(message: Message) -> Request:
    """The typed view of a decoded request.

    Raises MessageError: with `mti` None when the message asks for no answer, else naming the field (4 an
    inquiry with an amount, 35 another card's track, 48 private data that cannot be read, 55 chip data that
    cannot be, 90 an original of the wrong kind, 97 a wrong sum).
    """
    match message.mti[:3]:
        case "020" | "010" | "022":
            return _payment(message)
        case "040" | "042":
            return _reversal(message)
        case "080":
            return _network(message)
        case "050":
            return parse_close(message)
        case "032":
            return parse_detail(message)
    raise MessageError("a message that asks for no answer")


def _payment(message: Message) -> Payment:
    fields = message.fields
    get = fields.get
    family = message.mti[:3]
    kind = "preauth" if family == _PREAUTH else PROCESSING_CODES[fields[3]]
    amount = int(get(4, "0"))
    if amount and kind == "inquiry":
        raise refusal("an inquiry has no amount", 4, message)
    private = private_of(message) if 48 in fields else _NO_PRIVATE
    payment = Payment(
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
        channel=private.get(TAG_CHANNEL, CHANNEL_DEFAULT),
        order_id=private.get(TAG_ORDER),
        original=original_of(message, _ORIGINALS[kind]) if 90 in fields else None,
        advice=family == _ADVICE,
        batch_no=int(private.get(TAG_BATCH, "0")),
    )
    if (
        35 in fields
        or 55 in fields
        or 23 in fields
        or 38 in fields
        or (private and private.keys() - _PLAIN_TAGS)
    ):
        return _with_proofs(message, payment, private)
    return payment


_ENTRIES_WITH_CVV2: Final = frozenset({"keyed", "ecommerce"})
_PLAIN_TAGS: Final = frozenset({TAG_CHANNEL, TAG_ORDER, TAG_BATCH})
_GIFT_FROM: Final = {"P": "points", "C": "charged"}


def _with_proofs(message: Message, payment: Payment, private: Mapping[str, str]) -> Payment:
    """The payment with what its card and terminal bring beyond the plain one."""
    fields = message.fields
    stripe = payment.entry == "stripe"
    track = track2_of(message) if 35 in fields else None
    if 55 in fields:
        try:
            parse_icc(fields[55])
        except IccError as error:
            raise refusal(str(error), 55, message) from None
    pin_format = private.get(TAG_PIN_FORMAT, PIN_FORMAT_DEFAULT)
    block = private.get(TAG_PIN_BLOCK)
    if (pin_format == "4" and 52 in fields) or (block is not None and pin_format != "4"):
        raise refusal("a PIN block of format 4 stands in PB, another in field 52", 48, message)
    if TAG_CVV2 in private and payment.entry not in _ENTRIES_WITH_CVV2:
        raise refusal("a card that was read has no CVV2", 48, message)
    _check_purpose(message, payment, private)
    return msgspec.structs.replace(
        payment,
        expiry=payment.expiry if track is None else track.expiry,
        approval=fields.get(38),
        pin_block=payment.pin_block if block is None else block,
        track2=fields[35] if track is not None and stripe else None,
        cvv2=private.get(TAG_CVV2),
        psn=fields.get(23),
        icc=fields.get(55),
        ksn=private.get(TAG_KEY_SERIAL),
        pin_format=pin_format,
        partial_ok=TAG_PARTIAL in private,
        case=private.get(TAG_CASE, ""),
        gift_from=_GIFT_FROM.get(private.get(TAG_GIFT_FROM, ""), ""),
        reference=private.get(TAG_REFERENCE, ""),
    )


def _check_purpose(message: Message, payment: Payment, private: Mapping[str, str]) -> None:
    """Only a purchase is made for a donation case, only a top-up has a reference elsewhere."""
    if TAG_CASE in private and payment.kind != "purchase":
        raise refusal("only a purchase can be a gift", 48, message)
    if TAG_GIFT_FROM in private and TAG_CASE not in private:
        raise refusal("no donation case to which the money goes", 48, message)
    if TAG_REFERENCE in private and payment.kind != "topup":
        raise refusal("only a top-up has a reference", 48, message)


def _reversal(message: Message) -> Reversal:
    fields = message.fields
    private = private_of(message) if 48 in fields else _NO_PRIVATE
    original = original_of(message, _MONEY)
    return Reversal(
        kind="preauth" if original.family == _PREAUTH else PROCESSING_CODES[fields[3]],
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
        original=original,
        replacement=int(fields[95][:12]) if 95 in fields else None,
        ksn=private.get(TAG_KEY_SERIAL),
        batch_no=int(private.get(TAG_BATCH, "0")),
        reference=_topup_reference(message, private),
    )


def _topup_reference(message: Message, private: Mapping[str, str]) -> str:
    reference = private.get(TAG_REFERENCE, "")
    if reference and PROCESSING_CODES[message.fields[3]] != "topup":
        raise refusal("only a top-up has a reference", 48, message)
    return reference


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
        ksn=private_of(message).get(TAG_KEY_SERIAL) if 48 in fields else None,
    )
