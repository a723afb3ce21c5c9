"""Imports of merchants."""

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from switch.domain.calendar import SEOUL, day_of_date
from switch.service import import_rows as rows_of
from switch.service.import_books import Books, ImportReport, refuse_twice, report
from switch.service.import_files import Problems, Progress, no_progress, read_rows
from switch.service.import_rows import MerchantRow
from switch.store import reference_write as reference
from switch.store.bulk import bump_epoch, lock_administration
from switch.store.reference_write import MERCHANT_FACTS, MerchantAt, ProgrammeAt
from switch.store.schema import merchant


def import_merchants(
    engine: Engine, path: Path, now: datetime, progress: Progress = no_progress
) -> ImportReport:
    """Import merchants. Plain facts may change; what payments were judged by may not.

    That is: groups on or before today, annual sales of a day that is closed, the programme. Raises
    ImportRefusedError.
    """
    problems = Problems(path.name)
    rows = [MerchantRow(*row) for row in read_rows(path, rows_of.MERCHANTS, problems, progress)]
    for row in rows:
        if (row.annual_sales is None) != (row.sales_from is None):
            problems.add(
                row.line, "sales_from", "annual_sales and sales_from go together", "fill in both or neither"
            )
    refuse_twice(problems, "merchant_id", ((row.line, row.merchant_id) for row in rows))
    problems.raise_any()
    with engine.begin() as connection:
        lock_administration(connection)
        books = Books(connection, problems)
        known = reference.find_merchants(connection, (row.merchant_id for row in rows))
        number = reference.next_number(connection, merchant, "merchant_no")
        new: list[tuple[int, str, int, dict[str, Any]]] = []
        changed: dict[int, dict[str, Any]] = {}
        sales: list[tuple[int, int, int]] = []
        groups: dict[int, tuple[tuple[str, int, int], ...]] = {}
        touched: set[int] = set()
        for row in rows:
            programme = books.programme(row.line, row.programme)
            if programme is None:
                continue
            facts = {name: getattr(row, name) for name in MERCHANT_FACTS}
            merchant_at = known.get(row.merchant_id)
            if merchant_at is None:
                merchant_at = MerchantAt(number, programme.programme_no, facts, {}, ())
                new.append((number, row.merchant_id, programme.programme_no, facts))
                number += 1
            else:
                _check_merchant(
                    problems, row, merchant_at, programme, day_of_date(now.astimezone(SEOUL).date())
                )
                if merchant_at.facts != facts:
                    changed[merchant_at.merchant_no] = facts
            if row.sales_from is not None and row.annual_sales is not None:
                day = day_of_date(row.sales_from)
                if merchant_at.sales.get(day) != row.annual_sales:
                    sales.append((merchant_at.merchant_no, day, row.annual_sales))
            if merchant_at.groups != row.groups:
                groups[merchant_at.merchant_no] = row.groups
        problems.raise_any()
        progress("writing", 0, len(rows))
        reference.add_merchants(connection, new)
        for merchant_no, facts in changed.items():
            reference.change_merchant(connection, merchant_no, facts)
        reference.put_sales(connection, sales)
        reference.put_groups(connection, groups)
        fresh = {one[0] for one in new}
        touched = (changed.keys() | groups.keys() | {one[0] for one in sales}) - fresh
        if fresh or touched:
            bump_epoch(connection)
    return report("merchants", path, len(rows), len(fresh), len(touched))


def _check_merchant(
    problems: Problems, row: MerchantRow, merchant_at: MerchantAt, programme: ProgrammeAt, today: int
) -> None:
    if merchant_at.programme_no != programme.programme_no:
        problems.add(
            row.line,
            "programme",
            "the merchant takes part in another programme",
            "give it another merchant_id",
        )
    if _until(merchant_at.groups, today) != _until(row.groups, today):
        problems.add(
            row.line,
            "groups",
            f"would change groups on or before today ({today}), by which payments were judged",
            "let a change start tomorrow or later, and keep the periods before it as they are",
        )
    if row.sales_from is not None and programme.closed_through is not None:
        day = day_of_date(row.sales_from)
        before = merchant_at.sales.get(day)
        if before not in (None, row.annual_sales) and row.sales_from <= programme.closed_through:
            problems.add(
                row.line,
                "annual_sales",
                f"{before:,} won from {row.sales_from} on has been settled with",
                "give the new figure a sales_from of its own",
            )


def _until(groups: tuple[tuple[str, int, int], ...], today: int) -> list[tuple[str, int, int]]:
    """The memberships as they count up to and with `today`: an end after it is no end yet."""
    return [
        (code, start, end if end and end <= today else 0) for code, start, end in groups if start <= today
    ]
