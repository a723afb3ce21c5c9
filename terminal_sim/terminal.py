"""One card terminal, as a value: what it is, what it knows, what it has sent and got. No socket and no clock.

It builds payloads and reads replies; somebody else carries them. Time is given with every message, simulated
or real.
"""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from switch.wire.message import Message
from switch.wire.private import (
    TAG_BATCH,
    TAG_CASE,
    TAG_CHANNEL,
    TAG_CVV2,
    TAG_GIFT_FROM,
    TAG_ORDER,
    TAG_PARTIAL,
    TAG_PIN_BLOCK,
    TAG_PIN_FORMAT,
    TAG_REFERENCE,
    decode_private,
    encode_private,
)
from switch.wire.request import OriginalData
from switch.wire.spec import CURRENCY_WON, NETWORK_FUNCTIONS, PROCESSING_CODE_OF_KIND
from terminal_sim.reply import APPROVED, APPROVED_PARTLY, Exchange, Reply, TerminalError
from terminal_sim.session import FORMAT_AES, FORMAT_PLAIN
from terminal_sim.terminal_core import ACQUIRER_DEFAULT, JOURNAL_MAX, STAN_MAX, TerminalCore

__all__ = [
    "ACQUIRER_DEFAULT",
    "APPROVED",
    "APPROVED_PARTLY",
    "JOURNAL_MAX",
    "KOREA",
    "STAN_MAX",
    "Exchange",
    "Reply",
    "Terminal",
    "TerminalError",
    "stamps",
]

KOREA: Final = timezone(timedelta(hours=9), "Asia/Seoul")  # no daylight saving since 1988
ENTRY_KEYED: Final = "012"
ADVICE: Final = "0220"
_TOLD_TAGS: Final = (TAG_CHANNEL, TAG_ORDER, TAG_CASE, TAG_GIFT_FROM, TAG_REFERENCE)
_NOTHING_MORE: Final = (None,) * 5
_FUNCTION_CODES: Final = {name: code for code, name in NETWORK_FUNCTIONS.items()}
_REVERSAL_COPIES: Final = (2, 3, 12, 13, 32, 41, 42, 49)


@lru_cache(maxsize=64)
def stamps(now: datetime) -> tuple[str, str, str]:
    """DE7 (UTC), DE12 and DE13 (Korean local) of an instant."""
    local = now.astimezone(KOREA)
    return now.astimezone(UTC).strftime("%m%d%H%M%S"), local.strftime("%H%M%S"), local.strftime("%m%d")


class Terminal(TerminalCore):
    """One terminal. Building methods take `now` (aware) and give a payload, MACed when it has session keys.

    Amounts are won. Every new message takes the next STAN, 1 to 999,999 and round again; a repeat keeps the
    old one.
    """

    # Network messages

    def sign_on(self, now: datetime) -> bytes:
        return self._network(now, "sign_on")

    def sign_off(self, now: datetime) -> bytes:
        return self._network(now, "sign_off")

    def key_exchange(self, now: datetime) -> bytes:
        return self._network(now, "key_exchange")

    def cutover(self, now: datetime) -> bytes:
        return self._network(now, "cutover")

    def echo(self, now: datetime) -> bytes:
        return self._network(now, "echo")

    def _network(self, now: datetime, function: str) -> bytes:
        transmission, local_time, local_date = stamps(now)
        fields = {
            7: transmission,
            11: self._next_stan(),
            12: local_time,
            13: local_date,
            41: self.terminal_id,
            70: _FUNCTION_CODES[function],
        }
        # Whoever could end a terminal's session from outside could close a shop: these two carry a MAC.
        sealed = function in ("sign_off", "cutover")
        if sealed and self.dukpt:
            private: dict[str, str] = {}
            self._next_keys(fields[11], private)
            fields[48] = encode_private(private)
        return self._note(self.seal("0800", fields) if sealed else self.codec.encode("0800", fields), "8")

    # Payments

    def purchase(self, now: datetime, pan: str, amount: int, **options: str | None) -> bytes:
        """Options: pin, expiry (YYMM), entry_mode, track2, cvv2, psn, icc, channel, order_id, rrn.

        With `case` (and `gift_from`, "P" or "C") it is a gift to a donation case.
        """
        return self._payment(now, "0200", "purchase", pan, amount, **options)

    def topup(self, now: datetime, pan: str, amount: int, **options: str | None) -> bytes:
        """Charges the card. Options as for a purchase; `reference` is the outside's, good for one top-up."""
        return self._payment(now, "0200", "topup", pan, amount, **options)

    def inquiry(self, now: datetime, pan: str, **options: str | None) -> bytes:
        """Asks for the balances. Options as for a purchase."""
        return self._payment(now, "0200", "inquiry", pan, None, **options)

    def refund(self, now: datetime, original: bytes, amount: int, **options: str | None) -> bytes:
        """Gives back `amount` of an earlier purchase (its payload), to the same card."""
        return self._about(now, "0200", "refund", original, amount, **options)

    def void(self, now: datetime, original: bytes, **options: str | None) -> bytes:
        """Undoes an earlier payment (its payload) of the open batch, whole."""
        amount = int(self.codec.decode(original).fields[4])
        return self._about(now, "0200", "void", original, amount, **options)

    def preauth(
        self, now: datetime, pan: str, amount: int, of: bytes | None = None, **options: str | None
    ) -> bytes:
        """0100: holds `amount`; with `of`, an earlier one (its payload), adds so much to that hold."""
        original = None if of is None else self._original_of(of)
        return self._payment(now, "0100", "purchase", pan, amount, original=original, **options)

    def complete(self, now: datetime, hold: bytes, amount: int, **options: str | None) -> bytes:
        """0220: the final amount of a pre-authorisation (its payload)."""
        return self._about(now, ADVICE, "purchase", hold, amount, **options)

    def offline(self, now: datetime, pan: str, amount: int, **options: str | None) -> bytes:
        """0220: a purchase that this terminal has approved by itself. Options as for one, without a PIN."""
        return self._payment(now, ADVICE, "purchase", pan, amount, **options)

    def _about(
        self, now: datetime, mti: str, kind: str, original: bytes, amount: int, **options: str | None
    ) -> bytes:
        pan = self.codec.decode(original).fields[2]
        return self._payment(now, mti, kind, pan, amount, original=self._original_of(original), **options)

    def _payment(
        self,
        now: datetime,
        mti: str,
        kind: str,
        pan: str,
        amount: int | None,
        *,
        pin: str | None = None,
        expiry: str | None = None,
        entry_mode: str | None = None,
        track2: str | None = None,
        cvv2: str | None = None,
        psn: str | None = None,
        icc: str | None = None,
        channel: str | None = None,
        order_id: str | None = None,
        case: str | None = None,
        gift_from: str | None = None,
        reference: str | None = None,
        rrn: str | None = None,
        original: str | None = None,
    ) -> bytes:
        transmission, local_time, local_date = stamps(now)
        fields = {
            2: pan,
            3: PROCESSING_CODE_OF_KIND[kind],
            7: transmission,
            11: self._next_stan(),
            12: local_time,
            13: local_date,
            22: entry_mode or ENTRY_KEYED,
            32: self.acquirer,
            41: self.terminal_id,
            42: self._merchant_field,
            49: CURRENCY_WON,
        }
        if amount is not None:
            fields[4] = f"{amount:012d}"
        private: dict[str, str] = {}
        if self._dukpt is not None:
            self._next_keys(fields[11], private)
        if pin is not None:
            self._pin(pin, pan, fields, private)
        if expiry is not None:
            fields[14] = expiry
        given = (psn, track2, rrn, icc, original)
        if given != _NOTHING_MORE:
            pairs = zip((23, 35, 37, 55, 90), given, strict=True)
            fields |= {number: value for number, value in pairs if value is not None}
        told = (channel, order_id, case, gift_from, reference)
        if told != _NOTHING_MORE:
            private |= {tag: value for tag, value in zip(_TOLD_TAGS, told, strict=True) if value is not None}
        if cvv2 is not None and mti != ADVICE:
            private[TAG_CVV2] = cvv2
        if self.batch_no:
            private[TAG_BATCH] = str(self.batch_no)
        if self.takes_partial and kind == "purchase" and mti != ADVICE:
            private[TAG_PARTIAL] = "1"
        if private:
            fields[48] = encode_private(private)
        return self._note(self.seal(mti, fields), mti[1])

    def _pin(self, pin: str, pan: str, fields: dict[int, str], private: dict[str, str]) -> None:
        block = self.pin_block(pin, pan)
        if self.pin_format != FORMAT_PLAIN:
            private[TAG_PIN_FORMAT] = self.pin_format
        if self.pin_format == FORMAT_AES:
            private[TAG_PIN_BLOCK] = block
        else:
            fields[52] = block

    def pin_block(self, pin: str, pan: str) -> str:
        """The PIN under the key in force, hex. Raises TerminalError without session keys."""
        if self._keys is None:
            raise TerminalError("a PIN needs a session key: do a key exchange first")
        return self._keys.pin_block(pin, pan, self.pin_format)

    # Reversals and repeats

    def reversal(
        self,
        now: datetime,
        original: bytes,
        *,
        advice: bool = True,
        rrn: str | None = None,
        amount: int | None = None,
        replacement: int | None = None,
        hidden: frozenset[str] = frozenset(),
    ) -> bytes:
        """0420 (or 0400) for an earlier payment, given as its payload. `amount` only to send a wrong one.

        `replacement` (DE95) is what shall remain of it, in won. `hidden` parts of DE90 are sent as zeros:
        "stan", "time".
        """
        sent = self.codec.decode(original)
        fields = {n: sent.fields[n] for n in _REVERSAL_COPIES}
        fields[4] = sent.fields.get(4, "0" * 12) if amount is None else f"{amount:012d}"
        fields[7] = stamps(now)[0]
        fields[11] = self._next_stan()
        fields[90] = _original_data(sent, hidden)
        if rrn is not None:
            fields[37] = rrn
        if replacement is not None:
            fields[95] = f"{replacement:012d}".ljust(42, "0")
        private = decode_private(sent.fields[48]) if 48 in sent.fields else {}
        self._add_private(fields, **{tag: private[tag] for tag in (TAG_REFERENCE,) if tag in private})
        return self._note(self.seal("0420" if advice else "0400", fields), "4")

    def repeat_of(self, payload: bytes) -> bytes:
        """The same message sent again:

        0201, 0401, 0421, 0801, everything else unchanged, under today's MAC key (DUKPT: under its own).
        """
        message = self.codec.decode(payload)
        mti = message.mti[:3] + "1"
        stan = message.fields[11]
        if message.mac is None:
            return self._note(self.codec.encode(mti, message.fields), mti[1], stan)
        if self._dukpt is not None:
            self._keys = self._keys_of.get(stan)
        return self._note(self.seal(mti, message.fields), mti[1], stan)

    def batch_message(self, mti: str, now: datetime, extra: dict[int, str], **private: str) -> bytes:
        """0500 or 0320 of the open batch: the particulars are the caller's (see `terminal_sim.batch`)."""
        transmission, local_time, local_date = stamps(now)
        fields = {
            7: transmission,
            11: self._next_stan(),
            12: local_time,
            13: local_date,
            32: self.acquirer,
            41: self.terminal_id,
            42: self._merchant_field,
            49: CURRENCY_WON,
        } | extra
        self._add_private(fields, **private)
        return self._note(self.seal(mti, fields), mti[1])

    def _add_private(self, fields: dict[int, str], **more: str) -> None:
        private = {TAG_BATCH: str(self.batch_no)} if self.batch_no else {}
        private |= more
        if self._dukpt is not None:
            self._next_keys(fields[11], private)
        if private:
            fields[48] = encode_private(private)

    def _original_of(self, payload: bytes) -> str:
        return _original_data(self.codec.decode(payload))


def _original_data(sent: Message, hidden: frozenset[str] = frozenset()) -> str:
    fields = sent.fields
    # A repeat stands for its original, which the switch knows under the original's MTI.
    mti = sent.mti[:3] + "0"
    stan = 0 if "stan" in hidden else int(fields[11])
    transmission = "0" * 10 if "time" in hidden else fields[7]
    return OriginalData(mti, stan, transmission, fields[32], "").encode()
