"""Budgets and campaigns of a programme file: who pays has a bound, or the file says that there is none."""

import pytest

from switch.domain.budget import pots_of
from switch.domain.programme_file import ProgrammeError, parse_programme
from tests.unit.domain.test_lint import HEAD, POLICY

WINDOW = """
[[campaign]]
code = "night"
name = "Night"
kind = "cashback"
starts = 2026-05-01T00:00:00+09:00
ends = 2026-06-01T00:00:00+09:00
rate = "1 %"
shares = { city = "1 %" }
"""


def test_a_funder_whose_part_of_a_pot_comes_to_nothing_is_bounded_too() -> None:
    shares = (("city", 40_000), ("nation", 10_000))
    pots = pots_of("campaign:night", 1, shares)
    assert [(pot.funder, pot.amount_of(202605), pot.whole) for pot in pots] == [
        ("city", 0, 1),
        ("nation", 0, 0),
    ]
    assert sum(pot.whole for pot in pots_of("campaign:night", 1_001, shares)) == 1_001


BUDGETS = """
[[budget]]
code = "issuance"
monthly = 5

[[budget]]
code = "lamp"
funder = "city"
monthly = 5
"""


@pytest.mark.parametrize("named", ["nigth", "issuance"])
def test_a_window_names_a_budget_that_there_is(named: str) -> None:
    text = HEAD + BUDGETS + WINDOW + 'budget = "lamp"\n' + POLICY
    assert parse_programme(text, "town.toml").campaigns[0].budget_code == "lamp"
    with pytest.raises(ProgrammeError, match=f'no budget "{named}"'):
        parse_programme(text.replace('budget = "lamp"', f'budget = "{named}"'), "town.toml")


def test_a_coupon_is_paid_from_a_budget_of_its_own_funder() -> None:
    coupon = """
[[campaign]]
code = "lunch"
name = "Lunch"
kind = "coupon"
funder = "city"
won = 5_000
min_spend = 10_000
starts = 2026-05-01T00:00:00+09:00
ends = 2026-06-01T00:00:00+09:00
valid_days = 30
budget = "lamp"
"""
    parse_programme(HEAD + BUDGETS + coupon + POLICY, "town.toml")
    other = BUDGETS.replace('funder = "city"', 'funder = "nation"')
    with pytest.raises(ProgrammeError, match='budget "lamp" is not one of its funder "city"'):
        parse_programme(HEAD + other + coupon + POLICY, "town.toml")


@pytest.mark.parametrize("named", ["lmap", "issuance"])
def test_a_bonus_names_a_budget_that_there_is(named: str) -> None:
    bonus = '[[policy.bonus]]\ncode = "market"\nchannel = "pos"\nrate = "1 %"\nshares = { city = "1 %" }\n'
    text = HEAD + BUDGETS + POLICY + bonus + 'budget = "lamp"\n'
    assert parse_programme(text, "town.toml").policies[0].bonuses[0].budget == "lamp"
    with pytest.raises(ProgrammeError, match=f'no budget "{named}"'):
        parse_programme(text.replace('budget = "lamp"', f'budget = "{named}"'), "town.toml")
    parse_programme(text.replace('budget = "lamp"', 'budget = "cashback"'), "town.toml")  # no bound is one
