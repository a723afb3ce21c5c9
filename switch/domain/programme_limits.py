"""Limits in a programme file: of a member, and of contactless payments without a PIN."""

import itertools

from switch.domain.money import WON_MAX
from switch.domain.programme import Contactless, Limits
from switch.domain.toml_reader import Table

TAPS_MAX = 1_000


def read_contactless(table: Table) -> Contactless:
    """The limits of contactless payments without a PIN; what is left out does not exist."""
    item = table.table("contactless", required=False)
    found = Contactless(
        no_pin_max=item.integer("no_pin_max", 1, WON_MAX, fallback=0),
        no_pin_count_max=item.integer("no_pin_count_max", 1, TAPS_MAX, fallback=0),
        no_pin_sum_max=item.integer("no_pin_sum_max", 1, WON_MAX, fallback=0),
    )
    if item.is_clean and 0 < found.no_pin_sum_max < found.no_pin_max:
        fix = f"raise no_pin_sum_max to {found.no_pin_max} at least, or lower no_pin_max"
        item.report("no_pin_max", f"can never be reached: no_pin_sum_max is {found.no_pin_sum_max:,}", fix)
    item.finish()
    return found


def read_limits(table: Table, name: str = "limits") -> Limits:
    """The limits of one wallet; what is left out does not exist."""
    item = table.table(name, required=False)
    limits = Limits(
        payment_max=item.integer("payment_max", 1, WON_MAX, fallback=0),
        day_max=item.integer("day_max", 1, WON_MAX, fallback=0),
        month_max=item.integer("month_max", 1, WON_MAX, fallback=0),
        topup_month_max=item.integer("topup_month_max", 1, WON_MAX, fallback=0),
        holding_max=item.integer("holding_max", 1, WON_MAX, fallback=0),
    )
    named = [
        ("payment_max", limits.payment_max),
        ("day_max", limits.day_max),
        ("month_max", limits.month_max),
    ]
    given = [(key, won) for key, won in named if won]
    if item.is_clean:
        for (key, won), (wider_key, wider) in itertools.pairwise(given):
            if won > wider:
                fix = f"lower {key} to {wider} or raise {wider_key} to {won}"
                item.report(key, f"{won:,} can never be reached: {wider_key} is {wider:,}", fix)
    item.finish()
    return limits
