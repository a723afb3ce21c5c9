"""Which lots pay for a purchase: the spending order (DOMAIN rule 3), and coupons.

A coupon takes something off the whole payment, so it pays whole or not at all: one a payment, of those that
hold here the one that expires first, or the next with which the money suffices. What its use leaves over of
it stays in its lot and is spent no more. Of every other kind the lot that expires first pays first, then the
oldest. A kind, a grant or a coupon that may not be spent at this merchant is passed over, and the payment is
not moved to it.
"""

from typing import NamedTuple

from switch.domain.decision import LotWon
from switch.domain.money import PPM
from switch.domain.request import Terms
from switch.domain.wallet import LOT_KIND_NO, Lot, LotKind, Wallet

# Looked up once: an enumeration's member costs a search at each use.
_POINTS, _GRANT, _COUPON = LotKind.POINTS, LotKind.GRANT, LotKind.COUPON
_NO_LOTS: list[Lot] = []

Held = dict[int, int] | None
"""Won by lot that holds keep; None for nothing."""


class Paid(NamedTuple):
    """Lots that pay, won still missing, and what could not pay as Detail.passed_over has it."""

    spent: tuple[LotWon, ...]
    missing: int
    passed_over: tuple[tuple[int, int], ...] = ()


def choose(
    wallet: Wallet,
    terms: Terms,
    day: int,
    amount: int,
    held: Held,
    *,
    coupons: bool = True,
    without: tuple[int, ...] = (),
) -> Paid:
    """Which lots would pay `amount` won here on `day` (yyyymmdd); what holds keep of them is left alone.

    Without `coupons` none is used: money is only held, or the payment is not the first word on its amount.
    Coupons whose lots are in `without` stay whole.
    """
    spent: list[LotWon] = []
    passed: dict[tuple[int, int], None] = {}
    missing = amount
    lots_of = lots_by_kind(wallet, day)
    for name in terms.policy.spending_order:
        kind = LOT_KIND_NO[name]
        lots = lots_of.get(kind)
        if lots is None or not missing:
            continue
        if kind == _COUPON:
            if coupons:
                whole = [lot for lot in lots if usable(lot) and lot.lot_no not in without]
                missing -= _use_coupon(whole, terms, amount, missing, spent, passed)
            continue
        if terms.refused.get(name):
            if kind == _GRANT:
                passed.update([((lot.campaign_no, 0), None) for lot in lots])
            continue
        for lot in in_order(lots):
            if kind == _GRANT and barred_here(lot, terms):
                passed[lot.campaign_no, 0] = None
                continue
            free = lot.balance if held is None else lot.balance - held.get(lot.lot_no, 0)
            won = min(free, missing)
            if won > 0:
                spent.append((lot.lot_no, lot.kind, won))
                missing -= won
                if not missing:
                    break
    return Paid(tuple(spent), missing, tuple(passed) if passed else ())


def another_coupon(wallet: Wallet, terms: Terms, day: int, amount: int, held: Held, paid: Paid) -> Paid:
    """What pays with the next coupon with which the money suffices, where with the first it does not."""
    unused: tuple[int, ...] = ()
    again = paid
    while again.missing and (used := _coupon_of(again)):
        unused = (*unused, used[0])
        again = choose(wallet, terms, day, amount, held, without=unused)
    return paid if again.missing else again


def part(wallet: Wallet, terms: Terms, day: int, amount: int, held: Held, paid: Paid) -> Paid:
    """What a partial approval pays where `paid` does not suffice for `amount`, nor with any other coupon.

    All that may be spent here, and a coupon's discount on what is approved in the end: the most that money
    and discount cover together. A coupon whose minimum spend lies above that stays whole, and the next one
    is tried.
    """
    passed = paid.passed_over
    unused: tuple[int, ...] = ()
    while used := _coupon_of(paid):
        lot_no, discount = used
        lot = wallet.lots[lot_no]
        campaign = terms.campaigns[lot.campaign_no]
        money = amount - paid.missing - discount
        most = money + min(campaign.won, lot.balance)
        if 0 < campaign.rate_ppm < PPM:
            most = min(most, money * PPM // (PPM - campaign.rate_ppm))
        if campaign.discount(most):
            again = choose(wallet, terms, day, most, held, without=unused)
            return Paid(again.spent, amount - most + again.missing, passed)
        passed = (*passed, (lot.campaign_no, max(campaign.min_spend - most, 0)))
        unused = (*unused, lot_no)
        paid = choose(wallet, terms, day, amount, held, without=unused)
    return Paid(paid.spent, paid.missing, passed)


def lots_by_kind(wallet: Wallet, day: int) -> dict[int, list[Lot]]:
    """Lots with value on this day by kind, points only if the member has switched them on."""
    found: dict[int, list[Lot]] = {}
    for lot in wallet.lots.values():
        if lot.balance and (not lot.expires or day <= lot.expires):
            known = found.get(lot.kind)
            if known is None:
                found[lot.kind] = [lot]
            else:
                known.append(lot)
    if not wallet.points_on:
        found.pop(_POINTS, None)
    return found


def in_order(lots: list[Lot]) -> list[Lot]:
    """Lots of one kind, the earliest expiry first, then the oldest."""
    if len(lots) > 1:
        lots.sort(key=lambda lot: (lot.expires or 99_999_999, lot.lot_no))
    return lots


def barred_here(lot: Lot, terms: Terms) -> bool:
    """Whether the campaign that a lot comes from keeps it away from this merchant; so does one unknown."""
    number = lot.campaign_no
    return number != 0 and (number in terms.barred or number not in terms.campaigns)


def usable(lot: Lot) -> bool:
    """Whether a lot may pay by itself: a coupon only while it is whole."""
    return lot.kind != _COUPON or lot.balance == lot.granted


def _coupon_of(paid: Paid) -> tuple[int, int] | None:
    """(lot_no, won) of the coupon that pays."""
    for lot_no, kind, won in paid.spent:
        if kind == _COUPON:
            return lot_no, won
    return None


def _use_coupon(
    lots: list[Lot],
    terms: Terms,
    amount: int,
    missing: int,
    spent: list[LotWon],
    passed: dict[tuple[int, int], None],
) -> int:
    """Spend one coupon, if one holds here; returns its won."""
    refused = terms.refused.get("coupon")
    for lot in in_order(lots):
        campaign = terms.campaigns.get(lot.campaign_no)
        if refused or campaign is None or lot.campaign_no in terms.barred:
            passed[lot.campaign_no, 0] = None
        elif amount < campaign.min_spend:
            passed[lot.campaign_no, campaign.min_spend - amount] = None
        else:
            won = min(campaign.discount(amount), lot.balance, missing)
            if won:
                spent.append((lot.lot_no, _COUPON, won))
                return won
    return 0
