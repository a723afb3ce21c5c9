"""Applies a status report (pain.002): payments are accepted, or rejected and owed to merchants again."""

from typing import BinaryIO

from settlement.domain.answers import Answer, AnswerError, Asked, Verdict, in_words, interpret
from settlement.domain.bankfiles import FileState
from settlement.domain.matching import Item
from settlement.domain.payouts import FINAL, Change, PayoutEvent, PayoutState, judge
from settlement.files.pain002 import read
from settlement.frame import Frame
from settlement.people.audit import note as note_audit
from settlement.steps.taken import THEIRS, Applied
from settlement.store import bank
from settlement.store import inbound as inbox
from settlement.store.bank import BankFile, Moved
from settlement.store.house import book_each
from settlement.store.runs import open_for_booking
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, entry

KIND = "pain.002"

_AT_THE_BANK = frozenset({FileState.DELIVERED, FileState.ANSWERED})


def apply(frame: Frame, file: inbox.Inbound, source: BinaryIO) -> Applied:
    """Apply one report in one transaction. Raises AnswerError or UnsafeXmlError: nothing is changed then."""
    report = read(source)
    connection, number = frame.connection, frame.key.programme_no
    with connection.begin():
        ours = bank.find_file(connection, message_id=report.original_message_id, held=True)
        if ours is None:
            raise AnswerError(f"answers {report.original_message_id}, which is no file of ours")
        inbox.identify(connection, file.inbound_no, KIND, report.message_id, ours.programme_no)
        if ours.programme_no != number:
            return Applied(f"answers {ours.name}", THEIRS)
        frame.observer.reached("inbox:identified")
        ours = _there(frame, ours)
        items = bank.items_of_file(connection, number, ours.file_no)
        asked = Asked(
            ours.message_id, ours.payment_information_id, {name: one.won for name, one in items.items()}
        )
        answer = interpret(report, asked)
        accepted, rejected, conflicts = _carry_out(frame, file, items, answer)
        bank.mark_answered(connection, number)
        inbox.settle(connection, file.inbound_no, inbox.APPLIED)
        _audit(frame, file, ours, accepted, rejected, len(conflicts))
        frame.observer.reached("inbox:applying")
    told = f"answers {ours.name}: {accepted:,} newly accepted, {rejected:,} newly rejected"
    return Applied(told, conflicts=(*answer.conflicts, *conflicts))


def _there(frame: Frame, ours: BankFile) -> BankFile:
    """The file as it stands at the bank. Raises AnswerError for one that cannot be there."""
    ours = bank.arrived(frame.connection, ours, frame.now())
    if ours.state not in _AT_THE_BANK:
        raise AnswerError(
            f"answers {ours.name}, which is {ours.state.value} and was never delivered: if somebody took it"
            " to the bank, note it (deliver --fetched) and give this answer again (ack FILE)"
        )
    return ours


def _carry_out(
    frame: Frame, file: inbox.Inbound, items: dict[str, Item], answer: Answer
) -> tuple[int, int, list[str]]:
    accepted: list[Moved] = []
    rejected: list[Moved] = []
    against: list[Moved] = []
    for verdict in answer.verdicts:
        item = items[verdict.end_to_end_id]
        change = judge(item.state, verdict.state)
        if verdict.state is PayoutState.REJECTED and _has_moved(item):
            change = Change.CONFLICT
        if change is Change.MOVE:
            moved = Moved(item, verdict.reason, verdict.told)
            (rejected if verdict.state is PayoutState.REJECTED else accepted).append(moved)
        elif change is Change.CONFLICT:
            against.append(Moved(item, verdict.reason, _contradiction(item, verdict)))
    connection, number, at = frame.connection, frame.key.programme_no, frame.now()
    bank.move(connection, number, accepted, PayoutState.ACCEPTED)
    bank.note(connection, number, PayoutEvent.ACCEPTED, at, file.inbound_no, accepted)
    bank.move(connection, number, rejected, PayoutState.REJECTED)
    bank.note(connection, number, PayoutEvent.REJECTED, at, file.inbound_no, rejected)
    bank.note(connection, number, PayoutEvent.CONFLICT, at, file.inbound_no, against)
    owed = [one.item for one in rejected if one.item.merchant_no]
    if owed:
        open_for_booking(connection, number, frame.open_date())
        postings = {f"reject:{one.end_to_end_id}": [_owed_again(one)] for one in owed}
        book_each(connection, number, frame.open_date(), postings)
    return len(accepted), len(rejected), [f"{one.item.end_to_end_id}: {one.told}" for one in against]


def _owed_again(item: Item) -> Entry:
    return entry(Account.PAYOUT_SENT, Account.MERCHANT_PAYABLE, item.won, merchant_no=item.merchant_no)


def _has_moved(item: Item) -> str:
    """What the bank has told of money that has left; rejected as well, it would be owed or ordered twice."""
    if item.state in FINAL:
        return ""
    if item.announced:
        return "coming back"
    return "seen to have come in" if item.received_on is not None else ""


def _contradiction(item: Item, verdict: Verdict) -> str:
    why = f", {in_words(verdict.reason)}" if verdict.state is PayoutState.REJECTED else ""
    stands = _has_moved(item) or item.state.value
    return f"the bank says {verdict.state.value}{why}; it is {stands}: ask the bank which is true"


def _audit(
    frame: Frame, file: inbox.Inbound, ours: BankFile, accepted: int, rejected: int, conflicts: int
) -> None:
    detail: dict[str, object] = {
        "file": ours.name,
        "sha256": file.sha256,
        "accepted": accepted,
        "rejected": rejected,
        "conflicts": conflicts,
    }
    note_audit(frame.connection, frame.now(), frame.actor, "answer taken", file.name, detail)
