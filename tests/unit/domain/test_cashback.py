from collections.abc import Collection

import pytest

from switch.domain.budget import Grants
from switch.domain.cashback import NOTHING, Rating, rate
from switch.domain.granting import keep, minus
from switch.domain.programme import Bonus, Policy, Tier
from tests.unit.domain.samples import one_funder_tiers, policy

MARKET = Bonus("market", "traditional_market", None, 30_000, (("city", 30_000),))


def rated(
    rules: Policy, basis: int, usage_before: int = 0, groups: Collection[str] = (), channel: str = "pos"
) -> Rating:
    return rate(rules, basis=basis, usage_before=usage_before, groups=groups, channel=channel)


NUMBERS = {"national": 1, "city": 2, "district": 3}


def grants(rating: Rating) -> Grants:
    return tuple((NUMBERS[funder], 0, won) for funder, won in rating.by_funder)


def back(before: Rating, after: Rating) -> Grants:
    """What a return that leaves `after` takes of what was granted by `before`."""
    wanted = {(NUMBERS[funder], 0): won for funder, won in after.by_funder}
    return minus(grants(before), keep(grants(before), before.total, wanted))


def test_a_payment_across_tiers_is_split_at_the_boundaries() -> None:
    """Worked example 1."""
    first = rated(policy(), 260_000, 270_000)
    assert [piece.won for piece in first.pieces] == [3_000, 14_000, 1_800]
    assert [piece.basis for piece in first.pieces] == [30_000, 200_000, 30_000]
    assert first.total == 18_800
    assert first.by_funder == (("national", 10_400), ("city", 5_200), ("district", 3_200))

    then = rated(policy(), 500_000, 530_000)
    assert then.total == 28_200
    assert [piece.basis for piece in then.pieces] == [470_000]


def test_midnight_between_two_months_and_policies() -> None:
    """Worked example 3: the advice of 23:59:50 counts in June, after what June already had."""
    june = policy(one_funder_tiers((500_000, 100_000), (1_000_000, 10_000)))
    july = policy(one_funder_tiers((300_000, 50_000)))
    assert rated(june, 40_000, 480_000).total == 2_200
    assert rated(july, 40_000, 0).total == 2_000
    assert rated(june, 10_000, 520_000).total == 100


def test_the_cashback_that_a_full_cancel_takes_back() -> None:
    """Worked example 4."""
    june = policy(one_funder_tiers((500_000, 100_000)))
    granted = rated(june, 200_000)
    assert granted.total == 20_000
    assert back(granted, NOTHING) == ((2, 0, 20_000),)


def test_a_partial_cancel_keeps_the_rating_of_the_remainder() -> None:
    """Rule 7: 10,005 won at 10 % grant 1,000; a cancel of 5,009 claws back 501."""
    rules = policy(one_funder_tiers((500_000, 100_000)))
    before, after = rated(rules, 10_005), rated(rules, 10_005 - 5_009)
    assert (before.total, after.total) == (1_000, 499)
    assert back(before, after) == ((2, 0, 501),)


def test_a_partial_cancel_across_a_boundary_starts_at_the_same_usage() -> None:
    before, after = rated(policy(), 260_000, 270_000), rated(policy(), 60_000, 270_000)
    assert after.total == 3_000 + 2_100
    assert back(before, after) == ((1, 0, 8_000), (2, 0, 4_000), (3, 0, 1_700))


def test_no_funder_pays_more_for_less() -> None:
    """The Alabama paradox: of 11 won the district owes one, of 10 two. Its budget may be used up by then, so
    another funder keeps that won, and the member keeps exactly what the remainder rates."""
    shares = (("national", 60_000), ("city", 60_000), ("district", 20_000))
    rules = policy((Tier(0, 1_000_000, 140_000, shares),))
    before, after = rated(rules, 79), rated(rules, 72)
    assert (before.total, after.total) == (11, 10)
    assert before.by_funder == (("national", 5), ("city", 5), ("district", 1))
    assert after.by_funder == (("national", 4), ("city", 4), ("district", 2))
    assert back(before, after) == ((2, 0, 1),)


def test_what_a_budget_never_gave_is_not_kept_by_another_funder() -> None:
    """Half of a payment comes back; the first funder's budget had been used up when it was made."""
    before: Grants = ((2, 0, 50),)
    assert keep(before, 100, {(1, 0): 25, (2, 0): 25}) == ((2, 0, 25),)


def test_what_was_granted_in_part_is_kept_as_long_as_the_remainder_rates_it() -> None:
    """Worked example 2 and rule 7: 900 due, 300 granted; half comes back, and the 300 stay."""
    before: Grants = ((1, 1, 300),)
    assert keep(before, 900, {(1, 1): 450}) == ((1, 1, 300),)
    assert keep(before, 900, {(1, 1): 299}) == ((1, 1, 299),)


def test_a_funder_without_a_won_is_not_named() -> None:
    assert rated(policy(), 10).by_funder == (("national", 1),)
    assert rated(policy(), 9).by_funder == ()


def test_a_tie_goes_to_the_funder_named_first() -> None:
    shares = (("city", 50_000), ("district", 50_000))
    rules = policy((Tier(0, 1_000_000, 100_000, shares),))
    assert rated(rules, 30).by_funder == (("city", 2), ("district", 1))


def test_funders_add_up_in_the_programmes_order() -> None:
    tiers = (
        Tier(0, 100, 100_000, (("district", 100_000),)),
        Tier(100, 200, 100_000, (("national", 100_000),)),
    )
    assert rated(policy(tiers), 200).by_funder == (("national", 10), ("district", 10))


def test_each_piece_is_floored_alone() -> None:
    rules = policy(one_funder_tiers((105, 100_000), (1_000, 100_000)))
    assert [piece.won for piece in rated(rules, 209).pieces] == [10, 10]


def test_above_the_last_tier_nothing_is_earned() -> None:
    assert rated(policy(), 50_000, 1_000_000) == NOTHING
    assert rated(policy(), 0, 5) == NOTHING


def test_a_tier_without_a_rate_earns_nothing_but_keeps_the_cap() -> None:
    free = policy((Tier(0, 1_000_000, 0, ()),), bonuses=(MARKET,))
    assert rated(free, 10_000).total == 0
    assert rated(free, 10_000, groups={"traditional_market"}).total == 300


def test_a_bonus_comes_only_to_its_group_and_inside_the_cap() -> None:
    rules = policy(one_funder_tiers((1_000_000, 100_000)), bonuses=(MARKET,))
    assert rated(rules, 10_000).total == 1_000
    assert rated(rules, 10_000, groups={"traditional_market"}).total == 1_300
    crossing = rated(rules, 10_000, 995_000, {"traditional_market"})
    assert [(piece.code, piece.basis, piece.won) for piece in crossing.pieces] == [
        ("0-1000000", 5_000, 500),
        ("market", 5_000, 150),
    ]
    assert rated(rules, 10_000, 1_000_000, {"traditional_market"}) == NOTHING


def test_a_bonus_may_reach_beyond_the_cap() -> None:
    beyond = Bonus("campaign", None, None, 30_000, (("city", 30_000),), inside_cap=False)
    rules = policy(one_funder_tiers((1_000_000, 100_000)), bonuses=(beyond,))
    assert rated(rules, 10_000, 1_000_000).total == 300
    assert rated(rules, 10_000, 995_000).total == 500 + 300


def test_a_bonus_may_ask_for_group_and_channel() -> None:
    both = Bonus("both", "traditional_market", "delivery", 30_000, (("city", 30_000),))
    rules = policy(one_funder_tiers((1_000_000, 100_000)), bonuses=(both,))
    assert rated(rules, 100, groups={"traditional_market"}).total == 10
    assert rated(rules, 100, channel="delivery").total == 10
    assert rated(rules, 100, groups={"traditional_market"}, channel="delivery").total == 13


@pytest.mark.parametrize(("basis", "usage_before"), [(-1, 0), (1, -1)])
def test_negative_won_are_refused(basis: int, usage_before: int) -> None:
    with pytest.raises(ValueError, match="0 won or more"):
        rated(policy(), basis, usage_before)
