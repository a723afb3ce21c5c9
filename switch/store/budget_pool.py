"""Budgets as an operator's act takes from them and gives back: exact, beside the lanes.

What is left of a pool lies in budget_month.free and in the lanes' slots; an act takes from the first, and
where that does not suffice from the others, in their order. What operators grant and give back is counted in
a slot of its own. Call after the wallets are locked, as the lanes do.
"""

from typing import NamedTuple

from sqlalchemy import Connection, select, text

from switch.domain.budget import Line
from switch.store.reference_write import ProgrammeAt
from switch.store.schema_programme import budget

OPERATOR_SLOT = 32_767
"""The slot in which acts by command count; no lane has this number."""

_ENSURE = text("""
    INSERT INTO budget_month (budget_no, month, amount, free) VALUES (:budget, :month, :amount, :amount)
    ON CONFLICT DO NOTHING
""")
_FREE = text("""
    SELECT free FROM budget_month WHERE budget_no = :budget AND month = :month FOR NO KEY UPDATE
""")
_SLOTS = text("""
    SELECT slot, won FROM budget_slot WHERE budget_no = :budget AND month = :month
    ORDER BY slot FOR NO KEY UPDATE
""")
_TAKE_FREE = text("""
    UPDATE budget_month SET free = free - :won WHERE budget_no = :budget AND month = :month
""")
_TAKE_SLOT = text("""
    UPDATE budget_slot SET won = won - :won WHERE budget_no = :budget AND month = :month AND slot = :slot
""")
_RESIZE = text("""
    UPDATE budget_month SET amount = amount + :won WHERE budget_no = :budget AND month = :month
""")
_STANDING = text("""
    SELECT m.amount, coalesce(sum(s.granted), 0)::bigint, coalesce(sum(s.returned), 0)::bigint,
           (m.free + coalesce(sum(s.won), 0))::bigint
    FROM budget_month m LEFT JOIN budget_slot s USING (budget_no, month)
    WHERE m.budget_no = :budget AND m.month = :month GROUP BY m.amount, m.free
""")
_COUNT = text("""
    INSERT INTO budget_slot (budget_no, month, slot, granted, returned, retired)
    VALUES (:budget, :month, :slot, :granted, :returned, :retired)
    ON CONFLICT (budget_no, month, slot) DO UPDATE
    SET granted = budget_slot.granted + excluded.granted, returned = budget_slot.returned + excluded.returned,
        retired = budget_slot.retired + excluded.retired
""")


def lines_of(connection: Connection, at: ProgrammeAt) -> dict[tuple[str, str], Line]:
    """A programme's budgets by (code, funder id); "" for the funder of the bound on top-ups."""
    numbers = {
        (row.code, row.funder_no): row.budget_no
        for row in connection.execute(select(budget).where(budget.c.programme_no == at.programme_no))
    }
    found: dict[tuple[str, str], Line] = {}
    for one in at.programme.lines():
        funder_no = at.funder_numbers.get(one.funder, 0)
        number = numbers.get((one.code, funder_no))
        if number is not None:
            found[one.code, one.funder] = Line(number, at.programme_no, funder_no, one)
    return found


class Standing(NamedTuple):
    """A pool as it stands, in won: its amount, granted and given back in all, what can still be granted."""

    amount: int
    granted: int
    returned: int
    left: int


def standing(connection: Connection, line: Line, month: int) -> Standing:
    """How a budget's month (yyyymm) stands; one that nothing was paid from yet has its whole amount."""
    budget_no, of_month = line.key(month)
    row = connection.execute(_STANDING, {"budget": budget_no, "month": of_month}).first()
    if row is None:
        amount = line.budget.amount_of(of_month)
        return Standing(amount, 0, 0, amount)
    return Standing(*row)


def take(connection: Connection, line: Line, month: int, won: int, unit: int = 1) -> int:
    """Take up to `won` (a multiple of `unit`) of a budget for a payment month (yyyymm); returns what was got.

    Only whole units are taken: a coupon is whole or it is not issued.
    """
    at = _pool(connection, line, month)
    free: int = connection.execute(_FREE, at).scalar_one()
    slots: list[tuple[int, int]] = []
    if free < won:
        slots = [(row.slot, row.won) for row in connection.execute(_SLOTS, at)]
    got = min(won, free + sum(left for _, left in slots)) // unit * unit
    take_out(connection, at, got, free, slots)
    if got:
        _count(connection, at, granted=got)
    return got


def give(connection: Connection, line: Line, month: int, won: int) -> None:
    """Give back won that were taken of this month's pool; they can be taken again if the budget says so."""
    at = _pool(connection, line, month)
    if line.budget.reopen:
        take_out(connection, at, -won, 0, [])
        _count(connection, at, returned=won)
    else:
        _count(connection, at, returned=won, retired=won)


def resize(connection: Connection, line: Line, month: int, won: int) -> Standing | None:
    """Change the amount of a budget's month by won, not below what is granted: None where it would be."""
    at = _pool(connection, line, month)
    free: int = connection.execute(_FREE, at).scalar_one()
    slots = [(row.slot, row.won) for row in connection.execute(_SLOTS, at)] if free + won < 0 else []
    if free + sum(left for _, left in slots) + won < 0:
        return None
    take_out(connection, at, -won, free, slots)
    connection.execute(_RESIZE, {**at, "won": won})
    return standing(connection, line, month)


def take_out(
    connection: Connection, at: dict[str, int], won: int, free: int, slots: list[tuple[int, int]]
) -> None:
    """Lower what is left of a pool by `won`, of which `free` lie in the month's row and the rest in slots.

    Negative won raise it.
    """
    part = min(won, free)
    if part:
        connection.execute(_TAKE_FREE, {**at, "won": part})
    for slot, left in slots:
        won -= part
        part = min(won, left)
        if part:
            connection.execute(_TAKE_SLOT, {**at, "won": part, "slot": slot})


def _pool(connection: Connection, line: Line, month: int) -> dict[str, int]:
    """The pool's key as parameters; its row is made on first need."""
    budget_no, of_month = line.key(month)
    at = {"budget": budget_no, "month": of_month}
    connection.execute(_ENSURE, {**at, "amount": line.budget.amount_of(of_month)})
    return at


def _count(
    connection: Connection, at: dict[str, int], granted: int = 0, returned: int = 0, retired: int = 0
) -> None:
    counted = {"granted": granted, "returned": returned, "retired": retired}
    connection.execute(_COUNT, {**at, "slot": OPERATOR_SLOT, **counted})
