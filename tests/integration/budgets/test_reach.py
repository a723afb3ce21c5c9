"""What lanes reach for beyond their own slot: all that there is, and nothing that came in meanwhile."""

from datetime import datetime
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from switch.domain.budget import Budget
from switch.domain.calendar import SEOUL
from switch.domain.campaign import Campaign, Where
from switch.domain.decision import decode_detail
from switch.domain.payment import Kind
from switch.store import lane_sql
from switch.store.lane import LaneBooks
from switch.store.reference import load_reference
from tests.integration.authorizer.ground import Ground, ask
from tests.integration.budgets.test_budgets import JUNE, cashback, running
from tests.integration.budgets.town import check_pools, left, members, programme, purchase, refund
from tests.support.postgres import Database
from tests.unit.decide import world


async def test_a_budget_that_is_short_only_once_another_is_filled_is_fetched_too(database: Database) -> None:
    """A top-up waits for the month's issue; only then can its member pay, and be due cashback."""
    city = Budget(code="cashback", funder="city", monthly=100_000)
    ground = Ground(database, programme(Budget(code="issuance", funder="", monthly=500_000), city))
    ground.add(members([1], won=1))
    async with running(ground, lanes=1) as authorizer:
        both = [purchase(1, 50_000, JUNE, kind=Kind.TOPUP), purchase(1, 30_000, JUNE, stan=2)]
        told = await ask(authorizer, both)
    assert [answer.stored.approved for answer in told] == [50_000, 30_000]
    assert cashback(told) == [0, 3_000]
    assert (left(ground.engine, 2), check_pools(ground.engine)) == (97_000, [])
    ground.check_books()


async def test_money_given_back_while_every_slot_is_emptied_is_not_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane takes all there is; before it commits, a cancel at a lane that had nothing gets a slot."""
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=100_000)))
    ground.add(members([1, 2, 3]))
    async with (
        running(ground, lanes=1) as first,
        running(ground, lanes=1) as second,
        running(ground, lanes=1) as third,
    ):
        bought = purchase(1, 10_000, JUNE)
        await ask(first, [bought])
        await ask(second, [purchase(2, 1_000, JUNE, stan=2)])
        commit = LaneBooks.commit
        came: list[Any] = []

        async def late(books: LaneBooks, *arguments: Any) -> None:
            monkeypatch.setattr(LaneBooks, "commit", commit)
            came.extend(await ask(third, [refund(bought, 10_000, 3)]))
            await commit(books, *arguments)

        monkeypatch.setattr(LaneBooks, "commit", late)
        told = await ask(first, [purchase(3, 950_000, JUNE, stan=4)])
    assert (cashback(came), cashback(told)) == ([-1_000], [95_000])
    assert (left(ground.engine), check_pools(ground.engine)) == (100_000 - 100 - 95_000, [])


async def test_top_ups_that_the_rest_is_too_small_for_do_not_gather_it_each_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The month's issue is over but for a little: that stays where it is, and the one that fits gets it."""
    ground = Ground(database, programme(Budget(code="issuance", funder="", monthly=100_000)))
    ground.add(members([1, 2, 3], won=1))
    begun: list[int] = []
    begin = LaneBooks.begin

    async def counted(books: LaneBooks, *arguments: Any) -> Any:
        begun.append(arguments[-1])
        return await begin(books, *arguments)

    async with running(ground, lanes=1) as authorizer:
        await ask(authorizer, [purchase(1, 75_000, JUNE, kind=Kind.TOPUP)])
        monkeypatch.setattr(LaneBooks, "begin", counted)
        many = [purchase(2, won, JUNE, stan=won, kind=Kind.TOPUP) for won in range(30_000, 33_000, 1_000)]
        refused = await ask(authorizer, many)
        assert begun == [0]
        # 25,000 are left, 20,000 of them in the lane's slot: each is told what it truly lacks.
        lacking = [decode_detail(answer.stored.detail) for answer in refused]
        assert [told.short for told in lacking] == [5_000, 6_000, 7_000]
        assert [told.faults[0].short for told in lacking] == [5_000, 6_000, 7_000]
        told = await ask(authorizer, [purchase(3, 25_000, JUNE, stan=9, kind=Kind.TOPUP), *many])
    assert [answer.stored.approved for answer in (*refused, *told)] == [0, 0, 0, 25_000, 0, 0, 0]
    assert (left(ground.engine), check_pools(ground.engine)) == (0, [])


async def test_a_program_that_stands_still_with_a_budget_in_hand_holds_up_nobody_for_long(
    database: Database,
) -> None:
    """The server takes its locks away within the time for which others try again."""
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=100_000)))
    ground.add(members([1]))
    async with running(ground, lanes=1) as authorizer:
        assert cashback(await ask(authorizer, [purchase(1, 250_000, JUNE)])) == [25_000]
        still = await psycopg.AsyncConnection.connect(database.conninfo, autocommit=True)
        await still.execute(lane_sql.SETTINGS)
        await still.execute("BEGIN")
        await still.execute("SELECT free FROM budget_month FOR NO KEY UPDATE")
        told = await ask(authorizer, [purchase(1, 700_000, JUNE, stan=2)])
        await still.close()
    assert cashback(told) == [70_000]


def test_a_lane_has_nothing_to_do_with_pots_of_what_is_issued_and_shops_share_what_bars_them(
    database: Database,
) -> None:
    """However many coupons a city has thought of, a payment reads the budgets that it can take from."""
    may, july = datetime(2026, 5, 1, tzinfo=SEOUL), datetime(2026, 7, 1, tzinfo=SEOUL)
    coupon = Campaign(
        code="sale", name="Sale", kind="coupon", shares=(("city", 1_000_000),), won=10_000,
        total_max=500_000, valid_days=30, where=Where(categories=("nowhere",)), starts=may, ends=july,
    )  # fmt: skip
    window = Campaign(
        code="night", name="Night", kind="cashback", shares=(("city", 10_000),), rate_ppm=10_000,
        total_max=500_000, starts=may, ends=july,
    )  # fmt: skip
    one = programme(Budget(code="cashback", funder="city", monthly=100_000))
    ground = Ground(database, replace(one, campaigns=(coupon, window)))
    rules = load_reference(ground.engine)
    read = [line.budget.code for line in rules.budgets.lines_of[world.PROGRAMME_NO]]
    assert read == ["cashback", "campaign:night"]
    assert len(rules.budgets.lines) == 3
    first, second = [
        rules.terms(world.PROGRAMME_NO, number, 20260601, 120_000, "pos").barred
        for number in list(rules.merchants)[:2]
    ]
    assert first
    assert first is second
