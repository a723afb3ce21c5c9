"""Which of a funder's cashback its prepayment covers: oldest date first, all of a date or nothing of it."""

from collections.abc import Sequence
from datetime import date

import msgspec


class Owed(msgspec.Struct, frozen=True, gc=False):
    """Cashback of one date that one funder bears: granted less taken back, in won; may be negative."""

    business_date: date
    net: int


class Covered(msgspec.Struct, frozen=True):
    """How far a prepayment goes: the dates that it covers in their order, and what is left of it."""

    dates: tuple[date, ...]
    left: int


def cover(prepaid: int, owed: Sequence[Owed]) -> Covered:
    """Cover dates from the oldest on. `prepaid` (won, 0 or more) is what the funder has paid in and not used.

    A date whose net is 0 or less costs nothing and gives back. The first date that is not covered stops the
    later ones too: members are credited in the order in which they earned. Raises ValueError where a date is
    named twice or out of order.
    """
    days = [one.business_date for one in owed]
    if days != sorted(set(days)):
        raise ValueError("dates are covered oldest first, each once")
    covered: list[date] = []
    for one in owed:
        if one.net > prepaid:
            break
        prepaid -= one.net
        covered.append(one.business_date)
    return Covered(tuple(covered), prepaid)
