"""A person says what an entry in suspense is. What is said is held against the books like any carrier."""

import msgspec
from sqlalchemy import Row, select, text

from settlement.domain.matching import SAFEGUARDED, Booking, as_payment
from settlement.errors import UsageError
from settlement.frame import Frame
from settlement.people.audit import note as note_audit
from settlement.steps.accounts import FUNDER, ledger_of
from settlement.steps.entries import money, release, settle
from settlement.store import bank, statements
from settlement.store.house import book
from settlement.store.runs import open_for_booking
from settlement.store.schema_bank import bank_entry, bank_statement
from switch.ledger import journal
from switch.ledger.chart import Account

TARGETS = (
    "prepayment:FUNDER, claim:FUNDER, payout:ENDTOENDID, transfer:ENDTOENDID, topup:YYYYMMDD,"
    " entry:STATEMENT/ENTRY (the two cancel out), charge"
)
_A = Account


class Assigned(msgspec.Struct, frozen=True):
    """What an entry is now. `won` as on the statement."""

    account: str
    statement: str
    entry: int
    won: int
    to: str


class _Plan(msgspec.Struct, frozen=True):
    kind: str
    to: str
    entries: list[journal.Entry]
    booking: Booking | None = None


def assign(frame: Frame, where: str, to: str, account: str | None = None) -> Assigned:
    """Book an entry in suspense, `STATEMENT/ENTRY`, as what it is, in a transaction of its own.

    Raises UsageError for an entry that is not in suspense, and for a target that it cannot be.
    """
    connection, number = frame.connection, frame.key.programme_no
    with connection.begin():
        row = _entry(frame, where, account)
        ledger, funder_no = ledger_of(frame.facts, row.account)
        open_for_booking(connection, number, frame.open_date())
        plan = _plan(frame, row, to, ledger, funder_no)
        statements.resolve(
            connection,
            number,
            row.account,
            row.statement_id,
            row.entry_no,
            kind=plan.kind,
            to=plan.to,
            by=frame.actor,
            at=frame.now(),
        )
        posting = f"assign:{row.account}:{row.statement_id}:{row.entry_no}"
        book(connection, number, frame.open_date(), posting, plan.entries)
        if plan.booking is not None:
            settle(frame, [(row.booked_on, plan.booking)], row.inbound_no)
        detail: dict[str, object] = {"to": plan.to, "won": row.won}
        subject = f"{row.account} {row.statement_id}/{row.entry_no}"
        note_audit(connection, frame.now(), frame.actor, "entry assigned", subject, detail)
        frame.observer.reached("reconcile:assigning")
    return Assigned(row.account, row.statement_id, row.entry_no, row.won, plan.to)


def _entry(frame: Frame, where: str, account: str | None) -> "Row[tuple[object, ...]]":
    statement, _, entry_no = where.rpartition("/")
    if not statement or not (entry_no.isascii() and entry_no.isdigit() and len(entry_no) <= 9):
        raise UsageError(f"--assign {where!r}: write it as `open` shows it, STATEMENT/ENTRY")
    table = bank_entry.c
    query = (
        select(bank_entry, bank_statement.c.inbound_no)
        .join(
            bank_statement,
            (bank_statement.c.programme_no == table.programme_no)
            & (bank_statement.c.account == table.account)
            & (bank_statement.c.statement_id == table.statement_id),
        )
        .where(
            table.programme_no == frame.key.programme_no,
            table.statement_id == statement,
            table.entry_no == int(entry_no),
        )
    )
    if account is not None:
        query = query.where(table.account == account)
    rows = frame.connection.execute(query.with_for_update(of=bank_entry)).all()
    if not rows:
        raise UsageError(
            f"there is no entry {where} on a statement of {frame.facts.programme_id}: see `open`"
        )
    if len(rows) > 1:
        names = ", ".join(row.account for row in rows)
        raise UsageError(f"several accounts have an entry {where} ({names}): name one with --account")
    if rows[0].state != statements.SUSPENSE:
        raise UsageError(
            f"entry {where} is {rows[0].state} already, as {rows[0].matched_to}: nothing to assign"
        )
    return rows[0]


def _plan(frame: Frame, row: "Row[tuple[object, ...]]", to: str, ledger: Account, funder_no: int) -> _Plan:
    what, _, name = to.partition(":")
    if what in ("payout", "transfer") and name:
        return _payment(frame, row, name, ledger, funder_no)
    if what in ("prepayment", "claim") and name in frame.facts.funder_no:
        return _from_funder(frame, row, what, name)
    if what == "topup" and name:
        return _collection(frame, row, name, ledger)
    if what == "entry" and name:
        return _cancel_out(frame, row, name)
    if to == "charge":
        _way(row, out=True, what="a charge of the bank")
        return _Plan("charge", to, [journal.entry(_A.BANK_CHARGES, _A.SUSPENSE, -_won(row))])
    raise UsageError(f"--to {to!r}: one of {TARGETS}, with a name that there is")


def _won(row: "Row[tuple[object, ...]]") -> int:
    return int(row.won)


def _way(row: "Row[tuple[object, ...]]", *, out: bool, what: str) -> None:
    if (_won(row) < 0) is not out:
        side = "went out" if _won(row) < 0 else "came in"
        raise UsageError(f"the entry {side} from or on {row.account}: it cannot be {what}")


def _payment(
    frame: Frame, row: "Row[tuple[object, ...]]", name: str, ledger: Account, funder_no: int
) -> _Plan:
    item = bank.items_named(frame.connection, frame.key.programme_no, [name]).get(name)
    if item is None:
        raise UsageError(f"there is no payment {name} in {frame.facts.programme_id}: see `open`")
    booking = as_payment(item, _won(row), str(row.account), str(row.return_reason))
    if isinstance(booking, str):
        raise UsageError(f"the entry cannot be {name}: {booking}")
    entries = [
        release(ledger, funder_no, _won(row)),
        money(booking, ledger, funder_no, frame.facts.funder_no),
    ]
    return _Plan("payout" if item.merchant_no else "transfer", name, entries, booking)


def _from_funder(frame: Frame, row: "Row[tuple[object, ...]]", what: str, name: str) -> _Plan:
    _way(row, out=False, what=f"money of {name}")
    wanted = f"{FUNDER}{name}" if what == "prepayment" else SAFEGUARDED
    if row.account != wanted:
        raise UsageError(f"a {what} of {name} comes in on {wanted}, the entry is on {row.account}")
    credit = _A.FUNDER_PREPAID if what == "prepayment" else _A.FUNDER_DUE
    funder_no = frame.facts.funder_no[name]
    return _Plan(what, f"{what}:{name}", [journal.entry(_A.SUSPENSE, credit, _won(row), funder_no=funder_no)])


def _collection(frame: Frame, row: "Row[tuple[object, ...]]", name: str, ledger: Account) -> _Plan:
    """A part of what members have topped up on a day: the books know of it since."""
    if row.account != SAFEGUARDED:
        raise UsageError(f"top-ups are collected on {SAFEGUARDED}, the entry is on {row.account}")
    due = statements.outstanding(frame.connection, frame.key.programme_no).get(name, 0)
    won = _won(row)
    if not (0 < won <= due or due <= won < 0):
        raise UsageError(f"of top-ups of {name} {due:,} won are outstanding, the entry is {won:,}")
    return _Plan("collection", f"TOPUP-{name}", [release(ledger, 0, won)])


def _cancel_out(frame: Frame, row: "Row[tuple[object, ...]]", where: str) -> _Plan:
    """What the bank booked and took back: both are in suspense and leave it together, without a booking."""
    other = _entry(frame, where, str(row.account))
    if int(other.won) != -_won(row):
        raise UsageError(
            f"entry {where} is of {other.won:,} won, this one of {_won(row):,}: they do not cancel"
        )
    statements.resolve(
        frame.connection,
        frame.key.programme_no,
        other.account,
        other.statement_id,
        other.entry_no,
        kind="cancelled",
        to=f"entry:{row.statement_id}/{row.entry_no}",
        by=frame.actor,
        at=frame.now(),
    )
    return _Plan("cancelled", f"entry:{where}", [])


def close(frame: Frame, name: str, because: str) -> None:
    """A person has cleared up a contradiction with the bank. Raises UsageError if there is none."""
    with frame.connection.begin():
        known = frame.connection.execute(
            text(
                "SELECT 1 FROM payout_event WHERE programme_no = :no AND end_to_end_id = :name"
                " AND event = 'conflict' LIMIT 1"
            ),
            {"no": frame.key.programme_no, "name": name},
        ).first()
        if known is None:
            raise UsageError(f"there is no contradiction about {name}: see `open`")
        note_audit(
            frame.connection, frame.now(), frame.actor, "conflict closed", name, {"because": because[:500]}
        )
