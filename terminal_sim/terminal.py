"""One card terminal, as a value: what it is, what it knows, what it has sent and got. No socket and no clock.

It builds payloads and reads replies; somebody else carries them. Time is given with every message, simulated
or real.
"""

from collections import deque
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

import msgspec

from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import KeyRefused, unwrap
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.pinblock import account_part, encode_format0
from hsm_sim.crypto.tdes import Tdes
from switch.wire.message import Message, MessageError, decode, encode, encode_for_mac
from switch.wire.private import (
    TAG_CASHBACK,
    TAG_CHANNEL,
    TAG_MAC_KEY,
    TAG_MAC_KEY_CHECK,
    TAG_ORDER,
    TAG_PIN_KEY,
    TAG_PIN_KEY_CHECK,
    Balances,
    PrivateDataError,
    decode_balances,
    decode_private,
    encode_private,
)
from switch.wire.request import OriginalData
from switch.wire.session import match_key
from switch.wire.spec import CURRENCY_WON, NETWORK_FUNCTIONS, PROCESSING_CODE_OF_KIND

KOREA: Final = timezone(timedelta(hours=9), "Asia/Seoul")  # no daylight saving since 1988
STAN_MAX: Final = 999_999
JOURNAL_MAX: Final = 10_000
ENTRY_KEYED_PIN: Final = "012"
APPROVED: Final = "00"
ACQUIRER_DEFAULT: Final = "941061"
_FUNCTION_CODES: Final = {name: code for code, name in NETWORK_FUNCTIONS.items()}


class TerminalError(Exception):
    """The terminal cannot do this, or the reply is none. Holds no card data and no key."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came back.

    `mac_ok` is None when the reply had no MAC or the terminal has no key to check it with.
    """

    mti: str
    code: str
    fields: dict[int, str]
    mac_ok: bool | None

    def __repr__(self) -> str:
        return f"Reply({self.mti}, code={self.code}, stan={self.fields.get(11)}, mac_ok={self.mac_ok})"

    @property
    def approved(self) -> bool:
        return self.code == APPROVED

    @property
    def approval(self) -> str | None:
        return self.fields.get(38)

    @property
    def rrn(self) -> str | None:
        return self.fields.get(37)

    @property
    def business_mmdd(self) -> str | None:
        return self.fields.get(15)

    @property
    def refused_field(self) -> int | None:
        """The number of the field that a format error is about."""
        text = self.fields.get(44, "")
        return int(text) if text.isdecimal() else None

    @property
    def cashback(self) -> int | None:
        """Won granted by this payment; None when the reply does not say."""
        text = decode_private(self.fields.get(48, "")).get(TAG_CASHBACK)
        return None if text is None else int(text)

    @property
    def balances(self) -> Balances | None:
        return decode_balances(self.fields[54]) if 54 in self.fields else None


class Exchange(msgspec.Struct):
    """A line of the journal: a payload sent, and its reply once there is one. Prints without card data."""

    sent: bytes
    key: str
    reply: Reply | None = None

    def __repr__(self) -> str:
        return f"Exchange({self.sent[:4].decode()}, {self.key}, {self.reply!r})"


class _Keys:
    """The keys of one session."""

    __slots__ = ("mac", "pin")

    def __init__(self, pin_key: bytes, mac_key: bytes) -> None:
        self.pin = Tdes(pin_key)
        self.mac = RetailMac(mac_key).mac


@lru_cache(maxsize=64)
def _stamps(now: datetime) -> tuple[str, str, str]:
    """DE7 (UTC), DE12 and DE13 (Korean local) of an instant."""
    local = now.astimezone(KOREA)
    return now.astimezone(UTC).strftime("%m%d%H%M%S"), local.strftime("%H%M%S"), local.strftime("%m%d")


class Terminal:
    """One terminal. Building methods take `now` (aware) and give a payload, MACed when it has session keys.

    Amounts are won. Every new message takes the next STAN, 1 to 999,999 and round again; a repeat keeps the
    old one.
    """

    def __init__(
        self,
        terminal_id: str,
        merchant_id: str,
        tmk: bytes,
        *,
        acquirer: str = ACQUIRER_DEFAULT,
        stan: int = 0,
        journal_max: int = JOURNAL_MAX,
    ) -> None:
        """`stan` is the last one used.

        `journal_max` 0 keeps no journal: for load, where it would cost most.
        """
        if not 1 <= len(terminal_id) <= 8 or not 1 <= len(merchant_id) <= 15:
            raise ValueError("a terminal id has 1 to 8 characters, a merchant id 1 to 15")
        if not 0 <= stan <= STAN_MAX:
            raise ValueError(f"a STAN is 0 to {STAN_MAX}")
        self.terminal_id = terminal_id.ljust(8)
        self.merchant_id = merchant_id
        self.acquirer = acquirer
        self.stan = stan
        self.journal: deque[Exchange] = deque(maxlen=journal_max)
        self.signed_on = False
        self._journal_max = journal_max
        self._merchant_field = merchant_id.ljust(15)
        self._tmk = tmk
        self._keys: _Keys | None = None
        self._old_keys: _Keys | None = None

    def __repr__(self) -> str:
        return f"Terminal({self.terminal_id!r}, merchant={self.merchant_id!r}, keys={self.has_keys})"

    @property
    def has_keys(self) -> bool:
        """Whether session keys have been received."""
        return self._keys is not None

    @property
    def last_key(self) -> str:
        """What the reply to the payment built last will be matched by."""
        return f"2{self.stan:06d}{self.terminal_id}"

    def forget_keys(self) -> None:
        """What a power cut does."""
        self._keys = self._old_keys = None
        self.signed_on = False

    # Network messages

    def sign_on(self, now: datetime) -> bytes:
        return self._network(now, "sign_on")

    def sign_off(self, now: datetime) -> bytes:
        return self._network(now, "sign_off")

    def key_exchange(self, now: datetime) -> bytes:
        return self._network(now, "key_exchange")

    def echo(self, now: datetime) -> bytes:
        return self._network(now, "echo")

    def _network(self, now: datetime, function: str) -> bytes:
        transmission, local_time, local_date = _stamps(now)
        fields = {
            7: transmission,
            11: self._next_stan(),
            12: local_time,
            13: local_date,
            41: self.terminal_id,
            70: _FUNCTION_CODES[function],
        }
        return self._note(encode("0800", fields), "8")

    # Payments

    def purchase(self, now: datetime, pan: str, amount: int, **options: str | None) -> bytes:
        """Options: pin, expiry (YYMM), entry_mode, channel, order_id, rrn."""
        return self._payment(now, "purchase", pan, amount, **options)

    def topup(self, now: datetime, pan: str, amount: int, **options: str | None) -> bytes:
        """Charges the card. Options as for a purchase."""
        return self._payment(now, "topup", pan, amount, **options)

    def inquiry(self, now: datetime, pan: str, **options: str | None) -> bytes:
        """Asks for the balances. Options as for a purchase."""
        return self._payment(now, "inquiry", pan, None, **options)

    def refund(self, now: datetime, original: bytes, amount: int, **options: str | None) -> bytes:
        """Gives back `amount` of an earlier purchase (its payload), to the same card."""
        sent = decode(original)
        return self._payment(now, "refund", sent.fields[2], amount, original=_original_of(sent), **options)

    def _payment(
        self,
        now: datetime,
        kind: str,
        pan: str,
        amount: int | None,
        *,
        pin: str | None = None,
        expiry: str | None = None,
        entry_mode: str | None = None,
        channel: str | None = None,
        order_id: str | None = None,
        rrn: str | None = None,
        original: str | None = None,
    ) -> bytes:
        transmission, local_time, local_date = _stamps(now)
        fields = {
            2: pan,
            3: PROCESSING_CODE_OF_KIND[kind],
            7: transmission,
            11: self._next_stan(),
            12: local_time,
            13: local_date,
            22: entry_mode or ENTRY_KEYED_PIN,
            32: self.acquirer,
            41: self.terminal_id,
            42: self._merchant_field,
            49: CURRENCY_WON,
        }
        if amount is not None:
            fields[4] = f"{amount:012d}"
        if pin is not None:
            fields[52] = self.pin_block(pin, pan)
        if expiry is not None:
            fields[14] = expiry
        if channel is not None or order_id is not None:
            given = {TAG_CHANNEL: channel, TAG_ORDER: order_id}
            fields[48] = encode_private({tag: value for tag, value in given.items() if value is not None})
        if rrn is not None:
            fields[37] = rrn
        if original is not None:
            fields[90] = original
        return self._note(self.seal("0200", fields), "2")

    def pin_block(self, pin: str, pan: str) -> str:
        """DE52: format 0 under the session PIN key. Raises TerminalError without session keys."""
        if self._keys is None:
            raise TerminalError("a PIN needs a session key: do a key exchange first")
        return self._keys.pin.encrypt(encode_format0(pin, account_part(pan))).hex().upper()

    # Reversals and repeats

    def reversal(
        self,
        now: datetime,
        original: bytes,
        *,
        advice: bool = True,
        rrn: str | None = None,
        amount: int | None = None,
    ) -> bytes:
        """0420 (or 0400) for an earlier payment, given as its payload. `amount` only to send a wrong one."""
        sent = decode(original)
        fields = {n: sent.fields[n] for n in (2, 3, 12, 13, 32, 41, 42, 49)}
        fields[4] = sent.fields.get(4, "0" * 12) if amount is None else f"{amount:012d}"
        fields[7] = _stamps(now)[0]
        fields[11] = self._next_stan()
        fields[90] = _original_of(sent)
        if rrn is not None:
            fields[37] = rrn
        return self._note(self.seal("0420" if advice else "0400", fields), "4")

    def repeat_of(self, payload: bytes) -> bytes:
        """The same message sent again:

        0201, 0401, 0421, 0801, everything else unchanged, under today's MAC key.
        """
        message = decode(payload)
        mti = message.mti[:3] + "1"
        sealed = encode(mti, message.fields) if mti == "0801" else self.seal(mti, message.fields)
        return self._note(sealed, mti[1], message.fields[11])

    def seal(self, mti: str, fields: dict[int, str]) -> bytes:
        """Any message, with a MAC when there are session keys and without when there are none."""
        keys = self._keys
        if keys is None:
            return encode(mti, fields)
        body = encode_for_mac(mti, fields)
        return body + keys.mac(body).hex().upper().encode()

    # Replies

    def receive(self, payload: bytes, message: Message | None = None) -> Reply:
        """Reads a reply, and takes over new session keys. `message` is the payload decoded, if done already.

        Raises TerminalError when it is no reply, or brings keys that do not fit their check values.
        """
        if message is None:
            try:
                message = decode(payload)
            except MessageError as error:
                raise TerminalError(f"the reply cannot be read: {error}") from None
        fields = message.fields
        code = fields.get(39)
        if code is None:
            raise TerminalError(f"{message.mti} is not a reply")
        reply = Reply(message.mti, code, fields, self._mac_ok(payload, message))
        if self._journal_max:
            self._answer(reply)
        if message.mti == "0810" and code == APPROVED:
            self._network_reply(fields)
        return reply

    def _mac_ok(self, payload: bytes, message: Message) -> bool | None:
        keys = self._keys
        if message.mac is None or keys is None:
            return None
        covered = payload[: message.mac_input_len]
        given = bytes.fromhex(message.mac)
        if keys.mac(covered) == given:
            return True
        # A reply that crossed a key exchange is still under the keys of before.
        return self._old_keys is not None and self._old_keys.mac(covered) == given

    def _network_reply(self, fields: dict[int, str]) -> None:
        match NETWORK_FUNCTIONS.get(fields.get(70, "")):
            case "sign_on":
                self.signed_on = True
            case "sign_off":
                self.signed_on = False
            case "key_exchange":
                self._install(fields.get(48, ""))

    def _install(self, private: str) -> None:
        try:
            items = decode_private(private)
            pin_key = unwrap(self._tmk, items[TAG_PIN_KEY])
            mac_key = unwrap(self._tmk, items[TAG_MAC_KEY])
            checks = items[TAG_PIN_KEY_CHECK], items[TAG_MAC_KEY_CHECK]
        except (PrivateDataError, KeyError, KeyRefused):
            raise TerminalError("the key exchange brought no usable session keys") from None
        if (check_value(pin_key), check_value(mac_key)) != checks:
            raise TerminalError("a session key does not fit its check value: the master keys differ")
        self._old_keys, self._keys = self._keys, _Keys(pin_key, mac_key)

    def _answer(self, reply: Reply) -> None:
        key = match_key(reply.mti, reply.fields.get(11, ""), self.terminal_id)
        for exchange in reversed(self.journal):
            if exchange.key == key:
                exchange.reply = reply
                return

    def _note(self, payload: bytes, mti_class: str, stan: str | None = None) -> bytes:
        if self._journal_max:
            key = mti_class + (stan or f"{self.stan:06d}") + self.terminal_id
            self.journal.append(Exchange(payload, key))
        return payload

    def _next_stan(self) -> str:
        self.stan = self.stan % STAN_MAX + 1
        return f"{self.stan:06d}"


def _original_of(sent: Message) -> str:
    fields = sent.fields
    # A repeat stands for its original, which the switch knows under the original's MTI.
    mti = sent.mti[:3] + "0"
    return OriginalData(mti, int(fields[11]), fields[7], fields[32], "").encode()
