"""Twenty kills under load: what was answered is in the books exactly once, and the books prove it."""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from switch.service.proofs import run as prove
from switch.store.engine import stop_embedded
from tests.support.killing import Crowd, Paid, kill_postgres, own_directory, start_postgres
from tests.support.seeds import fresh
from tests.support.stage import Stage, hsm, start_switch

KILLS = 10  # of each kind
CONNECTIONS = 4
TILLS = 48
MEMBERS = 300
SEED = fresh("DURE_KILL_SEED")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with own_directory() as directory:
        yield from _staged(directory)


def _staged(directory: Path) -> Iterator[Stage]:
    stage = Stage(directory)
    stage.set_clock("2026-11-18T12:00:00+09:00")
    stage.programme()
    stage.people(MEMBERS, 1_900_000)
    stage.shops(TILLS)
    yield stage
    stage.engine.dispose()
    stop_embedded(stage.url)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [SEED], ids=[f"DURE_KILL_SEED={SEED}"])
async def test_nothing_answered_is_lost_and_nothing_is_booked_twice(stage: Stage, number: int) -> None:
    seed = f"repeat with DURE_KILL_SEED={number}"
    rng = random.Random(number)
    with hsm(stage.directory) as security:
        config = stage.config(security.port)
        switch = start_switch(config)
        # From now on the same port: terminals know only one.
        config.write_text(
            config.read_text().replace("port = 0\nin_flight", f"port = {switch.port}\nin_flight")
        )
        crowd = Crowd(switch.port, stage.make_terminals(), stage.cards(), stage.now(), number)
        paying = asyncio.create_task(crowd.run(CONNECTIONS))
        try:
            kinds = ["switch"] * KILLS + ["postgres"] * KILLS
            rng.shuffle(kinds)
            for kind in kinds:
                await _under_load(crowd, paying, rng.uniform(0.05, 1.0))
                if kind == "switch":
                    switch.stop(signal.SIGKILL)
                    switch = await asyncio.to_thread(start_switch, config)
                else:
                    assert await asyncio.to_thread(kill_postgres, stage.directory / "db")
                    await asyncio.to_thread(start_postgres, stage.url)
            await _under_load(crowd, paying, 0.5)
            crowd.stop()
            async with asyncio.timeout(60):
                await paying
            stage.engine.dispose()
            before = _rows(stage)
            await crowd.repeat_all()
            assert crowd.differing == [], seed
            assert _rows(stage) == before, seed
            assert switch.stop() == 0
        finally:
            paying.cancel()
            if switch.process.poll() is None:
                switch.stop(signal.SIGKILL)
    assert crowd.unanswered > KILLS, seed
    _compare(stage, crowd, seed)
    report = await asyncio.to_thread(prove, stage.engine)
    assert report.ok, (seed, report)


async def _under_load(crowd: Crowd, paying: "asyncio.Task[None]", seconds: float) -> None:
    """Let payments flow again, then for some time more."""
    seen, deadline = crowd.answers, time.monotonic() + 20
    while crowd.answers < seen + 20:
        if paying.done():
            await paying
        assert time.monotonic() < deadline, "no payment is answered any more"
        await asyncio.sleep(0.01)
    await asyncio.sleep(seconds)


def _rows(stage: Stage) -> list[int]:
    with stage.engine.connect() as connection:
        return [
            int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
            for table in ("payment", "entry", "lot")
        ]


def _compare(stage: Stage, crowd: Crowd, seed: str) -> None:
    """The journal against the books, payment by payment."""
    query = text(
        "SELECT p.terminal_id, p.stan, p.kind, p.amount, p.approved, p.returned, p.approval, p.cashback,"
        " (SELECT coalesce(sum(e.won), 0) FROM entry e WHERE e.bucket = p.bucket"
        "  AND e.wallet_id = p.wallet_id AND e.seq = p.seq AND e.credit = 221) AS to_merchant"
        " FROM payment p"
    )
    with stage.engine.connect() as connection:
        rows = list(connection.execute(query))
    booked = {(row.terminal_id, row.stan): row for row in rows if row.kind == 1}
    assert len(booked) == sum(row.kind == 1 for row in rows), seed
    sent = {(paid.terminal.terminal_id, paid.stan): paid for paid in crowd.journal}
    assert booked.keys() == sent.keys(), seed
    approved = 0
    for key, paid in sent.items():
        row = booked[key]
        assert paid.code in ("00", "51", "61"), (seed, paid)
        if paid.code != "00":
            assert (row.approved, row.to_merchant, row.approval) == (0, 0, ""), (seed, paid)
            continue
        approved += 1
        assert (row.amount, row.approved, row.to_merchant) == (paid.amount,) * 3, (seed, paid)
        assert row.approval == paid.approval, (seed, paid)
        assert row.cashback == (paid.cashback or 0), (seed, paid)
        assert row.returned == (paid.amount if paid.reversed else 0), (seed, paid)
    assert approved > 1_000, seed
    assert _spent(crowd.journal) == _taken(stage), seed


def _spent(journal: list[Paid]) -> int:
    return sum(paid.amount for paid in journal if paid.code == "00" and not paid.reversed)


def _taken(stage: Stage) -> int:
    """The won that all lots together have lost."""
    with stage.engine.connect() as connection:
        held = connection.execute(text("SELECT sum(granted) - sum(balance) FROM lot")).scalar_one()
    return int(held)
