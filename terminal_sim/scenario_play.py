"""Plays a scenario's steps over real TCP and compares what comes back with what must.

The first thing that is not as expected ends the file, since what follows would be judged from a wrong start.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from switch.wire.framing import frame
from switch.wire.message import decode
from terminal_sim import scenario as words
from terminal_sim.connection import ConnectionLostError, ReplyTimeoutError, TerminalConnection
from terminal_sim.processes import Finished
from terminal_sim.sandbox import Installation
from terminal_sim.scenario import ALL_TERMINALS, Expect, Step
from terminal_sim.scenario_books import Books, Settled, differences
from terminal_sim.scenario_stage import Stage
from terminal_sim.terminal import Reply, Terminal, TerminalError

CLOSE_TIMEOUT_S: Final = 10.0
WRONG_MAC: Final = "0" * 16


class StepFailed(Exception):
    """An expectation that did not hold: which step, what was looked at, what should be there, what was."""

    def __init__(self, step: Step, what: str, expected: object, got: object) -> None:
        super().__init__(f"step {step.number} (line {step.line}): {what}: expected {expected}, got {got}")
        self.step = step
        self.what = what
        self.expected = expected
        self.got = got


class Sent(msgspec.Struct):
    """A message of the scenario, for steps that refer to it."""

    terminal: Terminal
    payload: bytes
    reply: Reply | None = None


class Player:
    """Plays one scenario on one connection: `await Player(stage, installation).play()`."""

    def __init__(self, stage: Stage, installation: Installation) -> None:
        self.stage = stage
        self.installation = installation
        self.books = Books(installation, stage.names, stage.programme_id)
        self.now: datetime = stage.scenario.start
        self.sent: dict[str, Sent] = {}
        self.settled: Settled | None = None
        # A preview is a command of its own; most scenarios ask for nothing that only it tells.
        self._preview_wanted = any(
            isinstance(step, words.Assert) and (step.carried is not None or step.fees is not None)
            for step in stage.scenario.steps
        )
        self._connection: TerminalConnection | None = None

    async def play(self, tell: Callable[[Step], None] | None = None) -> None:
        """Raises StepFailed at the first thing that is not as expected, ProgramError when a command fails."""
        try:
            if self.stage.scenario.sign_on:
                first = words.SignOn(terminals=[ALL_TERMINALS])
                await self._sign_on(first)
                await self._key_exchange(words.KeyExchange(terminals=[ALL_TERMINALS]))
            for step in self.stage.scenario.steps:
                if tell is not None:
                    tell(step)
                await self._step(step)
        finally:
            if self._connection is not None:
                await self._connection.close()

    async def _step(self, step: Step) -> None:
        match step:
            case words.Clock():
                self.now = step.at
                await self.installation.set_clock(step.at)
            case words.SignOn():
                await self._sign_on(step)
            case words.KeyExchange():
                await self._key_exchange(step)
            case words.Echo():
                await self._network(step, step.terminals, step.expect, Terminal.echo)
            case words.Purchase() | words.Topup() | words.Inquiry():
                await self._payment(step)
            case words.Refund() | words.Reversal() | words.Repeat() | words.Send():
                await self._follow_up(step)
            case words.SendRaw():
                await self._send_raw(step)
            case words.CardOrder():
                await self._card(step)
            case words.Settle():
                await self._settle(step)
            case words.Assert():
                await self._assert(step)

    # Messages

    async def _sign_on(self, step: words.SignOn) -> None:
        await self._network(step, step.terminals, step.expect, Terminal.sign_on)

    async def _key_exchange(self, step: words.KeyExchange) -> None:
        await self._network(step, step.terminals, step.expect, Terminal.key_exchange)

    async def _network(
        self, step: Step, names: list[str], expect: Expect, build: Callable[[Terminal, datetime], bytes]
    ) -> None:
        known = self.stage.terminals
        chosen = list(known.values()) if ALL_TERMINALS in names else [known[name] for name in names]
        for terminal in chosen:
            reply = await self._exchange(step, terminal, build(terminal, self.now))
            self._check(step, expect, reply)

    async def _payment(self, step: words.Purchase | words.Topup | words.Inquiry) -> None:
        terminal = self.stage.terminals[step.terminal]
        pan = self.stage.pans[step.card]
        at = step.at or self.now
        match step:
            case words.Purchase():
                payload = self._purchase(step, terminal, at, pan)
            case words.Topup():
                payload = terminal.topup(at, pan, step.won)
            case _:
                payload = terminal.inquiry(at, pan)
        if step.name:
            self.sent[step.name] = Sent(terminal, payload)
        if not (isinstance(step, words.Purchase) and not step.send):
            await self._send(step, step.name, terminal, payload, step.expect)

    def _purchase(self, step: words.Purchase, terminal: Terminal, at: datetime, pan: str) -> bytes:
        options = {"pin": step.pin, "channel": step.channel, "order_id": step.order, "expiry": step.expiry}
        last_stan = terminal.stan
        if step.stan_of is not None:
            terminal.stan = int(decode(self.sent[step.stan_of].payload).fields[11]) - 1
        payload = terminal.purchase(at, pan, step.won, **options)
        if step.stan_of is not None:
            terminal.stan = last_stan
        return payload[: -len(WRONG_MAC)] + WRONG_MAC.encode() if step.wrong_mac else payload

    async def _follow_up(self, step: words.Refund | words.Reversal | words.Repeat | words.Send) -> None:
        original = self.sent[step.of]
        terminal, at = original.terminal, step.at or self.now
        match step:
            case words.Refund():
                terminal = self.stage.terminals[step.terminal] if step.terminal else terminal
                payload = terminal.refund(at, original.payload, step.won)
            case words.Reversal():
                payload = terminal.reversal(at, original.payload, advice=step.advice, amount=step.won)
            case words.Repeat():
                payload = terminal.repeat_of(original.payload)
            case _:
                payload = original.payload
                await self._send(step, step.of, terminal, payload, step.expect)
                return
        if step.name:
            self.sent[step.name] = Sent(terminal, payload)
        await self._send(step, step.name, terminal, payload, step.expect)

    async def _send(self, step: Step, name: str, terminal: Terminal, payload: bytes, expect: Expect) -> None:
        reply = await self._exchange(step, terminal, payload)
        if name:
            self.sent[name].reply = reply
        self._check(step, expect, reply)

    async def _exchange(self, step: Step, terminal: Terminal, payload: bytes) -> Reply:
        if self._connection is None or self._connection.lost:
            self._connection = await TerminalConnection.open(self.installation.host, self.installation.port)
        try:
            return await self._connection.exchange(terminal, payload)
        except ReplyTimeoutError:
            raise StepFailed(step, "answer", "an answer", "none in time") from None
        except ConnectionLostError:
            raise StepFailed(step, "answer", "an answer", "a closed connection") from None
        except TerminalError as error:
            raise StepFailed(step, "answer", "a usable answer", error) from None

    async def _send_raw(self, step: words.SendRaw) -> None:
        data = bytes.fromhex(step.hex) if step.hex else frame(step.text.encode())
        connection = await TerminalConnection.open(self.installation.host, self.installation.port)
        try:
            connection.send_raw(data)
            try:
                await connection.wait_lost(CLOSE_TIMEOUT_S)
                closed = True
            except TimeoutError:
                closed = False
        finally:
            connection.abort()
        if step.expect.closed is not None and step.expect.closed != closed:
            raise StepFailed(step, "connection closed", _shown(step.expect.closed), _shown(closed))

    def _check(self, step: Step, expect: Expect, reply: Reply) -> None:
        for what, expected, got in self._compared(expect, reply):
            if expected is not None and expected != got:
                code = "" if what in ("code", "approved") else f" (answer code {reply.code})"
                raise StepFailed(step, what, _shown(expected), f"{_shown(got)}{code}")
        if reply.mac_ok is False:
            raise StepFailed(step, "MAC of the answer", "right", "wrong")

    def _compared(self, expect: Expect, reply: Reply) -> list[tuple[str, Any, Any]]:
        balances = reply.balances
        business = f"{expect.business_date:%m%d}" if expect.business_date else None
        compared: list[tuple[str, Any, Any]] = [
            ("code", None if expect.code is None else f"{expect.code:0>2}", reply.code),
            ("approved", expect.approved, reply.approved),
            ("cashback", expect.cashback, reply.cashback or 0),
            ("balance", expect.balance, balances.ledger if balances else None),
            ("available", expect.available, balances.available if balances else None),
            ("business date", business, reply.business_mmdd),
            ("refused field", expect.field, reply.refused_field),
        ]
        if expect.same_as is not None:
            first = self.sent[expect.same_as].reply
            compared.append(("the same answer", first and first.fields, reply.fields))
        return compared

    # The operator and the books

    async def _card(self, step: words.CardOrder) -> None:
        card = self.stage.scenario.cards[step.card]
        number = [name for name, c in self.stage.scenario.cards.items() if c.member == card.member]
        await self.books.card_order(step.act, card.member, number.index(step.card) + 1)

    async def _settle(self, step: words.Settle) -> None:
        finished, self.settled = await self.books.settle(
            step.day, preview=self._preview_wanted, dry_run=step.dry_run
        )
        if finished.code != step.exit:
            raise StepFailed(
                step, f"settlement of {step.day}", f"exit code {step.exit}", _complaint(finished)
            )

    async def _assert(self, step: words.Assert) -> None:
        self.books.look_again()
        checks: list[Awaitable[list[tuple[str, Any, Any]]]] = [
            *(self.books.wallet(member, expected) for member, expected in step.wallets.items()),
            *(self.books.entries(member, expected) for member, expected in step.entries.items()),
            *(self.books.cashback(member, expected) for member, expected in step.cashback.items()),
        ]
        if step.proof is not None:
            checks.append(self.books.proof())
        compared = [line for lines in await asyncio.gather(*checks) for line in lines]
        if step.payouts is not None or step.carried is not None or step.fees is not None:
            if self.settled is None:
                raise StepFailed(step, "payouts", "a settle step before", "none")
            compared += self.settled.compared(step, self.stage.names)
        for what, expected, got in differences(compared):
            raise StepFailed(step, what, _shown(expected), _shown(got))


def _complaint(finished: Finished) -> str:
    return f"{finished.code}: {(finished.complaint or finished.output).strip()[-300:]}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
