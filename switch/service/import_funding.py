"""Import of money that came in for members: charged money received, points granted by a funder."""

from datetime import datetime, time
from pathlib import Path

from sqlalchemy import Engine

from switch.domain.calendar import SEOUL, add_months, business_date, day_of_date
from switch.domain.programme import NoPolicy
from switch.domain.toml_reader import nearest
from switch.domain.wallet import LOT_KIND_NO, points_expiry
from switch.service import import_rows as rows_of
from switch.service.import_books import Books, ImportReport, refuse_twice, report
from switch.service.import_files import Problems, Progress, no_progress, read_rows
from switch.service.import_rows import FundingRow
from switch.store import funding as funding_store
from switch.store import reference_write as reference
from switch.store.bulk import lock_administration, lock_wallets
from switch.store.funding import BookedFunding, NewFunding
from switch.store.reference_write import ProgrammeAt


def import_funding(
    engine: Engine, path: Path, now: datetime, progress: Progress = no_progress
) -> ImportReport:
    """Book money that came in, each row as a lot of its own, exactly once by its reference.

    It is booked on the open business date of `now`, whatever the row's day; the lot opens on that day.
    Raises ImportRefusedError.
    """
    problems = Problems(path.name)
    rows = [FundingRow(*row) for row in read_rows(path, rows_of.FUNDING, problems, progress)]
    refuse_twice(problems, "reference", ((row.line, (row.programme, row.reference)) for row in rows))
    for row in rows:
        if row.day > now.astimezone(SEOUL).date():
            problems.add(row.line, "day", f"{row.day} has not come yet", "import it on that day")
        if bool(row.funder) != (row.kind == "points"):
            problems.add(
                row.line, "funder", "points have a funder, charged money has none", "correct kind or funder"
            )
    problems.raise_any()
    with engine.connect() as connection:
        cutovers = {one.programme.cutover for one in reference.find_programmes(connection).values()}
    for cutover in cutovers or {time(0)}:
        funding_store.ensure_days(engine, business_date(now, cutover))
    with engine.begin() as connection:
        lock_administration(connection)
        books = Books(connection, problems)
        todo = _new_funding(books, rows)
        problems.raise_any()
        booked = [row for group in todo.values() for row in group]
        progress("writing", 0, len(booked))
        dates = {
            name: funding_store.hold_open_date(
                connection, one.programme_no, business_date(now, one.programme.cutover)
            )
            for name, one in books.programmes.items()  # ascending by number, as lanes hold them
            if name in todo
        }
        lock_wallets(connection, ((row.bucket, row.wallet_id) for row in booked))
        for name, group in todo.items():
            programme_no = books.programmes[name].programme_no
            funding_store.book_funding(connection, programme_no, dates[name], group)
    return report("funding", path, len(rows), len(booked), 0, sum(row.won for row in booked))


def _new_funding(books: Books, rows: list[FundingRow]) -> dict[str, list[NewFunding]]:
    """The rows that are not booked yet, by programme; contradictions go to the problems."""
    members = books.members(rows)
    references: dict[str, list[str]] = {}
    for row in rows:
        references.setdefault(row.programme, []).append(row.reference)
    booked = {
        name: funding_store.find_funding(books.connection, books.programmes[name].programme_no, ids)
        for name, ids in references.items()
        if name in books.programmes
    }
    todo: dict[str, list[NewFunding]] = {}
    for row in rows:
        member = books.member(row, members)
        if member is None:
            continue
        programme = books.programmes[row.programme]
        funder_no = programme.funder_numbers.get(row.funder, 0) if row.funder else 0
        if row.funder and not funder_no:
            fix = nearest(row.funder, programme.funder_numbers)
            books.problems.add(row.line, "funder", f'{row.programme} has no funder "{row.funder}"', fix)
            continue
        asked = BookedFunding(
            *(member.bucket, member.wallet_id, LOT_KIND_NO[row.kind]),
            *(funder_no, day_of_date(row.day), row.won),
        )
        before = booked[row.programme].get(row.reference)
        if before is None:
            expires = _expires(books.problems, row, programme)
            new = NewFunding(
                *(row.reference, member.bucket, member.wallet_id, row.kind, row.won, funder_no),
                *(asked.opened, expires),
            )
            todo.setdefault(row.programme, []).append(new)
        elif before != asked:
            books.problems.add(
                row.line,
                "reference",
                f"{row.reference} is booked already with other contents ({before.won:,} won)",
                "give new money a reference of its own",
            )
    return todo


def _expires(problems: Problems, row: FundingRow, programme: ProgrammeAt) -> int:
    """The lot's last valid day (yyyymmdd), by the policy in force at the end of the row's day."""
    try:
        policy = programme.programme.policy_at(datetime.combine(row.day, time.max, SEOUL))
    except NoPolicy:
        problems.add(
            row.line,
            "day",
            f"{row.programme} has no policy in force on {row.day}",
            "apply one, or correct the day",
        )
        return 0
    opened = day_of_date(row.day)
    if row.kind == "charged":
        return add_months(opened, policy.charged_expiry_months)
    return points_expiry(opened, policy.points_expiry_months)
