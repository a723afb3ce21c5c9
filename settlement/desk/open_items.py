"""What is open between the books and the bank, oldest first, with its age."""

from collections.abc import Iterable
from datetime import date

import msgspec
from sqlalchemy import Connection, text

from settlement.domain.answers import in_words
from settlement.store.statements import outstanding

CLASSES = ((1, "to 1 day"), (5, "2 to 5 days"), (30, "6 to 30 days"), (None, "over 30 days"))


class OpenItem(msgspec.Struct, frozen=True):
    """One thing that somebody must bring to its end. `payments` above 1: a file's, taken together."""

    kind: str
    since: date
    days: int
    won: int
    payments: int
    name: str
    about: str


class AgeClass(msgspec.Struct, frozen=True):
    """The sum of what is that old."""

    age: str
    items: int
    payments: int
    won: int


class OpenList(msgspec.Struct, frozen=True):
    """All of one programme, oldest first."""

    programme: str
    items: tuple[OpenItem, ...]
    ages: tuple[AgeClass, ...]


# Payments by their file: before the bank has them, without its answer, without its statement.
_BY_FILE = text("""
    SELECT i.state, f.name, min(f.pay_on) AS since, count(*) AS payments, sum(i.won)::bigint AS won
    FROM (SELECT programme_no, end_to_end_id, state, won FROM payout
          WHERE programme_no = :programme_no AND state IN ('ordered', 'sent', 'accepted')
          UNION ALL
          SELECT programme_no, end_to_end_id, state, won FROM house_transfer
          WHERE programme_no = :programme_no AND state IN ('ordered', 'sent', 'accepted')) i
    JOIN bank_file_line l ON l.programme_no = i.programme_no AND l.end_to_end_id = i.end_to_end_id
    JOIN bank_file f ON f.programme_no = l.programme_no AND f.file_no = l.file_no AND f.state <> 'voided'
    GROUP BY i.state, f.name
""")
_UNPAID = text("""
    SELECT p.end_to_end_id AS name, p.state, p.won, p.reason, m.merchant_id,
           coalesce(p.returned_on, (SELECT max(e.at AT TIME ZONE 'Asia/Seoul')::date FROM payout_event e
               WHERE e.programme_no = p.programme_no AND e.end_to_end_id = p.end_to_end_id
               AND e.event = p.state), p.pay_on) AS since
    FROM payout p JOIN merchant m ON m.merchant_no = p.merchant_no
    WHERE p.programme_no = :programme_no AND p.state IN ('rejected', 'returned') AND NOT EXISTS (
        SELECT FROM payout n WHERE n.programme_no = p.programme_no AND n.business_date = p.business_date
        AND n.cycle = p.cycle AND n.merchant_no = p.merchant_no AND n.attempt > p.attempt)
""")
_ANNOUNCED = text("""
    SELECT p.end_to_end_id AS name, p.won, e.reason, (e.at AT TIME ZONE 'Asia/Seoul')::date AS since
    FROM payout_event e
    JOIN payout p ON p.programme_no = e.programme_no AND p.end_to_end_id = e.end_to_end_id
    WHERE e.programme_no = :programme_no AND e.event = 'announced' AND p.state <> 'returned'
""")
_HALF = text("""
    SELECT end_to_end_id AS name, won, coalesce(booked_on, received_on) AS since, booked_on IS NULL AS came
    FROM house_transfer
    WHERE programme_no = :programme_no AND (booked_on IS NULL) <> (received_on IS NULL)
""")
_SUSPENSE = text("""
    SELECT account, statement_id || '/' || entry_no AS name, won, booked_on AS since, matched_to, remittance
    FROM bank_entry WHERE programme_no = :programme_no AND state = 'suspense'
""")
_CONFLICTS = text("""
    SELECT e.end_to_end_id AS name, e.told, coalesce(p.won, t.won) AS won,
           (e.at AT TIME ZONE 'Asia/Seoul')::date AS since
    FROM payout_event e
    LEFT JOIN payout p ON p.programme_no = e.programme_no AND p.end_to_end_id = e.end_to_end_id
    LEFT JOIN house_transfer t ON t.programme_no = e.programme_no AND t.end_to_end_id = e.end_to_end_id
    WHERE e.programme_no = :programme_no AND e.event = 'conflict' AND NOT EXISTS (
        SELECT FROM settlement_audit a
        WHERE a.subject = e.end_to_end_id AND a.act = 'conflict closed' AND a.at >= e.at)
""")
_WAITS_FOR = {
    "ordered": ("not at the bank", "approve and deliver its file"),
    "sent": ("no answer", "the bank's pain.002 or statement is due"),
    "accepted": ("no statement", "the bank's camt.053 is due"),
}


def open_items(connection: Connection, programme: str, programme_no: int, today: date) -> OpenList:
    """What is open at a programme on a Korean day, in the caller's transaction."""
    own = {"programme_no": programme_no}
    found: list[OpenItem] = []

    def add(kind: str, since: date, won: int, name: str, about: str, payments: int = 1) -> None:
        found.append(OpenItem(kind, since, max((today - since).days, 0), won, payments, name, about))

    for row in connection.execute(_BY_FILE, own):
        kind, about = _WAITS_FOR[row.state]
        add(kind, row.since, row.won, row.name, about, row.payments)
    for row in connection.execute(_UNPAID, own):
        about = f"{row.merchant_id}: {in_words(row.reason)}; correct the account"
        add(row.state, row.since, row.won, row.name, about)
    for row in connection.execute(_ANNOUNCED, own):
        add("coming back", row.since, row.won, row.name, f"{in_words(row.reason)}; the statement is due")
    for row in connection.execute(_HALF, own):
        about = "came in, and is not seen going out" if row.came else "went out, and is not seen coming in"
        add("half seen", row.since, row.won, row.name, about)
    for row in connection.execute(_SUSPENSE, own):
        about = row.matched_to or f"nothing of ours on it: {row.remittance or 'it carries no words'}"
        add("suspense", row.since, row.won, row.name, f"{row.account}: {about}")
    for row in connection.execute(_CONFLICTS, own):
        add("contradiction", row.since, row.won, row.name, row.told)
    for day, won in outstanding(connection, programme_no).items():
        since = date.fromisoformat(day)
        if since < today:
            add("collection", since, won, f"TOPUP-{day}", "topped up, and on no statement yet")
    found.sort(key=lambda one: (one.since, one.kind, one.name))
    return OpenList(programme, tuple(found), tuple(_ages(found)))


def _ages(items: Iterable[OpenItem]) -> Iterable[AgeClass]:
    left = list(items)
    for most, name in CLASSES:
        of_class = [one for one in left if most is None or one.days <= most]
        left = [one for one in left if most is not None and one.days > most]
        yield AgeClass(
            name, len(of_class), sum(one.payments for one in of_class), sum(abs(one.won) for one in of_class)
        )
