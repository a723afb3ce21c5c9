"""Load: many terminals paying at once, measured.

*Closed loop*: a fixed number of payments in flight; the next begins when one ends. It finds how much the
switch can do, and says little about waiting, since a slow switch is asked less. *Open loop*: payments fall
due at a fixed rate whatever the switch does; latency counts from when a payment was due, not from when it
could be sent, so that a pause is paid for by everyone it delayed.

MACs are made and checked for every message. All randomness comes from the plan's seed.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from hdrh.histogram import HdrHistogram

from terminal_sim.connection import (
    IN_FLIGHT_MAX,
    PLAIN,
    ConnectionLostError,
    LineSettings,
    Outcome,
    ReplyTimeoutError,
    TerminalConnection,
)
from terminal_sim.terminal import KOREA, Reply, Terminal, TerminalError

OUTCOME_TIMEOUT: Final = "timeout"
OUTCOME_LOST: Final = "connection lost"
OUTCOME_BAD_MAC: Final = "bad MAC"
OUTCOME_UNUSABLE: Final = "unusable reply"

_CLOCK_STEP_NS: Final = 100_000_000
_TICK_S: Final = 0.002
_LATENCY_MAX_US: Final = 120_000_000
_DIGITS_KEPT: Final = 3
_SIGN_ON_AT_ONCE: Final = 64
_PPM: Final = 1_000_000


class LoadCard(msgspec.Struct, frozen=True, gc=False):
    """A card to pay with. Prints as nothing."""

    pan: str
    pin: str | None = None
    expiry: str | None = None
    cvv2: str | None = None

    def __repr__(self) -> str:
        return "LoadCard()"


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send where.

    Exactly one of `in_flight` (closed loop, over all connections) and `rate_per_s` (open loop); at least one
    end: `payments` or `duration_s`. Amounts are won, both ends included; `pin_share_ppm` of the payments
    carry a PIN.
    """

    host: str
    port: int
    settings: LineSettings = PLAIN
    connections: int = 2
    in_flight: int | None = None
    rate_per_s: int | None = None
    payments: int | None = None
    duration_s: float | None = None
    amount_min: int = 1_000
    amount_max: int = 40_000
    pin_share_ppm: int = 0
    timeout_s: float = 10.0
    seed: int = 1

    def __post_init__(self) -> None:
        if (self.in_flight is None) == (self.rate_per_s is None):
            raise ValueError("give either in_flight (closed loop) or rate_per_s (open loop)")
        if self.payments is None and self.duration_s is None:
            raise ValueError("give payments or duration_s, or the load never ends")
        counts = (self.connections, self.in_flight, self.rate_per_s, self.payments)
        if any(count is not None and count < 1 for count in counts):
            raise ValueError("connections, in_flight, rate_per_s and payments must be at least 1")
        if (self.in_flight or 0) > IN_FLIGHT_MAX:
            raise ValueError(f"in_flight is at most {IN_FLIGHT_MAX}")
        if not 1 <= self.amount_min <= self.amount_max < 10**12:
            raise ValueError("amounts must be 1 <= amount_min <= amount_max, at most 12 digits")
        if not 0 <= self.pin_share_ppm <= _PPM:
            raise ValueError("pin_share_ppm is 0 to 1,000,000")


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What happened.

    Latencies are microseconds; `outcomes` counts DE39 codes and, in words, what was no answer.
    """

    sent: int
    answered: int
    outcomes: dict[str, int]
    approved_won: int
    elapsed_s: float
    answers_per_s: float
    latency_us: dict[str, int]
    client_cpu_us_per_payment: float
    mac_verified: int


Observer = Callable[[Terminal, int, int, Outcome], None]
"""Called with terminal, STAN, amount and outcome of every payment."""


async def sign_on_all(
    connections: Sequence[TerminalConnection], terminals: Sequence[Terminal], timeout_s: float = 10.0
) -> None:
    """Signs on and exchanges keys for every terminal that has none, spread over the connections.

    Raises TerminalError naming the first terminal that was refused.
    """
    gate = asyncio.Semaphore(_SIGN_ON_AT_ONCE)

    async def one(terminal: Terminal, connection: TerminalConnection) -> None:
        async with gate:
            for build in (terminal.sign_on, terminal.key_exchange):
                reply = await connection.exchange(terminal, build(datetime.now(KOREA)), timeout_s)
                if not reply.approved:
                    raise TerminalError(
                        f"terminal {terminal.terminal_id} was refused at sign-on: {reply.code}"
                    )

    try:
        async with asyncio.TaskGroup() as group:
            for number, terminal in enumerate(terminals):
                if not terminal.has_keys:
                    group.create_task(one(terminal, connections[number % len(connections)]))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def run_load(
    plan: LoadPlan,
    terminals: Sequence[Terminal],
    cards: Sequence[LoadCard],
    *,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> LoadReport:
    """Plays the plan. Signing on and key exchange come before and are not measured.

    Make the terminals with `journal_max=0`. There must be at least as many as connections. `progress` is told
    the number of finished payments about ten times a second. Raises OSError or TimeoutError when the switch
    is not there.
    """
    if len(terminals) < plan.connections or not cards:
        raise ValueError("load needs a terminal for every connection, and a card")
    connections = [
        await TerminalConnection.open(plan.host, plan.port, settings=plan.settings)
        for _ in range(plan.connections)
    ]
    try:
        await sign_on_all(connections, terminals, plan.timeout_s)
        run = _Run(plan, connections, terminals, cards, observe)
        return await run.play(progress)
    finally:
        for connection in connections:
            await connection.close()


class _Run:
    """One load run: counters, and what to send next."""

    def __init__(
        self,
        plan: LoadPlan,
        connections: list[TerminalConnection],
        terminals: Sequence[Terminal],
        cards: Sequence[LoadCard],
        observe: Observer | None,
    ) -> None:
        self.plan = plan
        self.pairs = [(t, connections[n % len(connections)]) for n, t in enumerate(terminals)]
        self.cards = cards
        self.observe = observe
        self.bits = random.Random(plan.seed).getrandbits
        self.span = plan.amount_max - plan.amount_min + 1
        self.limit = plan.payments if plan.payments is not None else 1 << 62
        self.sent = 0
        self.finished = 0
        self.mac_verified = 0
        self.approved_won = 0
        self.outcomes: Counter[str] = Counter()
        self.latency_counts: Counter[int] = Counter()  # by microsecond
        self.now = datetime.now(KOREA)
        self.now_until_ns = 0
        self.end_ns = 0
        self.over = asyncio.Event()

    async def play(self, progress: Callable[[int], None] | None) -> LoadReport:
        start_ns, start_cpu_ns = time.monotonic_ns(), time.process_time_ns()
        duration_s = self.plan.duration_s
        self.end_ns = 1 << 62 if duration_s is None else start_ns + int(duration_s * 1_000_000_000)
        reporter = None if progress is None else asyncio.create_task(self._report_progress(progress))
        try:
            if self.plan.rate_per_s is not None:
                await self._open_loop(start_ns, self.plan.rate_per_s)
            else:
                self._closed_loop(self.plan.in_flight or 1)
            self._check_over()
            await self.over.wait()
        finally:
            if reporter is not None:
                reporter.cancel()
        return self._report(time.monotonic_ns() - start_ns, time.process_time_ns() - start_cpu_ns)

    def _closed_loop(self, in_flight: int) -> None:
        for _ in range(min(in_flight, self.limit)):
            self._next_closed()

    def _next_closed(self) -> None:
        now_ns = time.monotonic_ns()
        if self.sent < self.limit and now_ns < self.end_ns:
            self._pay(now_ns, now_ns, again=True)

    async def _open_loop(self, start_ns: int, rate_per_s: int) -> None:
        while self.sent < self.limit:
            now_ns = time.monotonic_ns()
            if now_ns >= self.end_ns or all(connection.lost for _, connection in self.pairs):
                return
            due = min((now_ns - start_ns) * rate_per_s // 1_000_000_000 + 1, self.limit)
            while self.sent < due:
                # A full connection delays the sending, never the due time.
                if not self._pay(start_ns + self.sent * 1_000_000_000 // rate_per_s, now_ns, again=False):
                    break
            await asyncio.sleep(_TICK_S)

    def _pay(self, due_ns: int, now_ns: int, *, again: bool) -> bool:
        """One payment. False when its connection can take no more at the moment; then nothing was sent."""
        if now_ns >= self.now_until_ns:
            self.now, self.now_until_ns = datetime.now(KOREA), now_ns + _CLOCK_STEP_NS
        terminal, connection = self.pairs[self.sent % len(self.pairs)]
        if connection.in_flight >= connection.in_flight_max:
            return False
        self.sent += 1
        bits = self.bits(96)
        card = self.cards[(bits >> 64) % len(self.cards)]
        amount = self.plan.amount_min + (bits & 0xFFFFFFFF) % self.span
        with_pin = card.pin is not None and (bits >> 32 & 0xFFFFFFFF) % _PPM < self.plan.pin_share_ppm
        payload = terminal.purchase(
            *(self.now, card.pan, amount),
            pin=card.pin if with_pin else None,
            expiry=card.expiry,
            cvv2=card.cvv2,
        )
        stan = terminal.stan

        def done(outcome: Outcome) -> None:
            self._finished(terminal, stan, amount, due_ns, outcome)
            if again and not connection.lost:
                self._next_closed()
            self._check_over()

        connection.submit(terminal, payload, terminal.last_key, self.plan.timeout_s, done)
        return True

    def _finished(self, terminal: Terminal, stan: int, amount: int, due_ns: int, outcome: Outcome) -> None:
        self.finished += 1
        if isinstance(outcome, Reply):
            self.latency_counts[(time.monotonic_ns() - due_ns) // 1000] += 1
            if outcome.mac_ok is False:
                self.outcomes[OUTCOME_BAD_MAC] += 1
            else:
                self.mac_verified += outcome.mac_ok is True
                self.outcomes[outcome.code] += 1
                if outcome.code == "00":
                    self.approved_won += amount
        elif isinstance(outcome, ReplyTimeoutError):
            self.outcomes[OUTCOME_TIMEOUT] += 1
        else:
            lost = isinstance(outcome, ConnectionLostError)
            self.outcomes[OUTCOME_LOST if lost else OUTCOME_UNUSABLE] += 1
        if self.observe is not None:
            self.observe(terminal, stan, amount, outcome)

    def _check_over(self) -> None:
        """Over when nothing is in flight and nothing more will be sent (open loop: asks again)."""
        if self.finished == self.sent and (
            self.plan.rate_per_s is None
            or self.sent >= self.limit
            or time.monotonic_ns() >= self.end_ns
            or all(connection.lost for _, connection in self.pairs)
        ):
            self.over.set()

    async def _report_progress(self, progress: Callable[[int], None]) -> None:
        while True:
            await asyncio.sleep(0.1)
            progress(self.finished)

    def _report(self, elapsed_ns: int, cpu_ns: int) -> LoadReport:
        histogram = HdrHistogram(1, _LATENCY_MAX_US, _DIGITS_KEPT)
        for latency_us, count in self.latency_counts.items():
            histogram.record_value(max(1, min(latency_us, _LATENCY_MAX_US)), count)
        answered = self.latency_counts.total()
        points = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
        latency = {name: int(histogram.get_value_at_percentile(at)) for name, at in points.items()}
        return LoadReport(
            sent=self.sent,
            answered=answered,
            outcomes=dict(sorted(self.outcomes.items())),
            approved_won=self.approved_won,
            elapsed_s=elapsed_ns / 1e9,
            answers_per_s=answered * 1e9 / max(elapsed_ns, 1),
            latency_us=latency if answered else dict.fromkeys(points, 0),
            client_cpu_us_per_payment=cpu_ns / 1000 / max(self.finished, 1),
            mac_verified=self.mac_verified,
        )
