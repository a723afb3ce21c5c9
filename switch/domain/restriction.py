"""Which restrictions keep a kind of value away from a merchant.

The matrix is lot kind × merchant (DOMAIN, merchant restrictions): money of one kind may be refused where
another is taken. The answer depends on (policy, merchant, lot kind, day, channel) only, so callers may
keep it for a day.
"""

from collections.abc import Collection

from switch.domain.merchant import Merchant
from switch.domain.programme import Policy, Restriction


def refusals(
    policy: Policy, merchant: Merchant, lot_kind: str, day: int, channel: str
) -> tuple[Restriction, ...]:
    """Return every restriction that forbids value of `lot_kind` at `merchant`, in the policy's order.

    `day` (yyyymmdd) is the payment's own: category, size, regions, groups and annual sales are those of that
    day. A merchant whose sales are not known yet is not held to be over any limit. Empty = allowed.
    """
    if not policy.restrictions:
        return ()
    merchant = merchant.on(day)
    groups = merchant.groups_on(day)
    sales = merchant.annual_sales_on(day) or 0
    return tuple(
        restriction
        for restriction in policy.restrictions
        if lot_kind in restriction.lot_kinds and _matches(restriction, merchant, groups, sales, channel)
    )


def _matches(
    restriction: Restriction, merchant: Merchant, groups: Collection[str], sales: int, channel: str
) -> bool:
    if any(group in groups for group in restriction.except_groups):
        return False
    return (
        _holds(restriction.categories, merchant.category)
        and _holds(restriction.sizes, merchant.size)
        and _holds(restriction.channels, channel)
        and _is_outside(restriction.regions_not_in, merchant.region)
        and _is_outside(restriction.head_regions_not_in, merchant.head_region)
        and (not restriction.groups or any(group in groups for group in restriction.groups))
        and (not restriction.sales_over or sales > restriction.sales_over)
    )


def _holds(wanted: tuple[str, ...], value: str) -> bool:
    return not wanted or value in wanted


def _is_outside(allowed: tuple[str, ...], value: str) -> bool:
    return not allowed or value not in allowed
