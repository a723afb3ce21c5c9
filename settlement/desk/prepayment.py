"""What funders have paid in ahead: noted by a person, and how it stands."""

import re
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, insert, select, text

from settlement.errors import UsageError
from settlement.reference import Facts
from settlement.store.house import book
from settlement.store.runs import open_for_booking
from settlement.store.schema_bank import funder_prepayment
from switch.ledger.chart import Account
from switch.ledger.journal import entry

_REFERENCE = re.compile(r"[A-Za-z0-9._:-]{1,40}")

_STANDING = text(f"""
    SELECT f.funder_no, coalesce(m.paid_in, 0) AS paid_in, coalesce(m.used, 0) AS used,
           coalesce(m.left_over, 0) AS left_over, s.since, coalesce(s.dates, 0) AS dates,
           coalesce(s.won, 0)::bigint AS waiting
    FROM funder f
    LEFT JOIN (
        SELECT funder_no,
               (sum(CASE WHEN credit = {Account.FUNDER_PREPAID:d} THEN won ELSE -won END)
                FILTER (WHERE {Account.FUNDER_DUE:d} NOT IN (debit, credit)))::bigint AS paid_in,
               (sum(CASE WHEN debit = {Account.FUNDER_PREPAID:d} THEN won ELSE -won END)
                FILTER (WHERE {Account.FUNDER_DUE:d} IN (debit, credit)))::bigint AS used,
               sum(CASE WHEN credit = {Account.FUNDER_PREPAID:d} THEN won ELSE -won END)::bigint AS left_over
        FROM house_entry
        WHERE programme_no = :programme_no AND {Account.FUNDER_PREPAID:d} IN (debit, credit)
        GROUP BY funder_no) m USING (funder_no)
    LEFT JOIN (
        SELECT funder_no, min(business_date) AS since, count(*) AS dates, sum(won) AS won
        FROM funding_stop WHERE programme_no = :programme_no AND credited_by IS NULL
        GROUP BY funder_no) s USING (funder_no)
    WHERE f.programme_no = :programme_no ORDER BY f.funder_no
""")  # noqa: S608 (numbers of our own enumerations)


class Standing(msgspec.Struct, frozen=True):
    """One funder, in won: paid in, used for cashback, left; and what waits for money, since when."""

    programme: str
    funder: str
    ahead: bool  # whether it pays in ahead at all
    paid_in: int
    used: int
    left: int
    waiting: int
    waiting_dates: int
    waiting_since: date | None


def note(
    connection: Connection,
    facts: Facts,
    funder: str,
    won: int,
    reference: str,
    *,
    actor: str,
    now: datetime,
) -> bool:
    """Note money that a funder has paid in, in the caller's transaction; False if it was noted before.

    Raises UsageError for an unknown funder, an amount that is none, or a reference of another prepayment.
    """
    funder_no = facts.funder_no.get(funder)
    if funder_no is None:
        known = ", ".join(sorted(facts.funder_no))
        raise UsageError(f"programme {facts.programme_id} has no funder {funder!r}: it has {known}")
    if won <= 0:
        raise UsageError(f"{won} won is no prepayment: name a whole number of won above 0")
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(f"reference {reference[:60]!r}: 1 to 40 letters, digits and . _ : -")
    table = funder_prepayment
    there = connection.execute(
        select(table.c.funder_no, table.c.won).where(
            table.c.programme_no == facts.programme_no, table.c.reference == reference
        )
    ).first()
    if there is not None:
        if (there.funder_no, there.won) == (funder_no, won):
            return False
        other = facts.funder_id[there.funder_no]
        raise UsageError(
            f"reference {reference} is {there.won:,} won of {other} already: name another reference"
        )
    booked_on = facts.open_date(now)
    open_for_booking(connection, facts.programme_no, booked_on)
    connection.execute(
        insert(table).values(
            programme_no=facts.programme_no,
            reference=reference,
            funder_no=funder_no,
            won=won,
            noted_by=actor,
            noted_at=now,
        )
    )
    paid_in = entry(Account.FUNDER_BANK, Account.FUNDER_PREPAID, won, funder_no=funder_no)
    book(connection, facts.programme_no, booked_on, f"prepaid:{reference}", [paid_in])
    return True


def standing(connection: Connection, facts: Facts, ahead: frozenset[str]) -> list[Standing]:
    """Every funder of a programme; `ahead` are those who have an account to pay into."""
    rows = connection.execute(_STANDING, {"programme_no": facts.programme_no})
    return [
        Standing(
            facts.programme_id,
            facts.funder_id[row.funder_no],
            facts.funder_id[row.funder_no] in ahead,
            row.paid_in,
            row.used,
            row.left_over,
            row.waiting,
            row.dates,
            row.since,
        )
        for row in rows
    ]
