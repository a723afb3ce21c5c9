"""One message from its payload to the payload of its answer: a short list of named steps.

    decode ─▶ terminal ─▶ MAC ─▶ door (date, amount, merchant, card) ─▶ PIN ─▶ authorizer ─▶ answer, MACed

What is refused before the authorizer touches no wallet and takes no lock. A reply is made only after the
commit it tells of.
"""

from collections.abc import Callable
from datetime import datetime

import structlog

from switch.domain.reasons import CODE, REASONS
from switch.domain.request import PinCheck, Stored
from switch.hsm.commands import HsmRefused
from switch.hsm.link import HsmUnavailable
from switch.service import metrics
from switch.service.authorizer import Authorizer, BookingFailedError, BooksUnavailableError
from switch.service.directory import Directory
from switch.service.door import Door
from switch.service.holder import ReferenceHolder
from switch.service.keyring import Keyring, Session
from switch.service.line import Line
from switch.service.network import NetworkDesk
from switch.service.refused import RefusedError
from switch.store.lookup import CardRef, LookupUnavailableError, TerminalRow
from switch.wire.message import Message, MessageError, decode, encode, encode_for_mac
from switch.wire.private import TAG_CASHBACK, Balances
from switch.wire.request import (
    Network,
    Payment,
    Reversal,
    error_fields,
    parse_request,
    reply_fields,
    reply_mti,
)

log = structlog.get_logger()


# Answers that leave the terminal no wiser than silence: without a MAC they do no harm.
_NOTHING_TOLD = frozenset({REASONS["books_unavailable"].code, REASONS["malfunction"].code})


_PERHAPS_NEW = ("unknown_merchant", "no_policy")


class NoAnswerError(Exception):
    """The message gets no answer: it cannot be read, or the answer cannot be made safe. `close` says whether
    the connection must be closed."""

    def __init__(self, why: str, *, close: bool) -> None:
        super().__init__(why)
        self.close = close


class Desk:
    """Answers messages. One per process; any number of connections."""

    def __init__(
        self,
        *,
        authorizer: Authorizer,
        keyring: Keyring,
        directory: Directory,
        network: NetworkDesk,
        door: Door,
        holder: ReferenceHolder,
        pvk_of: Callable[[int], str],
        now: Callable[[], datetime],
    ) -> None:
        self._authorizer = authorizer
        self._keyring = keyring
        self._directory = directory
        self._network = network
        self._door = door
        self._holder = holder
        self._pvk_of = pvk_of
        self._now = now

    async def answer(self, payload: bytes, line: Line) -> bytes:
        """The answer's payload. Raises NoAnswerError, and nothing else."""
        try:
            message = decode(payload)
            request = parse_request(message)
        except MessageError as error:
            return _malformed(error)
        try:
            return await self._answer(payload, message, request)
        except RefusedError as refused:
            return _plain(message, refused.reason)
        except HsmUnavailable:
            metrics.HSM_FAILURES.inc()
            return _plain(message, "hsm_unavailable")
        except (LookupUnavailableError, BooksUnavailableError):
            return _plain(message, "books_unavailable")
        except HsmRefused as error:
            log.error("no answer could be worked out", error=type(error).__name__, mti=message.mti)
            return _plain(message, "malfunction")

    async def _answer(self, payload: bytes, message: Message, request: Payment | Reversal | Network) -> bytes:
        terminal = await self._directory.terminal(request.terminal_id)
        if terminal is None or not terminal.active:
            raise RefusedError("terminal_not_permitted")
        covered = payload[: message.mac_input_len]
        if isinstance(request, Network):
            return await self._network_answer(covered, message, request, terminal)
        session = await self._keyring.open(terminal, covered, message.mac)
        reply = await self._financial(message, request, session)
        return await self._sealed(message, reply, session)

    async def _network_answer(
        self, covered: bytes, message: Message, request: Network, terminal: TerminalRow
    ) -> bytes:
        """0800 needs no MAC; one that is there must be right, and the answer then has one too."""
        session: Session | None = None
        if message.mac is not None:
            exchange = request.function == "key_exchange"  # with keys whose time is over it must be possible
            session = await self._keyring.open(terminal, covered, message.mac, ended=exchange)
        fields = await self._network.answer(message, request, terminal, session)
        if session is None:
            return _encoded(reply_mti(message.mti), fields)
        return await self._sealed(message, fields, session)

    async def _sealed(self, message: Message, reply: dict[int, str], session: Session) -> bytes:
        """The answer with its MAC. Raises NoAnswerError."""
        body = encode_for_mac(reply_mti(message.mti), reply)
        metrics.ANSWERS.inc(reply_mti(message.mti), reply[39])
        try:
            mac = await self._keyring.seal(session, body)
        except (HsmUnavailable, HsmRefused):
            metrics.HSM_FAILURES.inc()
            if reply[39] in _NOTHING_TOLD:
                return _encoded(reply_mti(message.mti), reply)
            # It is booked and cannot be told safely: the terminal will repeat, and get the stored answer.
            raise NoAnswerError("the answer could not be MACed", close=False) from None
        return body + mac.encode()

    async def _financial(
        self, message: Message, request: Payment | Reversal, session: Session
    ) -> dict[int, str]:
        """The reply of a payment or reversal whose MAC is good; refusals are MACed like approvals."""
        terminal = session.terminal
        try:
            today = self._now().date()
            try:
                self._door.check(request, terminal, today)
            except RefusedError as refused:
                # It may have been imported a moment ago, and no batch has come by since to see it.
                if refused.reason not in _PERHAPS_NEW or not await self._holder.renew():
                    raise
                self._door.check(request, terminal, today)
            card = await self._directory.card(request.pan)
            if card is None:
                raise RefusedError("unknown_card")
            self._door.check_card(request, card)
            pin = await self._pin(request, card, session)
            asked = self._door.admit(request, card, PinCheck.NONE if pin is None else pin, today)
            # The PIN of a repeat may be under the session key of before; its answer is stored all the same.
            if pin is None and not await self._directory.booked(asked.key):
                raise RefusedError("pin_key_error")
            answer = await self._authorizer.submit(asked)
        except RefusedError as refused:
            return reply_fields(message, code=REASONS[refused.reason].code)
        except (LookupUnavailableError, BooksUnavailableError):
            return reply_fields(message, code=REASONS["books_unavailable"].code)
        except BookingFailedError:
            return reply_fields(message, code=REASONS["malfunction"].code)
        if answer.differs:
            log.warning("same key with other contents", terminal=request.terminal_id, stan=request.stan)
            return reply_fields(message, code=REASONS["duplicate_differs"].code)
        return _told(message, request, answer.stored)

    async def _pin(self, request: Payment | Reversal, card: CardRef, session: Session) -> PinCheck | None:
        """What the HSM says of the PIN; None when no key of the terminal opens the block."""
        if isinstance(request, Reversal) or request.pin_block is None:
            return PinCheck.NONE
        pvk = self._pvk_of(card.programme_no)
        return await self._keyring.pin(session, request.pin_block, "0", request.pan, card, pvk)


def _told(message: Message, request: Payment | Reversal, stored: Stored) -> dict[int, str]:
    """The reply of a stored payment: the same for every repeat."""
    approved = bool(stored.approval)
    payment = isinstance(request, Payment)
    return reply_fields(
        message,
        code=CODE[stored.reason],
        rrn=stored.rrn,
        business_mmdd=f"{stored.business_day % 10_000:04d}",
        approval=stored.approval if approved and payment else None,
        private={TAG_CASHBACK: str(stored.cashback)}
        if approved and payment and stored.cashback > 0
        else None,
        balances=Balances(stored.ledger_after, stored.available_after) if approved and payment else None,
    )


def _malformed(error: MessageError) -> bytes:
    if error.mti is None:
        raise NoAnswerError("the message cannot be read", close=True) from None
    return _encoded(reply_mti(error.mti), error_fields(error))


def _plain(message: Message, reason: str) -> bytes:
    """An answer without a MAC: there is no key that the terminal is known to share."""
    return _encoded(reply_mti(message.mti), reply_fields(message, code=REASONS[reason].code))


def _encoded(mti: str, fields: dict[int, str]) -> bytes:
    metrics.ANSWERS.inc(mti, fields[39])
    return encode(mti, fields)
