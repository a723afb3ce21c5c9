"""Policies of the worked examples, as values."""

from datetime import datetime, time

from switch.domain.calendar import SEOUL
from switch.domain.programme import Bonus, FeeClass, Funder, Policy, Programme, Restriction, Tier

FUNDERS = ("national", "city", "district")

TIERS_T = (
    Tier(0, 300_000, 100_000, (("national", 40_000), ("city", 20_000), ("district", 40_000))),
    Tier(300_000, 500_000, 70_000, (("national", 40_000), ("city", 20_000), ("district", 10_000))),
    Tier(500_000, 1_000_000, 60_000, (("national", 40_000), ("city", 20_000))),
)

FEES_OF_2025 = (
    FeeClass(0, 300_000_000, 1_500),
    FeeClass(300_000_000, 500_000_000, 7_500),
    FeeClass(500_000_000, 1_000_000_000, 9_000),
    FeeClass(1_000_000_000, 3_000_000_000, 11_500),
)


def one_funder_tiers(*steps: tuple[int, int]) -> tuple[Tier, ...]:
    """Tiers (up_to, rate_ppm) that the city pays alone."""
    above, tiers = 0, []
    for up_to, rate_ppm in steps:
        tiers.append(Tier(above, up_to, rate_ppm, (("city", rate_ppm),)))
        above = up_to
    return tuple(tiers)


def policy(
    tiers: tuple[Tier, ...] = TIERS_T,
    *,
    bonuses: tuple[Bonus, ...] = (),
    restrictions: tuple[Restriction, ...] = (),
    version: str = "1",
    effective_from: datetime = datetime(2025, 1, 1, tzinfo=SEOUL),
) -> Policy:
    """A policy in which only what a test asks about is particular."""
    return Policy(
        programme_id="test",
        version=version,
        effective_from=effective_from,
        funder_order=FUNDERS,
        tiers=tiers,
        fee_classes=FEES_OF_2025,
        fee_default_ppm=15_000,
        bonuses=bonuses,
        restrictions=restrictions,
    )


def programme(*policies: Policy) -> Programme:
    """A programme of these versions."""
    return Programme(
        programme_id="test",
        name="Test",
        cutover=time(0),
        funders=tuple(Funder(funder, funder) for funder in FUNDERS),
        bins=("941061",),
        policies=policies,
    )
