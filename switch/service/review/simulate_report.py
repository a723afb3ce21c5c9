"""A simulation as it is told: names for numbers, the most affected first, what is modelled and what not."""

import heapq
from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, select

from switch.domain.budget import Line
from switch.domain.payment import Kind
from switch.domain.reasons import BY_NUMBER
from switch.domain.replay_budget import Found, Till
from switch.domain.replay_tally import Day, Example, Tally
from switch.store import schema as t

MODELLED = (
    (
        "every wallet's payments are decided anew, in their order, by the rules of the file: lots, limits,"
        " usage, holds and returns are as the earlier ones leave them; budgets are asked in order of time"
    ),
    (
        "what was refused for card, PIN, merchant or message stays refused; advices that were exceptions,"
        " gifts, operators' acts, expiry, and what takes back a payment from before happen as they did"
    ),
    "nobody behaves otherwise: no payment is tried again or given up because of another answer",
    "points of a night differ by what the days before were rated otherwise, whatever the budgets had left",
    (
        "points are spent as members have them switched on today; contactless counters and windows with a"
        " bound for each member begin at the first day replayed; what a bound on top-ups refused stays so"
    ),
)


class FlipRow(msgspec.Struct, frozen=True):
    """Payments whose answer changes in one way."""

    now: str  # approved | declined
    reason_then: str
    reason_now: str
    payments: int
    won: int
    examples: tuple["ExampleRow", ...]


class ExampleRow(msgspec.Struct, frozen=True):
    """One of them; the card is masked."""

    rrn: str
    when: str
    kind: str
    member: str
    card: str
    merchant: str
    amount: int
    approved_then: int
    approved_now: int
    limit: int
    short: int


class FunderRow(msgspec.Struct, frozen=True):
    """A funder's cashback in won."""

    funder: str
    then: int
    now: int


class DayRow(msgspec.Struct, frozen=True):
    """A business date; cashback by funder then and now."""

    day: str
    payments: int
    declined_then: int
    declined_now: int
    won_then: int
    won_now: int
    cashback_then: dict[str, int]
    cashback_now: dict[str, int]


class BudgetRow(msgspec.Struct, frozen=True):
    """A budget's month: when it first fell short, then and now ("" never)."""

    code: str
    funder: str
    month: str
    amount: int
    granted: int
    missed: int
    ended_then: str
    ended_now: str


class AffectedRow(msgspec.Struct, frozen=True):
    """A member or merchant: payments refused now and approved now, won paid and cashback, more or less."""

    id: str
    refused: int
    approved: int
    won: int
    cashback: int


class SimulationReport(msgspec.Struct, frozen=True):
    """The difference that rules would have made."""

    programme: str
    sha256: str
    since: str
    until: str
    as_version: str
    wallets: int
    payments: int
    as_booked: int
    fell_away: int
    other_amount: int
    declined_then: int
    declined_now: int
    won_then: int
    won_now: int
    cashback_then: int
    cashback_now: int
    flips: tuple[FlipRow, ...]
    funders: tuple[FunderRow, ...]
    days: tuple[DayRow, ...]
    budgets: tuple[BudgetRow, ...]
    members: tuple[AffectedRow, ...]
    merchants: tuple[AffectedRow, ...]
    seconds: float
    modelled: tuple[str, ...] = MODELLED


def told(moment: int) -> str:
    """A moment (yyyymmddhhmmss) as people write it; "" for 0."""
    if not moment:
        return ""
    day, time = divmod(moment, 1_000_000)
    return f"{told_day(day)} {time // 10_000:02d}:{time // 100 % 100:02d}:{time % 100:02d}"


def told_day(day: int) -> str:
    """yyyymmdd with its dashes."""
    return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"


def reason_name(number: int) -> str:
    """A reason's name."""
    return BY_NUMBER[number].name if number in BY_NUMBER else str(number)


def flips(connection: Connection, tally: Tally) -> tuple[FlipRow, ...]:
    """Answers that change, the most frequent first."""
    every = [example for flip in tally.flips.values() for example in flip.examples]
    members = member_ids(connection, {one.wallet_id for one in every})
    merchants = merchant_ids(connection, {one.merchant_no for one in every})
    cards = _cards(connection, every)
    rows = []
    for (then, now), flip in sorted(tally.flips.items(), key=lambda item: (-item[1].payments, item[0])):
        examples = tuple(
            ExampleRow(
                *(one.rrn, told(one.local_day * 1_000_000 + one.local_time), Kind(one.kind).name.lower()),
                members.get(one.wallet_id, ""),
                cards.get((one.wallet_id, one.card_no), ""),
                merchants.get(one.merchant_no, ""),
                *(one.amount, one.approved_then, one.approved_now, one.limit, one.short),
            )
            for one in flip.examples
        )
        # Of one direction all have the same sign: approved then means refused now.
        state = "declined" if flip.examples and flip.examples[0].approved_then else "approved"
        rows.append(FlipRow(state, reason_name(then), reason_name(now), flip.payments, flip.won, examples))
    return tuple(rows)


def days(tally: Tally, found: Found, funder_id: dict[int, str]) -> tuple[DayRow, ...]:
    """Every business date of the period that had payments or cashback."""
    numbers = sorted(tally.days.keys() | {day for day, _ in tally.then} | {day for day, _ in found.now})
    rows = []
    for number in numbers:
        day = tally.days.get(number) or Day()
        rows.append(
            DayRow(
                told_day(number),
                *(day.payments, day.declined_then, day.declined_now, day.won_then, day.won_now),
                _by_funder(tally.then, number, funder_id),
                _by_funder(found.now, number, funder_id),
            )
        )
    return tuple(rows)


def _by_funder(won: dict[tuple[int, int], int], day: int, funder_id: dict[int, str]) -> dict[str, int]:
    return {
        funder_id.get(funder, str(funder)): part
        for (of_day, funder), part in sorted(won.items())
        if of_day == day and part
    }


def funders(tally: Tally, found: Found, funder_id: dict[int, str]) -> tuple[FunderRow, ...]:
    """Cashback of the period by funder."""
    numbers = sorted({funder for _, funder in tally.then} | {funder for _, funder in found.now})
    return tuple(
        FunderRow(
            funder_id.get(number, str(number)),
            sum(won for (_, funder), won in tally.then.items() if funder == number),
            sum(won for (_, funder), won in found.now.items() if funder == number),
        )
        for number in numbers
    )


def budgets(
    lines: dict[int, Line], till: Till, tally: Tally, months: Iterable[int], programme_no: int
) -> tuple[BudgetRow, ...]:
    """Every budget of the rules in the months replayed: what it gave, and when it fell short."""
    rows = []
    for number, line in sorted(lines.items()):
        if line.programme_no != programme_no or not line.funder_no:
            continue
        for at in sorted({line.key(month) for month in months}):
            burn = till.burns.get(at)
            then = [when for (no, of), when in tally.ended.items() if no == number and at[1] in (0, of)]
            rows.append(
                BudgetRow(
                    *(line.budget.code, line.budget.funder),
                    f"{at[1] // 100}-{at[1] % 100:02d}" if at[1] else "",
                    line.budget.amount_of(at[1]),
                    *((burn.granted, burn.missed) if burn else (0, 0)),
                    told(min(then, default=0)),
                    told(burn.ended if burn else 0),
                )
            )
    return tuple(rows)


def most_affected(
    touched: dict[int, tuple[int, int, int]], cashback: dict[int, int], most: int
) -> list[tuple[int, int, int, int, int]]:
    """(number, refused, approved, won, cashback) of those for whom the most won change."""

    def weight(number: int) -> tuple[int, int]:
        refused, approved, won = touched.get(number, (0, 0, 0))
        return abs(won) + abs(cashback.get(number, 0)) + refused + approved, -number

    top = heapq.nlargest(most, touched.keys() | cashback.keys(), key=weight)
    return [(number, *touched.get(number, (0, 0, 0)), cashback.get(number, 0)) for number in top]


def member_ids(connection: Connection, wallets: set[int]) -> dict[int, str]:
    """Member ids by wallet."""
    wanted = select(t.member.c.wallet_id, t.member.c.member_id).where(t.member.c.wallet_id.in_(wallets))
    return {row.wallet_id: row.member_id for row in connection.execute(wanted)}


def merchant_ids(connection: Connection, numbers: set[int]) -> dict[int, str]:
    """Merchant ids by number."""
    of = t.merchant.c
    wanted = select(of.merchant_no, of.merchant_id).where(of.merchant_no.in_(numbers))
    return {row.merchant_no: row.merchant_id for row in connection.execute(wanted)}


def _cards(connection: Connection, examples: list[Example]) -> dict[tuple[int, int], str]:
    of = t.card.c
    wanted = select(of.wallet_id, of.card_no, of.masked).where(
        of.bucket.in_({one.bucket for one in examples}), of.wallet_id.in_({one.wallet_id for one in examples})
    )
    return {(row.wallet_id, row.card_no): row.masked for row in connection.execute(wanted)}
