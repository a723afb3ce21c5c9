"""One message from its payload to the payload of its answer: a short list of named steps.

    decode ─▶ terminal ─▶ certificate ─▶ MAC ─▶ session ─▶ door (date, amount, merchant, card)
           ─▶ card and PIN (HSM) ─▶ authorizer ─▶ answer, MACed

What is refused before the authorizer touches no wallet and takes no lock. A reply is made only after the
commit it tells of.
"""

import asyncio
from collections.abc import Callable
from datetime import date, datetime

import structlog
from msgspec.structs import replace

from switch.domain.reasons import CODE, REASONS
from switch.domain.request import Stored
from switch.hsm.commands import HsmRefused
from switch.hsm.link import HsmUnavailable
from switch.service import metrics
from switch.service.authorizer import Authorizer, BookingFailedError, BooksUnavailableError
from switch.service.cardcheck import UNCHECKED, CardCheck, CardKeys, Checked
from switch.service.closing import Closing
from switch.service.directory import Directory
from switch.service.door import Door
from switch.service.holder import ReferenceHolder
from switch.service.keyring import Keyring, Session
from switch.service.line import Line
from switch.service.network import NetworkDesk
from switch.service.probing import Probing
from switch.service.recent import Recent
from switch.service.refused import RefusedError
from switch.store.lookup import CardRef, LookupUnavailableError, TerminalRow
from switch.wire.message import Message, MessageError
from switch.wire.private import TAG_CASHBACK, Balances
from switch.wire.reply import error_fields, reply_fields
from switch.wire.request import BatchClose, BatchDetail, Network, Payment, Request, Reversal, parse_request
from switch.wire.spec import reply_mti

log = structlog.get_logger()

PENDING_S = 10.0
"""How long the close of a batch waits for the messages of its terminal that are being worked on."""

# Answers that leave the terminal no wiser than silence: without a MAC they do no harm.
_NOTHING_TOLD = frozenset({REASONS["books_unavailable"].code, REASONS["malfunction"].code})

_PERHAPS_NEW = ("unknown_merchant", "no_policy")
# A wrong expiry too: who has only a card's number goes on by guessing that.
_GUESSES = frozenset({REASONS[name].number for name in ("wrong_pin", "cvv_failure", "card_expired")})


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
        directory: Directory,
        network: NetworkDesk,
        door: Door,
        holder: ReferenceHolder,
        keyring: Keyring,
        cards: CardCheck,
        closing: Closing,
        recent: Recent,
        probing: Probing,
        keys_of: Callable[[int], CardKeys],
        now: Callable[[], datetime],
    ) -> None:
        self._authorizer = authorizer
        self._directory = directory
        self._network = network
        self._door = door
        self._holder = holder
        self._keyring = keyring
        self._cards = cards
        self._closing = closing
        self._recent = recent
        self._probing = probing
        self._keys_of = keys_of
        self._now = now
        self._open: dict[str, int] = {}
        self._quiet: dict[str, asyncio.Event] = {}  # closes that wait until a terminal has nothing open

    async def answer(self, payload: bytes, line: Line) -> bytes:
        """The answer's payload. Raises NoAnswerError, and nothing else."""
        try:
            message = line.codec.decode(payload)
            request = parse_request(message)
        except MessageError as error:
            return _malformed(error, line)
        try:
            return await self._answer(payload, message, request, line)
        except RefusedError as refused:
            return _plain(message, refused.reason, line)
        except HsmUnavailable:
            metrics.HSM_FAILURES.inc()
            return _plain(message, "hsm_unavailable", line)
        except (LookupUnavailableError, BooksUnavailableError):
            return _plain(message, "books_unavailable", line)
        except HsmRefused as error:
            log.error(
                "no answer could be worked out",
                error=str(error),
                mti=message.mti,
                terminal=request.terminal_id,
            )
            return _plain(message, "malfunction", line)

    async def _answer(self, payload: bytes, message: Message, request: Request, line: Line) -> bytes:
        terminal = await self._directory.terminal(request.terminal_id)
        if terminal is None or not terminal.active:
            raise RefusedError("terminal_not_permitted")
        if not line.permits(terminal.terminal_id):
            raise RefusedError("certificate_not_permitted")
        covered = payload[: message.mac_input_len]
        if isinstance(request, Network):
            return await self._managed(covered, message, request, terminal, line)
        repeat = request.repeat
        session = await self._keyring.open(terminal, covered, message.mac, request.ksn, repeat=repeat)
        if not line.may_speak(terminal.terminal_id):
            raise RefusedError("session_superseded")
        if isinstance(request, BatchClose | BatchDetail):
            reply = await self._batch(message, request, session.terminal)
        else:
            reply = await self._counted(message, request, session, line)
        return await self._sealed(message, reply, session, line)

    async def _managed(
        self, covered: bytes, message: Message, request: Network, terminal: TerminalRow, line: Line
    ) -> bytes:
        """0800 needs no MAC; one that is there must be right, and the answer then has one too."""
        session: Session | None = None
        if message.mac is not None:
            ended = request.function == "key_exchange"  # with keys whose time is over it must be possible
            session = await self._keyring.open(
                terminal, covered, message.mac, request.ksn, repeat=request.repeat, ended=ended
            )
        fields = await self._network.answer(message, request, terminal, session)
        if request.function == "cutover":
            fields[15] = await self._business_mmdd(terminal)
        if session is None:
            return _encoded(reply_mti(message.mti), fields, line)
        return await self._sealed(message, fields, session, line)

    async def _business_mmdd(self, terminal: TerminalRow) -> str:
        try:
            return self._door.business_mmdd(terminal, self._now())
        except RefusedError:
            if not await self._holder.renew():
                raise
            return self._door.business_mmdd(terminal, self._now())

    async def _sealed(self, message: Message, reply: dict[int, str], session: Session, line: Line) -> bytes:
        """The reply under the key set that the request came under."""
        mti = reply_mti(message.mti)
        body = line.codec.encode_for_mac(mti, reply)
        metrics.ANSWERS.inc(mti, reply[39])
        try:
            mac = await self._keyring.seal(session, body)
        except (HsmUnavailable, HsmRefused):
            metrics.HSM_FAILURES.inc()
            if reply[39] in _NOTHING_TOLD:
                return _encoded(mti, reply, line)
            # It is booked and cannot be told safely: the terminal will repeat, and get the stored answer.
            raise NoAnswerError("the answer could not be MACed", close=False) from None
        return line.codec.with_mac(body, mac)

    async def _batch(
        self, message: Message, request: BatchClose | BatchDetail, terminal: TerminalRow
    ) -> dict[int, str]:
        """The close of a terminal's batch waits for what that terminal has under way (bounded)."""
        if isinstance(request, BatchDetail):
            return await self._closing.detail(message, request, terminal)
        name, deadline = terminal.terminal_id, asyncio.get_running_loop().time() + PENDING_S
        try:
            async with asyncio.timeout_at(deadline):
                while name in self._open:
                    await self._quiet.setdefault(name, asyncio.Event()).wait()
        except TimeoutError:
            return reply_fields(message, code=REASONS["books_unavailable"].code)
        return await self._closing.close(message, request, terminal)

    async def _counted(
        self, message: Message, request: Payment | Reversal, session: Session, line: Line
    ) -> dict[int, str]:
        """A payment or reversal, known to be under way until it is answered."""
        terminal_id = session.terminal.terminal_id
        under_way = self._open
        under_way[terminal_id] = under_way.get(terminal_id, 0) + 1
        try:
            return await self._financial(message, request, session, line)
        finally:
            left = under_way[terminal_id] - 1
            if left:
                under_way[terminal_id] = left
            else:
                del under_way[terminal_id]
                if self._quiet and (quiet := self._quiet.pop(terminal_id, None)) is not None:
                    quiet.set()

    async def _financial(
        self, message: Message, request: Payment | Reversal, session: Session, line: Line
    ) -> dict[int, str]:
        """The reply of a payment or reversal whose MAC is good; refusals are MACed like approvals."""
        try:
            today = self._now().date()
            self._let_in(request, session.terminal)
            await self._check(request, session.terminal, today)
            card = await self._directory.card(request.pan)
            if card is None:
                self._guessed(session.terminal)
                raise RefusedError("unknown_card")
            self._door.check_card(request, card)
            checked = await self._shown(request, card, session)
            asked = self._door.admit(request, card, checked or UNCHECKED, today)
            # The PIN of a repeat may be under the session key of before; its answer is stored all the same.
            if checked is None and not await self._directory.booked(asked.key):
                raise RefusedError("pin_key_error")
            if await self._recent.clashes(asked.key, asked.wallet_id, line.opened):
                metrics.DIFFERING_REPEATS.inc()
                return self._differs(message, request)
            try:
                answer = await self._authorizer.submit(asked)
            except (BooksUnavailableError, BookingFailedError):
                self._recent.forget(asked.key)
                raise
        except RefusedError as refused:
            if isinstance(request, Reversal) or request.advice:
                # It tells of money that has moved: nothing is booked, so somebody must know.
                log.warning(
                    "an advice or reversal was refused",
                    reason=refused.reason,
                    terminal=request.terminal_id,
                    stan=request.stan,
                    won=request.amount,
                )
            return reply_fields(message, code=REASONS[refused.reason].code)
        except (LookupUnavailableError, BooksUnavailableError):
            return reply_fields(message, code=REASONS["books_unavailable"].code)
        except BookingFailedError:
            return reply_fields(message, code=REASONS["malfunction"].code)
        if answer.differs:
            return self._differs(message, request)
        if not answer.repeated:
            line.claim(session.terminal.terminal_id)
        if answer.stored.reason in _GUESSES and not answer.repeated:
            self._guessed(session.terminal)
        return _told(message, request, answer.stored, checked or UNCHECKED)

    def _let_in(self, request: Payment | Reversal, terminal: TerminalRow) -> None:
        """A terminal that guesses is not asked; what it tells of money that has moved is heard."""
        told = isinstance(request, Reversal) or request.advice
        if self._probing.stopped(terminal.terminal_id, told=told):
            raise RefusedError("terminal_not_permitted")

    def _guessed(self, terminal: TerminalRow) -> None:
        if self._probing.failed(terminal.terminal_id):
            log.warning("a terminal fails too often: its payments are refused", terminal=terminal.terminal_id)

    def _differs(self, message: Message, request: Payment | Reversal) -> dict[int, str]:
        log.warning("same key with other contents", terminal=request.terminal_id, stan=request.stan)
        return reply_fields(message, code=REASONS["duplicate_differs"].code)

    async def _check(self, request: Payment | Reversal, terminal: TerminalRow, today: date) -> None:
        try:
            self._door.check(request, terminal, today)
        except RefusedError as refused:
            # It may have been imported a moment ago, and no batch has come by since to see it.
            if refused.reason not in _PERHAPS_NEW or not await self._holder.renew():
                raise
            self._door.check(request, terminal, today)

    async def _shown(self, request: Payment | Reversal, card: CardRef, session: Session) -> Checked | None:
        """What card and PIN prove; None when the PIN block cannot be read under the terminal's keys."""
        if isinstance(request, Reversal):
            return UNCHECKED
        checked = await self._cards.proof(request, card)
        if request.pin_block is None:
            return checked
        pvk = self._keys_of(card.programme_no).pvk
        pin = await self._keyring.pin(session, request.pin_block, request.pin_format, request.pan, card, pvk)
        return None if pin is None else replace(checked, pin=pin)


def _told(message: Message, request: Payment | Reversal, stored: Stored, checked: Checked) -> dict[int, str]:
    """The reply of a stored payment: the same for every repeat."""
    code = CODE[stored.reason]
    mmdd = f"{stored.business_day % 10_000:04d}"
    if not stored.approval or isinstance(request, Reversal):
        return reply_fields(message, code=code, rrn=stored.rrn, business_mmdd=mmdd)
    return reply_fields(
        message,
        code=code,
        rrn=stored.rrn,
        business_mmdd=mmdd,
        approval=stored.approval,
        private={TAG_CASHBACK: str(stored.cashback)} if stored.cashback > 0 else None,
        balances=Balances(stored.ledger_after, stored.available_after),
        amount=stored.approved if stored.approved != stored.amount else None,
        icc=checked.arpc or None,
    )


def _malformed(error: MessageError, line: Line) -> bytes:
    if error.mti is None:
        raise NoAnswerError("the message cannot be read", close=True) from None
    return _encoded(reply_mti(error.mti), error_fields(error), line)


def _plain(message: Message, reason: str, line: Line) -> bytes:
    """An answer without a MAC: there is no key that the terminal is known to share."""
    return _encoded(reply_mti(message.mti), reply_fields(message, code=REASONS[reason].code), line)


def _encoded(mti: str, fields: dict[int, str], line: Line) -> bytes:
    metrics.ANSWERS.inc(mti, fields[39])
    return line.codec.encode(mti, fields)
