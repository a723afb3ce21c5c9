"""Simulation on books that real lanes have written."""

from datetime import date

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from switch.domain.budget import Budget
from switch.domain.programme import Programme
from switch.domain.request import Request
from switch.service.admin import RefusedError
from switch.service.import_files import no_progress
from switch.service.review.simulate import Wish, simulate
from tests.integration.authorizer.ground import Ground, ask
from tests.support.postgres import Database
from tests.unit.decide import world
from tests.unit.decide.estate import estate, members
from tests.unit.decide.estate import reference as estate_reference
from tests.unit.decide.sequences import Day

WHOLE = Wish(date(2026, 6, 1), date(2026, 8, 31), workers=1, examples=1_000)


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


def stricter(programme: Programme) -> Programme:
    """Nothing above 20,000 won a payment, and a budget of the first funder that ends."""
    policies = tuple(
        replace(policy, limits=replace(policy.limits, payment_max=20_000)) for policy in programme.policies
    )
    budget = Budget(code="cashback", funder=programme.funders[0].id, monthly=3_000)
    return replace(programme, policies=policies, budgets=(budget,))


async def test_a_simulation_on_history(database: Database) -> None:
    programme = estate_reference().programmes[world.PROGRAMME_NO]
    ground = Ground(database, programme)
    await live(ground, 3001, wallets=12, a_day=70)
    _the_rules_in_force_reproduce_every_payment(ground)
    _other_rules_make_the_difference_that_they_say(ground, programme)
    with pytest.raises(RefusedError, match="exchange them"):
        simulate(ground.engine, "test", None, Wish(date(2026, 7, 2), date(2026, 7, 1)), no_progress)
    with pytest.raises(RefusedError, match="no version"):
        simulate(ground.engine, "test", None, replace(WHOLE, as_version="never"), no_progress)


def _the_rules_in_force_reproduce_every_payment(ground: Ground) -> None:
    for since in (date(2026, 6, 1), date(2026, 6, 30), date(2026, 7, 1)):
        told = simulate(ground.engine, "test", None, replace(WHOLE, since=since), no_progress)
        assert told.payments > 100
        assert told.flips == ()
        assert (told.declined_now, told.won_now) == (told.declined_then, told.won_then)
        now = [(day.day, day.cashback_now) for day in told.days]
        assert now == [(day.day, day.cashback_then) for day in told.days]
        assert (told.members, told.merchants, told.fell_away) == ((), (), 0)


def _other_rules_make_the_difference_that_they_say(ground: Ground, programme: Programme) -> None:
    told = simulate(ground.engine, "test", stricter(programme), WHOLE, no_progress)
    with ground.engine.connect() as connection:
        over = connection.scalar(
            text(
                "SELECT count(*) FROM payment WHERE kind = 1 AND approved > 20000 AND original_seq = 0"
                " AND reason IN (0, 3) AND outcome IN (1, 3, 4)"
            )
        )
        cashback = connection.scalar(text("SELECT sum(cashback) FROM payment"))
    limit = [flip for flip in told.flips if flip.reason_now == "over_payment_limit"]
    assert all(len(flip.examples) == flip.payments for flip in limit)
    examples = [one for flip in limit for one in flip.examples if one.kind == "purchase"]
    # What was approved in part may be more now, for money that was not spent before: then it is over too.
    assert sum(one.approved_then > 20_000 for one in examples) == over > 0
    # What a terminal takes in part is short of less.
    assert [one for one in examples if one.limit != 20_000] == []
    assert all(0 < one.short <= one.amount - 20_000 for one in examples)
    # Money that was not spent pays later payments: more of what was approved in part.
    assert told.other_amount + len(examples) > over
    assert told.cashback_then == cashback
    assert told.cashback_now == sum(row.now for row in told.funders)
    first = programme.funders[0].id
    months = {row.month: row for row in told.budgets if row.funder == first}
    assert all(row.granted <= row.amount == 3_000 for row in months.values())
    ended = [row for row in months.values() if row.missed]
    assert ended
    assert all(row.ended_now and not row.ended_then for row in ended)
    assert sum(row.granted for row in months.values()) == next(
        row.now for row in told.funders if row.funder == first
    )
    members = simulate(ground.engine, "test", stricter(programme), replace(WHOLE, top=1_000), no_progress)
    assert sum(one.cashback for one in members.members) == told.cashback_now - told.cashback_then
    assert sum(one.cashback for one in members.merchants) == told.cashback_now - told.cashback_then
    two = simulate(ground.engine, "test", stricter(programme), replace(WHOLE, workers=2), no_progress)
    assert replace(two, seconds=0.0) == replace(told, seconds=0.0)
