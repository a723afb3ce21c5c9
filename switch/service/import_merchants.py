"""Imports of merchants."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from switch.domain.calendar import SEOUL, business_date, day_of_date
from switch.domain.merchant import Facts
from switch.service import import_rows as rows_of
from switch.service.import_books import Books, ImportReport, refuse_twice, report
from switch.service.import_files import Problems, Progress, no_progress, read_rows
from switch.service.import_rows import MerchantRow
from switch.store import merchant_facts as dated
from switch.store import reference_write as reference
from switch.store.bulk import bump_epoch, hold_lanes, lock_administration
from switch.store.merchant_facts import DATED_FACTS
from switch.store.reference_write import MERCHANT_FACTS, MerchantAt, ProgrammeAt
from switch.store.schema import merchant

_PLAIN_FACTS = tuple(name for name in MERCHANT_FACTS if name not in DATED_FACTS)


class _Changes(msgspec.Struct):
    """What a file asks to be written, by merchant_no; `checked` holds the rows whose dated facts or groups
    change, with the groups that stand."""

    new: list[tuple[int, str, int, dict[str, Any]]] = []
    plain: dict[int, dict[str, Any]] = {}
    sales: list[tuple[int, int, int]] = []
    facts: dict[int, Facts] = {}
    groups: dict[int, tuple[tuple[str, int, int], ...]] = {}
    checked: dict[int, tuple[MerchantRow, MerchantAt, ProgrammeAt]] = {}

    def touched(self) -> set[int]:
        """The merchants of whom something changes."""
        return {*self.plain, *self.facts, *self.groups, *(one[0] for one in self.sales)}


def import_merchants(
    engine: Engine, path: Path, now: datetime, progress: Progress = no_progress
) -> ImportReport:
    """Import merchants. Plain facts may change; what payments were judged by may not.

    That is: category, size, regions and groups of today and of every day before it, and of a later day for
    which a payment of the merchant is booked already; annual sales of a day that is closed; the programme.
    Raises ImportRefusedError.
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
    today = day_of_date(now.astimezone(SEOUL).date())
    with engine.begin() as connection:
        lock_administration(connection)
        changes = _compare(connection, rows, problems, today)
        problems.raise_any()
        progress("writing", 0, len(rows))
        reference.add_merchants(connection, changes.new)
        for merchant_no, facts in changes.plain.items():
            reference.change_merchant(connection, merchant_no, facts)
        reference.put_sales(connection, changes.sales)
        _hold_and_check(connection, changes, problems, now, today)
        problems.raise_any()
        dated.put_facts(connection, list(changes.facts.items()))
        reference.put_groups(connection, changes.groups)
        fresh = {one[0] for one in changes.new}
        touched = changes.touched() - fresh
        if fresh or touched:
            bump_epoch(connection)
    return report("merchants", path, len(rows), len(fresh), len(touched))


def _compare(connection: Connection, rows: list[MerchantRow], problems: Problems, today: int) -> _Changes:
    """What of the file is not in the books yet; contradictions go to `problems`."""
    books = Books(connection, problems)
    known = reference.find_merchants(connection, (row.merchant_id for row in rows))
    later = dated.read_facts(connection, [one.merchant_no for one in known.values()])
    number = reference.next_number(connection, merchant, "merchant_no")
    changes = _Changes()
    for row in rows:
        programme = books.programme(row.line, row.programme)
        if programme is None:
            continue
        merchant_at = known.get(row.merchant_id)
        if merchant_at is None:
            facts = {name: getattr(row, name) for name in MERCHANT_FACTS}
            merchant_at = MerchantAt(number, programme.programme_no, facts, {}, row.groups)
            changes.new.append((number, row.merchant_id, programme.programme_no, facts))
            if row.groups:
                changes.groups[number] = row.groups
            number += 1
        else:
            _compare_known(row, merchant_at, programme, later.get(merchant_at.merchant_no, ()), changes)
            _check_merchant(problems, row, merchant_at, programme)
            _check_facts(problems, row, merchant_at, later.get(merchant_at.merchant_no, ()), today)
            _check_day(problems, row, merchant_at, changes, today, today)
        if row.sales_from is not None and row.annual_sales is not None:
            day = day_of_date(row.sales_from)
            if merchant_at.sales.get(day) != row.annual_sales:
                changes.sales.append((merchant_at.merchant_no, day, row.annual_sales))
    return changes


def _compare_known(
    row: MerchantRow, at: MerchantAt, programme: ProgrammeAt, later: tuple[Facts, ...], changes: _Changes
) -> None:
    number = at.merchant_no
    plain = {name: getattr(row, name) for name in _PLAIN_FACTS}
    if any(at.facts[name] != value for name, value in plain.items()):
        changes.plain[number] = plain
    if row.effective_from is not None:
        day = day_of_date(row.effective_from)
        if _wanted(row) != _facts_on(at, later, day):
            changes.facts[number] = Facts(day, *_wanted(row))
    if at.groups != row.groups:
        changes.groups[number] = row.groups
    if number in changes.facts or number in changes.groups:
        changes.checked[number] = (row, at, programme)


def _wanted(row: MerchantRow) -> tuple[str, ...]:
    return tuple([getattr(row, name) for name in DATED_FACTS])


def _facts_on(at: MerchantAt, later: tuple[Facts, ...], day: int) -> tuple[str, ...]:
    """What a merchant is on a day, in the order of DATED_FACTS."""
    for facts in reversed(later):
        if facts.valid_from <= day:
            return tuple([getattr(facts, name) for name in DATED_FACTS])
    return tuple([at.facts[name] for name in DATED_FACTS])


def _check_facts(
    problems: Problems, row: MerchantRow, at: MerchantAt, later: tuple[Facts, ...], today: int
) -> None:
    """A row without a day asks for no change: it must say what holds today, or what is to come last."""
    wanted, stands = _wanted(row), _facts_on(at, later, today)
    if row.effective_from is not None or wanted in (stands, _facts_on(at, later, 99_999_999)):
        return
    for name, new, old in zip(DATED_FACTS, wanted, stands, strict=True):
        if new != old:
            fix = "add the column effective_from with the day from which it holds: tomorrow or later"
            problems.add(row.line, name, f"would change from {old} to {new}, without a day", fix)


def _check_day(
    problems: Problems, row: MerchantRow, at: MerchantAt, changes: _Changes, judged: int, today: int
) -> None:
    """Refuse what would change a day that payments are judged by: every one up to `judged`."""
    since = "today" if judged == today else "the last day of a payment booked here"
    fix = "let a change start tomorrow or later, and keep the periods before it as they are"
    if judged > today:
        fix = "let the change start on a later day"
    facts = changes.facts.get(at.merchant_no)
    if facts is not None and facts.valid_from <= judged:
        what = f"would change the merchant on or before {since} ({judged}), by which payments were judged"
        problems.add(row.line, "effective_from", what, fix)
    if _until(at.groups, judged) != _until(row.groups, judged):
        what = f"would change groups on or before {since} ({judged}), by which payments were judged"
        problems.add(row.line, "groups", what, fix)


def _hold_and_check(
    connection: Connection, changes: _Changes, problems: Problems, now: datetime, today: int
) -> None:
    """See that no payment is booked for a day that a change would alter: a clock may be ahead of ours.

    Lanes wait from here until the commit, or one that has judged by the old facts might book after we looked.
    """
    programmes = {programme.programme_no: programme for _, _, programme in changes.checked.values()}
    for number in sorted(programmes):
        hold_lanes(connection, number, business_date(now, programmes[number].programme.cutover))
    for number, judged in dated.judged_after(connection, changes.checked, today).items():
        row, at, _ = changes.checked[number]
        _check_day(problems, row, at, changes, judged, today)


def _check_merchant(
    problems: Problems, row: MerchantRow, merchant_at: MerchantAt, programme: ProgrammeAt
) -> None:
    if merchant_at.programme_no != programme.programme_no:
        problems.add(
            row.line,
            "programme",
            "the merchant takes part in another programme",
            "give it another merchant_id",
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
