"""A scenario's own rules become a programme file that the switch accepts; its names become legal ids."""

from pathlib import Path

import pytest

from switch.domain.programme_file import parse_programme
from switch.wire.redact import luhn_valid
from terminal_sim import scenario as words
from terminal_sim.processes import ProgramError
from terminal_sim.scenario_file import read_scenario
from terminal_sim.scenario_programme import programme_toml
from terminal_sim.scenario_stage import Names

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def test_rules_become_a_programme_file() -> None:
    rules = words.Programme(
        id="town",
        funders=["national", "city"],
        policies=[
            words.Policy(
                tiers=[
                    words.Tier(up_to=300_000, shares={"national": "0.5 %", "city": "9.5 %"}),
                    words.Tier(up_to=500_000),
                ],
                bonuses=[
                    words.Bonus(code="market", group="market", shares={"city": "3 %"}, inside_cap=False)
                ],
                restrictions=[words.Restriction(code="large", sizes=["large"])],
                limits={"payment_max": 100_000},
            )
        ],
    )
    programme = parse_programme(programme_toml(rules), "town.toml")
    (policy,) = programme.policies
    assert [(tier.above, tier.up_to, tier.rate_ppm) for tier in policy.tiers] == [
        (0, 300_000, 100_000),
        (300_000, 500_000, 0),
    ]
    assert policy.tiers[0].shares == (("national", 5_000), ("city", 95_000))
    assert policy.bonuses[0].rate_ppm == 30_000
    assert not policy.bonuses[0].inside_cap
    assert policy.restrictions[0].sizes == ("large",)
    assert policy.limits.payment_max == 100_000


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_rules_of_every_scenario_are_accepted(path: Path) -> None:
    programme = read_scenario(path).programme
    if isinstance(programme, words.Programme):
        parse_programme(programme_toml(programme), "programme.toml")
    else:
        assert (SCENARIOS.parents[1] / "config/programmes" / f"{programme}.toml").is_file()


def test_a_rate_that_is_none() -> None:
    tier = words.Tier(up_to=1, shares={"city": "much"})
    rules = words.Programme(id="town", funders=["city"], policies=[words.Policy(tiers=[tier])])
    with pytest.raises(ProgramError, match="4 %"):
        programme_toml(rules)


def test_names_are_legal_and_tags_keep_scenarios_apart() -> None:
    plain, tagged = Names("", "941061"), Names("second-run", "941061")
    for names in (plain, tagged):
        assert len(names.merchant("a-long-name-15c")) <= 15
        assert len(names.terminal("till")) == 8
        assert len(names.pan("card")) == 16
        assert luhn_valid(names.pan("card"))
    assert plain.member("kim") == "kim"
    assert plain.pan("card") != tagged.pan("card") != tagged.pan("other")
    assert plain.terminal("till") != tagged.terminal("till")
