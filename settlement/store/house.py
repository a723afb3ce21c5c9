"""Postings of the house: entries that belong to no wallet. Each posting has a name that is used once."""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import Connection, insert

from switch.ledger.journal import Entry
from switch.store.schema import house_entry


def book(
    connection: Connection, programme_no: int, booked_on: date, posting: str, entries: Sequence[Entry]
) -> None:
    """Write one posting on an open business date, in the caller's transaction.

    The caller holds the date (settlement.store.runs.open_for_booking). The same name on the same date fails
    in the database; that it is booked once at all is for the caller's state to see to.
    """
    book_each(connection, programme_no, booked_on, {posting: entries})


def book_each(
    connection: Connection, programme_no: int, booked_on: date, postings: Mapping[str, Sequence[Entry]]
) -> None:
    """Write many postings, by their names, as `book` writes one."""
    rows = [
        {
            "programme_no": programme_no,
            "business_date": booked_on,
            "posting": posting,
            "line": line,
            "debit": int(one.debit),
            "credit": int(one.credit),
            "won": one.won,
            "merchant_no": one.merchant_no,
            "funder_no": one.funder_no,
        }
        for posting, entries in postings.items()
        for line, one in enumerate(entries, 1)
    ]
    if rows:
        connection.execute(insert(house_entry), rows)
