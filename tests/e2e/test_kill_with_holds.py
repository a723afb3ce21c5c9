"""Kills under a load of holds: what was answered is booked once, and what is held is what was told."""

import asyncio
import random
import signal
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import text

from switch.service.proofs import run as prove
from switch.store.engine import stop_embedded
from terminal_sim.terminal import APPROVED, Terminal
from tests.e2e.test_kill_under_load import _rows, _under_load
from tests.support.killing import Crowd, Paid, kill_postgres, own_directory, start_postgres
from tests.support.seeds import fresh
from tests.support.stage import Stage, hsm, start_switch

KILLS = 2  # of each kind
TILLS = 24
SEED = fresh("DURE_KILL_SEED")


class Chain(msgspec.Struct):
    """One 0100 and what followed it: won held of it now, won paid by it."""

    held: int = 0
    paid: int = 0


class HoldingCrowd(Crowd):
    """Terminals that hold money, add to it, give it free, complete it, take the completion back."""

    chains: list[Chain]

    async def _till(self, terminal: Terminal, line: int) -> None:
        for build in (terminal.sign_on, terminal.key_exchange):
            assert await self._ask(terminal, build(self._now), line) is not None
        while not self._stopping:
            await self._chain(terminal, line)

    async def _send(self, terminal: Terminal, payload: bytes, amount: int, line: int) -> bool:
        paid = Paid(terminal, payload, amount, "")
        self.journal.append(paid)
        await self._settle(paid, line)
        if self._rng.random() < 0.1:
            await self._again(paid, line)
        return paid.code == APPROVED

    async def _chain(self, terminal: Terminal, line: int) -> None:
        rng, now = self._rng, self._now
        chain, amount = Chain(), rng.randint(1, 3_000)
        self.chains.append(chain)
        first = terminal.preauth(now, rng.choice(self._cards).pan, amount)
        if not await self._send(terminal, first, amount, line):
            return
        chain.held = amount
        if rng.random() < 0.3:
            pan = terminal.codec.decode(first).fields[2]
            if await self._send(terminal, terminal.preauth(now, pan, 100, of=first), 100, line):
                chain.held += 100
        dice = rng.random()
        if dice < 0.1:
            return  # left open
        if dice < 0.25:
            back = terminal.reversal(now, first)
            assert await self._send(terminal, back, amount, line)
            chain.held -= amount
            return
        if dice < 0.4:
            left = rng.randrange(amount)
            back = terminal.reversal(now, first, replacement=left)
            assert await self._send(terminal, back, amount, line)
            chain.held -= amount - left
        elif dice < 0.5:
            assert await self._send(terminal, terminal.void(now, first), amount, line)
            chain.held -= amount
            return
        final = rng.choice((chain.held or 1, max(1, chain.held // 2), chain.held + 500))
        done = terminal.complete(now, first, final)
        assert await self._send(terminal, done, final, line)
        chain.held, chain.paid = 0, final
        if dice > 0.8:
            left = rng.randrange(final)
            back = terminal.reversal(now, done, replacement=left if left else None)
            assert await self._send(terminal, back, final, line)
            chain.paid = left


@pytest.fixture
def stage() -> Iterator[Stage]:
    with own_directory() as directory:
        stage = Stage(directory)
        stage.set_clock("2026-11-18T12:00:00+09:00")
        stage.programme()
        stage.people(300, 1_900_000)
        stage.shops(TILLS)
        yield stage
        stage.engine.dispose()
        stop_embedded(stage.url)


@pytest.mark.endure
@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [SEED], ids=[f"DURE_KILL_SEED={SEED}"])
async def test_what_is_held_and_paid_is_what_was_answered(stage: Stage, number: int) -> None:
    rng = random.Random(number)
    with hsm(stage.directory) as security:
        config = stage.config(security.port)
        switch = start_switch(config)
        config.write_text(
            config.read_text().replace("port = 0\nin_flight", f"port = {switch.port}\nin_flight")
        )
        crowd = HoldingCrowd(switch.port, stage.make_terminals(), stage.cards(), stage.now(), number)
        crowd.chains = []
        paying = asyncio.create_task(crowd.run(4))
        try:
            kinds = ["switch"] * KILLS + ["postgres"] * KILLS
            rng.shuffle(kinds)
            for kind in kinds:
                await _under_load(crowd, paying, rng.uniform(0.05, 0.6))
                if kind == "switch":
                    switch.stop(signal.SIGKILL)
                    switch = await asyncio.to_thread(start_switch, config)
                else:
                    assert await asyncio.to_thread(kill_postgres, stage.directory / "db")
                    await asyncio.to_thread(start_postgres, stage.url)
            await _under_load(crowd, paying, 0.3)
            crowd.stop()
            async with asyncio.timeout(60):
                await paying
            stage.engine.dispose()
            before = _rows(stage)
            await crowd.repeat_all()
            assert crowd.differing == []
            assert _rows(stage) == before
            assert switch.stop() == 0
        finally:
            paying.cancel()
            if switch.process.poll() is None:
                switch.stop(signal.SIGKILL)
    held = sum(chain.held for chain in crowd.chains)
    paid = sum(chain.paid for chain in crowd.chains)
    with stage.engine.connect() as connection:
        booked = connection.execute(
            text("SELECT sum(won), (SELECT sum(granted - balance) FROM lot), count(*) FROM hold")
        ).one()
    assert crowd.unanswered > KILLS
    assert len(crowd.chains) > 200
    assert (booked[0], booked[1]) == (held, paid)
    assert booked[2] == sum(chain.held > 0 for chain in crowd.chains)
    report = await asyncio.to_thread(prove, stage.engine)
    assert report.ok, report
