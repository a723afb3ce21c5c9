"""The linter: each trap is found, with its line and what to do; the rules without it are clean of it."""

from pathlib import Path

import pytest

from switch.domain.lint import lint
from switch.domain.lint_finding import Facts, Finding, warning
from switch.domain.programme_file import parse_programme

HEAD = """
[programme]
id = "town"
name = "Town"
bins = ["941061"]
member_tags = ["youth"]

[[funder]]
id = "city"
name = "City"

[[budget]]
funder = "city"
monthly = 1_000_000
"""
POLICY = """
[[policy]]
version = "1"
effective_from = 2026-01-01T00:00:00+09:00
spending_order = ["coupon", "grant", "points", "charged"]
payout_days = 2
points_expiry_months = 60
charged_expiry_months = 60
fee_default = "1 %"

[[policy.tier]]
above = 0
up_to = 300_000
rate = "10 %"
shares = { city = "10 %" }

[[policy.fee_class]]
above = 0
up_to = 300_000_000
rate = "1 %"
"""
BAR = """
[[policy.restriction]]
code = "bars"
lot_kinds = ["charged", "coupon"]
categories = ["bar", "club"]
reason_ko = "불가"
reason_en = "no"
"""
COUPON = """
[[campaign]]
code = "sale"
name = "Sale"
kind = "coupon"
funder = "city"
starts = 2026-05-01T00:00:00+09:00
ends = 2026-06-01T00:00:00+09:00
won = 10_000
min_spend = 30_000
total_max = 1_000_000
valid_until = 2026-06-30
"""


def found(text: str, facts: Facts | None = None) -> tuple[Finding, ...]:
    return lint(parse_programme(text, "town.toml"), text, facts)


def next_version(when: str, up_to: int, rate: str) -> str:
    tier = f'above = 0\nup_to = {up_to}\nrate = "{rate}"\nshares = {{ city = "{rate}" }}\n'
    return f'\n[[policy]]\nversion = "2"\nbased_on = "1"\neffective_from = {when}\n[[policy.tier]]\n{tier}'


CLEAN = HEAD + COUPON + POLICY + BAR


def test_rules_without_traps_are_clean() -> None:
    assert found(CLEAN) == ()


@pytest.mark.parametrize(
    ("text", "severity", "what"),
    [
        (CLEAN + next_version("2026-03-15T00:00:00+09:00", 500_000, "10 %"), "warning", "earns again"),
        (CLEAN + next_version("2026-03-15T00:00:00+09:00", 300_000, "12 %"), "warning", "become 12 %"),
        (CLEAN + next_version("2026-03-15T00:00:00+09:00", 300_000, "9 %"), "warning", "changes the tiers"),
        (CLEAN + next_version("2026-03-01T00:00:00+09:00", 300_000, "5 %"), "warning", "from 10 % to 5 %"),
        (CLEAN + BAR.replace("bars", "clubs").replace('"bar", ', ""), "warning", '"bars" refuses everything'),
        (
            CLEAN.replace('"club"]', '"club"]\nexcept_groups = ["village"]') + BAR.replace("bars", "all"),
            "warning",
            "spares village",
        ),
        (CLEAN.replace("total_max = 1_000_000\n", ""), "warning", "has no pot"),
        (CLEAN.replace("min_spend = 30_000", "min_spend = 10_000"), "warning", "takes 10,000 won off"),
        (CLEAN.replace("2026-06-30", "2026-05-20"), "warning", "before the last day of issue, 20260531"),
        (CLEAN.replace('"coupon", "grant", ', ""), "warning", 'has no "coupon"'),
        (CLEAN.replace('"points", "charged"]', '"charged"]'), "warning", "has no points"),
        (
            CLEAN.replace('funder = "city"\nmonthly', 'code = "market"\nfunder = "city"\nmonthly'),
            "warning",
            "is missing",
        ),
        (
            CLEAN.replace('funder = "city"\nmonthly', 'code = "market"\nfunder = "city"\nmonthly'),
            "warning",
            "charged by nothing",
        ),
        (
            CLEAN.replace(
                "valid_until = 2026-06-30\n", 'valid_until = 2026-06-30\nwhere = { categories = ["bar"] }\n'
            ),
            "warning",
            'only where "bars"',
        ),
        (
            CLEAN
            + '\n[[policy]]\nversion = "2"\nbased_on = "1"\neffective_from = 2026-03-02T06:00:00+09:00\n',
            "info",
            "not at 00:00",
        ),
    ],
)
def test_a_trap_is_found(text: str, severity: str, what: str) -> None:
    hits = [one for one in found(text) if what in one.what]
    assert [one.severity for one in hits] == [severity]
    assert hits[0].fix
    assert hits[0].why


def test_a_finding_names_its_line() -> None:
    text = CLEAN.replace("min_spend = 30_000", "min_spend = 10_000")
    (one,) = found(text)
    assert text.splitlines()[one.line - 1] == 'code = "sale"'


def test_what_the_books_say() -> None:
    text = CLEAN.replace('"club"]', '"club"]\nexcept_groups = ["village"]').replace(
        "valid_until", 'audience = "youth"\nvalid_until'
    )
    facts = Facts({}, {}, {"bar": 3}, {("cashback", "city"): 1_200_000})
    told = [one.what for one in found(text, facts)]
    assert any('no merchant is in the group "village"' in what for what in told)
    assert any('no member is marked "youth"' in what for what in told)
    assert any("less than the 1,200,000 won" in what for what in told)
    assert any("no merchant has the category club" in what for what in told)
    full = Facts({"village": 1}, {"youth": 1}, {"bar": 3, "club": 1}, {("cashback", "city"): 1_000_000})
    assert found(text, full) == ()


@pytest.mark.parametrize("name", ["seoro", "ontong"])
def test_what_ships_reads_without_a_fault(name: str) -> None:
    text = Path(f"config/programmes/{name}.toml").read_text(encoding="utf-8")
    assert all(one.line for one in found(text) if one.anchors)


def test_a_finding_is_three_sentences() -> None:
    told = str(warning("policy 1, tier above 0", "the rate falls", "members complain", "announce it"))
    assert told == "warning: policy 1, tier above 0: the rate falls. Members complain. Announce it."
