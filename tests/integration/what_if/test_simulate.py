"""Simulation on books that real lanes have written."""

from datetime import date

import pytest

from switch.domain.request import Request
from switch.service.import_files import no_progress
from switch.service.review.simulate import Wish, simulate
from tests.integration.authorizer.ground import Ground, ask
from tests.support.postgres import Database
from tests.unit.decide import world
from tests.unit.decide.estate import estate, members
from tests.unit.decide.estate import reference as estate_reference
from tests.unit.decide.sequences import Day

WHOLE = Wish(date(2026, 6, 1), date(2026, 8, 31), workers=1)


async def live(ground: Ground, seed: int, wallets: int, a_day: int) -> None:
    """Random days with all that terminals send, across a month's end and a change of policy."""
    ground.add(members(seed, wallets).values())
    authorizer = ground.authorizer()
    await authorizer.start()
    waiting: list[Request] = []
    try:
        for act in estate(seed, wallet_count=wallets, requests_a_day=a_day):
            if isinstance(act, Request):
                waiting.append(act)
                continue
            await ask(authorizer, waiting)
            waiting.clear()
            if isinstance(act, Day):
                ground.set_day(act.day)
        await ask(authorizer, waiting)
    finally:
        await authorizer.stop()


@pytest.mark.parametrize("seed", [3001, 3002])
async def test_the_rules_in_force_reproduce_every_payment(database: Database, seed: int) -> None:
    ground = Ground(database, estate_reference().programmes[world.PROGRAMME_NO])
    await live(ground, seed, wallets=12, a_day=110)
    told = simulate(ground.engine, "test", None, WHOLE, no_progress)
    assert told.payments > 300
    assert told.flips == ()
    assert (told.declined_now, told.won_now) == (told.declined_then, told.won_then)
    now = [(day.day, day.cashback_now) for day in told.days]
    assert now == [(day.day, day.cashback_then) for day in told.days]
