"""The bank calendar as the desk asks for it: pay days ahead, and what a changed calendar means for runs."""

from collections.abc import Iterator
from datetime import date, timedelta

import msgspec
from sqlalchemy import Connection, text

from settlement.domain.bankdays import CalendarFacts, closed_days, facts
from settlement.domain.netting import pay_on
from settlement.reference import Facts
from settlement.settings import Calendar

_PENDING = text("""
    SELECT r.business_date, r.cycle, r.calendar, p.pay_on, count(*) AS items, sum(p.won)::bigint AS won,
           p.state = 'ordered' AS pending
    FROM settlement_run r JOIN (
        SELECT programme_no, business_date, cycle, pay_on, won, state FROM payout WHERE state <> 'booked'
        UNION ALL
        SELECT programme_no, business_date, cycle, pay_on, won, state FROM house_transfer
        WHERE state <> 'booked'
    ) p USING (programme_no, business_date, cycle)
    WHERE r.programme_no = :programme_no AND p.state IN ('ordered', 'sent', 'accepted')
    GROUP BY r.business_date, r.cycle, r.calendar, p.pay_on, p.state = 'ordered'
    ORDER BY r.business_date, r.cycle, p.pay_on
""")


class PayDay(msgspec.Struct, frozen=True):
    """When a business date is paid; `closed` names the bank holidays on the way (week-ends aside)."""

    business_date: date
    pay_on: date
    bank_days: int
    closed: tuple[str, ...]


class Pending(msgspec.Struct, frozen=True):
    """Payments of one run for one day: how that day stands, by the run's calendar and by today's.

    `moves_to` is where the next run moves them; None where they stay.
    """

    programme: str
    business_date: date
    cycle: int
    pay_on: date
    items: int
    won: int
    left: bool
    now_closed: str
    moves_to: date | None
    differs: tuple[str, ...]


def pay_days(
    rules: Facts, payout_days: int | None, calendar: Calendar, first: date, days: int
) -> Iterator[PayDay]:
    """Pay days of `days` business dates from `first` on; `payout_days` is the merchant's own term."""
    for offset in range(days):
        day = first + timedelta(days=offset)
        policy = rules.policy_of(day)
        known = facts(day, calendar.extra_closed, calendar.extra_open)
        on = pay_on(known.calendar(), policy, payout_days, day)
        names = closed_days(day, on, calendar.extra_closed, calendar.extra_open)
        closed = tuple(f"{one:%m-%d} {name}" for one, name in names.items() if one.weekday() < 5)
        yield PayDay(day, on, policy.payout_days if payout_days is None else payout_days, closed)


def check(connection: Connection, rules: Facts, calendar: Calendar) -> Iterator[Pending]:
    """Hold the calendars of runs whose payments are not booked against today's settings, oldest first."""
    for row in connection.execute(_PENDING, {"programme_no": rules.programme_no}):
        stored = msgspec.json.decode(row.calendar, type=CalendarFacts)
        today = facts(row.business_date, calendar.extra_closed, calendar.extra_open)
        names = closed_days(row.pay_on, row.pay_on, calendar.extra_closed, calendar.extra_open)
        of_day = facts(row.pay_on, calendar.extra_closed, calendar.extra_open).calendar()
        closed = not of_day.is_open(row.pay_on)
        yield Pending(
            rules.programme_id,
            row.business_date,
            row.cycle,
            row.pay_on,
            row.items,
            row.won,
            not row.pending,
            names.get(row.pay_on, "a week-end") if closed else "",
            of_day.add_open_days(row.pay_on, 0) if closed and row.pending else None,
            tuple(_differences(stored, today)),
        )


def _differences(stored: CalendarFacts, today: CalendarFacts) -> Iterator[str]:
    """Days that one of two calendars has closed and the other open."""
    was, now = set(stored.closed), set(today.closed)
    for day in sorted(was ^ now):
        if day.weekday() < 5:
            yield f"{day} {'opened' if day in was else 'closed'} since"
