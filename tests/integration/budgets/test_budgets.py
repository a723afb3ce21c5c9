"""Budgets through the lanes: never a won over, the last won still spendable, cancels release."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from switch.domain.budget import Budget
from switch.domain.payment import Kind
from switch.domain.programme import Tier
from switch.domain.reasons import BY_NUMBER
from switch.service.authorizer import Authorizer
from switch.service.batch import Answer
from tests.integration.authorizer.ground import Ground, ask
from tests.integration.budgets.town import (
    check_pools,
    granted,
    left,
    members,
    programme,
    purchase,
    refund,
    reversal,
)
from tests.support.postgres import Database

JUNE = 202606
FIVE_PERCENT = (Tier(0, 1_000_000_000, 50_000, (("city", 50_000),)),)


@asynccontextmanager
async def running(ground: Ground, lanes: int = 2) -> AsyncIterator[Authorizer]:
    authorizer = ground.authorizer(lanes=lanes)
    await authorizer.start()
    try:
        yield authorizer
    finally:
        await authorizer.stop()


def cashback(answers: list[Answer]) -> list[int]:
    return [answer.stored.cashback for answer in answers]


async def test_worked_example_2_the_end_of_a_budget(database: Database) -> None:
    """One funder, 5 %, 1,300 left: 20,000 earns 1,000, then 18,000 earns 300, then nothing; all approved."""
    ground = Ground(
        database, programme(Budget(code="cashback", funder="city", monthly=1_300), tiers=FIVE_PERCENT)
    )
    ground.add(members([1]))
    async with running(ground) as authorizer:
        told = []
        for stan, won in enumerate((20_000, 18_000, 10_000), 1):
            told += await ask(authorizer, [purchase(1, won, JUNE, stan=stan)])
    assert cashback(told) == [1_000, 300, 0]
    assert [BY_NUMBER[answer.stored.reason].name for answer in told] == ["approved"] * 3
    assert (left(ground.engine), check_pools(ground.engine)) == (0, [])
    ground.check_books()


async def test_money_in_another_lanes_slot_is_found(database: Database) -> None:
    """Two members of different lanes: the first lane has fetched all that is left, the second needs it."""
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=10_000)))
    ground.add(members(range(1, 40)))
    async with running(ground) as authorizer:
        first = await ask(authorizer, [purchase(1, 10_000, JUNE)])
        rest = []
        for number in range(2, 40):
            rest += await ask(authorizer, [purchase(number, 5_000, JUNE, stan=number)])
    assert cashback(first) == [1_000]
    assert sum(cashback(rest)) == 9_000
    assert cashback(rest) == [500] * 18 + [0] * 20
    assert (left(ground.engine), check_pools(ground.engine)) == (0, [])


async def test_a_cancel_releases_what_it_had_and_another_member_gets_it(database: Database) -> None:
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=1_000)))
    ground.add(members([1, 2, 3]))
    async with running(ground) as authorizer:
        bought = purchase(1, 10_000, JUNE)
        assert cashback(await ask(authorizer, [bought])) == [1_000]
        assert cashback(await ask(authorizer, [purchase(2, 10_000, JUNE, stan=2)])) == [0]
        assert cashback(await ask(authorizer, [refund(bought, 4_000, 3)])) == [-400]
        assert cashback(await ask(authorizer, [purchase(3, 10_000, JUNE, stan=4)])) == [400]
    assert (left(ground.engine), check_pools(ground.engine)) == (0, [])
    ground.check_books()


async def test_without_reopening_a_cancels_money_is_not_granted_again_but_to_itself(
    database: Database,
) -> None:
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=1_000, reopen=False)))
    ground.add(members([1, 2]))
    async with running(ground) as authorizer:
        bought = purchase(1, 10_000, JUNE)
        back = refund(bought, 10_000, 3)
        assert cashback(await ask(authorizer, [bought])) == [1_000]
        assert cashback(await ask(authorizer, [back])) == [-1_000]
        assert cashback(await ask(authorizer, [purchase(2, 10_000, JUNE, stan=4)])) == [0]
        assert cashback(await ask(authorizer, [reversal(back, 5)])) == [1_000]
    assert (left(ground.engine), check_pools(ground.engine)) == (0, [])
    ground.check_books()


async def test_an_undone_refund_is_granted_again_only_as_far_as_the_budget_has_it(database: Database) -> None:
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=1_000)))
    ground.add(members([1, 2]))
    async with running(ground) as authorizer:
        bought = purchase(1, 10_000, JUNE)
        back = refund(bought, 10_000, 3)
        await ask(authorizer, [bought])
        await ask(authorizer, [back])
        assert cashback(await ask(authorizer, [purchase(2, 7_000, JUNE, stan=4)])) == [700]
        assert cashback(await ask(authorizer, [reversal(back, 5)])) == [300]
        assert cashback(await ask(authorizer, [refund(bought, 10_000, 6)])) == [-300]
    assert (left(ground.engine), check_pools(ground.engine)) == (300, [])
    ground.check_books()


async def test_an_undone_refund_finds_the_money_in_its_own_lanes_slot(database: Database) -> None:
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=5_000)))
    ground.add(members([1]))
    async with running(ground, lanes=1) as authorizer:
        bought = purchase(1, 10_000, JUNE)
        back = refund(bought, 10_000, 3)
        assert cashback(await ask(authorizer, [bought])) == [1_000]
        assert cashback(await ask(authorizer, [back])) == [-1_000]
        assert cashback(await ask(authorizer, [reversal(back, 5)])) == [1_000]
    assert (left(ground.engine), check_pools(ground.engine)) == (4_000, [])
    ground.check_books()


async def test_each_funder_pays_as_far_as_its_own_budget_goes(database: Database) -> None:
    """National 4 %, city 6 %: the nation's budget ends, the city's part is granted all the same."""
    tiers = (Tier(0, 1_000_000_000, 100_000, (("national", 40_000), ("city", 60_000))),)
    budgets = (
        Budget(code="cashback", funder="national", monthly=500),
        Budget(code="cashback", funder="city", monthly=100_000),
    )
    ground = Ground(database, programme(*budgets, tiers=tiers))
    ground.add(members([1]))
    async with running(ground) as authorizer:
        second = purchase(1, 10_000, JUNE, stan=2)
        told = await ask(authorizer, [purchase(1, 10_000, JUNE)])
        told += await ask(authorizer, [second])
        half = refund(second, 5_000, 3)
        told += await ask(authorizer, [half])
    assert cashback(told) == [1_000, 100 + 600, -300]
    assert left(ground.engine, 1) == 0
    assert left(ground.engine, 2) == 100_000 - 600 - 600 + 300
    assert check_pools(ground.engine) == []
    ground.check_books()


async def test_a_late_payment_takes_from_its_own_months_budget(database: Database) -> None:
    ground = Ground(
        database, programme(Budget(code="cashback", funder="city", monthly=300, months=((202605, 50),)))
    )
    ground.add(members([1]))
    async with running(ground) as authorizer:
        told = await ask(authorizer, [purchase(1, 10_000, JUNE), purchase(1, 10_000, 202605, stan=2)])
    assert cashback(told) == [300, 50]
    assert granted(ground.engine) == {JUNE: 300, 202605: 50}


async def test_two_hundred_at_once_through_two_programs(database: Database) -> None:
    """More is due than there is: all of it is granted, and not a won more."""
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=7_777)))
    ground.add(members(range(1, 201)))
    pair = [ground.authorizer(batch_max=8), ground.authorizer(batch_max=8)]
    await asyncio.gather(*[one.start() for one in pair])
    asked = [pair[n % 2].submit(purchase(n, 1_000 + n, JUNE, stan=n)) for n in range(1, 201)]
    told = await asyncio.gather(*asked)
    await asyncio.gather(*[one.stop() for one in pair])
    assert sum(cashback(list(told))) == 7_777
    assert (left(ground.engine), check_pools(ground.engine)) == (0, [])
    ground.check_books()


async def test_lanes_have_places_of_their_own_and_a_dead_ones_money_is_not_lost(database: Database) -> None:
    """A program fetches a slice and dies; another, with a place of its own, pays with that money."""
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=50_000)))
    ground.add(members([1, 2]))
    async with running(ground, lanes=1) as first, running(ground, lanes=1) as second:
        await ask(first, [purchase(1, 1_000, JUNE)])
        await ask(second, [purchase(2, 1_000, JUNE, stan=2)])
        with ground.engine.connect() as connection:
            slots = connection.scalar(text("SELECT count(DISTINCT slot) FROM budget_slot"))
        assert slots == 2
    async with running(ground, lanes=1) as third:
        told = await ask(third, [purchase(1, 10_000_000, JUNE, stan=3)])
    assert cashback(told) == [50_000 - 200]
    assert (left(ground.engine), check_pools(ground.engine)) == (0, [])


async def test_top_ups_are_bounded_by_the_months_issue_and_a_reversal_gives_it_back(
    database: Database,
) -> None:
    ground = Ground(database, programme(Budget(code="issuance", funder="", monthly=100_000)))
    ground.add(members([1, 2, 3], won=1))
    async with running(ground) as authorizer:
        first = purchase(1, 70_000, JUNE, stan=1, kind=Kind.TOPUP)
        told = await ask(authorizer, [first])
        told += await ask(authorizer, [purchase(2, 40_000, JUNE, stan=2, kind=Kind.TOPUP)])
        told += await ask(authorizer, [purchase(3, 30_000, JUNE, stan=3, kind=Kind.TOPUP)])
        told += await ask(authorizer, [reversal(first, 4)])
        told += await ask(authorizer, [purchase(2, 40_000, JUNE, stan=5, kind=Kind.TOPUP)])
    names = [BY_NUMBER[answer.stored.reason].name for answer in told]
    assert names == ["approved", "over_issuance_limit", "approved", "approved", "approved"]
    assert (left(ground.engine), check_pools(ground.engine)) == (30_000, [])
    ground.check_books()


async def test_a_top_up_from_before_the_bound_gives_it_nothing_back(database: Database) -> None:
    ground = Ground(database, programme(Budget(code="issuance", funder="", monthly=100_000)))
    ground.add(members([1], won=1))
    first = purchase(1, 70_000, JUNE, stan=1, kind=Kind.TOPUP)
    with database.engine(owner=True).begin() as connection:
        kept = connection.execute(text("DELETE FROM budget RETURNING programme_no, code, funder_no")).one()
    async with running(ground) as authorizer:
        await ask(authorizer, [first])
    with database.engine(owner=True).begin() as connection:
        connection.execute(
            text("INSERT INTO budget (budget_no, programme_no, code, funder_no) VALUES (1, :p, :c, :f)"),
            dict(zip("pcf", kept, strict=True)),
        )
    async with running(ground) as authorizer:
        await ask(authorizer, [reversal(first, 2)])
        told = await ask(authorizer, [purchase(1, 100_001, JUNE, stan=3, kind=Kind.TOPUP)])
    assert BY_NUMBER[told[0].stored.reason].name == "over_issuance_limit"
    ground.check_books()


async def test_a_rush_of_top_ups_fills_the_bound_and_nobody_is_refused_while_it_has_room(
    database: Database,
) -> None:
    """The first of the month at midnight: whoever commits first has it, to the last that fits."""
    ground = Ground(database, programme(Budget(code="issuance", funder="", monthly=77_500)))
    ground.add(members(range(1, 201), won=1))
    pair = [ground.authorizer(batch_max=8), ground.authorizer(batch_max=8)]
    await asyncio.gather(*[one.start() for one in pair])
    asked = [pair[n % 2].submit(purchase(n, 1_000, JUNE, stan=n, kind=Kind.TOPUP)) for n in range(1, 201)]
    told = await asyncio.gather(*asked)
    await asyncio.gather(*[one.stop() for one in pair])
    names = [BY_NUMBER[answer.stored.reason].name for answer in told]
    assert (names.count("approved"), names.count("over_issuance_limit")) == (77, 123)
    assert (left(ground.engine), check_pools(ground.engine)) == (500, [])
    ground.check_books()
