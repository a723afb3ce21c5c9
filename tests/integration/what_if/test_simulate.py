"""Simulation on books that real lanes have written."""

from datetime import date, datetime

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from switch.domain.calendar import SEOUL
from switch.domain.programme import Programme
from switch.service.admin import RefusedError
from switch.service.giving.finding import programme_of
from switch.service.import_files import no_progress
from switch.service.review.lint_books import facts_of
from switch.service.review.simulate import Wish, simulate
from tests.integration.authorizer.ground import Ground
from tests.integration.what_if.city import live, stricter
from tests.support.postgres import Database
from tests.unit.decide import world
from tests.unit.decide.estate import members
from tests.unit.decide.estate import reference as estate_reference

WHOLE = Wish(date(2026, 6, 1), date(2026, 8, 31), workers=1, examples=1_000)


async def test_a_simulation_on_history(database: Database) -> None:
    programme = estate_reference().programmes[world.PROGRAMME_NO]
    ground = Ground(database, programme)
    ground.add(members(3001, 12).values())
    await live(ground, 3001, wallets=12, a_day=70)
    _the_rules_in_force_reproduce_every_payment(ground)
    _other_rules_make_the_difference_that_they_say(ground, programme)
    _the_linter_is_told_who_bears_a_tag(ground, programme)
    with pytest.raises(RefusedError, match="exchange them"):
        simulate(ground.engine, "test", None, Wish(date(2026, 7, 2), date(2026, 7, 1)), no_progress)
    with pytest.raises(RefusedError, match="no version"):
        simulate(ground.engine, "test", None, replace(WHOLE, as_version="never"), no_progress)


def _the_linter_is_told_who_bears_a_tag(ground: Ground, programme: Programme) -> None:
    with ground.engine.begin() as connection:
        connection.execute(text("UPDATE wallet SET tags = CASE wallet_id WHEN 1 THEN 5 ELSE 4 END"))
        at = programme_of(connection, "test")
        tagged = replace(at, programme=replace(programme, member_tags=("pupil", "club", "all")))
        facts = facts_of(connection, tagged, datetime(2026, 7, 1, 12, tzinfo=SEOUL))
        assert facts.tags == {"pupil": 1, "club": 0, "all": 12}
        assert facts_of(connection, at, datetime(2026, 7, 1, 12, tzinfo=SEOUL)).tags == {}


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
