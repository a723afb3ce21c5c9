"""What the quick recomputation takes for granted of the rules."""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.recompute import Plain, keys_of, level, plain
from switch.domain.calendar import SEOUL
from switch.domain.cashback import rate
from switch.domain.programme import Bonus, Policy, Tier
from switch.domain.rerate import rating_terms

FUNDERS = ("national", "city")
NUMBERS = {"national": 1, "city": 2}


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Up to three tiers and two bonuses, one of them above the cap, too."""
    ends = sorted(draw(st.sets(st.integers(1, 1_000), max_size=3)))
    rates = st.integers(1, 200_000)
    tiers = []
    for above, up_to in zip([0, *ends], ends, strict=False):
        share = draw(rates)
        tiers.append(Tier(above, up_to, share, (("national", share // 3), ("city", share - share // 3))))
    bonuses = tuple(
        Bonus(f"b{n}", group, channel, 30_000, (("city", 30_000),), inside_cap=inside, budget=budget)
        for n, (group, channel, inside, budget) in enumerate(
            draw(
                st.lists(
                    st.tuples(
                        st.sampled_from([None, "market"]),
                        st.sampled_from([None, "pos"]),
                        st.booleans(),
                        st.sampled_from(["", "own"]),
                    ),
                    max_size=2,
                )
            )
        )
    )
    return Policy(
        programme_id="t",
        version="1",
        effective_from=datetime(2025, 1, 1, tzinfo=SEOUL),
        funder_order=FUNDERS,
        tiers=tuple(tiers),
        fee_classes=(),
        fee_default_ppm=0,
        bonuses=bonuses,
    )


@given(policies(), st.integers(0, 1_500), st.integers(0, 1_500), st.sampled_from([(), ("market",)]))
@settings(print_blob=True)
def test_inside_a_stretch_usage_does_not_matter(
    policy: Policy, basis: int, usage: int, groups: tuple[str, ...]
) -> None:
    budgets = {("cashback", "national"): 7, ("own", "city"): 8}
    terms = rating_terms(policy, 1, NUMBERS, budgets, {})
    exact = rate(policy, basis=basis, usage_before=usage, groups=groups, channel="pos").due()
    wanted = {(NUMBERS[funder], budgets.get((code, funder), 0)): 0 for code, funder in exact}
    for (code, funder), won in exact.items():
        wanted[NUMBERS[funder], budgets.get((code, funder), 0)] += won
    for above, up_to in [*level(policy), (usage, usage + basis)]:
        if usage >= above and (up_to is None or usage + basis <= up_to):
            found = plain(Plain(1, "pos", groups, False, basis, above), terms)
            assert found == {key: won for key, won in wanted.items() if won}
            assert set(found) <= keys_of(terms)
