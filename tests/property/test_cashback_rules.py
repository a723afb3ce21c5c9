"""What holds of every rating, for any policy, amount and usage (DOMAIN rules 4 and 7)."""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.budget import Grants
from switch.domain.calendar import SEOUL
from switch.domain.cashback import Rating, rate
from switch.domain.granting import keep, minus, total
from switch.domain.money import largest_remainder
from switch.domain.programme import Bonus, Policy, Shares, Tier

FUNDERS = ("national", "city", "district", "operator")
PPM = 1_000_000


@st.composite
def shares(draw: st.DrawFn) -> tuple[int, Shares]:
    parts = draw(st.lists(st.integers(0, 40_000), min_size=len(FUNDERS), max_size=len(FUNDERS)))
    return sum(parts), tuple((funder, ppm) for funder, ppm in zip(FUNDERS, parts, strict=True) if ppm)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    ends = sorted(draw(st.sets(st.integers(1, 1_500_000), min_size=1, max_size=4)))
    tiers, above = [], 0
    for end in ends:
        rate_ppm, parts = draw(shares())
        tiers.append(Tier(above, end, rate_ppm, parts))
        above = end
    bonuses = []
    for number in range(draw(st.integers(0, 2))):
        rate_ppm, parts = draw(shares())
        group = draw(st.sampled_from([None, "traditional_market"]))
        channel = draw(st.sampled_from([None, "delivery"]))
        bonuses.append(Bonus(f"b{number}", group, channel, rate_ppm, parts, draw(st.booleans())))
    return Policy(
        programme_id="any",
        version="1",
        effective_from=datetime(2025, 1, 1, tzinfo=SEOUL),
        funder_order=FUNDERS,
        tiers=tuple(tiers),
        fee_classes=(),
        fee_default_ppm=0,
        bonuses=tuple(bonuses),
    )


won = st.integers(0, 2_000_000)
group_sets = st.sampled_from([(), ("traditional_market",)])
channel_names = st.sampled_from(["pos", "delivery"])


def exact_ppm(policy: Policy, usage: int, groups: tuple[str, ...], channel: str) -> int:
    """Unfloored cashback, in won × 10⁶, of all usage from 0 on: one won after the other, summed."""
    total = 0
    for tier in policy.tiers:
        total += max(0, min(usage, tier.up_to) - tier.above) * tier.rate_ppm
    for bonus in policy.bonuses:
        if bonus.group in (None, *groups) and bonus.channel in (None, channel):
            total += (min(usage, policy.cap) if bonus.inside_cap else usage) * bonus.rate_ppm
    return total


@given(policies(), won, won, group_sets, channel_names)
@settings(max_examples=300, print_blob=True)
def test_a_rating_adds_up_and_is_the_exact_sum_but_for_one_floor_a_piece(
    policy: Policy, basis: int, usage: int, groups: tuple[str, ...], channel: str
) -> None:
    rating = rate(policy, basis=basis, usage_before=usage, groups=groups, channel=channel)
    assert rating.total == sum(piece.won for piece in rating.pieces)
    assert rating.total == sum(part for _, part in rating.by_funder)
    assert [funder for funder, _ in rating.by_funder] == [
        funder for funder in FUNDERS if funder in dict(rating.by_funder)
    ]
    for piece in rating.pieces:
        assert piece.won == piece.basis * piece.rate_ppm // PPM
        assert piece.won == sum(part for _, part in piece.shares)
        assert all(part > 0 for _, part in piece.shares)
    exact = exact_ppm(policy, usage + basis, groups, channel) - exact_ppm(policy, usage, groups, channel)
    assert 0 <= exact - rating.total * PPM < max(1, len(rating.pieces)) * PPM


@given(policies(), won, won, won, group_sets, channel_names)
@settings(max_examples=200, print_blob=True)
def test_two_payments_earn_what_one_would_but_for_the_floors(
    policy: Policy, first: int, second: int, usage: int, groups: tuple[str, ...], channel: str
) -> None:
    def rated(basis: int, before: int) -> Rating:
        return rate(policy, basis=basis, usage_before=before, groups=groups, channel=channel)

    one = rated(first + second, usage)
    parts = (rated(first, usage), rated(second, usage + first))
    lost = one.total - sum(part.total for part in parts)
    pieces = sum(len(part.pieces) for part in parts)
    assert -max(1, len(one.pieces)) < lost < max(1, pieces)


@given(policies(), won, st.data())
@settings(max_examples=200, print_blob=True)
def test_a_split_at_a_tier_boundary_changes_nothing(policy: Policy, usage: int, data: st.DataObject) -> None:
    ends = [tier.up_to for tier in policy.tiers if tier.up_to > usage]
    if not ends:
        return
    end = data.draw(st.sampled_from(ends))
    beyond = data.draw(won)
    plain = Policy(
        programme_id="any",
        version="1",
        effective_from=policy.effective_from,
        funder_order=FUNDERS,
        tiers=policy.tiers,
        fee_classes=(),
        fee_default_ppm=0,
    )

    def rated(basis: int, before: int) -> Rating:
        return rate(plain, basis=basis, usage_before=before, groups=(), channel="pos")

    whole, until, after = rated(end - usage + beyond, usage), rated(end - usage, usage), rated(beyond, end)
    assert whole.pieces == until.pieces + after.pieces
    for funder in FUNDERS:
        assert dict(whole.by_funder).get(funder, 0) == sum(
            dict(part.by_funder).get(funder, 0) for part in (until, after)
        )


@given(policies(), won, won, st.data(), group_sets, channel_names)
@settings(max_examples=300, print_blob=True)
def test_partial_cancels_leave_exactly_the_rating_of_the_remainder(
    policy: Policy, basis: int, usage: int, data: st.DataObject, groups: tuple[str, ...], channel: str
) -> None:
    """One cancel after another: the total is what the remainder rates, no funder's part ever grows, and each
    is within a won a piece of its share."""

    def rated(left: int) -> Rating:
        return rate(policy, basis=left, usage_before=usage, groups=groups, channel=channel)

    def parts(rating: Rating) -> dict[tuple[int, int], int]:
        return {(FUNDERS.index(funder) + 1, 0): won for funder, won in rating.by_funder}

    before = rated(basis)
    kept: Grants = tuple((*key, won) for key, won in parts(before).items())
    left = basis
    for remaining in sorted(data.draw(st.lists(st.integers(0, basis), max_size=4)), reverse=True):
        after = rated(remaining)
        now = keep(kept, rated(left).total, parts(after))
        assert total(now) == after.total
        assert all(won > 0 for _, _, won in minus(kept, now))
        due = parts(after)
        assert all(
            abs(won - due.get((funder, line), 0)) <= 2 * len(before.pieces) for funder, line, won in now
        )
        kept, left = now, remaining


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
@settings(max_examples=300, print_blob=True)
def test_largest_remainder_sums_and_stays_within_a_won(total: int, weights: list[int]) -> None:
    whole = sum(weights)
    if not whole:
        return
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert 0 <= part - total * weight // whole <= 1
        assert weight or not part
