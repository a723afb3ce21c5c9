"""What one business date comes to for one merchant (DOMAIN rules 10 and 11)."""

from datetime import date

import msgspec

from switch.domain.calendar import BankCalendar
from switch.domain.fees import fee, fee_rate
from switch.domain.programme import Policy


class Net(msgspec.Struct, frozen=True, gc=False):
    """sales − refunds − fee + carried_in = paid + carried_out, all in won.

    `fee` is negative when it is given back. `carried_out` is negative when the merchant owes, positive only
    when a payout had to be held; `paid` > 0 excludes a carried_out.
    """

    sales: int
    refunds: int
    fee_rate_ppm: int
    fee: int
    carried_in: int
    paid: int
    carried_out: int


def net(
    policy: Policy,
    *,
    sales: int,
    refunds: int,
    carried_in: int,
    annual_sales: int | None,
    payable: bool = True,
    donation: bool = False,
) -> Net:
    """Net one merchant's date: the fee on the day's net total, then what was carried.

    `annual_sales` (won a year; None = not classed) as valid on the date. A negative result is carried, never
    paid; so is a positive one while `payable` is False (no account to pay to). Gifts (`donation`) bear no
    fee. Raises ValueError on negative sales or refunds.
    """
    if sales < 0 or refunds < 0:
        raise ValueError(f"sales {sales} and refunds {refunds} are sums of won, 0 or more")
    rate_ppm = 0 if donation else fee_rate(policy, annual_sales)
    taken = fee(sales - refunds, rate_ppm)
    due = sales - refunds - taken + carried_in
    paid = due if due > 0 and payable else 0
    return Net(sales, refunds, rate_ppm, taken, carried_in, paid, due - paid)


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
