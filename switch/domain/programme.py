"""A programme (one city's currency) and its policy versions, as values.

A policy never changes: a change of rule is a new version with its own effective instant, and a payment is
judged by the version in force at the payment's own local time. These are plain values; what makes a set of
them consistent is checked once, where they are read (programme_file).
"""

from datetime import datetime, time

import msgspec

from switch.domain.budget import Budget, pots_of
from switch.domain.campaign import Campaign
from switch.domain.money import WON_MAX
from switch.domain.watch import Watch

LOT_KINDS = ("charged", "points", "grant", "coupon")
"""Kinds of value that a wallet can hold."""

REVERSALS_AFTER_COMPLETION = ("refund", "exception")
"""What the reversal of a 0100 does once it is completed: gives the completion back, or is looked at."""

Shares = tuple[tuple[str, int], ...]
"""(funder id, ppm) in the programme's order of funders, none of them 0; they add up to the rate."""


class NoPolicy(LookupError):
    """An instant before the programme's first policy version."""


class Funder(msgspec.Struct, frozen=True, gc=False):
    """Who pays a share of the cashback: a government, the operator, a merchant body."""

    id: str
    name: str


class Tier(msgspec.Struct, frozen=True, gc=False):
    """One step of the month's cumulative spend: above < usage ≤ up_to (won) earns rate_ppm."""

    above: int
    up_to: int
    rate_ppm: int
    shares: Shares


class Bonus(msgspec.Struct, frozen=True, gc=False):
    """A rate on top of the tiers, for a merchant group, a channel, both, or (None, None) everybody.

    inside_cap: only the part of the payment inside the monthly cap earns it (DOMAIN rule 4). `budget` is the
    code of the budget that pays it, "" the one that pays the tiers.
    """

    code: str
    group: str | None
    channel: str | None
    rate_ppm: int
    shares: Shares
    inside_cap: bool = True
    budget: str = ""


class Restriction(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Where value of some kinds may not be spent.

    Conditions left empty do not count; all others must hold together, each by any one of its entries.
    sales_over is in won a year (0 = no condition). A merchant in any of except_groups is spared.
    """

    code: str
    lot_kinds: tuple[str, ...]
    reason_ko: str
    reason_en: str
    categories: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    regions_not_in: tuple[str, ...] = ()
    head_regions_not_in: tuple[str, ...] = ()
    sales_over: int = 0
    channels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    except_groups: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Limits per member in won; 0 = no limit. A day and a month are those of the payment's local time."""

    payment_max: int = 0
    day_max: int = 0
    month_max: int = 0
    topup_month_max: int = 0
    holding_max: int = 0


class Contactless(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Contactless without a PIN: won of one payment, how many of them and their won since the last PIN.

    0 = no limit.
    """

    no_pin_max: int = 0
    no_pin_count_max: int = 0
    no_pin_sum_max: int = 0


class FeeClass(msgspec.Struct, frozen=True, gc=False):
    """Merchants with annual sales above < sales ≤ up_to (won) pay rate_ppm."""

    above: int
    up_to: int
    rate_ppm: int


class Policy(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One version of a programme's rules, in force from effective_from until the next version.

    tiers and fee_classes ascend from 0 without gap; the last tier's up_to is the monthly cap of cashback.
    fee_default_ppm is for merchants above the last fee class or not classed yet. funder_order is the
    programme's. payout_days are bank days after the business date; expiries are in months. A hold's last
    day is hold_days after its 0100's; its completion may exceed it by completion_over (ppm of the hold);
    reversal_after_completion is one of REVERSALS_AFTER_COMPLETION. offline_max (won) bounds what an advice
    books without an authorisation or a chip's proof: more is left to a person.

    expired_to is the funder to whom charged money and points go once they have expired ("" the first named);
    grants and coupons go back to their own. A company's wallet has company_limits, and cashback only where
    company_cashback says so. Charged money is paid back within withdraw_days of an unused top-up, or once
    withdraw_after (ppm) of it is spent. Merchants of donation_group take gifts instead of payments.

    fee_vat_ppm is the value added tax on a merchant's fee (floored to a won, on top of the fee); payouts are
    multiples of payout_unit won.
    """

    programme_id: str
    version: str
    effective_from: datetime
    funder_order: tuple[str, ...]
    tiers: tuple[Tier, ...]
    fee_classes: tuple[FeeClass, ...]
    fee_default_ppm: int
    spending_order: tuple[str, ...] = ("points", "charged")
    cashback_basis: tuple[str, ...] = ("charged",)
    bonuses: tuple[Bonus, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    limits: Limits = Limits()
    payout_days: int = 2
    points_expiry_months: int = 60
    charged_expiry_months: int = 60
    hold_days: int = 7
    completion_over: int = 0
    reversal_after_completion: str = "refund"
    contactless: Contactless = Contactless()
    offline_max: int = WON_MAX
    expired_to: str = ""
    company_limits: Limits = Limits()
    company_cashback: bool = False
    withdraw_days: int = 7
    withdraw_after: int = 600_000
    donation_group: str = ""
    fee_vat_ppm: int = 0
    payout_unit: int = 1

    @property
    def cap(self) -> int:
        """The month's spend (won) up to which cashback is earned."""
        return self.tiers[-1].up_to if self.tiers else 0


def expired_to(policy: Policy) -> str:
    """The funder id to whom charged money and points go once they have expired."""
    return policy.expired_to or policy.funder_order[0]


class Programme(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One city's currency: its funders, its card ranges and every version of its rules, ascending.

    cutover is Korean wall time (see calendar.business_date). `budgets` are the lines that the file names;
    `lines()` adds the pots of
    campaigns. `member_tags` are what members may be marked with, at most 31; their order
    never changes.
    """

    programme_id: str
    name: str
    cutover: time
    funders: tuple[Funder, ...]
    bins: tuple[str, ...]
    policies: tuple[Policy, ...]
    budgets: tuple[Budget, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    member_tags: tuple[str, ...] = ()
    watches: tuple[Watch, ...] = ()

    def lines(self) -> tuple[Budget, ...]:
        """Every budget: those that the file names, and the pots of campaigns."""
        pots = [
            pot
            for campaign in self.campaigns
            if campaign.total_max
            for pot in pots_of(campaign.budget_code, campaign.total_max, campaign.shares)
        ]
        return (*self.budgets, *pots)

    def policy_at(self, instant: datetime) -> Policy:
        """Return the version in force at an aware instant; a version holds from its very instant on.

        Raises NoPolicy before the first version, TypeError on a naive instant.
        """
        # From the newest down: nearly every payment is of the newest version or the one before it,
        # so this beats a bisection.
        for policy in reversed(self.policies):
            if policy.effective_from <= instant:
                return policy
        raise NoPolicy(f"programme {self.programme_id} has no policy in force at {instant.isoformat()}")
