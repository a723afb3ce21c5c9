"""A merchant: who takes the money, with the dated facts that rules, bonuses and fees ask about.

Facts that change carry the day from which they hold, because a payment is judged by the facts of its
own day, however late it arrives. Days are yyyymmdd ints.
"""

from typing import Self

import msgspec
from msgspec.structs import replace

SIZES = ("small", "medium", "large", "ssm")
"""Classes of shop; ssm is the super-supermarket (준대규모점포)."""

CHANNELS = ("pos", "online", "delivery", "mall")
"""Ways in which a payment reaches a merchant."""

_NO_GROUPS: frozenset[str] = frozenset()


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What a merchant is from a day on (yyyymmdd), until the next of its facts."""

    valid_from: int
    category: str
    size: str
    region: str
    head_region: str


class Merchant(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One merchant of one programme, as reference data has it.

    merchant_no is the int4 of the books, merchant_id the acquirer's id (DE42, up to 15 characters).
    annual_sales: (valid_from, won), ascending. groups: (group, valid_from, valid_to), valid_to
    exclusive, 0 = open-ended. closed_day is the first day without trade, 0 = trading. category, size, region
    and head_region are those that it began with; facts has every later change, ascending: `on` tells a day's.
    """

    merchant_no: int
    merchant_id: str
    programme_id: str
    name: str
    category: str
    region: str
    head_region: str
    size: str = "small"
    channels: tuple[str, ...] = ("pos",)
    annual_sales: tuple[tuple[int, int], ...] = ()
    groups: tuple[tuple[str, int, int], ...] = ()
    opened_day: int = 0
    closed_day: int = 0
    facts: tuple[Facts, ...] = ()

    def on(self, day: int) -> Self:
        """Return the merchant as it is on `day`: with that day's category, size, region and head region."""
        for facts in reversed(self.facts):
            if facts.valid_from <= day:
                return replace(
                    self,
                    category=facts.category,
                    size=facts.size,
                    region=facts.region,
                    head_region=facts.head_region,
                )
        return self

    def groups_on(self, day: int) -> frozenset[str]:
        """Return the groups that the merchant belongs to on `day`."""
        if not self.groups:
            return _NO_GROUPS
        return frozenset(
            group
            for group, valid_from, valid_to in self.groups
            if valid_from <= day and (not valid_to or day < valid_to)
        )

    def annual_sales_on(self, day: int) -> int | None:
        """Return the annual sales (won) by which the merchant is classed on `day`; None = not classed yet."""
        for valid_from, won in reversed(self.annual_sales):
            if valid_from <= day:
                return won
        return None

    def is_open_on(self, day: int) -> bool:
        """Say whether the merchant takes part in the programme on `day`."""
        return self.opened_day <= day and (not self.closed_day or day < self.closed_day)
