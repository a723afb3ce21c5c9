"""Takes statements (camt.053): each entry once, booked as what it carries says, each statement in one piece.

After it the ledger's account is the bank's closing balance and what is on its way, or nothing of it stands.
An account's first statement may open with money that the books do not know: that is in suspense, as entry 0.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import BinaryIO

from settlement.domain.bankfiles import FileState
from settlement.domain.matching import (
    SAFEGUARDED,
    Entry,
    Known,
    Match,
    Part,
    days_of,
    match_all,
    names_of,
)
from settlement.domain.statement import Before, Follows, Statement, StatementError, add_up, follow, missing
from settlement.errors import ControlMismatchError
from settlement.files.camt import read_statements
from settlement.frame import Frame
from settlement.people.audit import note as note_audit
from settlement.steps.accounts import OwnAccount, find_account, ledger_of
from settlement.steps.entries import Placed, carry_out
from settlement.steps.taken import APPLIED, REPEATED, THEIRS, WAITS, Applied
from settlement.store import bank, inbound, statements
from settlement.store.runs import open_for_booking
from switch.ledger.chart import Account

KIND = "camt.053"


def apply(frame: Frame, file: inbound.Inbound, source: BinaryIO) -> Applied:
    """Take every statement of a file, each in a transaction of its own.

    Raises StatementError, UnsafeXmlError for what cannot be right, ControlMismatchError where the bank and
    the ledger differ: the statement is then not taken, those before it are.
    """
    message_id, found = read_statements(source)
    if not found:
        raise StatementError("has no statement: ask the bank for one")
    with frame.connection.begin():
        there = bank.programme_ids(frame.connection)
    owned = [(find_account(frame.settings, there, one.account, one.bank), one) for one in found]
    programmes = {own.programme_id for own, _ in owned}
    mine = frame.facts.programme_id
    with frame.connection.begin():
        number = frame.key.programme_no if programmes == {mine} else 0
        inbound.identify(frame.connection, file.inbound_no, KIND, message_id, number)
    if mine not in programmes:
        return Applied("is another programme's", THEIRS)
    told: list[Applied] = []
    for own, one in owned:
        if own.programme_id == mine:
            told.append(_take(frame, file, own, one))
            frame.observer.reached("inbox:statement")
    waiting = [one for one in told if one.state == WAITS]
    if waiting:
        with frame.connection.begin():
            inbound.settle(frame.connection, file.inbound_no, inbound.ARCHIVED, waiting[0].told)
        return waiting[0]
    with frame.connection.begin():
        if all(_is_taken(frame, own, one) for own, one in owned):
            inbound.settle(frame.connection, file.inbound_no, inbound.APPLIED)
    state = REPEATED if all(one.state == REPEATED for one in told) else APPLIED
    return Applied(
        "; ".join(one.told for one in told), state, tuple(x for one in told for x in one.conflicts)
    )


def _is_taken(frame: Frame, own: OwnAccount, one: Statement) -> bool:
    """Whether a statement is stored, of whichever programme it is."""
    number = bank.programme_no_of(frame.connection, own.programme_id)
    return statements.find(frame.connection, number, own.code, one.statement_id) is not None


def _take(frame: Frame, file: inbound.Inbound, own: OwnAccount, one: Statement) -> Applied:
    connection, number = frame.connection, frame.key.programme_no
    account, funder_no = ledger_of(frame.facts, own.code)
    with connection.begin():
        open_for_booking(connection, number, frame.open_date())
        known = statements.find(connection, number, own.code, one.statement_id)
        if known is not None:
            _same(one, known)
            return Applied(f"statement {one.statement_id} of {own.code} was taken before", REPEATED)
        add_up(one)
        before = statements.last_before(connection, number, own.code)
        if before is not None and follow(one, before) is Follows.LATER:
            asked = missing(one, before)
            return Applied(f"waits: ask the bank for {asked} of {own.code}", WAITS)
        whole = _with_opening(one, before)
        matches = match_entries(frame, own.code, whole.entries)
        statements.keep(connection, number, own.code, whole, matches, file.inbound_no)
        placed = [
            Placed(own.code, one.statement_id, entry, match)
            for entry, match in zip(whole.entries, matches, strict=True)
        ]
        carry_out(frame, placed, account, funder_no, file.inbound_no)
        _agrees(frame, own.code, one, account, funder_no)
        open_items = [one for one in placed if not one.match.bookings]
        told = (
            f"statement {one.statement_id} of {own.code}: {len(one.entries) - len(open_items):,} of"
            f" {len(one.entries):,} entries matched, closing {one.closing:,} won"
        )
        detail: dict[str, object] = {
            "statement": one.statement_id,
            "closing": one.closing,
            "entries": len(one.entries),
            "suspense": len(open_items),
            "sha256": file.sha256,
        }
        note_audit(connection, frame.now(), frame.actor, "statement taken", own.code, detail)
        frame.observer.reached("inbox:applying")
    return Applied(told, conflicts=tuple(_line(each) for each in open_items))


def _line(one: Placed) -> str:
    why = one.match.why or "nothing on it names anything of ours"
    return f"{one.account} {one.statement_id}/{one.entry.entry_no}: {one.entry.won:,} won in suspense: {why}"


def _same(one: Statement, known: Statement) -> None:
    """Raise StatementError if a statement says something else than when it first came."""
    if (one.opening, one.closing, one.last) != (known.opening, known.closing, known.last):
        raise StatementError(
            f"statement {one.statement_id} was taken with closing {known.closing:,} won and now says"
            f" {one.closing:,}: ask the bank which is right"
        )


def _with_opening(one: Statement, before: Before | None) -> Statement:
    if before is not None or one.opening == 0:
        return one
    part = Part(remittance="on the account before its first statement")
    there = Entry(statements.OPENING_ENTRY, one.opening, one.first, "", False, (part,))
    return Statement(
        one.statement_id,
        one.sequence,
        one.account,
        one.bank,
        one.opening,
        one.closing,
        one.first,
        one.last,
        (there, *one.entries),
    )


def match_entries(frame: Frame, code: str, entries: Sequence[Entry]) -> list[Match]:
    """What the entries of an account are, by the books as they are now, in the caller's transaction.

    A file that was on its way and that the bank has booked is noted as delivered.
    """
    connection, number = frame.connection, frame.key.programme_no
    names = {name for entry in entries for name in names_of(entry)}
    items = bank.items_named(connection, number, names)
    on_their_way = bank.files_of(connection, number, names, {one.file_no for one in items.values()})
    for file in on_their_way:
        if file.state is FileState.DELIVERING:
            bank.arrived(connection, file, frame.now())
    files: dict[str, list[str]] = {}
    for file in on_their_way:
        if {file.message_id, file.payment_information_id} & names:
            of_file = bank.items_of_file(connection, number, file.file_no)
            items |= of_file
            files[file.message_id] = files[file.payment_information_id] = list(of_file)
    if any(file.state is FileState.DELIVERING for file in on_their_way):
        items |= bank.items_named(connection, number, items)
    known = Known(items, files, frozenset(frame.facts.funder_no), _collections(frame, code, entries))
    return match_all(entries, code, known)


def _collections(frame: Frame, code: str, entries: Sequence[Entry]) -> dict[str, int]:
    days: set[date] = set()
    for entry in entries:
        for day in days_of(entry):
            try:
                days.add(datetime.strptime(day, "%Y%m%d").date())  # noqa: DTZ007 (a calendar date)
            except ValueError:
                continue
    if code != SAFEGUARDED or not days:
        return {}
    return statements.outstanding(frame.connection, frame.key.programme_no, days)


def _agrees(frame: Frame, code: str, one: Statement, account: Account, funder_no: int) -> None:
    """Raise ControlMismatchError unless the ledger has on the account what the bank says."""
    booked = statements.in_the_ledger(frame.connection, frame.key.programme_no, account, funder_no)
    if booked != one.closing:
        raise ControlMismatchError(
            f"statement {one.statement_id} of {code} closes with {one.closing:,} won, the ledger has"
            f" {booked:,} (outstanding top-ups aside): nothing of it is booked;"
            f" find the {one.closing - booked:,}"
        )
