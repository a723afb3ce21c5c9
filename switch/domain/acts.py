"""Operators' acts on wallets, as values: what one is, what it moves, and what may be paid back or given.

An act is one posting of one wallet, with a reference of its own. A refund of charged money follows the policy
version that was in force on the day on which the lot was opened: those were the terms when the member paid,
and no later version may take the right away (DOMAIN rule 12).
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

import msgspec

from switch.domain.calendar import add_days
from switch.domain.campaign import Campaign
from switch.domain.money import PPM
from switch.domain.programme import Policy
from switch.domain.wallet import Lot, LotKind, Wallet

REFERENCE_LENGTH_MAX = 100
_FAR = 99_999_999


class ActKind(IntEnum):
    """What an act does. The numbers are stored; never renumber."""

    ISSUE = 1  # a coupon or grant of a campaign
    REVOKE = 2  # the same taken back, unspent
    REFUND = 3  # charged money paid back to the member
    GIFT = 4  # from one member …
    GIFT_RECEIVED = 5  # … to another
    DONATION = 6  # to a donation case, by command
    CORRECTION = 7  # of cashback by a wrong rule


class Refundable(msgspec.Struct, frozen=True):
    """Whether a lot of charged money may be paid back. `won`: what may; 0 and `why` where nothing may.

    `until` is the last day (yyyymmdd) of the refund of an unused lot, 0 when that right is gone; `to_spend`
    the won still to be spent until what is left may be paid back.
    """

    won: int
    why: str = ""
    until: int = 0
    to_spend: int = 0


def refundable(
    lot: Lot, held: int, policy: Policy, today: int, *, given: bool, paid_back: int = 0
) -> Refundable:
    """Judge one lot on `today` (yyyymmdd) by the policy of its own opening day.

    `held`: won of it that pre-authorisations keep; `given`: it came as a gift, whose giver paid for it;
    `paid_back`: won of it that went back to the member before. Those were never spent: what a cancelled
    payment brings into the lot afterwards is judged as a lot of the rest.
    """
    if lot.kind != LotKind.CHARGED:
        return Refundable(0, "is not charged money")
    if given:
        return Refundable(0, "was received as a gift, which carries no right of refund")
    if not lot.balance:
        return Refundable(0, "is empty")
    if not lot.valid_on(today):
        return Refundable(0, f"has expired on {lot.expires}")
    if held:
        return Refundable(0, f"has {held:,} won held by a pre-authorisation: wait until that is settled")
    until = add_days(lot.opened, policy.withdraw_days)
    bought = lot.granted - paid_back
    used = bought - lot.balance
    if not used and today <= until:
        return Refundable(lot.balance, until=until)
    wanted = -(-bought * policy.withdraw_after // PPM)
    if used >= wanted:
        return Refundable(lot.balance)
    to_spend = wanted - used
    share = f"{policy.withdraw_after * 100 // PPM} % of {bought:,}"
    why = f"{to_spend:,} won of it must still be spent ({share})"
    if used:
        return Refundable(0, f"is partly used: {why}", 0, to_spend)
    return Refundable(0, f"could be paid back unused until {until}: {why}", 0, to_spend)


class Gift(NamedTuple):
    """What a gift takes, (lot_no, won), the lots that it opens, (funder_no, won, expires), won that lack."""

    taken: tuple[tuple[int, int], ...]
    opened: tuple[tuple[int, int, int], ...]
    missing: int


def gift(wallet: Wallet, kind: LotKind, won: int, today: int, held: Mapping[int, int]) -> Gift:
    """Choose what a member gives another: earliest expiry first, never what has expired or is held.

    The receiver gets a lot of the same kind for each funder that the money comes from (charged money and
    cashback have none: one lot), with the earliest expiry among the lots it was taken from: a gift never
    lives longer than it would have with its giver. Charged money that was a gift carries no right of refund.
    """
    lots = sorted(
        (lot for lot in wallet.lots.values() if lot.kind == kind and lot.balance and lot.valid_on(today)),
        key=lambda lot: (lot.expires or _FAR, lot.lot_no),
    )
    taken: list[tuple[int, int]] = []
    opened: dict[int, tuple[int, int]] = {}
    for lot in lots:
        part = min(lot.balance - held.get(lot.lot_no, 0), won)
        if part <= 0:
            continue
        won -= part
        taken.append((lot.lot_no, part))
        before, expires = opened.get(lot.funder_no, (0, lot.expires))
        opened[lot.funder_no] = (before + part, expires)
    return Gift(
        tuple(taken), tuple((funder, part, expires) for funder, (part, expires) in opened.items()), won
    )


def last_valid_day(campaign: Campaign, day: int) -> int:
    """The last valid day (yyyymmdd) of a coupon or grant issued on `day`."""
    return campaign.valid_until or add_days(day, campaign.valid_days)


def opened_by(campaign: Campaign, campaign_no: int, funder_no: int, lot_no: int, day: int) -> Lot:
    """The lot that one issue of a coupon or grant opens on `day` (yyyymmdd): at the most it can come to."""
    kind = LotKind.COUPON if campaign.kind == "coupon" else LotKind.GRANT
    return Lot(
        lot_no, kind, funder_no, campaign.won, campaign.won, day, last_valid_day(campaign, day), campaign_no
    )
