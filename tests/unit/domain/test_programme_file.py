"""A good file becomes the values it says; each bad one is told by line, key and fix."""

import hashlib
from datetime import datetime, time
from pathlib import Path

import msgspec
import pytest

from switch.domain.calendar import SEOUL
from switch.domain.cashback import rate
from switch.domain.fees import fee_rate
from switch.domain.money import WON_MAX
from switch.domain.programme import Contactless, FeeClass, Funder, Limits, Tier
from switch.domain.programme_file import (
    ProgrammeError,
    canonical_json,
    canonical_policy,
    canonical_sha256,
    from_canonical,
    parse_programme,
)
from switch.domain.toml_reader import CHARACTERS_MAX, PROBLEMS_MAX, nearest, percent

SHIPPED = Path(__file__).parents[3] / "config" / "programmes"

GOOD = """\
[programme]
id = "town"
name = "마을페이"
cutover = "04:30"
bins = ["941061", "94106201"]

[[funder]]
id = "national"
name = "국비"

[[funder]]
id = "city"
name = "시비"

[[policy]]
version = "v1"
effective_from = 2025-01-01T00:00:00+09:00
spending_order = ["points", "charged"]
payout_days = 2
points_expiry_months = 24
charged_expiry_months = 60
fee_default = "1.5 %"

[[policy.tier]]
above = 0
up_to = 300_000
rate = "10 %"
shares = { city = "6 %", national = "4 %" }

[[policy.tier]]
above = 300_000
up_to = 500_000
rate = "0.15 %"
shares = { city = "0.15 %" }

[[policy.bonus]]
code = "market"
group = "traditional_market"
rate = "3 %"
shares = { city = "3 %" }

[policy.limits]
payment_max = 500_000
day_max = 600_000

[[policy.restriction]]
code = "ssm"
lot_kinds = ["charged"]
sizes = ["ssm"]
reason_ko = "사용할 수 없습니다"
reason_en = "not accepted"

[[policy.fee_class]]
above = 0
up_to = 300_000_000
rate = "0.15 %"

[[policy]]
version = "v2"
based_on = "v1"
effective_from = 2025-04-01T06:00:00+09:00
bonus = []

[[policy.tier]]
above = 0
up_to = 100_000
rate = "5 %"
shares = { national = "5 %" }
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ProgrammeError) as caught:
        parse_programme(text, "town.toml")
    return [str(problem) for problem in caught.value.problems]


def test_a_good_file_is_what_it_says() -> None:
    town = parse_programme(GOOD, "town.toml")
    assert (town.programme_id, town.name, town.cutover) == ("town", "마을페이", time(4, 30))
    assert town.bins == ("941061", "94106201")
    assert town.funders == (Funder("national", "국비"), Funder("city", "시비"))
    first = town.policies[0]
    assert first.effective_from == datetime(2025, 1, 1, tzinfo=SEOUL)
    # The shares stand in the programme's order of funders, whatever the order in the tier.
    assert first.tiers == (
        Tier(0, 300_000, 100_000, (("national", 40_000), ("city", 60_000))),
        Tier(300_000, 500_000, 1_500, (("city", 1_500),)),
    )
    assert first.limits == Limits(payment_max=500_000, day_max=600_000)
    assert first.fee_classes == (FeeClass(0, 300_000_000, 1_500),)
    assert (first.fee_default_ppm, first.payout_days) == (15_000, 2)
    assert (first.points_expiry_months, first.charged_expiry_months) == (24, 60)
    assert (first.spending_order, first.cashback_basis) == (("points", "charged"), ("charged",))
    assert first.bonuses[0].inside_cap
    assert first.restrictions[0].sizes == ("ssm",)


def test_a_version_takes_over_what_it_does_not_change() -> None:
    first, second = parse_programme(GOOD, "town.toml").policies
    assert second.tiers == (Tier(0, 100_000, 50_000, (("national", 50_000),)),)
    assert second.bonuses == ()
    taken_over = ("limits", "restrictions", "fee_classes", "fee_default_ppm", "payout_days", "spending_order")
    for field in (*taken_over, "points_expiry_months"):
        assert getattr(second, field) == getattr(first, field)


def test_the_canonical_form_is_stable_and_complete() -> None:
    town = parse_programme(GOOD, "town.toml")
    stored = canonical_json(town)
    assert from_canonical(stored) == town
    assert canonical_json(from_canonical(stored)) == stored
    assert canonical_sha256(town) == canonical_sha256(parse_programme("# a remark\n" + GOOD, "other.toml"))
    assert canonical_sha256(town) != canonical_sha256(
        parse_programme(GOOD.replace("마을", "동네"), "town.toml")
    )
    with pytest.raises(msgspec.DecodeError):
        from_canonical(stored[:-1])


# What is replaced, by what, the place that must be named, what must be said, the fix that must be offered.
BAD = [
    ('id = "town"', 'id = "Town!"', "2: programme.id", "has not the form", "a letter first"),
    ('id = "town"\n', "", "1: programme", '"id" is missing', "add id = "),
    ('"04:30"', '"13:00"', "4: programme.cutover", "has not the form", "before noon"),
    ('"94106201"', '"9410"', "5: programme.bins", '"9410" has not', "6 or 8 digits"),
    ('"94106201"', "94106201", "5: programme.bins", "must hold text, not a number", '"94106201"'),
    ('"94106201"', '"94106199"', "5: programme.bins", "941061 contains 94106199", "remove 94106199"),
    ('"94106201"', '"941061"', "5: programme.bins", "stands twice", "once"),
    ('[[policy]]\n', '[[funder]]\nid = "city"\nname = "x"\n[[policy]]\n', "16: funder[3].id",
     "stands twice", "of its own"),
    ("payout_days = 2", "payout_days = 2.0", "19: policy[1].payout_days", "with a point", "digits"),
    ("payout_days = 2", "payout_days = -2", "19: policy[1].payout_days", "-2 is out", "from 0 to 60"),
    ("payout_days = 2", "payout_days = true", "19: policy[1].payout_days", "not true or false", "digits"),
    ('"charged"]\np', '"charge"]\np', "18: policy[1].spending_order", '"charge" is not', '"charged"'),
    ('"1.5 %"', "0.015", "22: policy[1].fee_default", "cannot be a number", '"0.15 %"'),
    ('"1.5 %"', '"1.00005 %"', "22: policy[1].fee_default", '"1.00005 %"', "four decimals"),
    ('"1.5 %"', '"1.5"', "22: policy[1].fee_default", '"1.5"', "four decimals"),
    ('"1.5 %"', '"101 %"', "22: policy[1].fee_default", "more than the whole", "100 %"),
    ("above = 0\nup_to = 300_000\n", "above = 1\nup_to = 300_000\n", "25: policy[1].tier[1].above",
     "starts at 1, not at 0", "above = 0"),
    ("above = 300_000\n", "above = 250_000\n", "31: policy[1].tier[2].above",
     "overlap: 250,000 to 300,000", "above = 300000"),
    ("above = 300_000\n", "above = 350_000\n", "31: policy[1].tier[2].above",
     "gap: nothing covers 300,000 to 350,000", "above = 300000"),
    ("up_to = 500_000\n", "up_to = 300_000\n", "32: policy[1].tier[2].up_to", "is not above", "300000"),
    ("up_to = 500_000\n", 'up_to = "500_000"\n', "32: policy[1].tier[2].up_to", "not text", "without quotes"),
    ("up_to = 500_000\n", "up_to = 500_000.0\n", "32: policy[1].tier[2].up_to", "a point", "digits only"),
    ('rate = "10 %"', 'rate = "9 %"', "27: policy[1].tier[1].rate",
     "is 9 %, but its funders' shares add up to 10 % (city 6 %, national 4 %)", 'rate = "10 %"'),
    ('shares = { city = "0.15 %" }\n', "", "30: policy[1].tier[2]", '"shares" is missing', "add shares"),
    ("{ city = \"3 %\" }", "{ citty = \"3 %\" }", "40: policy[1].bonus[1].shares.citty",
     'unknown funder "citty"', '"city"'),
    ('group = "traditional_market"', 'group = "Traditional market"', "38: policy[1].bonus[1].group",
     "has not the form", "a-z"),
    ('group = "traditional_market"', 'channel = "deliverys"', "38: policy[1].bonus[1].channel",
     '"deliverys" is not known', '"delivery"'),
    ('group = "traditional_market"', 'inside_cap = "no"', "38: policy[1].bonus[1].inside_cap",
     "true or false", "inside_cap = true"),
    ("payment_max = 500_000", "payment_max = 700_000", "43: policy[1].limits.payment_max",
     "700,000 can never be reached: day_max is 600,000", "lower payment_max to 600000"),
    ("day_max", "day_maxx", "44: policy[1].limits.day_maxx", "unknown key", '"day_max"'),
    ("payment_max = 500_000", "payment_max = 0", "43: policy[1].limits.payment_max", "0 is out", "from 1"),
    ('["charged"]', '["charged", "voucher"]', "48: policy[1].restriction[1].lot_kinds",
     '"voucher" is not known', "charged, points, grant, coupon"),
    ('sizes = ["ssm"]', 'sizes = ["sssm"]', "49: policy[1].restriction[1].sizes", '"sssm"', '"ssm"'),
    ('sizes = ["ssm"]', "sizes = []", "49: policy[1].restriction[1].sizes", "1 to 100 entries", "sizes = ["),
    ('sizes = ["ssm"]\n', "", "46: policy[1].restriction[1]", "refuse every merchant", "add a condition"),
    ('reason_ko = "사용할 수 없습니다"\n', "", "46: policy[1].restriction[1]", "is missing", "reason_ko"),
    ('version = "v2"', 'version = "v1"', "59: policy[2].version", '"v1" stands twice', "of its own"),
    ('based_on = "v1"', 'based_on = "v9"', "60: policy[2].based_on", 'no version "v9"', "v1"),
    ("2025-04-01T06:00:00+09:00", "2025-04-01T06:00:00", "61: policy[2].effective_from",
     "no offset", "2025-04-01T06:00:00+09:00"),
    ("2025-04-01T06:00:00+09:00", "2025-03-31T21:00:00Z", "61: policy[2].effective_from",
     "not in Korean time", "2025-04-01T06:00:00+09:00"),
    ("2025-04-01T06:00:00+09:00", '"2025-04-01"', "61: policy[2].effective_from", "an instant", "quotes"),
    ("2025-04-01T06:00:00+09:00", "2024-04-01T06:00:00+09:00", "61: policy[2].effective_from",
     "not after version v1", "in order of time"),
    ("[[policy.fee_class]]", "[policy.fee_class]", "53: policy[1].fee_class", "array of tables",
     "[[policy.fee_class]]"),
    ("payout_days = 2", "payout_days = = 2", "19: (syntax)", "Invalid value", "correct the TOML"),
    ("payout_days = 2", "payout_days = 2\npayout_days = 3", "20: (syntax)", "overwrite", "one key once"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "message", "fix"), BAD)
def test_a_fault_is_told_by_line_key_and_fix(old: str, new: str, place: str, message: str, fix: str) -> None:
    assert old in GOOD
    found = problems_of(GOOD.replace(old, new, 1))
    assert any(
        line.startswith(f"town.toml:{place}: ") and message in line and fix in line.split("Fix: ")[1]
        for line in found
    ), found
    assert len(found) == 1


def test_a_misspelt_key_is_told_as_missing_and_as_unknown() -> None:
    missing, unknown = problems_of(GOOD.replace("payout_days", "payout_day"))
    assert 'town.toml:15: policy[1]: the key "payout_days" is missing' in missing
    assert "town.toml:19: policy[1].payout_day: unknown key" in unknown
    assert 'did you mean "payout_days"?' in unknown


@pytest.mark.parametrize(
    "text",
    [
        "programme = 3",
        "funder = 'x'\npolicy = [1]",
        "[policy]\nversion = 'x'",
        "[programme]\nid = { a = 1 }\nname = [[1], 2]\nbins = [[1], { a = 2 }, 1979-05-27]",
        GOOD.replace('{ city = "3 %" }', "3"),
        GOOD.replace("2025-01-01T00:00:00+09:00", "0001-01-01T00:00:00+23:59"),
        GOOD.replace("2025-01-01T00:00:00+09:00", "9999-12-31T23:59:59-12:00"),
        GOOD.replace("payout_days = 2", f"payout_days = {'9' * 5_000}"),
        GOOD.replace("payout_days = 2", f"payout_days = {'[' * 50_000}"),
        GOOD.replace("channel", "group").replace('"traditional_market"', "[1]"),
        GOOD.replace("payout_days = 2", "payout_days = 2\nchannel.a.b = 3"),
        "\x00",
    ],
    ids=range(12),
)
def test_no_text_however_odd_is_more_than_a_refusal(text: str) -> None:
    assert problems_of(text)


def test_every_fault_is_told_at_once_in_order_of_lines() -> None:
    text = GOOD.replace('"10 %"', '"9 %"').replace("day_max", "day_mx").replace('based_on = "v1"', "")
    found = problems_of(text)
    lines = [int(line.split(":")[1]) for line in found]
    assert lines == sorted(lines)
    assert {27, 44} < set(lines)
    assert any('policy[2]: the key "spending_order" is missing' in line for line in found)


def test_a_fault_in_a_base_is_told_once() -> None:
    assert len(problems_of(GOOD.replace('rate = "3 %"', 'rate = "4 %"').replace("bonus = []\n", ""))) == 1


def test_an_empty_or_endless_file_is_one_clear_refusal() -> None:
    assert any('"policy"' in line or "no policy" in line for line in problems_of(""))
    assert "more than" in problems_of("#" * (CHARACTERS_MAX + 1))[0]


def test_the_number_of_problems_is_bounded() -> None:
    assert len(problems_of("\n".join(f"nonsense{n} = 1" for n in range(500)))) == PROBLEMS_MAX


def test_percent_and_nearest_words() -> None:
    assert [percent(ppm) for ppm in (100_000, 1_500, 11_500, 1, 0)] == [
        "10 %",
        "0.15 %",
        "1.15 %",
        "0.0001 %",
        "0 %",
    ]
    assert nearest("distric", ["district", "city"]) == 'did you mean "district"?'
    assert nearest("xyz", ["a", "b"]) == "use one of a, b"
    assert nearest("xyz", []) == "remove it"


@pytest.mark.parametrize("name", ["seoro", "ontong"])
def test_the_shipped_programmes_are_valid(name: str) -> None:
    path = SHIPPED / f"{name}.toml"
    shipped = parse_programme(path.read_text(encoding="utf-8"), path.name)
    assert shipped.programme_id == name
    assert len(shipped.policies) >= 3
    assert from_canonical(canonical_json(shipped)) == shipped
    for policy in shipped.policies:
        assert policy.payout_days == 2
        assert {rule.code for rule in policy.restrictions} >= {"large_store", "ssm", "gambling", "nightlife"}


def test_the_fee_classes_change_on_14_february_2025() -> None:
    for name in ("seoro", "ontong"):
        shipped = parse_programme((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"), name)
        before = shipped.policy_at(datetime(2025, 2, 13, 23, 59, 59, tzinfo=SEOUL))
        after = shipped.policy_at(datetime(2025, 2, 14, tzinfo=SEOUL))
        assert fee_rate(before, 300_000_000) == 2_500
        sales = (300_000_000, 500_000_000, 1_000_000_000, 3_000_000_000)
        assert [fee_rate(after, won) for won in sales] == [1_500, 7_500, 9_000, 11_500]


def test_seoro_rates_the_first_worked_example_and_ontong_the_third() -> None:
    seoro = parse_programme((SHIPPED / "seoro.toml").read_text(encoding="utf-8"), "seoro.toml")
    for policy in seoro.policies:
        split = rate(policy, basis=260_000, usage_before=270_000, groups=(), channel="pos")
        assert split.by_funder == (("national", 10_400), ("city", 5_200), ("district", 3_200))
    ontong = parse_programme((SHIPPED / "ontong.toml").read_text(encoding="utf-8"), "ontong.toml")
    june = ontong.policy_at(datetime(2025, 6, 30, 23, 59, 59, 800_000, tzinfo=SEOUL))
    july = ontong.policy_at(datetime(2025, 7, 1, tzinfo=SEOUL))
    assert rate(june, basis=40_000, usage_before=480_000, groups=(), channel="pos").total == 2_200
    assert rate(july, basis=40_000, usage_before=0, groups=(), channel="pos").total == 2_000
    market = rate(july, basis=40_000, usage_before=0, groups=("traditional_market",), channel="pos")
    assert market.total == 2_000 + 1_200


FIRST_TIER = "[[policy.tier]]\nabove = 0\nup_to = 300_000"
HOLDS = """hold_days = 3
completion_over = "15 %"
reversal_after_completion = "exception"
offline_max = 40_000

[policy.contactless]
no_pin_max = 50_000
no_pin_count_max = 5
no_pin_sum_max = 150_000
"""


def test_rules_of_holds_and_contactless_payments_are_read_and_taken_over() -> None:
    text = GOOD.replace(FIRST_TIER, HOLDS + "\n" + FIRST_TIER, 1)
    for policy in parse_programme(text, "town.toml").policies:
        assert (policy.hold_days, policy.completion_over) == (3, 150_000)
        assert policy.reversal_after_completion == "exception"
        assert policy.offline_max == 40_000
        assert policy.contactless == Contactless(
            no_pin_max=50_000, no_pin_count_max=5, no_pin_sum_max=150_000
        )
    assert from_canonical(canonical_json(parse_programme(text, "t"))) == parse_programme(text, "t")
    silent = parse_programme(GOOD, "town.toml").policies[0]
    assert (silent.hold_days, silent.completion_over, silent.contactless) == (7, 0, Contactless())
    assert silent.reversal_after_completion == "refund"
    assert silent.offline_max == WON_MAX


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hold_days = 3", "hold_days = 91", "91 is out of range"),
        ('"15 %"', "15", "a rate cannot be a number"),
        ('"exception"', '"void"', '"void" is not known here'),
        ("no_pin_max = 50_000", "no_pin_max = 150_001", "no_pin_sum_max is 150,000"),
        ("no_pin_count_max = 5", "no_pin_counts = 5", 'unknown key "no_pin_counts"'),
    ],
)
def test_faults_in_them_are_told(old: str, new: str, message: str) -> None:
    text = GOOD.replace(FIRST_TIER, HOLDS + "\n" + FIRST_TIER, 1)
    assert message in "\n".join(problems_of(text.replace(old, new)))


def test_a_version_that_says_nothing_of_later_rules_keeps_the_hash_it_had_before_them() -> None:
    """Payments were judged by it: to apply the same file again must stay nothing to do."""
    towns = {
        "seoro": "fd30f6c7c7d16f3808842cd7de8109c260431938f3f07a966c841e6f51129620",
        "ontong": "3e3e37ea0307c3371f69d8268639d6a0f1d4ec4052bd8537153a4040b0d4d52c",
    }
    for name, sha256 in towns.items():
        first = parse_programme((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"), name).policies[0]
        assert hashlib.sha256(canonical_policy(first)).hexdigest() == sha256
