"""A shadow beside the live rules: records only differences, survives its end, counts exactly once."""

import asyncio
from datetime import datetime

import pytest
from sqlalchemy import text

from switch.domain.calendar import SEOUL
from switch.service.admin import RefusedError
from switch.service.review.shadow import AlreadyFollowedError, Follower, find, start, stop
from switch.service.review.shadow_report import ShadowReport, report
from tests.integration.authorizer.ground import Ground
from tests.integration.what_if.city import live, stricter
from tests.support.postgres import Database
from tests.unit.decide import world
from tests.unit.decide.estate import members
from tests.unit.decide.estate import reference as estate_reference

NOW = datetime(2026, 6, 28, 12, tzinfo=SEOUL)
SEED, WALLETS, A_DAY = 3003, 6, 30


async def live_and_follow(database: Database, *, rounds_too: bool) -> tuple[Ground, dict[str, ShadowReport]]:
    ground = Ground(database, estate_reference().programmes[world.PROGRAMME_NO])
    ground.add(members(SEED, WALLETS).values())
    programme = estate_reference().programmes[world.PROGRAMME_NO]
    for name, rules in (("same", programme), ("strict", stricter(programme))):
        start(ground.engine, "test", rules, name, "tester", NOW)

    async def follow_both() -> None:
        for name in ("same", "strict"):
            await asyncio.to_thread(follow, ground, name)

    await live(ground, SEED, WALLETS, A_DAY, follow_both if rounds_too else None)
    for name in ("same", "strict"):
        follow(ground, name)
    return ground, {
        name: report(ground.engine, find(ground.engine, "test", name), 1_000) for name in ("same", "strict")
    }


def follow(ground: Ground, name: str) -> int:
    follower = Follower(ground.engine, find(ground.engine, "test", name))
    try:
        return follower.round(ground.now())
    finally:
        follower.close()


async def test_rounds_while_payments_go_on_find_what_one_round_finds(database: Database) -> None:
    ground, told = await live_and_follow(database, rounds_too=True)
    same, strict = told["same"], told["strict"]
    with ground.engine.connect() as connection:
        payments, cashback = connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE kind IN (1, 3, 6)), sum(cashback) FROM payment WHERE kind <> 4"
            )
        ).one()
        over = connection.scalar(
            text(
                "SELECT count(*) FROM payment WHERE kind IN (1, 6) AND amount > 20000 AND original_seq = 0"
                " AND reason IN (0, 3) AND outcome IN (1, 3, 4, 7)"
            )
        )
    for one in (same, strict):
        assert one.behind == 0
        assert sum(day.payments for day in one.days) == payments
        assert sum(day.live_cashback for day in one.days) == cashback
    # The same rules in the same situations: no answer and no won differ.
    assert (same.flips, same.rated_otherwise) == ((), 0)
    assert sum(day.cashback for day in same.days) == cashback
    refused = sum(flip.payments for flip in strict.flips if flip.shadow == "over_payment_limit")
    assert over > 0
    assert refused == over
    assert all(pool.taken <= 3_000 for pool in strict.budgets)
    assert any(pool.missed and pool.taken == 3_000 and pool.ended for pool in strict.budgets)
    assert follow(ground, "strict") == 0


async def test_a_follower_that_dies_in_its_transaction_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground, _ = await live_and_follow(database, rounds_too=False)
    programme = estate_reference().programmes[world.PROGRAMME_NO]
    start(ground.engine, "test", stricter(programme), "late", "tester", NOW)
    with ground.engine.begin() as connection:  # as if it had been started before all payments
        connection.execute(text("UPDATE shadow_mark SET seq = 1 WHERE shadow_no = 3 AND seq > 1"))
    from switch.service.review import shadow as module

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            follow(ground, "late")
    before = report(ground.engine, find(ground.engine, "test", "late"), 10)
    assert (before.days, before.last, before.budgets) == ((), (), ())
    assert follow(ground, "late") > 0
    strict = report(ground.engine, find(ground.engine, "test", "strict"), 10)
    late = report(ground.engine, find(ground.engine, "test", "late"), 10)
    assert (late.days, late.flips, late.budgets) == (strict.days, strict.flips, strict.budgets)


async def test_one_follower_at_a_time_and_one_name(database: Database) -> None:
    ground = Ground(database, estate_reference().programmes[world.PROGRAMME_NO])
    programme = estate_reference().programmes[world.PROGRAMME_NO]
    one = start(ground.engine, "test", programme, "mine", "tester", NOW)
    with pytest.raises(RefusedError, match="choose another name"):
        start(ground.engine, "test", programme, "mine", "tester", NOW)
    first = Follower(ground.engine, one)
    with pytest.raises(AlreadyFollowedError):
        Follower(ground.engine, one)
    first.close()
    Follower(ground.engine, one).close()
    ended = stop(ground.engine, "test", "mine", NOW)
    assert stop(ground.engine, "test", "mine", datetime(2027, 1, 1, tzinfo=SEOUL)) == ended
