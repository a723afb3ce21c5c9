"""Traps among restrictions: rules that can never speak, and rules that undo each other."""

from collections.abc import Collection, Iterable
from itertools import combinations, permutations

from switch.domain.campaign import Campaign
from switch.domain.lint_finding import Finding, warning
from switch.domain.programme import Policy, Restriction


def rules(policy: Policy, campaigns: Iterable[Campaign]) -> list[Finding]:
    """Traps in one version's restrictions, its bonuses and the campaigns beside them."""
    found = [
        warning(
            _place(policy, rule),
            "spares every group that it names",
            "it never refuses anything",
            "take the groups out of except_groups",
            *(policy.version, rule.code),
        )
        for rule in policy.restrictions
        if rule.groups and set(rule.groups) <= set(rule.except_groups)
    ]
    shadowed: set[str] = set()
    for one, other in permutations(policy.restrictions, 2):
        if one.code not in shadowed and other.code not in shadowed and _covers(other, one):
            shadowed.add(one.code)
            found.append(
                warning(
                    _place(policy, one),
                    f'"{other.code}" refuses everything that it refuses',
                    "it is never the only reason, and removing it changes nothing",
                    f'remove it, or narrow "{other.code}"',
                    *(policy.version, one.code),
                )
            )
    for one, other in combinations(policy.restrictions, 2):
        found += _spared(policy, one, other) + _spared(policy, other, one)
    found += _bonuses(policy)
    for campaign in campaigns:
        found += _campaign(policy, campaign)
    return found


def _place(policy: Policy, rule: Restriction) -> str:
    return f"policy {policy.version}, restriction {rule.code}"


def _covers(wide: Restriction, narrow: Restriction) -> bool:
    """Whether `wide` refuses whatever `narrow` refuses."""
    return (
        set(narrow.lot_kinds) <= set(wide.lot_kinds)
        and _any_of(wide.categories, narrow.categories)
        and _any_of(wide.sizes, narrow.sizes)
        and _any_of(wide.channels, narrow.channels)
        and _any_of(wide.groups, narrow.groups)
        and _outside(wide.regions_not_in, narrow.regions_not_in)
        and _outside(wide.head_regions_not_in, narrow.head_regions_not_in)
        and (not wide.sales_over or 0 < wide.sales_over <= narrow.sales_over)
        and set(wide.except_groups) <= set(narrow.except_groups)
    )


def _any_of(wide: Collection[str], narrow: Collection[str]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _outside(wide: Collection[str], narrow: Collection[str]) -> bool:
    """Outside of fewer regions is more."""
    return not wide or (bool(narrow) and set(wide) <= set(narrow))


def _spared(policy: Policy, one: Restriction, other: Restriction) -> list[Finding]:
    """Merchants that one rule spares by their group, and the other refuses by the same category."""
    both = set(one.categories) & set(other.categories)
    groups = set(one.except_groups) - set(other.except_groups)
    kinds = set(one.lot_kinds) & set(other.lot_kinds)
    if not (both and groups and kinds):
        return []
    return [
        warning(
            _place(policy, one),
            f'spares {", ".join(sorted(groups))}, but "{other.code}" refuses {", ".join(sorted(both))} too',
            "the exception has no effect for them",
            f'add the group to except_groups of "{other.code}", or take the category out of it',
            *(policy.version, one.code),
        )
    ]


def _bonuses(policy: Policy) -> list[Finding]:
    found = []
    basis = set(policy.cashback_basis)
    for bonus in policy.bonuses:
        for rule in policy.restrictions:
            others = (rule.categories, rule.sizes, rule.regions_not_in, rule.head_regions_not_in)
            if any(others) or rule.sales_over or not basis <= set(rule.lot_kinds):
                continue
            by_group = bool(bonus.group) and bonus.group in rule.groups and not rule.channels
            by_channel = bool(bonus.channel) and bonus.channel in rule.channels and not rule.groups
            if by_group or by_channel:
                found.append(
                    warning(
                        f"policy {policy.version}, bonus {bonus.code}",
                        f'can never be earned: "{rule.code}" refuses that money there',
                        "members are promised what nobody gets",
                        "remove the bonus, or spare its merchants in the restriction",
                        *(policy.version, bonus.code),
                    )
                )
    return found


def _campaign(policy: Policy, campaign: Campaign) -> list[Finding]:
    """A coupon or grant for merchants that may not take it."""
    where = campaign.where
    if campaign.kind == "cashback":
        return []
    for rule in policy.restrictions:
        if campaign.kind not in rule.lot_kinds or rule.except_groups or rule.sales_over:
            continue
        pairs = (
            (rule.categories, where.categories),
            (rule.sizes, where.sizes),
            (rule.channels, where.channels),
            (rule.groups, where.groups),
        )
        if rule.regions_not_in or rule.head_regions_not_in:
            continue
        if all(not refused or (named and set(named) <= set(refused)) for refused, named in pairs):
            return [
                warning(
                    f"campaign {campaign.code}",
                    f'holds only where "{rule.code}" (policy {policy.version}) refuses its money',
                    "who gets it can never spend it",
                    f'take "{campaign.kind}" out of the restriction\'s lot_kinds, or widen the campaign',
                    campaign.code,
                )
            ]
    return []
