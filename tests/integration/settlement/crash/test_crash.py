"""Killed before, in and after every single write, and done again: the same bytes and the same books."""

import os
import random
from collections import Counter

import pytest
from sqlalchemy import text

from tests.integration.settlement.conftest import Server
from tests.integration.settlement.crash.harness import Place, Stage
from tests.integration.settlement.crash.story import STORY, begin

POINTS_MIN = 3_200
SEED = 20261118
IN_PASSING = 30
"""How many points are tried whenever tests are run."""
EVERY = int(os.environ.get("DURE_CRASH_EVERY", "7"))
"""Which of the points make endure tries: each seventh. make crash tries each single one.

A prime: the same writes come again in an even rhythm, and each eighth was hardly ever in the middle of one.
"""


@pytest.fixture(scope="module")
def stage(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The story, played once."""
    folder = tmp_path_factory.mktemp("crash")
    return Stage(server, server.clone(server.template), folder, STORY, begin)


def _try(stage: Stage, places: list[Place]) -> None:
    told = {str(place): found for place in places if (found := stage.differences(place))}
    assert not told, "\n".join(f"{place}\n    " + "\n    ".join(found) for place, found in told.items())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_story_has_everything_in_it(stage: Stage) -> None:
    assert len(stage.places) >= POINTS_MIN
    with stage.at_the_end() as world, world.engine.connect() as connection:

        def all_of(query: str) -> set[object]:
            return {tuple(row) if len(row) > 1 else row[0] for row in connection.execute(text(query))}

        assert all_of("SELECT state FROM payout") >= {"booked", "rejected", "returned"}
        assert all_of("SELECT attempt FROM payout") == {1, 2}
        assert all_of("SELECT state FROM bank_file") == {"answered"}
        assert all_of("SELECT DISTINCT cycle FROM settlement_run") == {1, 2}
        assert all_of("SELECT purpose FROM house_transfer") == {"funding", "fees"}
        assert all_of("SELECT credited_by IS NOT NULL FROM funding_stop") == {True, False}
        for column in ("refunds", "fee", "vat", "rebate", "subsidy", "reserved", "released", "rounding"):
            assert all_of(f"SELECT sum({column}) > 0 FROM merchant_net") == {True}, column
        assert all_of("SELECT bool_or(carried_in < 0) FROM merchant_net") == {True}
        assert all_of("SELECT bool_or(held <> '') FROM merchant_net") == {True}
        assert all_of("SELECT count(*) > 0 FROM expiry") == {True}
        assert all_of("SELECT state FROM bank_entry") == {"matched", "resolved"}
        assert all_of("SELECT state FROM settlement_step") == {"done"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_some_points_and_done_again(stage: Stage) -> None:
    """One point of each act, and others drawn from all."""
    draw = random.Random(SEED)
    each = [draw.choice([place for place in stage.places if place.act == act]) for act in range(len(STORY))]
    others = draw.sample(stage.places, IN_PASSING - len(each))
    print(f"{len(stage.places):,} points, {IN_PASSING} of them with seed {SEED}")  # noqa: T201
    _try(stage, each + others)


@pytest.mark.endure
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("act", range(len(STORY)), ids=[act.name for act in STORY])
def test_killed_at_every_point_and_done_again(stage: Stage, act: int) -> None:
    """About 0.7 s a point: all of them take some 40 minutes, and with two at work half of that."""
    places = [place for place in stage.places if place.act == act]
    chosen = places[act % EVERY :: EVERY]
    kinds = Counter(place.point.how for place in chosen)
    print(f"{STORY[act].name}: {len(chosen):,} of {len(places):,} points, {dict(kinds)}")  # noqa: T201
    _try(stage, chosen)
