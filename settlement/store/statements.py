"""Statements of the bank and their entries, and what the ledger says beside them."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, insert, select, text, update

from settlement.domain.matching import Entry, Match
from settlement.domain.statement import Before, Statement
from settlement.store.schema_bank import bank_entry, bank_statement
from switch.ledger.chart import Account

MATCHED, SUSPENSE, RESOLVED = "matched", "suspense", "resolved"
OPENING_ENTRY = 0
"""The entry that stands for what was on an account before its first statement."""


def find(connection: Connection, programme_no: int, account: str, statement_id: str) -> Statement | None:
    """A statement that was taken, without its entries."""
    table = bank_statement
    row = connection.execute(
        select(table).where(
            table.c.programme_no == programme_no,
            table.c.account == account,
            table.c.statement_id == statement_id,
        )
    ).first()
    if row is None:
        return None
    return Statement(
        row.statement_id, row.sequence, "", "", row.opening, row.closing, row.first, row.last, ()
    )


def last_before(connection: Connection, programme_no: int, account: str) -> Before | None:
    """The account's last statement. Statements are taken in their order, so the last taken is the latest."""
    table = bank_statement
    row = connection.execute(
        select(table)
        .where(table.c.programme_no == programme_no, table.c.account == account)
        .order_by(table.c.last.desc(), table.c.sequence.desc().nulls_last(), table.c.inbound_no.desc())
        .limit(1)
    ).first()
    return Before(row.statement_id, row.sequence, row.last, row.closing) if row else None


def keep(
    connection: Connection,
    programme_no: int,
    account: str,
    one: Statement,
    matches: Sequence[Match],
    inbound_no: int,
) -> None:
    """Store a statement and its entries, each as it was matched."""
    connection.execute(
        insert(bank_statement).values(
            programme_no=programme_no,
            account=account,
            statement_id=one.statement_id,
            sequence=one.sequence,
            first=one.first,
            last=one.last,
            opening=one.opening,
            closing=one.closing,
            entries=sum(entry.entry_no != OPENING_ENTRY for entry in one.entries),
            inbound_no=inbound_no,
        )
    )
    rows = [
        {
            "programme_no": programme_no,
            "account": account,
            "statement_id": one.statement_id,
            "entry_no": entry.entry_no,
            "booked_on": entry.booked_on,
            "won": entry.won,
            "reference": entry.reference,
            **_carried(entry),
            **_matched(match),
        }
        for entry, match in zip(one.entries, matches, strict=True)
    ]
    if rows:
        connection.execute(insert(bank_entry), rows)


def _carried(entry: Entry) -> dict[str, str]:
    first = entry.parts[0]
    return {
        "end_to_end_id": first.end_to_end_id if len(entry.parts) == 1 else "",
        "payment_information_id": first.payment_information_id,
        "message_id": first.message_id,
        "remittance": first.remittance,
        "return_reason": first.return_reason,
    }


def _matched(match: Match) -> dict[str, str]:
    """An entry in suspense says in `matched_to` what is wrong with its carrier, "" where it has none."""
    return {
        "state": MATCHED if match.bookings else SUSPENSE,
        "kind": match.kind,
        "carrier": match.carrier,
        "matched_to": match.matched_to if match.bookings else match.why,
    }


def rematch(
    connection: Connection, programme_no: int, account: str, statement_id: str, entry_no: int, match: Match
) -> None:
    """An entry that was in suspense is what its carrier said after all."""
    connection.execute(
        update(bank_entry)
        .where(*_is(programme_no, account, statement_id, entry_no), bank_entry.c.state == SUSPENSE)
        .values(**_matched(match))
    )


def resolve(
    connection: Connection,
    programme_no: int,
    account: str,
    statement_id: str,
    entry_no: int,
    *,
    kind: str,
    to: str,
    by: str,
    at: datetime,
) -> None:
    """A person has said what an entry in suspense is."""
    connection.execute(
        update(bank_entry)
        .where(*_is(programme_no, account, statement_id, entry_no), bank_entry.c.state == SUSPENSE)
        .values(state=RESOLVED, kind=kind, matched_to=to, resolved_by=by, resolved_at=at)
    )


def _is(programme_no: int, account: str, statement_id: str, entry_no: int) -> tuple[ColumnElement[bool], ...]:
    table = bank_entry.c
    return (
        table.programme_no == programme_no,
        table.account == account,
        table.statement_id == statement_id,
        table.entry_no == entry_no,
    )


# Top-ups and what was paid back to members move the safeguarded money before the bank shows it.
_TOPPED_UP = text(f"""
    SELECT to_char(business_date, 'YYYYMMDD') AS day,
           sum(CASE WHEN debit = {Account.SAFEGUARDED:d} THEN won ELSE -won END)::bigint AS won
    FROM entry
    WHERE programme_no = :programme_no
      AND (debit = {Account.SAFEGUARDED:d} OR credit = {Account.SAFEGUARDED:d})
      AND (CAST(:days AS date[]) IS NULL OR business_date = ANY(CAST(:days AS date[])))
    GROUP BY business_date ORDER BY business_date
""")  # noqa: S608 (a number of our own enumeration)
_COLLECTED = text("""
    SELECT right(matched_to, 8) AS day, sum(won)::bigint AS won
    FROM bank_entry WHERE programme_no = :programme_no AND kind = 'collection' AND state <> 'suspense'
    GROUP BY 1
""")
# A date leaves the database long after the bank has collected it.
_ARCHIVED = text("""
    SELECT to_char(business_date, 'YYYYMMDD') FROM archived_date WHERE programme_no = :programme_no
""")


def outstanding(
    connection: Connection, programme_no: int, days: Collection[date] | None = None
) -> dict[str, int]:
    """Won by day (yyyymmdd) that members have topped up and the bank has not shown; of all days, or some."""
    own = {"programme_no": programme_no}
    rows = connection.execute(_TOPPED_UP, {**own, "days": None if days is None else sorted(days)})
    found = {row.day: row.won for row in rows}
    gone = set(connection.execute(_ARCHIVED, own).scalars())
    for row in connection.execute(_COLLECTED, {"programme_no": programme_no}):
        if days is None or date.fromisoformat(row.day) in days:
            found[row.day] = found.get(row.day, 0) - row.won
    return {day: won for day, won in found.items() if won and day not in gone}


_HOUSE = text("""
    SELECT coalesce(sum(CASE WHEN debit = :account THEN won ELSE -won END), 0)::bigint
    FROM house_entry
    WHERE programme_no = :programme_no AND (debit = :account OR credit = :account)
      AND (:funder_no = 0 OR funder_no = :funder_no)
""")


def in_the_ledger(connection: Connection, programme_no: int, account: Account, funder_no: int) -> int:
    """What the house has booked on a bank account, top-ups that were collected included.

    The ledger's balance is this and the top-ups that are outstanding, by their definition.
    """
    house = connection.execute(
        _HOUSE, {"programme_no": programme_no, "account": int(account), "funder_no": funder_no}
    ).scalar_one()
    if account is not Account.SAFEGUARDED:
        return int(house)
    rows = connection.execute(_COLLECTED, {"programme_no": programme_no})
    return int(house) + sum(int(row.won) for row in rows)
