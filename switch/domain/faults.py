"""Every reason against a payment, and the one that is answered.

All that stand against it are recorded; answered is the first of them, in the order in which knowing helps:

1. the merchant may not take the money: no top-up and no waiting would help, so never a limit in its stead;
2. the limits, those of one payment, of the day, of the month: the money is there, but not for this;
3. the money does not suffice.

Where some of the money may not be spent here, but would not suffice either and charged money may be, the
shop takes part and the money is short: then (1) is recorded last.
"""

from typing import NamedTuple

from msgspec.structs import replace

from switch.domain.calendar import add_days, add_months
from switch.domain.decision import Detail, Fault, decode_detail, encode_detail
from switch.domain.holds import held_in
from switch.domain.money import WON_MAX
from switch.domain.paying import Held, Paid, barred_here, lots_by_kind, usable
from switch.domain.programme import Limits
from switch.domain.reasons import BY_NUMBER, REASONS
from switch.domain.request import Terms
from switch.domain.wallet import LOT_KIND_NO, Holder, Lot, LotKind, Wallet

_RESTRICTED = REASONS["merchant_restricted"].number
_INSUFFICIENT = REASONS["insufficient_funds"].number
_OVER_PAYMENT = REASONS["over_payment_limit"].number
_OVER_DAY = REASONS["over_day_limit"].number
_OVER_MONTH = REASONS["over_month_limit"].number
_OVER_TOPUP = REASONS["over_topup_limit"].number
_OVER_HOLDING = REASONS["over_holding_limit"].number
_OVER_ISSUANCE = REASONS["over_issuance_limit"].number
_COMPANY, _GRANT, _COUPON = Holder.COMPANY, LotKind.GRANT, LotKind.COUPON


class Barred(NamedTuple):
    """Won of the member that this merchant may not take; the rules that say so; whether no top-up helps."""

    won: int
    rules: tuple[str, ...]
    hopeless: bool


def limits_of(wallet: Wallet, terms: Terms) -> Limits:
    """The limits of this wallet: a company has its own."""
    return terms.policy.company_limits if wallet.holder == _COMPANY else terms.policy.limits


def over_limits(
    wallet: Wallet, terms: Terms, day: int, amount: int, today: int, standing: int = 0
) -> tuple[Fault, ...]:
    """The limits that `amount` won more would break on `day`; open holds count as spent.

    `standing` won are held already by the pre-authorisation that the request adds to.
    """
    limits = limits_of(wallet, terms)
    faults: list[Fault] = []
    limit = limits.payment_max
    if limit and standing + amount > limit:
        faults.append(Fault(_OVER_PAYMENT, limit, standing, standing + amount - limit))
    month = day // 100
    limit = limits.day_max
    if limit:
        used = wallet.spent_on(day) + (held_in(wallet, today, day=day) if wallet.held else 0)
        if used + amount > limit:
            faults.append(Fault(_OVER_DAY, limit, used, used + amount - limit, add_days(day, 1)))
    limit = limits.month_max
    if limit:
        used = wallet.usage_of(month).spent + (held_in(wallet, today, month=month) if wallet.held else 0)
        if used + amount > limit:
            faults.append(Fault(_OVER_MONTH, limit, used, used + amount - limit, _next_month(day)))
    return tuple(faults) if faults else ()


def over_topup_limits(wallet: Wallet, terms: Terms, day: int, amount: int, ledger: int) -> tuple[Fault, ...]:
    """The member's limits that a top-up would break; `ledger` is the balance that counts as held."""
    limits = limits_of(wallet, terms)
    faults: list[Fault] = []
    used = wallet.usage_of(day // 100).topup
    limit = limits.topup_month_max
    if limit and used + amount > limit:
        faults.append(Fault(_OVER_TOPUP, limit, used, used + amount - limit, _next_month(day)))
    # Without a limit of the policy's own, DE54 is one: a balance has twelve digits.
    limit = limits.holding_max or WON_MAX
    if ledger + amount > limit:
        faults.append(Fault(_OVER_HOLDING, limit, ledger, ledger + amount - limit))
    return tuple(faults)


def over_issuance(day: int, short: int) -> Fault:
    """The programme's bound on top-ups of a month, with the won that it lacks."""
    return Fault(_OVER_ISSUANCE, short=short, resets=_next_month(day))


def issuance_lacking(detail: bytes, elsewhere: int) -> bytes:
    """The explanation of a top-up over the bound, when `elsewhere` won of the bound lie where it was not
    looked: it lacks so many less."""
    told = decode_detail(detail)
    (fault,) = told.faults
    lacking = max(fault.short - elsewhere, 1)
    return encode_detail(replace(told, short=lacking, faults=(replace(fault, short=lacking),)))


def money_faults(
    wallet: Wallet, terms: Terms, day: int, amount: int, held: Held, paid: Paid, over: tuple[Fault, ...]
) -> tuple[Fault, ...]:
    """All that stands against a payment whose money does not suffice here, `over` its limits among them."""
    short = paid.missing
    barred = barred_money(wallet, terms, day, amount, held, paid)
    restricted = (Fault(_RESTRICTED, short=short, rules=barred.rules),) if barred.rules else ()
    first = bool(restricted) and is_restricted(barred, short)
    # A top-up pays for what is missing; if this merchant took all the member has, for what lacks even then.
    lacking = max(short - barred.won, 0) if first else short
    insufficient = (Fault(_INSUFFICIENT, short=lacking),) if lacking else ()
    if first:
        return (*restricted, *over, *insufficient)
    return (*over, *insufficient, *restricted)


def is_restricted(barred: Barred, missing: int) -> bool:
    """Whether what the merchant may not take is why `missing` won are missing."""
    return missing > 0 and (barred.hopeless or barred.won >= missing)


def barred_money(wallet: Wallet, terms: Terms, day: int, amount: int, held: Held, paid: Paid) -> Barred:
    """What of the member's money may not be spent here on `day`, though the member would spend it.

    Rules are told by their codes, campaigns that hold elsewhere as `campaign:CODE`. Of coupons only the one
    that would take off most counts, and none if another has paid.
    """
    won, open_kinds = 0, 0
    rules: dict[str, None] = {}
    lots_of = lots_by_kind(wallet, day)
    coupon_paid = any(kind == _COUPON for _, kind, _ in paid.spent)
    for name in terms.policy.spending_order:
        kind = LOT_KIND_NO[name]
        refused = terms.refused.get(name, ())
        lots = [lot for lot in lots_of.get(kind, ()) if usable(lot) and not (kind == _COUPON and coupon_paid)]
        if not refused:
            open_kinds += name != "points" or wallet.points_on
            lots = [lot for lot in lots if kind in (_GRANT, _COUPON) and barred_here(lot, terms)]
            rules.update({_campaign(lot, terms): None for lot in lots})
        elif lots or name == "charged":
            rules.update({rule.code: None for rule in refused})
        parts = [_worth(lot, terms, amount, held) for lot in lots]
        won += max(parts, default=0) if kind == _COUPON else sum(parts)
    return Barred(won, tuple(rules), not open_kinds or bool(terms.refused.get("charged")))


def answered(faults: tuple[Fault, ...], passed_over: tuple[tuple[int, int], ...] = ()) -> tuple[str, Detail]:
    """(the reason to answer, what is stored): the first fault, with all of them in the detail."""
    first = faults[0]
    return BY_NUMBER[first.reason].name, Detail(
        rules=first.rules,
        limit=first.limit,
        used=first.used,
        short=first.short,
        faults=faults,
        passed_over=passed_over,
    )


def _worth(lot: Lot, terms: Terms, amount: int, held: Held) -> int:
    """Won that a lot would pay of `amount`, were it allowed here."""
    if lot.kind == _COUPON:
        campaign = terms.campaigns.get(lot.campaign_no)
        return min(campaign.discount(amount), lot.balance) if campaign else 0
    return lot.balance - (held.get(lot.lot_no, 0) if held else 0)


def _campaign(lot: Lot, terms: Terms) -> str:
    known = terms.campaigns.get(lot.campaign_no)
    return f"campaign:{known.code if known else lot.campaign_no}"


def _next_month(day: int) -> int:
    """The first day (yyyymmdd) of the month after a day's."""
    return add_months(day // 100 * 100 + 1, 1)
