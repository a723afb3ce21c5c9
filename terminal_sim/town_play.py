"""Plays a town's day against a running switch, minute by minute of simulated time.

In every minute many wallets pay at once, over several connections, but each wallet does one thing after the
other, and every message is built in the order of the plan before any is sent. Those who want of the same
scarce money, the market's budget or what the donation case still needs, come one after the other too. So the
answers do not depend on who was faster: the same plan gives the same books.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from terminal_sim.batch import OUT_OF_BALANCE, close_message, detail_messages, next_batch
from terminal_sim.card import IssuerKeys, SimCard
from terminal_sim.connection import ConnectionLostError, ReplyTimeoutError, TerminalConnection
from terminal_sim.keys import tmk
from terminal_sim.processes import ProgramError
from terminal_sim.terminal import APPROVED_PARTLY, Reply, Terminal, TerminalError
from terminal_sim.town_names import DONATION_GROUP
from terminal_sim.town_plan import EXPIRY, LAST_MINUTE, Event, TownPlan

CONNECTIONS: Final = 4
KEY_SEED: Final = 1
WRONG_MAC: Final = "0" * 16
UNKNOWN_PIN: Final = "0000"
OPENING_MINUTE: Final = 6 * 60 + 30
CLOSING_MINUTE: Final = LAST_MINUTE + 5
CASE: Final = "WARM-WINTER"  # the donation case
ALL_IN_ONE: Final = -2
JOURNAL_MAX: Final = 200_000
REPLY_TIMEOUT_S: Final = 20.0

SetClock = Callable[[datetime], Awaitable[None]]


class Message(msgspec.Struct):
    """A message of the day and its answer."""

    label: (
        str  # purchase, repeat, reversal, reversal_first, cancel, refund, gift, topup, inquiry, close, detail
    )
    terminal_no: int
    terminal: Terminal
    payload: bytes
    won: int
    original: "Message | None" = None  # of a repeat, reversal, cancel or refund
    reply: Reply | None = None
    entry: str = "keyed"  # how the card of a purchase was read
    minute: int = 0  # of the business date; from 1440 on the next day's

    @property
    def approved_won(self) -> int:
        """What the answer approved: of a partial approval less than was asked."""
        reply = self.reply
        if reply is None or not reply.approved:
            return 0
        return reply.amount or 0 if reply.code == APPROVED_PARTLY else self.won

    def __repr__(self) -> str:
        return f"Message({self.label}, {self.won} won, {self.reply!r})"


class TownPlayer:
    """Plays one plan: `await TownPlayer(plan, host, port, midnight, set_clock).play()`."""

    def __init__(
        self,
        plan: TownPlan,
        host: str,
        port: int,
        midnight: datetime,
        set_clock: SetClock,
        issuer: IssuerKeys,
    ) -> None:
        self.plan = plan
        self.cards = [SimCard(member.pan, EXPIRY, member.pin, issuer) for member in plan.members]
        self.unknown = SimCard(plan.unknown_pan, EXPIRY, UNKNOWN_PIN, issuer)
        self.host = host
        self.port = port
        self.midnight = midnight
        self.set_clock = set_clock
        self.day: list[Message] = []
        self.terminals = [
            Terminal(
                *(t.terminal_id, plan.merchants[t.merchant].merchant_id, tmk(KEY_SEED, t.terminal_id)),
                journal_max=JOURNAL_MAX,
            )
            for t in plan.terminals
        ]
        for terminal, planned in zip(self.terminals, plan.terminals, strict=True):
            terminal.batch_no = 1
            terminal.takes_partial = plan.merchants[planned.merchant].group == DONATION_GROUP
        self._scarce = {number for number, t in enumerate(plan.terminals) if plan.merchants[t.merchant].group}
        self._connections: list[TerminalConnection] = []
        self._paid: dict[int, Message] = {}  # purchases by their event, for cancels and refunds

    async def play(self, tell: Callable[[int, int], None] | None = None) -> list[Message]:
        """Everything that was sent, with its answer, in the order of the plan.

        `tell` hears the minute of the day and how many events are done.
        Raises ProgramError when the switch goes away or a terminal is refused at sign-on.
        """
        try:
            await self._open()
            minutes = _by_minute(self.plan.events)
            done = 0
            closed = False
            for minute, events in minutes:
                if minute > CLOSING_MINUTE and not closed:
                    await self._evening()
                    closed = True
                await self._minute(minute, events)
                done += len(events)
                if tell is not None:
                    tell(minute, done)
            if not closed:
                await self._evening()
        except (OSError, TimeoutError, ConnectionLostError, ReplyTimeoutError) as error:
            raise ProgramError(
                f"the switch at {self.host}:{self.port} stopped answering ({error}): see its log"
            ) from None
        except TerminalError as error:
            raise ProgramError(f"a terminal cannot work: {error}") from None
        finally:
            for connection in self._connections:
                await connection.close()
        return self.day

    async def _open(self) -> None:
        await self.set_clock(self._instant(OPENING_MINUTE))
        self._connections = [await TerminalConnection.open(self.host, self.port) for _ in range(CONNECTIONS)]
        await asyncio.gather(*(self._sign_on(number) for number in range(len(self.terminals))))

    async def _sign_on(self, number: int) -> None:
        terminal, connection = self.terminals[number], self._connections[number % CONNECTIONS]
        for build in (terminal.sign_on, terminal.key_exchange):
            payload = build(self._instant(OPENING_MINUTE))
            reply = await connection.exchange(terminal, payload, REPLY_TIMEOUT_S)
            if not reply.approved:
                raise TerminalError(f"terminal {terminal.terminal_id} was refused at sign-on: {reply.code}")

    def _instant(self, minute: int, second: int = 0) -> datetime:
        return self.midnight + timedelta(minutes=minute, seconds=second)

    async def _minute(self, minute: int, events: Sequence[Event]) -> None:
        await self.set_clock(self._instant(minute))
        by_wallet: dict[int, list[Message]] = defaultdict(list)
        together = {event.member for event in events if event.terminal in self._scarce}
        for event in events:
            chain = ALL_IN_ONE if event.member in together else event.member
            by_wallet[chain] += self._messages(event)
        for messages in by_wallet.values():
            for message in messages:
                message.minute = minute
            self.day += messages
        await asyncio.gather(*(self._one_after_the_other(messages) for messages in by_wallet.values()))

    async def _evening(self) -> None:
        """Every terminal closes its batch; whose totals differ tells the details and closes again."""
        await self.set_clock(self._instant(CLOSING_MINUTE))
        await asyncio.gather(*(self._close_batch(number) for number in range(len(self.terminals))))

    async def _close_batch(self, number: int) -> None:
        terminal, now = self.terminals[number], self._instant(CLOSING_MINUTE)
        close = Message("close", number, terminal, close_message(terminal, now), 0)
        messages = [close]
        await self._one_after_the_other(messages)
        if close.reply is not None and close.reply.code == OUT_OF_BALANCE:
            details = detail_messages(terminal, now)
            messages += [Message("detail", number, terminal, detail, 0) for detail in details]
            messages.append(Message("close", number, terminal, close_message(terminal, now), 0))
            await self._one_after_the_other(messages[1:])
        next_batch(terminal)
        self.day += messages

    async def _one_after_the_other(self, messages: Sequence[Message]) -> None:
        for message in messages:
            connection = self._connections[message.terminal_no % CONNECTIONS]
            message.reply = await connection.exchange(message.terminal, message.payload, REPLY_TIMEOUT_S)

    def _messages(self, event: Event) -> list[Message]:
        """The messages of one event, built in the order in which they are numbered."""
        terminal = self.terminals[event.terminal]
        now = self._instant(event.minute)
        pan = self._card(event).pan
        match event.kind:
            case "topup":
                payload = terminal.topup(now, pan, event.won, **self._shown(event, now))
                return [Message("topup", event.terminal, terminal, payload, event.won)]
            case "gift":
                options = self._shown(event, now) | {"gift_from": "P" if event.pin else None}
                payload = terminal.purchase(now, pan, event.won, case=CASE, **options)
                return [Message("gift", event.terminal, terminal, payload, event.won)]
            case "inquiry":
                payload = terminal.inquiry(now, pan, **self._shown(event, now))
                return [Message("inquiry", event.terminal, terminal, payload, 0)]
            case "cancel" | "refund":
                return self._correction(event, now)
        return self._purchase(event, terminal, now)

    def _purchase(self, event: Event, terminal: Terminal, now: datetime) -> list[Message]:
        pin = None
        if event.pin:
            right = self.plan.members[event.member].pin
            pin = right if event.pin == "right" else f"{(int(right) + 1) % 10_000:04d}"
        options = {**self._shown(event, now), "pin": pin, "channel": event.channel or None}
        payload = terminal.purchase(now, self._card(event).pan, event.won, **options)
        if event.kind == "bad_mac":
            payload = payload[: -len(WRONG_MAC)] + WRONG_MAC.encode()
        purchase = Message("purchase", event.terminal, terminal, payload, event.won, entry=event.entry)
        self._paid[event.order] = purchase
        match event.kind:
            case "repeat":
                return [purchase, _after(purchase, "repeat", terminal.repeat_of(payload))]
            case "timed_out":
                return [purchase, _after(purchase, "reversal", terminal.reversal(now, payload))]
            case "reversal_first":
                return [_after(purchase, "reversal_first", terminal.reversal(now, payload)), purchase]
        return [purchase]

    def _correction(self, event: Event, now: datetime) -> list[Message]:
        """A cancel or refund, if there is something to give back: nobody asks for money that was not paid."""
        original = self._paid[event.of]
        if original.reply is None or not original.reply.approved:
            return []
        terminal = original.terminal
        if event.kind == "cancel":
            payload = terminal.reversal(now, original.payload, advice=False)
            return [_after(original, "cancel", payload)]
        payload = terminal.refund(now, original.payload, event.won)
        return [_after(original, "refund", payload, event.won)]

    def _card(self, event: Event) -> SimCard:
        return self.unknown if event.member < 0 else self.cards[event.member]

    def _shown(self, event: Event, now: datetime) -> dict[str, str | None]:
        return self._card(event).present(event.entry, event.won, now)


def _by_minute(events: Sequence[Event]) -> list[tuple[int, list[Event]]]:
    found: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        found[event.minute].append(event)
    return sorted(found.items())


def _after(original: Message, label: str, payload: bytes, won: int | None = None) -> Message:
    amount = original.won if won is None else won
    return Message(label, original.terminal_no, original.terminal, payload, amount, original)
