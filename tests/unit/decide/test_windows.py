"""Windows of extra cashback at their edges: the minimum spend, a member's bound, and returns."""

from datetime import datetime
from typing import Any

from switch.domain.budget import Budget, Line, Pools
from switch.domain.calendar import SEOUL
from switch.domain.campaign import Campaign
from switch.domain.decision import decode_detail
from switch.domain.granting import kept_of, total
from switch.domain.payment import Kind
from switch.domain.request import Stored
from switch.domain.wallet import Lot
from switch.store.reference import ProgrammeGiven
from tests.unit.decide.world import CITY, PROGRAMME_NO, Till, charged, points, wallet

RUSH = Campaign(
    code="rush",
    name="rush",
    kind="cashback",
    starts=datetime(2026, 6, 1, tzinfo=SEOUL),
    ends=datetime(2026, 7, 1, tzinfo=SEOUL),
    shares=(("city", 100_000),),
    rate_ppm=100_000,
    min_spend=10_000,
    member_max=3_000,
    inside_cap=False,
    total_max=1_000_000,
)
POT = 7


def till(*lots: Lot, **policy: Any) -> Till:
    """A member and a window of 10 % from 10,000 won on; no other cashback."""
    line = Line(POT, PROGRAMME_NO, CITY, Budget(code="campaign:rush", funder="city", whole=1_000_000))
    return Till(
        wallet(*lots, points_on=True),
        given=ProgrammeGiven(
            budget_no={("campaign:rush", "city"): POT}, windows={"rush": (1, RUSH)}, member_bound=True
        ),
        pools=Pools({POT: line}, {(POT, 0): 1_000_000}),
        **{"tiers": (), "bonuses": (), **policy},
    )


def stands(stored: Stored) -> int:
    return total(kept_of(decode_detail(stored.detail)))


def test_the_minimum_spend_is_asked_of_what_was_approved() -> None:
    at = till(charged(1, 9_999))
    done = at.send(Kind.PURCHASE, 200_000, partial=True)
    assert (done.approved, done.cashback) == (9_999, 0)
    at = till(charged(1, 9_999))
    done = at.send(Kind.PURCHASE, 200_000, advice=True)
    assert (done.approved, done.cashback) == (9_999, 0)
    at = till(charged(1, 10_000))
    assert at.send(Kind.PURCHASE, 200_000, partial=True).cashback == 1_000


def test_what_remains_below_the_minimum_spend_keeps_nothing_of_the_window() -> None:
    at = till(charged(1, 100_000))
    bought = at.send(Kind.PURCHASE, 20_000)
    assert bought.cashback == 2_000
    assert at.send(Kind.REFUND, 10_000, of=bought).cashback == -1_000
    back = at.send(Kind.REFUND, 1, of=bought)
    assert (back.cashback, stands(bought), at.wallet.campaign_won) == (-1_000, 0, {1: 0})
    again = at.send(Kind.REVERSAL, 1, of=back)
    assert (again.cashback, stands(bought), at.wallet.campaign_won) == (1_000, 1_000, {1: 1_000})


def test_a_return_of_points_alone_can_take_the_window_away() -> None:
    at = till(charged(1, 9_000), points(2, 2_000), spending_order=("charged", "points"))
    bought = at.send(Kind.PURCHASE, 11_000)
    assert bought.cashback == 900
    back = at.send(Kind.REFUND, 1_001, of=bought)
    assert (back.basis, back.cashback) == (0, -900)


def test_an_undone_refund_gives_a_member_no_more_than_its_bound() -> None:
    at = till(charged(1, 100_000))
    bought = at.send(Kind.PURCHASE, 30_000)
    back = at.send(Kind.REFUND, 20_000, of=bought)
    second = at.send(Kind.PURCHASE, 15_000)
    assert (bought.cashback, back.cashback, second.cashback) == (3_000, -2_000, 1_500)
    undone = at.send(Kind.REVERSAL, 20_000, of=back)
    assert (undone.cashback, stands(bought), at.wallet.campaign_won) == (500, 1_500, {1: 3_000})
    assert decode_detail(undone.detail).missed == ((CITY, POT, 1_500),)
    assert at.pools.short == {}
    assert at.send(Kind.REFUND, 30_000, of=bought).cashback == -1_500
    assert at.wallet.campaign_won == {1: 1_500}
