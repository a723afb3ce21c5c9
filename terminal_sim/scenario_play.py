"""Plays a scenario's steps over real TCP and compares what comes back with what must.

The first thing that is not as expected ends the file, since what follows would be judged from a wrong start.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from switch.wire.framing import frame
from switch.wire.spec import ECHO_FIELDS
from terminal_sim import scenario_steps as words
from terminal_sim.batch import close_message, detail_messages, next_batch
from terminal_sim.compare import Comparison, compare_with_host
from terminal_sim.connection import ConnectionLostError, ReplyTimeoutError, TerminalConnection
from terminal_sim.processes import Finished
from terminal_sim.sandbox import Installation
from terminal_sim.scenario import ALL_TERMINALS, Step
from terminal_sim.scenario_acts import Operator
from terminal_sim.scenario_books import Books, Settled, differences
from terminal_sim.scenario_lines import Lines
from terminal_sim.scenario_messages import FORMAT_ERROR, Messages, Sent
from terminal_sim.scenario_stage import Stage
from terminal_sim.scenario_steps import Expect
from terminal_sim.terminal import KOREA, Reply, Terminal, TerminalError

CLOSE_TIMEOUT_S: Final = 10.0

Build = Callable[[Terminal, datetime], bytes]
_NETWORK: Final[dict[type[Step], Build]] = {
    words.SignOn: Terminal.sign_on,
    words.SignOff: Terminal.sign_off,
    words.KeyExchange: Terminal.key_exchange,
    words.Cutover: Terminal.cutover,
    words.Echo: Terminal.echo,
}


class StepFailed(Exception):
    """An expectation that did not hold: which step, what was looked at, what should be there, what was."""

    def __init__(self, step: Step, what: str, expected: object, got: object) -> None:
        super().__init__(f"step {step.number} (line {step.line}): {what}: expected {expected}, got {got}")
        self.step = step
        self.what = what
        self.expected = expected
        self.got = got


class Player:
    """Plays one scenario: `await Player(stage, installation, folder).play()`."""

    def __init__(self, stage: Stage, installation: Installation, work: Path) -> None:
        """`work` is the folder for files that commands read."""
        self.stage = stage
        self.installation = installation
        self.operator = Operator(stage, installation, work)
        self.books = Books(installation, stage.names, stage.programme_id)
        self.now: datetime = stage.scenario.start
        self.days = {self.now.astimezone(KOREA).date()}
        self.messages = Messages(stage)
        self.lines = Lines(installation, stage.line_of, stage.line_settings)
        self.settled: Settled | None = None
        # A preview is a command of its own; most scenarios ask for nothing that only it tells.
        self._preview_wanted = any(
            isinstance(step, words.Assert) and (step.carried is not None or step.fees is not None)
            for step in stage.scenario.steps
        )

    async def play(self, tell: Callable[[Step], None] | None = None) -> None:
        """Raises StepFailed at the first thing that is not as expected, ProgramError when a command fails."""
        try:
            if self.stage.scenario.sign_on:
                await self._network(words.SignOn(terminals=[ALL_TERMINALS]))
                await self._network(words.KeyExchange(terminals=[ALL_TERMINALS]))
            for step in self.stage.scenario.steps:
                if tell is not None:
                    tell(step)
                await self._step(step)
        finally:
            await self.lines.close()

    async def compare(self) -> Comparison:
        """The terminals' journals against the books of the days that were played. Raises ProgramError."""
        return await compare_with_host(self.installation, self.stage.terminals.values(), self.days)

    async def _step(self, step: Step) -> None:
        match step:
            case words.Clock():
                self.now = step.at
                self.days.add(step.at.astimezone(KOREA).date())
                await self.installation.set_clock(step.at)
            case words.Network():
                await self._network(step)
            case words.CloseBatch():
                await self._close_batch(step)
            case words.Message():
                await self._message(step)
            case words.Upload():
                await self._upload(step)
            case words.Race():
                await self._race(step)
            case words.Answer():
                await self._look_at_answer(step)
            case words.SendRaw():
                await self._send_raw(step)
            case words.Assert():
                await self._assert(step)
            case _:
                await self._from_outside(step)

    async def _from_outside(self, step: Step) -> None:
        """What is done to the town by others than its terminals."""
        match step:
            case words.Power():
                for terminal in self._chosen(step.terminals):
                    terminal.forget_keys()
            case words.CardOrder():
                await self._card(step)
            case words.Issue():
                finished, lines = await self.operator.issue(step)
                self._code(step, f"issue of {step.campaign}", step.exit, finished)
                _compare(step, lines)
            case words.Explain():
                await self._explain(step)
            case words.Pause():
                await asyncio.sleep(step.seconds)
            case words.Restart():
                await self.lines.close()
                await self.installation.restart(kill=step.kill)
            case words.Hsm():
                await self.installation.hsm(up=step.state == "up")
            case words.Settle():
                await self._settle(step)

    # Messages

    def _chosen(self, names: list[str]) -> list[Terminal]:
        known = self.stage.terminals
        return list(known.values()) if ALL_TERMINALS in names else [known[name] for name in names]

    async def _network(self, step: words.Network) -> None:
        build = _NETWORK[type(step)]
        lost = isinstance(step, words.KeyExchange) and step.lost
        for terminal in self._chosen(step.terminals):
            if isinstance(step, words.KeyExchange) and terminal.dukpt:
                continue  # it has a key for every message
            payload = build(terminal, self.now)
            fault = "late" if lost else None
            reply = await self._exchange(step, terminal, payload, via=step.via, fault=fault)
            if reply is not None:
                self._check(step, step.expect, reply)

    async def _message(self, step: words.Message) -> None:
        """Made, and sent unless it shall wait."""
        at = step.at or self.now
        self.days.add(at.astimezone(KOREA).date())
        sent = self.messages.make(step, at)
        if step.name:
            self.messages.sent[step.name] = sent
        if getattr(step, "send", True):
            await self._deliver(step, sent, step.expect, via=step.via, fault=step.fault)

    async def _deliver(
        self, step: Step, sent: Sent, expect: Expect, *, via: str = "", fault: str | None = None
    ) -> None:
        sent.reply = await self._exchange(step, sent.terminal, sent.payload, via=via, fault=fault)
        if sent.reply is None:
            return
        self._check(step, expect, sent.reply)
        self._check_echo(step, sent, sent.reply)
        if sent.card is not None and sent.card.authenticated(sent.icc, sent.reply) is False:
            raise StepFailed(step, "ARPC of the answer", "right", "wrong")

    async def _race(self, step: words.Race) -> None:
        """All at once: the lines are open before the first message leaves."""
        racers = [self.messages.sent[name] for name in step.of]
        names = [f"race {number}" for number in range(len(racers))]
        lines = [
            await self.lines.line(racer.terminal, name) for racer, name in zip(racers, names, strict=True)
        ]
        answers = [
            line.exchange(racer.terminal, racer.payload) for line, racer in zip(lines, racers, strict=True)
        ]
        try:
            replies = await asyncio.gather(*answers)
        except (ReplyTimeoutError, ConnectionLostError, TerminalError) as error:
            raise StepFailed(step, "answers", "all of them", error) from None
        for line in lines:  # a terminal speaks on its newest line as long as that stands
            await line.close()
        for racer, reply in zip(racers, replies, strict=True):
            racer.reply = reply
            self._check(step, Expect(), reply)

    async def _look_at_answer(self, step: words.Answer) -> None:
        reply = self.messages.sent[step.of].reply
        if reply is None:
            raise StepFailed(step, f"answer to {step.of}", "an answer", "none")
        self._check(step, step.expect, reply)

    async def _close_batch(self, step: words.CloseBatch) -> None:
        terminal = self.stage.terminals[step.terminal]
        sent = Sent(terminal, close_message(terminal, step.at or self.now, off_by=step.off_by))
        if step.name:
            self.messages.sent[step.name] = sent
        await self._deliver(step, sent, step.expect, via=step.via, fault=step.fault)
        if sent.reply is not None and sent.reply.approved:
            next_batch(terminal)

    async def _upload(self, step: words.Upload) -> None:
        terminal = self.stage.terminals[step.terminal]
        for payload in detail_messages(terminal, self.now):
            await self._deliver(step, Sent(terminal, payload), step.expect)

    async def _exchange(
        self, step: Step, terminal: Terminal, payload: bytes, *, via: str = "", fault: str | None = None
    ) -> Reply | None:
        try:
            return await self.lines.exchange(terminal, payload, via=via, fault=fault)
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

    def _check_echo(self, step: Step, sent: Sent, reply: Reply) -> None:
        """A reply gives certain fields back as they came; to a malformed message, those that were legible."""
        if reply.code == FORMAT_ERROR:
            return
        fields = sent.terminal.codec.decode(sent.payload).fields
        for number in ECHO_FIELDS:
            if number in fields and reply.fields.get(number) != fields[number]:
                raise StepFailed(step, f"field {number} of the answer", "as it was sent", "something else")

    def _check(self, step: Step, expect: Expect, reply: Reply) -> None:
        for what, expected, got in self._compared(expect, reply):
            if expected is not None and expected != got:
                code = "" if what == "code" else f" (answer code {reply.code})"
                raise StepFailed(step, what, _shown(expected), f"{_shown(got)}{code}")
        if reply.mac_ok is False:
            raise StepFailed(step, "MAC of the answer", "right", "wrong")

    def _compared(self, expect: Expect, reply: Reply) -> list[tuple[str, Any, Any]]:
        balances = reply.balances
        business = f"{expect.business_date:%m%d}" if expect.business_date else None
        compared: list[tuple[str, Any, Any]] = [
            ("code", None if expect.code is None else f"{expect.code:0>2}", reply.code),
            ("approved", expect.approved, reply.approved),
            ("amount", expect.won, reply.amount),
            ("in balance", expect.in_balance, reply.in_balance),
            ("cashback", expect.cashback, reply.cashback or 0),
            ("balance", expect.balance, balances.ledger if balances else None),
            ("available", expect.available, balances.available if balances else None),
            ("business date", business, reply.business_mmdd),
            ("refused field", expect.field, reply.refused_field),
        ]
        if expect.same_as is not None:
            first = self.messages.sent[expect.same_as].reply
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
        self._code(step, f"settlement of {step.day}", step.exit, finished)

    def _code(self, step: Step, what: str, wanted: int, finished: Finished) -> None:
        if finished.code != wanted:
            raise StepFailed(step, what, f"exit code {wanted}", _complaint(finished))

    async def _explain(self, step: words.Explain) -> None:
        _compare(step, await self.operator.explain(step, self.messages.sent[step.of].name))

    async def _assert(self, step: words.Assert) -> None:
        self.books.look_again()
        checks: list[Awaitable[list[tuple[str, Any, Any]]]] = [
            *(self.books.wallet(member, expected) for member, expected in step.wallets.items()),
            *(self.books.entries(member, expected) for member, expected in step.entries.items()),
            *(self.books.cashback(member, expected) for member, expected in step.cashback.items()),
            *(self.books.treasury(member, expected) for member, expected in step.treasury.items()),
        ]
        checks += [self._exceptions(name, count) for name, count in step.exceptions.items()]
        if step.budgets:
            checks.append(self.operator.budgets(step.budgets))
        if step.cases:
            checks.append(self.operator.cases(step.cases))
        if step.journals is not None:
            checks.append(self._journals())
        if step.proof is not None:
            checks.append(self.books.proof())
        compared = [line for lines in await asyncio.gather(*checks) for line in lines]
        if step.payouts is not None or step.carried is not None or step.fees is not None:
            if self.settled is None:
                raise StepFailed(step, "payouts", "a settle step before", "none")
            compared += self.settled.compared(step, self.stage.names)
        _compare(step, compared)

    async def _exceptions(self, name: str, expected: int) -> list[tuple[str, Any, Any]]:
        found = await self.books.exceptions(self.stage.terminals[name].terminal_id, self.days)
        return [(f"exceptions of {name}", expected, found)]

    async def _journals(self) -> list[tuple[str, Any, Any]]:
        return [("the journals", "agree", "; ".join((await self.compare()).shown()) or "agree")]


def _compare(step: Step, compared: list[tuple[str, Any, Any]]) -> None:
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
