"""Budgets as operators see and change them: how each month stands, how it was used up, more or less of it."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, insert, select, text

from switch.domain.budget import WHOLE, Line
from switch.domain.calendar import SEOUL
from switch.domain.money import WON_MAX
from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving.finding import programme_of
from switch.store.acts import ActConflictError
from switch.store.budget_pool import lines_of, resize, standing
from switch.store.bulk import lock_administration
from switch.store.reference_write import ProgrammeAt
from switch.store.schema_acts import budget_change
from switch.store.schema_programme import budget_month

# What a budget pays is booked under its number; the month is the payment's, or the act's own.
_DAYS = text("""
    SELECT e.business_date,
           coalesce(sum(e.won) FILTER (WHERE e.debit IN (101, 111)), 0)::bigint AS granted,
           coalesce(sum(e.won) FILTER (WHERE e.debit NOT IN (101, 111)), 0)::bigint AS returned
    FROM entry e
    LEFT JOIN payment p
        ON e.source = 1 AND p.bucket = e.bucket AND p.wallet_id = e.wallet_id AND p.seq = e.seq
    LEFT JOIN act a ON e.source <> 1 AND a.bucket = e.bucket AND a.wallet_id = e.wallet_id AND a.seq = e.seq
    WHERE e.budget_no = :budget_no AND (:month = 0 OR coalesce(p.usage_month, a.budget_month) = :month)
    GROUP BY e.business_date ORDER BY e.business_date
""")


class BudgetView(msgspec.Struct, frozen=True):
    """One month of a budget, in won. `month` is YYYY-MM, "for good" of a pot that is not filled again;
    `reopen`: what comes back may be granted again; `adjusted`: what operators added, less what they took."""

    code: str
    funder: str
    month: str
    amount: int
    granted: int
    returned: int
    left: int
    reopen: bool
    adjusted: int


class BurnDay(msgspec.Struct, frozen=True):
    """A business date of a budget: granted and given back on it, and what was left of the amount after it."""

    day: str
    granted: int
    returned: int
    left: int


class Adjustment(msgspec.Struct, frozen=True):
    """A change by an operator."""

    reference: str
    won: int
    amount: int
    note: str
    actor: str
    at: str


class BudgetDetail(msgspec.Struct, frozen=True):
    """A month of a budget with its days and its changes."""

    budget: BudgetView
    days: list[BurnDay]
    changes: list[Adjustment]


class Adjusted(msgspec.Struct, frozen=True):
    """A budget after a change; `done_before` where the reference had made it already."""

    budget: BudgetView
    won: int
    done_before: bool


def month_name(month: int) -> str:
    """A month (yyyymm, or WHOLE) as people read it."""
    return f"{month // 100}-{month % 100:02d}" if month else "for good"


def budget_list(engine: Engine, programme_id: str, now: datetime) -> list[BudgetView]:
    """Every budget: the months that have begun, and this one. Raises NotFoundError."""
    this = now.astimezone(SEOUL).year * 100 + now.astimezone(SEOUL).month
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        found: list[BudgetView] = []
        for line in lines_of(connection, at).values():
            months = set(_begun(connection, line)) | {line.key(this)[1]}
            found += [_view(connection, line, month) for month in sorted(months)]
    return found


def budget_show(
    engine: Engine, programme_id: str, code: str, now: datetime, *, funder: str = "", month: int = 0
) -> list[BudgetDetail]:
    """A budget's month (yyyymm; default: this one), of one funder or of each, day by day.

    Raises NotFoundError.
    """
    with engine.connect() as connection:
        at = programme_of(connection, programme_id)
        month = month or now.astimezone(SEOUL).year * 100 + now.astimezone(SEOUL).month
        found: list[BudgetDetail] = []
        for line in _lines(connection, at, code, funder):
            of_month = line.key(month)[1]
            view = _view(connection, line, of_month)
            days: list[BurnDay] = []
            left = view.amount
            key = {"budget_no": line.budget_no, "month": of_month}
            for row in connection.execute(_DAYS, key):
                left -= row.granted - (row.returned if view.reopen else 0)
                days.append(BurnDay(row.business_date.isoformat(), row.granted, row.returned, left))
            found.append(BudgetDetail(view, days, _changes(connection, line, of_month)))
    return found


def adjust(
    engine: Engine,
    programme_id: str,
    code: str,
    won: int,
    reference: str,
    *,
    actor: str,
    now: datetime,
    funder: str = "",
    month: int = 0,
    note: str = "",
) -> Adjusted:
    """Make a budget's month larger (won > 0) or smaller, exactly once by the reference; it leaves a trace.

    Never below what is granted. Raises NotFoundError, RefusedError, ActConflictError.
    """
    if not won or abs(won) > WON_MAX:
        raise RefusedError(f"a change is 1 to {WON_MAX:,} won, up or down")
    with engine.begin() as connection:
        lock_administration(connection)  # two of one reference at once: the second finds the first
        at = programme_of(connection, programme_id)
        lines = _lines(connection, at, code, funder)
        if len(lines) > 1:
            funders = ", ".join(line.budget.funder for line in lines)
            raise RefusedError(f'budget "{code}" has several funders ({funders}): name one with --funder')
        line = lines[0]
        if line.budget.whole == 0 and not month:
            raise RefusedError(f'budget "{code}" has a month each: name one with --month YYYY-MM')
        of_month = line.key(month)[1]
        before = _change(connection, at.programme_no, reference)
        if before is not None:
            if (before.budget_no, before.month, before.won) != (line.budget_no, of_month, won):
                raise ActConflictError(
                    f"reference {reference} has changed a budget by {before.won:+,} won before: a new change"
                    " needs a reference of its own"
                )
            return Adjusted(_view(connection, line, of_month), won, done_before=True)
        after = resize(connection, line, of_month, won)
        if after is None:
            left = standing(connection, line, of_month).left
            raise RefusedError(f"{left:,} won of it are still to be granted: it cannot shrink by {-won:,}")
        connection.execute(
            insert(budget_change).values(
                programme_no=at.programme_no,
                reference=reference,
                budget_no=line.budget_no,
                month=of_month,
                won=won,
                amount=after.amount,
                note=note,
                actor=actor,
                noted_at=now,
            )
        )
        return Adjusted(_view(connection, line, of_month), won, done_before=False)


def _change(connection: Connection, programme_no: int, reference: str) -> Row[Any] | None:
    table = budget_change
    mine = (table.c.programme_no == programme_no, table.c.reference == reference)
    return connection.execute(select(table).where(*mine)).first()


def _lines(connection: Connection, at: ProgrammeAt, code: str, funder: str) -> list[Line]:
    """The lines of a budget, of one funder or all. Raises NotFoundError."""
    known = lines_of(connection, at)
    found = [line for (name, who), line in known.items() if name == code and funder in ("", who)]
    if not found:
        names = ", ".join(dict.fromkeys(name for name, _ in known)) or "none"
        of = f" of {funder}" if funder else ""
        own = at.programme.programme_id
        raise NotFoundError(f'programme {own} has no budget "{code}"{of}: it has {names}')
    return found


def _begun(connection: Connection, line: Line) -> list[int]:
    months = select(budget_month.c.month).where(budget_month.c.budget_no == line.budget_no)
    return [int(month) for month in connection.execute(months).scalars()]


def _view(connection: Connection, line: Line, month: int) -> BudgetView:
    stands = standing(connection, line, month)
    return BudgetView(
        code=line.budget.code,
        funder=line.budget.funder,
        month=month_name(WHOLE if line.budget.whole else month),
        amount=stands.amount,
        granted=stands.granted,
        returned=stands.returned,
        left=stands.left,
        reopen=line.budget.reopen,
        adjusted=sum(one.won for one in _changes(connection, line, month)),
    )


def _changes(connection: Connection, line: Line, month: int) -> list[Adjustment]:
    table = budget_change
    rows = connection.execute(
        select(table)
        .where(table.c.budget_no == line.budget_no, table.c.month == month)
        .order_by(table.c.noted_at, table.c.reference)
    )
    return [
        Adjustment(row.reference, row.won, row.amount, row.note, row.actor, row.noted_at.isoformat())
        for row in rows
    ]
