"""The demonstration's programme is the shipped one with amounts of a town's size."""

from pathlib import Path

import msgspec
import pytest

from switch.domain.programme_file import parse_programme
from terminal_sim.processes import ProgramError
from terminal_sim.town_city import sized, sizes_of
from terminal_sim.town_plan import PROGRAMME, make_plan

TEXT = (Path(__file__).parents[3] / f"config/programmes/{PROGRAMME}.toml").read_text("utf-8")
PLAN = make_plan(1, 3_000)


def test_only_the_amounts_change() -> None:
    shipped, town = parse_programme(TEXT, "shipped"), parse_programme(sized(TEXT, sizes_of(PLAN)), "town")
    sizes = sizes_of(PLAN)
    budgets = {(budget.code, budget.funder): budget for budget in town.budgets}
    for kind, code, funder in sizes:
        if kind == "budget":
            assert budgets[code, funder].amount_of(202611) == sizes[kind, code, funder]
    pots = {campaign.code: campaign.total_max for campaign in town.campaigns}
    assert pots["sale_coupon"] == 10_000 * sum(member.coupon for member in PLAN.members)
    assert msgspec.structs.replace(town, budgets=(), campaigns=()) == msgspec.structs.replace(
        shipped, budgets=(), campaigns=()
    )
    assert [one.code for one in town.campaigns] == [one.code for one in shipped.campaigns]


def test_a_budget_that_is_not_in_the_file_is_told() -> None:
    with pytest.raises(ProgramError, match="parking"):
        sized(TEXT, {("budget", "parking", "city"): 1})
