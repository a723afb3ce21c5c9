"""What one run comes to for one merchant (DOMAIN rules 10 and 11).

The lines in their order: the fee on the day's net, the tax on the fee, fees given back, gifts, what was kept
back and is released, what was carried. If that is more than nothing and may be paid, a part may be kept back
as a security, what is less than a unit is rounded off, and the rest is paid. Everything else is carried.
"""

from datetime import date
from enum import StrEnum

import msgspec

from switch.domain.calendar import BankCalendar
from switch.domain.fees import fee, fee_rate
from switch.domain.money import floor_rate
from switch.domain.programme import Policy


class Held(StrEnum):
    """Why nothing is paid to a merchant, whatever it is due. The names are stored; never rename."""

    NOT = ""
    HOLD = "hold"  # a person holds its payouts
    ACCOUNT = "account"  # it has no account to pay to
    OWN = "own"  # its account is the one that merchants are paid from
    SMALL = "small"  # it is due less than one unit of payouts


HELD_BECAUSE: dict[str, str] = {
    Held.NOT: "",
    Held.HOLD: "payouts are held",
    Held.ACCOUNT: "no bank account",
    Held.OWN: "its account is the one that pays",
    Held.SMALL: "less than one unit of payouts",
}


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a merchant's net is made by. Rates in ppm; amounts in won.

    `reserve_ppm` of the day's net is kept back, at most `reserve_max` in all; 0: what had been kept back is
    released.
    """

    fee_rate_ppm: int
    vat_ppm: int = 0
    unit: int = 1
    held: Held = Held.NOT
    reserve_ppm: int = 0
    reserve_max: int = 0


class Net(msgspec.Struct, frozen=True, gc=False):
    """One merchant's run in won; the names are those of the table merchant_net.

    sales − refunds − fee − vat + rebate + rebate_vat + subsidy − reserved + released − rounding + carried_in
    = paid + carried_out. `fee` and `vat` are negative when they are given back. `carried_out` is negative
    when the merchant owes, positive when it could not be paid (`held` says why); `paid` > 0 excludes it.
    `reserve` is what stays kept back after the run.
    """

    sales: int
    refunds: int
    fee_rate_ppm: int
    fee: int
    vat: int
    rebate: int
    rebate_vat: int
    subsidy: int
    released: int
    carried_in: int
    reserved: int
    rounding: int
    paid: int
    carried_out: int
    held: str  # a value of Held
    reserve_ppm: int
    reserve_max: int
    reserve: int


def terms(
    policy: Policy,
    annual_sales: int | None,
    *,
    donation: bool = False,
    held: Held = Held.NOT,
    reserve_ppm: int = 0,
    reserve_max: int = 0,
) -> Terms:
    """The terms of a merchant with these annual sales (won; None = not classed); gifts bear no fee."""
    rate_ppm = 0 if donation else fee_rate(policy, annual_sales)
    return Terms(rate_ppm, policy.fee_vat_ppm, policy.payout_unit, held, reserve_ppm, reserve_max)


def net(
    by: Terms,
    *,
    sales: int,
    refunds: int,
    rebate: int = 0,
    rebate_vat: int = 0,
    subsidy: int = 0,
    carried_in: int = 0,
    reserve_in: int = 0,
) -> Net:
    """Net one merchant's run. `reserve_in` is what earlier runs have kept back of it.

    A negative result is carried, never paid; so is any while `by.held`, and nothing is then kept back or
    rounded. What is less than one unit is carried whole: a payout that does not leave is not rounded.
    Raises ValueError on negative sums of sales, refunds, subsidy or reserve.
    """
    if min(sales, refunds, subsidy, reserve_in) < 0:
        raise ValueError(
            f"sales {sales}, refunds {refunds}, subsidy {subsidy}, reserve {reserve_in} are 0 or more"
        )
    day = sales - refunds
    taken = fee(day, by.fee_rate_ppm)
    vat = fee(taken, by.vat_ppm)
    released = max(0, reserve_in - (by.reserve_max if by.reserve_ppm else 0))
    due = day - taken - vat + rebate + rebate_vat + subsidy + released + carried_in
    reserved = rounding = paid = 0
    held = by.held
    if due > 0 and not held:
        if by.reserve_ppm and day > 0:
            room = by.reserve_max - (reserve_in - released)
            reserved = min(floor_rate(day, by.reserve_ppm), room, due)
        rest = due - reserved
        if 0 < rest < by.unit:
            held = Held.SMALL
        else:
            rounding = rest % by.unit
            paid = rest - rounding
    return Net(
        sales,
        refunds,
        by.fee_rate_ppm,
        taken,
        vat,
        rebate,
        rebate_vat,
        subsidy,
        released,
        carried_in,
        reserved,
        rounding,
        paid,
        due - reserved - rounding - paid,
        held.value,
        by.reserve_ppm,
        by.reserve_max,
        reserve_in + reserved - released,
    )


def carried_since(before: int, since: date | None, after: int, day: date) -> date | None:
    """Since when a merchant carries what it carries `after` a run of `day`; None where that is nothing.

    `since` is the run's before, which carried `before`. What turns from a debt into a claim begins anew.
    """
    if not after:
        return None
    return since if since is not None and before * after > 0 else day


def pay_on(
    calendar: BankCalendar,
    policy: Policy,
    merchant_days: int | None,
    business_date: date,
    ordered_on: date | None = None,
) -> date:
    """The bank day T+n of a business date: the merchant's own term, or else the policy's.

    A date that is settled late is paid on the first bank day from `ordered_on` on: no bank takes an order for
    a day that is over.
    """
    days = policy.payout_days if merchant_days is None else merchant_days
    due = calendar.add_open_days(business_date, days)
    return due if ordered_on is None else max(due, calendar.add_open_days(ordered_on, 0))
