"""What every terminal has: who it is, its keys, its journal; sealing requests, reading replies."""

from collections import deque
from typing import Final

from switch.wire.dialect import CODECS
from switch.wire.message import Message, MessageError
from switch.wire.private import TAG_KEY_SERIAL
from switch.wire.session import match_key
from switch.wire.spec import NETWORK_FUNCTIONS
from terminal_sim.reply import APPROVED, Exchange, Reply, TerminalError
from terminal_sim.session import FORMAT_PLAIN, DukptKeys, Keys, keys_of_exchange

STAN_MAX: Final = 999_999
JOURNAL_MAX: Final = 10_000
ACQUIRER_DEFAULT: Final = "941061"
_KEYS_KEPT: Final = 64  # of a DUKPT terminal: messages whose answer or repeat may still come


class TerminalCore:
    """A terminal without its vocabulary (see `terminal_sim.terminal.Terminal`). Every new message takes the
    next STAN, 1 to 999,999 and round again."""

    def __init__(
        self,
        terminal_id: str,
        merchant_id: str,
        tmk: bytes,
        *,
        acquirer: str = ACQUIRER_DEFAULT,
        stan: int = 0,
        journal_max: int = JOURNAL_MAX,
        dialect: str = "ascii",
        pin_format: str = FORMAT_PLAIN,
        dukpt: DukptKeys | None = None,
    ) -> None:
        """`stan` is the last one used. `dukpt` replaces session keys; `dialect` is a name of CODECS.

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
        self.codec = CODECS[dialect]
        self.pin_format = pin_format
        self.takes_partial = False
        self.batch_no = 0  # the open batch; 0: this terminal keeps none
        self._journal_max = journal_max
        self._merchant_field = merchant_id.ljust(15)
        self._tmk = tmk
        self._keys: Keys | None = None
        self._old_keys: Keys | None = None
        self._dukpt = dukpt
        self._keys_of: dict[str, Keys] = {}  # DUKPT, by STAN

    def __repr__(self) -> str:
        return f"Terminal({self.terminal_id!r}, merchant={self.merchant_id!r}, keys={self.has_keys})"

    @property
    def has_keys(self) -> bool:
        """Whether messages can be sealed: session keys have been received, or each message has its own."""
        return self._keys is not None or self._dukpt is not None

    @property
    def needs_exchange(self) -> bool:
        """Whether this terminal works with session keys and has none."""
        return self._keys is None and self._dukpt is None

    @property
    def dukpt(self) -> bool:
        return self._dukpt is not None

    @property
    def journal_full(self) -> bool:
        """Whether lines of the journal may have been pushed out."""
        return len(self.journal) >= self._journal_max

    @property
    def last_key(self) -> str:
        """What the reply to the payment built last will be matched by."""
        return f"2{self.stan:06d}{self.terminal_id}"

    def forget_keys(self) -> None:
        """What a power cut does."""
        self._keys = self._old_keys = None
        self.signed_on = False

    def _next_keys(self, stan: str, private: dict[str, str]) -> None:
        if self._dukpt is None:
            return
        self._keys = self._dukpt.next()
        self._keys_of[stan] = self._keys
        while len(self._keys_of) > _KEYS_KEPT:
            del self._keys_of[next(iter(self._keys_of))]
        private[TAG_KEY_SERIAL] = self._keys.ksn

    def seal(self, mti: str, fields: dict[int, str]) -> bytes:
        """Any message, with a MAC when there are session keys and without when there are none."""
        keys = self._keys
        if keys is None:
            return self.codec.encode(mti, fields)
        body = self.codec.encode_for_mac(mti, fields)
        return self.codec.with_mac(body, keys.mac(body).hex().upper())

    # Replies

    def receive(self, payload: bytes, message: Message | None = None) -> Reply:
        """Reads a reply, and takes over new session keys. `message` is the payload decoded, if done already.

        Raises TerminalError when it is no reply, or brings keys that do not fit their check values.
        """
        if message is None:
            try:
                message = self.codec.decode(payload)
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
        keys = self._keys if self._dukpt is None else self._keys_of.get(message.fields.get(11, ""))
        if message.mac is None or keys is None:
            return None
        covered = payload[: message.mac_input_len]
        given = bytes.fromhex(message.mac)
        if keys.reply_mac(covered) == given:
            return True
        # A reply that crossed a key exchange is still under the keys of before.
        return self._old_keys is not None and self._old_keys.reply_mac(covered) == given

    def _network_reply(self, fields: dict[int, str]) -> None:
        match NETWORK_FUNCTIONS.get(fields.get(70, "")):
            case "sign_on":
                self.signed_on = True
            case "sign_off":
                self.signed_on = False
            case "key_exchange":
                self._old_keys, self._keys = self._keys, keys_of_exchange(self._tmk, fields.get(48, ""))

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
