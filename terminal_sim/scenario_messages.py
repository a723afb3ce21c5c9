"""Makes the messages of a scenario's steps, and keeps them for the steps that refer to them."""

from datetime import datetime
from typing import Final

import msgspec

from terminal_sim import scenario_steps as words
from terminal_sim.card import SimCard
from terminal_sim.faults import flip_mac
from terminal_sim.scenario_stage import Stage
from terminal_sim.terminal import KOREA, Reply, Terminal

FORMAT_ERROR: Final = "30"
_GIFT_FROM: Final = {"points": "P", "charged": "C"}


class Sent(msgspec.Struct):
    """A message of the scenario, for steps that refer to it."""

    terminal: Terminal
    payload: bytes
    card: SimCard | None = None  # whose chip waits for an answer
    icc: str = ""
    reply: Reply | None = None
    day: str = ""  # of its terminal's clock

    def __repr__(self) -> str:
        return f"Sent({self.reply})"

    @property
    def name(self) -> str:
        """What commands call the payment: terminal, trace number, local day."""
        stan = self.terminal.codec.decode(self.payload).fields[11]
        return f"{self.terminal.terminal_id}/{stan}/{self.day}"


class Messages:
    """The messages of one scenario by name, and the making of new ones."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.sent: dict[str, Sent] = {}

    def make(self, step: words.Message, at: datetime) -> Sent:
        """The message of a step, with the terminal's clock at `at`. Raises TerminalError."""
        if isinstance(step, words.Send):
            return self.sent[step.of]
        if isinstance(step, words.Payment):
            sent = self._payment(step, at)
        elif isinstance(step, words.FollowUp):
            sent = self._follow_up(step, at)
        else:
            raise TypeError(f"step {step.number} makes no message")
        sent.day = at.astimezone(KOREA).date().isoformat()
        return sent

    def _payment(self, step: words.Payment, at: datetime) -> Sent:
        terminal, card = self.stage.terminals[step.terminal], self.stage.cards[step.card]
        if step.atc is not None:
            card.atc = step.atc - 1
        options = card.present(
            *(step.entry, step.won, at),
            check=step.check,
            wrong_cryptogram=step.wrong_cryptogram,
            offline=isinstance(step, words.Offline),
        )
        options |= {"pin": step.pin, "channel": step.channel, "order_id": step.order}
        if isinstance(step, words.Gift):
            options["case"] = self.stage.names.case(step.case)
            options["gift_from"] = _GIFT_FROM[step.only] if step.only else None
        if isinstance(step, words.Topup):
            options["reference"] = step.reference
        if step.expiry is not None:
            options["expiry"] = step.expiry
        last_stan = terminal.stan
        if step.stan_of is not None:
            original = self.sent[step.stan_of]
            terminal.stan = int(terminal.codec.decode(original.payload).fields[11]) - 1
        payload = self._paid(step, terminal, at, card.pan, options)
        if step.stan_of is not None:
            terminal.stan = last_stan
        if step.wrong_mac:
            payload = flip_mac(payload)
        icc = options.get("icc") or ""
        return Sent(terminal, payload, card if icc else None, icc)

    def _paid(
        self, step: words.Payment, terminal: Terminal, at: datetime, pan: str, options: dict[str, str | None]
    ) -> bytes:
        match step:
            case words.Topup():
                return terminal.topup(at, pan, step.won, **options)
            case words.Inquiry():
                return terminal.inquiry(at, pan, **options)
            case words.Preauth():
                of = None if step.of is None else self.sent[step.of].payload
                return terminal.preauth(at, pan, step.won, of, **options)
            case words.Offline():
                return terminal.offline(at, pan, step.won, **options)
        return terminal.purchase(at, pan, step.won, **options)

    def _follow_up(self, step: words.FollowUp, at: datetime) -> Sent:
        original = self.sent[step.of]
        terminal = self.stage.terminals[step.terminal] if step.terminal else original.terminal
        match step:
            case words.Refund():
                payload = terminal.refund(at, original.payload, step.won)
            case words.Void():
                payload = terminal.void(at, original.payload)
            case words.Complete():
                payload = terminal.complete(at, original.payload, step.won)
            case words.Reversal():
                payload = terminal.reversal(
                    at,
                    original.payload,
                    advice=step.advice,
                    amount=step.won,
                    replacement=step.leaves,
                    hidden=frozenset(step.hide),
                    rrn=original.reply.rrn if step.rrn and original.reply is not None else None,
                )
            case _:
                payload = terminal.repeat_of(original.payload)
        return Sent(terminal, payload)
