"""The linter of programme files: traps in rules that are correct as such.

The parser refuses what cannot be meant. What it lets pass may still hurt: a rule that can never speak, a
month in which earlier tiers begin again, money without a bound. Each finding says what to do about it.
"""

from itertools import pairwise

from switch.domain.calendar import SEOUL
from switch.domain.lint_finding import Facts, Finding, info, located, warning
from switch.domain.lint_money import money
from switch.domain.lint_rules import rules
from switch.domain.money import PPM
from switch.domain.programme import Policy, Programme, Tier

JUMP_PPM = 30_000
"""A change of rate from one version to the next that is worth a question: 3 points."""


def lint(programme: Programme, text: str = "", facts: Facts | None = None) -> tuple[Finding, ...]:
    """Every trap found, warnings first; `text`, the file itself, gives lines, `facts` what the books say."""
    found: list[Finding] = []
    before: Policy | None = None
    for policy in programme.policies:
        if before is None or policy.restrictions != before.restrictions:
            found += rules(policy, programme.campaigns)
        found += _tiers(policy)
        before = policy
    for one, other in pairwise(programme.policies):
        found += _change(one, other)
    found += money(programme, facts)
    if facts is not None:
        found += _empty(programme, facts)
    placed = located(found, text) if text else tuple(found)
    return tuple(sorted(placed, key=lambda finding: (finding.severity != "warning", finding.line)))


def _tiers(policy: Policy) -> list[Finding]:
    found = []
    for low, high in pairwise(policy.tiers):
        if high.rate_ppm > low.rate_ppm:
            found.append(
                info(
                    f"policy {policy.version}, tier above {high.above:,}",
                    f"earns {_percent(high.rate_ppm)}, the tier below it {_percent(low.rate_ppm)}",
                    "who spends much is rewarded at a higher rate",
                    "exchange the rates if that is not meant",
                    policy.version,
                )
            )
    if policy.tiers and "points" not in policy.spending_order:
        found.append(
            warning(
                f"policy {policy.version}, spending_order",
                "has no points",
                "cashback is credited as points, which members then cannot spend",
                'add "points"',
                policy.version,
            )
        )
    return found


def _change(one: Policy, other: Policy) -> list[Finding]:
    """From one version to the next."""
    found: list[Finding] = []
    start = other.effective_from.astimezone(SEOUL)
    first = start.day == 1 and (start.hour, start.minute, start.second) == (0, 0, 0)
    where = f"policy {other.version}"
    if not first and one.tiers != other.tiers:
        again = _again(one, other)
        if again:
            found.append(
                warning(
                    f"{where}, effective_from",
                    f"starts {start:%Y-%m-%d %H:%M}, in the middle of a month, and {again}",
                    "usage of the month goes on: members are on a tier again that they had passed",
                    "start it on the first at 00:00, or keep the bounds of the tiers until then",
                    other.version,
                )
            )
        else:
            found.append(
                warning(
                    f"{where}, effective_from",
                    f"changes the tiers in the middle of a month ({start:%Y-%m-%d %H:%M})",
                    "what a member spent before it under the old tiers places them on the new ones",
                    "start it on the first at 00:00 if that is not meant",
                    other.version,
                )
            )
    elif not first:
        found.append(
            info(
                f"{where}, effective_from",
                f"starts {start:%Y-%m-%d %H:%M}, not at 00:00 of the first of a month",
                "the month has two sets of rules",
                "announce both, or start it on the first",
                other.version,
            )
        )
    for usage in _bounds(one, other):
        was, now = _rate_at(one, usage), _rate_at(other, usage)
        if abs(now - was) > JUMP_PPM:
            found.append(
                warning(
                    f"{where}, tier above {usage:,}",
                    f"the rate goes from {_percent(was)} to {_percent(now)} at once",
                    "members wait for the better days or complain of the worse",
                    "announce it, or go there in steps",
                    other.version,
                )
            )
            break
    return found


def _again(one: Policy, other: Policy) -> str:
    """Which tier begins again for members who had left it, in words; "" none."""
    if other.cap > one.cap:
        return f"raises the month's cap from {one.cap:,} to {other.cap:,}: who had reached it earns again"
    for usage in _bounds(one, other):
        if _rate_at(other, usage) > _rate_at(one, usage):
            return (
                f"above {usage:,} won of the month {_percent(_rate_at(one, usage))} become"
                f" {_percent(_rate_at(other, usage))}"
            )
    return ""


def _bounds(one: Policy, other: Policy) -> list[int]:
    """Usages at which a tier of either version begins."""
    return sorted({tier.above for tier in (*one.tiers, *other.tiers)})


def _rate_at(policy: Policy, usage: int) -> int:
    tier: Tier | None = next((one for one in policy.tiers if one.above <= usage < one.up_to), None)
    return tier.rate_ppm if tier else 0


def _percent(ppm: int) -> str:
    whole, part = divmod(ppm * 100, PPM)
    digits = f"{part * 10_000 // PPM:04d}".rstrip("0")
    return f"{whole}.{digits} %" if digits else f"{whole} %"


def _empty(programme: Programme, facts: Facts) -> list[Finding]:
    """Names that nobody bears."""
    found: list[Finding] = []
    policy = programme.policies[-1]
    named: list[tuple[str, str, tuple[str, ...]]] = [
        (one.group, f"policy {policy.version}, bonus {one.code}", (policy.version, one.code))
        for one in policy.bonuses
        if one.group
    ]
    for rule in policy.restrictions:
        place = f"policy {policy.version}, restriction {rule.code}"
        named += [
            (group, place, (policy.version, rule.code)) for group in (*rule.groups, *rule.except_groups)
        ]
    for campaign in programme.campaigns:
        named += [(group, f"campaign {campaign.code}", (campaign.code,)) for group in campaign.where.groups]
    if policy.donation_group:
        named.append((policy.donation_group, f"policy {policy.version}, donation_group", (policy.version,)))
    for group, place, anchors in named:
        if not facts.groups.get(group):
            found.append(
                warning(
                    place,
                    f'no merchant is in the group "{group}" today',
                    "the rule says something about nobody",
                    "import the group's merchants, or correct its name",
                    *anchors,
                )
            )
    found += [
        warning(
            f"campaign {campaign.code}, audience",
            f'no member is marked "{campaign.audience}"',
            "nobody gets it",
            "import members with the tag, or correct its name",
            campaign.code,
        )
        for campaign in programme.campaigns
        if campaign.audience and not facts.tags.get(campaign.audience)
    ]
    for rule in policy.restrictions:
        missing = [name for name in rule.categories if facts.categories and name not in facts.categories]
        if missing:
            found.append(
                info(
                    f"policy {policy.version}, restriction {rule.code}",
                    f"no merchant has the category {', '.join(missing)}",
                    "it may be spelled otherwise in the list of merchants",
                    "compare with the merchants' file",
                    *(policy.version, rule.code),
                )
            )
    return found
