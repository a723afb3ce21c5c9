"""Campaigns: coupons, grants and windows of extra cashback, as values.

A campaign belongs to a programme, not to one version of its policy: what it promised holds however the
policy changes meanwhile. Its money comes from one pot of its own or from a budget that it names.
"""

from collections.abc import Collection
from datetime import datetime

import msgspec

from switch.domain.merchant import Merchant
from switch.domain.money import floor_rate

CAMPAIGN_KINDS = ("coupon", "grant", "cashback")
Shares = tuple[tuple[str, int], ...]


class Where(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Merchants at which a campaign holds: every condition that is not empty, each by any of its entries."""

    categories: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def covers(self, merchant: Merchant, groups: Collection[str], channel: str) -> bool:
        """Say whether the campaign holds at a merchant, with its groups of the day, on this channel."""
        return (
            (not self.categories or merchant.category in self.categories)
            and (not self.sizes or merchant.size in self.sizes)
            and (not self.regions or merchant.region in self.regions)
            and (not self.channels or channel in self.channels)
            and (not self.groups or any(group in groups for group in self.groups))
        )


class Campaign(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One campaign.

    kind          coupon, grant or cashback (an extra rate for a while)
    starts, ends  of a cashback window: the instants from which and until which (exclusive) payments count;
                  of coupons and grants: the time in which they may be issued
    shares        who pays, as ppm: of a coupon or grant its funders, adding up to 1,000,000; of cashback the
                  parts of rate_ppm
    won           of a grant or fixed coupon: its value; of a percent coupon: the most that it takes off
    rate_ppm      of a percent coupon: of the whole payment; of cashback: of the basis; else 0
    min_spend     won that a payment must have at least for the coupon or the window; of the window: as
                  approved, and what is left of it after returns
    member_max    of a cashback window: won that one member gets at most (0 no bound); of the others: how
                  often one member gets it
    total_max     won in all, kept in a pot of its own (budget code `campaign:CODE`, one line a funder)
    budget        code of the budget that pays where there is no total_max
    where         merchants at which it holds; audience: a tag that the member must have, "" everybody
    valid_days    of coupons and grants: the last valid day is that many days after the day of issue, or
    valid_until   that day (yyyymmdd)
    inside_cap    of cashback: only the part of a payment inside the month's cap earns it
    """

    code: str
    name: str
    kind: str
    starts: datetime
    ends: datetime
    shares: Shares
    won: int = 0
    rate_ppm: int = 0
    min_spend: int = 0
    member_max: int = 0
    total_max: int = 0
    budget: str = ""
    where: Where = Where()
    audience: str = ""
    valid_days: int = 0
    valid_until: int = 0
    inside_cap: bool = True

    @property
    def budget_code(self) -> str:
        """The budget that its money comes from."""
        return f"campaign:{self.code}" if self.total_max else self.budget

    def discount(self, amount: int) -> int:
        """Won that this coupon takes off a payment of `amount` won; 0 below the minimum spend."""
        if amount < self.min_spend:
            return 0
        return min(self.won, floor_rate(amount, self.rate_ppm) if self.rate_ppm else amount)
