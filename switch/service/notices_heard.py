"""What terminals say: acks take messages out of the outbox, states wake what waits for them.

All of it comes from outside: a topic names the terminal (the broker lets each write its own alone), payloads
are read strictly, and what is none of ours is counted and forgotten.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from switch.service import outbox_metrics as metrics
from switch.service.mqtt import Incoming
from switch.store.outbox import Heard, OutboxBooks
from switch.wire.estate import (
    NOT_ACKED_MAX,
    EstateError,
    Result,
    read_ack,
    read_state,
    read_tele,
    sender_of,
)

_HALF = NOT_ACKED_MAX // 2


class Ledger:
    """Who is gone, who owes how many acks, and for whom messages are parked; at most an entry a terminal."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.owed: dict[str, int] = {}
        self.parked: set[str] = set()

    async def recall(self, books: OutboxBooks) -> None:
        """Read all of it from the outbox, after a start or a break."""
        self.down = await books.down()
        self.owed = await books.owed()
        self.parked = await books.parked()
        await self.unpark(books, list(self.parked))

    def holds(self, terminal: str, sending: int) -> bool:
        """Whether a new message must wait: others wait already, or too many are without an ack."""
        return terminal in self.parked or self.owed.get(terminal, 0) + sending >= NOT_ACKED_MAX

    def sent(self, first: Mapping[str, int]) -> None:
        """Count messages that were sent for the first time, by terminal."""
        for terminal, count in first.items():
            self.owed[terminal] = self.owed.get(terminal, 0) + count

    def settled(self, terminal: str) -> None:
        """Count an ack of a message that had been sent."""
        left = self.owed.get(terminal, 0) - 1
        if left > 0:
            self.owed[terminal] = left
        else:
            self.owed.pop(terminal, None)

    async def unpark(self, books: OutboxBooks, terminals: Iterable[str]) -> None:
        """Take up parked messages of terminals that have acknowledged enough.

        One more than there is room for: if there is one, it is parked again, and so remembered.
        """
        for terminal in terminals:
            owed = self.owed.get(terminal, 0)
            if terminal in self.parked and terminal not in self.down and owed <= _HALF:
                await books.unpark([terminal], NOT_ACKED_MAX - owed + 1)
                self.parked.discard(terminal)


async def take(heard: Sequence[Incoming], books: OutboxBooks, ledger: Ledger) -> None:
    """Act on what terminals have published."""
    acks: dict[tuple[str, str], None] = {}
    states: dict[str, Heard] = {}
    tele: dict[str, str] = {}
    for message in heard:
        try:
            terminal, leaf = sender_of(message.topic)
            if leaf == "ack":
                ack = read_ack(message.payload)
                metrics.ACKS.inc(ack.result)
                if ack.result is not Result.BUSY:
                    acks[terminal, ack.id] = None
            elif leaf == "tele":
                tele[terminal] = msgspec.json.encode(read_tele(message.payload)).decode()
            else:
                state = read_state(message.payload)
                if terminal in states:
                    await _note(states, books, ledger)
                states[terminal] = Heard(terminal, bool(state.up), state.sess, state.cfg, state.hot)
        except EstateError:
            metrics.REFUSED.inc("illegible")
    if acks:
        await _settle(acks, books, ledger)
    if states:
        await _note(states, books, ledger)
    if tele:
        await books.note_tele(tele)


async def _settle(acks: Iterable[tuple[str, str]], books: OutboxBooks, ledger: Ledger) -> None:
    wanted = list(acks)
    cleared = await books.clear(wanted)
    metrics.ACKS_UNKNOWN.inc(by=len(wanted) - len(cleared))
    for terminal, _, tries in cleared:
        if tries:
            ledger.settled(terminal)
    await ledger.unpark(books, {terminal for terminal, _, _ in cleared})


async def _note(states: dict[str, Heard], books: OutboxBooks, ledger: Ledger) -> None:
    """Keep what terminals said of themselves; what waits for one that is there is due now."""
    counted = await books.note_states(list(states.values()))
    states.clear()
    there = [terminal for terminal, up in counted if up]
    for terminal, up in counted:
        metrics.ESTATE_UP.inc("up" if up else "down")
        if not up:
            ledger.down.add(terminal)
    if there:
        ledger.down.difference_update(there)
        ledger.parked.difference_update(there)
        await books.wake(there, NOT_ACKED_MAX + 1)
