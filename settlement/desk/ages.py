"""What is carried and how long: merchants that owe, and merchants whose money waits, oldest first."""

from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from settlement.desk.represent import failed
from settlement.domain.netting import HELD_BECAUSE
from settlement.reference import Facts

CLASSES = ((7, "up to 7 days"), (30, "8 to 30 days"), (90, "31 to 90 days"), (None, "over 90 days"))

_CARRIED = text("""
    SELECT m.merchant_id, m.name, n.carried_out, n.carried_since, n.held
    FROM merchant_net n JOIN merchant m USING (merchant_no)
    WHERE n.programme_no = :programme_no AND n.carried_out <> 0 AND (n.business_date, n.cycle) = (
        SELECT s.business_date, s.cycle FROM settlement_step s
        WHERE s.programme_no = :programme_no AND s.step = 'pay_merchants' AND s.state = 'done'
        ORDER BY s.business_date DESC, s.cycle DESC LIMIT 1)
    ORDER BY n.carried_since, m.merchant_id
""")


class Age(msgspec.Struct, frozen=True):
    """One amount that is carried: below 0 the merchant owes it, above 0 it waits, and why."""

    merchant: str
    name: str
    won: int
    since: date
    days: int
    why: str


class AgeClass(msgspec.Struct, frozen=True):
    """The sums of one class of age: merchants and won that are owed, and that wait."""

    age: str
    owing: int
    owed: int
    waiting: int
    held: int


class Ages(msgspec.Struct, frozen=True):
    """One programme's carried amounts, oldest first, and their sums."""

    programme: str
    today: date
    carried: tuple[Age, ...]
    classes: tuple[AgeClass, ...]


def ages(connection: Connection, facts: Facts, today: date) -> Ages:
    """What the last run carried on, and the payouts that failed and have not been paid again."""
    found = [
        Age(
            row.merchant_id,
            row.name,
            row.carried_out,
            row.carried_since,
            (today - row.carried_since).days,
            _why(row),
        )
        for row in connection.execute(_CARRIED, {"programme_no": facts.programme_no})
    ]
    for one in failed(connection, facts.programme_no):
        what = f"{one.state} by the bank ({one.reason or 'no reason told'})"
        then = "is paid again by the next run" if one.corrected else "correct its account"
        why = f"{what}: {'payouts are held' if one.on_hold else then}"
        days = (today - one.business_date).days
        found.append(Age(one.merchant, one.name, one.won, one.business_date, days, why))
    found.sort(key=lambda one: (one.since, one.merchant))
    return Ages(facts.programme_id, today, tuple(found), tuple(_sums(found)))


def _why(row: Row[Any]) -> str:
    if row.carried_out < 0:
        return "owes: set off against what comes"
    return HELD_BECAUSE[row.held] or "waits for the next run"


def _sums(found: list[Age]) -> list[AgeClass]:
    classes: list[AgeClass] = []
    low = -1
    for most, name in CLASSES:
        high = timedelta.max.days if most is None else most
        own = [one.won for one in found if low < one.days <= high]
        low = high
        owed, held = [won for won in own if won < 0], [won for won in own if won > 0]
        classes.append(AgeClass(name, len(owed), sum(owed), len(held), sum(held)))
    return classes
