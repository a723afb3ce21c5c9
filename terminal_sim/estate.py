"""An estate of good terminals on a bad day: payments of all kinds, faults by chance, and what each calls for.

Unlike `load`, which measures, this proves: a terminal does one thing at a time, keeps its journal, and does
after every fault what a good terminal does, so that in the end its journal and the books must agree:

    no answer in time            0420 until it is answered
    the line broke               dial again, the same message as a repeat (0201, 0101, 0221, 0421)
    63 or 81                     new session keys, then the payment anew
    95 at the batch close        upload the details, close again
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from terminal_sim.batch import OUT_OF_BALANCE, close_message, detail_messages, next_batch
from terminal_sim.card import SimCard
from terminal_sim.connection import LineSettings
from terminal_sim.estate_lines import EstateLines
from terminal_sim.faults import OFFLINE_PAYMENTS_MAX, PPM, Fault, FaultPlan
from terminal_sim.terminal import KOREA, Reply, Terminal, TerminalError

KINDS: Final = ("topup", "inquiry", "preauth", "refund", "void", "part")
STORM_AT_ONCE: Final = 256
REKEY_CODES: Final = ("63", "81")


class EstatePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do where, until `payments` turns or `duration_s` are over. Amounts in won, both ends included.

    `kinds` and `entries` are chances in millionths by name; what they leave is purchases, and keyed.
    """

    host: str
    port: int
    settings: LineSettings = LineSettings()
    connections: int = 2
    at_once: int = 32
    payments: int | None = None
    duration_s: float | None = None
    amount_min: int = 1_000
    amount_max: int = 40_000
    pin_share_ppm: int = 0
    timeout_s: float = 10.0
    kinds: dict[str, int] = {}
    entries: dict[str, int] = {}
    batches: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.payments is None and self.duration_s is None:
            raise ValueError("give payments or duration_s, or the run never ends")
        if not 1 <= self.amount_min <= self.amount_max < 10**12:
            raise ValueError("amounts must be 1 <= amount_min <= amount_max, at most 12 digits")
        for name, chances in (("kinds", self.kinds), ("entries", self.entries)):
            if any(part < 0 for part in chances.values()) or sum(chances.values()) > PPM:
                raise ValueError(f"{name}: chances are 0 to 1, and together not more than 1")


class EstateReport(msgspec.Struct, frozen=True, kw_only=True):
    """What happened. `answers` counts DE39 codes, `did` what terminals did of themselves."""

    seed: int
    turns: int
    answers: dict[str, int]
    faults: dict[str, int]
    did: dict[str, int]
    elapsed_s: float
    days: list[date]
    compared: int = 0
    differences: list[str] = []


class Estate:
    """Plays one plan: `await Estate(plan, terminals, cards, faults).play()`."""

    def __init__(
        self, plan: EstatePlan, terminals: Sequence[Terminal], cards: Sequence[SimCard], faults: FaultPlan
    ) -> None:
        """Terminals with journals, at least one; a card is used by one terminal at a time."""
        if not terminals or not cards:
            raise ValueError("an estate needs a terminal and a card")
        self.plan = plan
        self.terminals = terminals
        self.faults = faults
        self.random = random.Random(f"estate/{plan.seed}")
        self.turns = 0
        self.answers: Counter[str] = Counter()
        self.did: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.days: set[date] = set()
        self._lines = EstateLines(
            plan.host, plan.port, plan.settings, plan.connections, plan.timeout_s, self.did
        )
        self._cards: asyncio.Queue[SimCard] = asyncio.Queue()
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for card in cards:
            self._cards.put_nowait(card)
        for number, terminal in enumerate(terminals):
            terminal.batch_no = terminal.batch_no or int(plan.batches)
            self._free.put_nowait(number)
        self._paid: dict[int, tuple[bytes, int]] = {}  # the last approved purchase of a terminal, and its won

    async def play(self) -> EstateReport:
        """Raises OSError or TimeoutError when the switch is not there, TerminalError when a terminal is
        refused at sign-on, UnansweredError when the switch leaves a message without an answer."""
        started = time.monotonic()
        end = float("inf") if self.plan.duration_s is None else started + self.plan.duration_s
        try:
            await self._each(self._sign_on)
            workers = min(self.plan.at_once, len(self.terminals), self._cards.qsize())
            await _together([self._work(end) for _ in range(workers)])
            if self.plan.batches:
                await self._each(self._close_batch)
        finally:
            await self._lines.close()
        return EstateReport(
            seed=self.plan.seed,
            turns=self.turns,
            answers=dict(sorted(self.answers.items())),
            faults=dict(sorted(self.happened.items())),
            did=dict(sorted(self.did.items())),
            elapsed_s=round(time.monotonic() - started, 2),
            days=sorted(self.days),
        )

    async def _each(self, act: Callable[[int], Awaitable[None]]) -> None:
        gate = asyncio.Semaphore(STORM_AT_ONCE)

        async def one(number: int) -> None:
            async with gate:
                await act(number)

        await _together([one(number) for number in range(len(self.terminals))])

    async def _work(self, end: float) -> None:
        limit = 1 << 62 if self.plan.payments is None else self.plan.payments
        while self.turns < limit and time.monotonic() < end:
            self.turns += 1
            number, card = await self._free.get(), await self._cards.get()
            try:
                await self._turn(number, card, self.faults.draw())
            finally:
                self._free.put_nowait(number)
                self._cards.put_nowait(card)

    async def _turn(self, number: int, card: SimCard, fault: Fault | None) -> None:
        """One customer at one terminal."""
        if fault is not None:
            self.happened[fault] += 1
        now = self._now(fault)
        if fault is Fault.OFFLINE:
            await self._offline(number, card, now)
            return
        if fault is Fault.STORM:
            self._lines.break_all()
            await self._each(self._sign_on)
        kind = _drawn(self.random, self.plan.kinds) or "purchase"
        if kind in ("refund", "void", "part") and number in self._paid:
            await self._take_back(number, kind, now)
            return
        won = self.random.randint(self.plan.amount_min, self.plan.amount_max)
        reply, payload = await self._asked(number, lambda: self._made(number, card, kind, won, now), fault)
        if reply is None or not reply.approved:
            return
        if kind == "preauth":
            await self._complete(number, payload, won, now)
        elif kind not in ("topup", "inquiry"):
            self._paid[number] = (payload, reply.amount or won)

    def _now(self, fault: Fault | None) -> datetime:
        now = datetime.now(KOREA)
        if fault is Fault.CLOCK_SKEW:
            now += timedelta(minutes=self.faults.skew_minutes())
        self.days.add(now.date())
        return now

    def _made(self, number: int, card: SimCard, kind: str, won: int, now: datetime) -> bytes:
        terminal = self.terminals[number]
        entry = _drawn(self.random, self.plan.entries) or "keyed"
        options = card.present(entry, 0 if kind == "inquiry" else won, now)
        if card.pin and self.random.randrange(PPM) < self.plan.pin_share_ppm:
            options["pin"] = card.pin
        match kind:
            case "topup":
                return terminal.topup(now, card.pan, won, **options)
            case "inquiry":
                return terminal.inquiry(now, card.pan, **options)
            case "preauth":
                return terminal.preauth(now, card.pan, won, None, **options)
        return terminal.purchase(now, card.pan, won, **options)

    async def _asked(
        self, number: int, make: Callable[[], bytes], fault: Fault | None
    ) -> tuple[Reply | None, bytes]:
        """A payment until its end is known: answered, reversed, or made anew with new keys."""
        terminal, payload = self.terminals[number], make()
        delay_s = self.faults.delay_ms() / 1000 if fault is Fault.DELAY else 0.0
        reply = await self._lines.ask(number, terminal, payload, fault, delay_s)
        if reply is not None and reply.code in REKEY_CODES and not terminal.dukpt:
            self._counted(reply)
            await self._exchange_keys(number)
            payload = make()
            reply = await self._lines.ask(number, terminal, payload)
        if reply is None or reply.mac_ok is False:
            await self._reverse(number, payload)
            return None, payload
        self._counted(reply)
        return reply, payload

    async def _reverse(self, number: int, payload: bytes, leaves: int | None = None) -> None:
        terminal = self.terminals[number]
        self.did["reversed"] += 1
        reversal = terminal.reversal(datetime.now(KOREA), payload, replacement=leaves)
        self._counted(await self._lines.ask_surely(number, terminal, reversal))

    async def _take_back(self, number: int, kind: str, now: datetime) -> None:
        """Of the terminal's last purchase: the half refunded, all of it voided, or a part reversed."""
        terminal = self.terminals[number]
        payload, won = self._paid.pop(number)
        if kind == "part":
            await self._reverse(number, payload, leaves=won // 2)
            return
        if kind == "refund":
            taken = terminal.refund(now, payload, max(won // 2, 1))
        else:
            taken = terminal.void(now, payload)
        reply = await self._lines.ask(number, terminal, taken)
        if reply is None:
            await self._reverse(number, taken)
        else:
            self._counted(reply)

    async def _complete(self, number: int, hold: bytes, won: int, now: datetime) -> None:
        """The final amount is mostly less than what was held; sometimes the guest does not come."""
        terminal = self.terminals[number]
        percent = self.random.randint(0, 100)
        if percent == 0:
            await self._reverse(number, hold)
            return
        advice = terminal.complete(now, hold, max(won * percent // 100, 1))
        self._counted(await self._lines.ask_surely(number, terminal, advice))

    async def _offline(self, number: int, card: SimCard, now: datetime) -> None:
        """Some payments while the line is away, told one after the other when it is back."""
        terminal = self.terminals[number]
        kept = []
        for _ in range(self.random.randint(1, OFFLINE_PAYMENTS_MAX)):
            won = self.random.randint(self.plan.amount_min, self.plan.amount_max)
            kept.append(terminal.offline(now, card.pan, won, expiry=card.expiry))
        for advice in kept:
            self.did["told later"] += 1
            self._counted(await self._lines.ask_surely(number, terminal, advice))

    # Keys and batches

    async def _sign_on(self, number: int) -> None:
        terminal = self.terminals[number]
        reply = await self._lines.ask_surely(number, terminal, terminal.sign_on(datetime.now(KOREA)))
        if not reply.approved:
            raise TerminalError(f"terminal {terminal.terminal_id} was refused at sign-on: {reply.code}")
        self.did["signed on"] += 1
        if terminal.needs_exchange:
            await self._exchange_keys(number)

    async def _exchange_keys(self, number: int) -> None:
        terminal = self.terminals[number]
        reply = await self._lines.ask_surely(number, terminal, terminal.key_exchange(datetime.now(KOREA)))
        if not reply.approved:
            raise TerminalError(f"terminal {terminal.terminal_id} was refused new keys: {reply.code}")
        self.did["exchanged keys"] += 1

    async def _close_batch(self, number: int) -> None:
        terminal, now = self.terminals[number], datetime.now(KOREA)
        wrong = self.faults.batch_is_wrong()
        self.happened[Fault.BATCH_MISMATCH] += wrong
        reply = await self._lines.ask_surely(
            number, terminal, close_message(terminal, now, off_by=int(wrong))
        )
        if reply.code == OUT_OF_BALANCE:
            self.did["uploaded"] += 1
            for detail in detail_messages(terminal, now):
                await self._lines.ask_surely(number, terminal, detail)
            reply = await self._lines.ask_surely(number, terminal, close_message(terminal, now))
        self.did["closed in balance" if reply.in_balance else "closed with differences"] += 1
        if reply.approved:
            next_batch(terminal)

    def _counted(self, reply: Reply) -> None:
        self.answers[reply.code] += 1


async def _together(acts: Sequence[Awaitable[None]]) -> None:
    """All at once; the first that fails ends the others, and is raised by itself."""
    tasks = [asyncio.ensure_future(act) for act in acts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _drawn(source: random.Random, chances: dict[str, int]) -> str | None:
    """One of the names by its chance; None for what they leave."""
    if not chances:
        return None
    at = source.randrange(PPM)
    for name, part in chances.items():
        if at < part:
            return name
        at -= part
    return None
