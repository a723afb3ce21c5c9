"""Whatever is lost, late or repeated in key exchanges, at two switches: a terminal is never locked out.

The keyring and the network desk are the real ones; the HSM and the books are stand-ins of a few lines, for
thousands of histories. The books' statements themselves are tested in tests/integration/keys.
"""

import asyncio
from datetime import datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from switch.domain.calendar import SEOUL
from switch.hsm.client import HsmClient
from switch.service.directory import Directory
from switch.service.keymarks import KeyMarks
from switch.service.keyring import Keyring
from switch.service.network import NetworkDesk
from switch.service.refused import RefusedError
from switch.service.vault import VaultKeeper
from switch.store.lookup import Lookup, TerminalRow

START = datetime(2026, 11, 20, 12, tzinfo=SEOUL)
GRACE_S = 900
HOURS = 24
NAME = "T0000001"


class Books:
    """One terminal's row, as the statements of switch.store.lookup treat it."""

    def __init__(self) -> None:
        self.row = TerminalRow(NAME, 1, True, "tmk", None, None, True)

    async def terminal(self, _name: str) -> TerminalRow:
        return replace(self.row)

    async def give_keys(self, new: TerminalRow, before: TerminalRow, _at: datetime, _detail: str) -> bool:
        if (self.row.tak, self.row.keys_until) != (before.tak, before.keys_until):
            return False
        self.row = replace(new, keys_seen=False)
        return True

    async def offer_keys(self, same: TerminalRow, _at: datetime, _detail: str) -> bool:
        if self.row.tak != same.tak or self.row.keys_seen:
            return False
        self.row = replace(self.row, keys_until=same.keys_until)
        return True


class Marks:
    """Marks that are written at once, or lost by a crash."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def seen_of(self, _name: str) -> None:
        return None

    def seen(self, _name: str, tak: str, until: datetime | None) -> None:
        row = self._books.row
        if row.tak == tak and not row.keys_seen:
            self._books.row = replace(row, keys_seen=True, old_until=until)


class Hsm:
    """Keys are names; a MAC is the name of its key."""

    _names = count(1)

    def generate_key(self, _kind: str, **_: object) -> "asyncio.Future[Any]":
        name = f"key{next(self._names)}"
        return _done(SimpleNamespace(lmk=name, exported=name, kcv=name))

    def export_key(self, _kind: str, key: str, **_: object) -> "asyncio.Future[Any]":
        return _done(SimpleNamespace(key=key, check_value=key))

    def verify_mac(self, tak: str, _covered: bytes, mac: str) -> "asyncio.Future[bool]":
        return _done(tak == mac)


def _done(value: Any) -> "asyncio.Future[Any]":
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


class Switch:
    """One process."""

    def __init__(self, books: Books, clock: list[datetime]) -> None:
        self.directory = Directory(cast(Lookup, books), cast(VaultKeeper, None), lambda: 1)
        hsm = cast(HsmClient, Hsm())
        marks = cast(KeyMarks, Marks(books))
        self.keyring = Keyring(hsm, self.directory, marks, lambda: clock[0], grace_s=GRACE_S)
        self.network = NetworkDesk(
            hsm, cast(Lookup, books), self.directory, lambda: clock[0], session_hours=HOURS, grace_s=GRACE_S
        )

    async def exchange(self) -> tuple[str, datetime]:
        """The MAC key offered, and its end as told."""
        terminal = await self.directory.terminal(NAME)
        assert terminal is not None
        private = await self.network._exchange(terminal)
        end = datetime.strptime(private["KX"] + "+0000", "%Y%m%d%H%M%S%z")
        return private["TM"], end

    async def accepts(self, tak: str) -> bool:
        self.directory._reloaded_at.clear()  # the pause between two readings is not what is tested here
        terminal = await self.directory.terminal(NAME)
        assert terminal is not None
        try:
            session = await self.keyring.open(terminal, b"", tak)
        except RefusedError:
            return False
        assert session.tak == tak  # the answer goes under the keys of its request
        return True


EVENTS = st.one_of(
    st.tuples(st.sampled_from(["answered", "lost", "both"]), st.integers(0, 1)),
    st.tuples(st.just("message"), st.integers(0, 1)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.sampled_from([1, GRACE_S - 1, GRACE_S + 1, 3_600, 8 * 3_600, 30 * 3_600])),
)


@settings(print_blob=True, max_examples=400, deadline=None)
@given(st.lists(EVENTS, max_size=25))
def test_a_terminal_gets_through_with_the_keys_it_holds_until_their_end(
    events: list[tuple[str, int]],
) -> None:
    asyncio.run(_history(events))


async def _history(events: list[tuple[str, int]]) -> None:
    clock, books = [START], Books()
    switches = [Switch(books, clock), Switch(books, clock)]
    held, end = await switches[0].exchange()
    for what, number in events:
        if what == "wait":
            clock[0] += timedelta(seconds=number)
        elif what == "restart":
            switches[number] = Switch(books, clock)
        elif what == "message":
            assert await switches[number].accepts(held) or clock[0] >= end
        elif what == "both":  # it asks at both switches at once, and the answers come in either order
            held, end = max(await asyncio.gather(*(one.exchange() for one in switches)))
        else:
            offered = await switches[number].exchange()
            if what == "answered":
                held, end = offered
        assert clock[0] >= end or await switches[clock[0].second % 2].accepts(held), (what, number)


async def _after(seconds: int, *, used: bool) -> bool:
    """Whether the old set still works that long after a new one was offered, and perhaps used."""
    clock, books = [START], Books()
    switch = Switch(books, clock)
    old, _ = await switch.exchange()
    assert await switch.accepts(old)
    new, _ = await switch.exchange()
    assert new != old
    if used:
        assert await switch.accepts(new)
    clock[0] += timedelta(seconds=seconds)
    return await switch.accepts(old)


def test_the_old_set_has_its_grace_once_the_new_one_is_used() -> None:
    assert asyncio.run(_after(GRACE_S - 1, used=True))
    assert not asyncio.run(_after(GRACE_S, used=True))
    assert asyncio.run(_after(HOURS * 3_600 - 1, used=False))
    assert not asyncio.run(_after(HOURS * 3_600, used=False))


def test_a_set_that_was_not_used_is_offered_again_and_one_that_was_is_not() -> None:
    async def run() -> None:
        clock, books = [START], Books()
        switch = Switch(books, clock)
        first, _ = await switch.exchange()
        again, _ = await switch.exchange()
        assert again == first
        assert await switch.accepts(first)
        other, _ = await switch.exchange()
        assert other != first

    asyncio.run(run())


def test_the_end_of_a_set_is_its_end_and_an_exchange_is_the_way_on() -> None:
    async def run() -> None:
        clock, books = [START], Books()
        switch = Switch(books, clock)
        first, end = await switch.exchange()
        assert await switch.accepts(first)
        clock[0] = end
        assert not await switch.accepts(first)
        new, _ = await switch.exchange()
        assert not await switch.accepts(first)  # what has ended does not come to life as the set before
        assert await switch.accepts(new)

    asyncio.run(run())
