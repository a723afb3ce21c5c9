"""What a status report of the bank (pain.002) means for each payment of the file that it answers.

The bank may speak of the file, of its batch and of single payments. The narrower word holds. A report that
contradicts itself, or the file, is refused as a whole: nobody could say which half of it is true.
"""

from collections.abc import Mapping

import msgspec

from settlement.domain.payouts import PayoutState

ACCEPTED = frozenset({"ACCP", "ACTC", "ACSP", "ACSC", "ACWC", "ACCC", "ACFC"})
REJECTED = "RJCT"
NO_WORD_YET = frozenset({"", "RCVD", "PDNG", "PART"})
KNOWN = ACCEPTED | NO_WORD_YET | {REJECTED}
DUPLICATE = frozenset({"AM05", "DU01", "DU02", "DU03", "DU04", "DU05", "DUPL"})
"""Refusals of a second copy: they say nothing of the first, which may be paid. Never owed again for these."""

OURS = frozenset(
    {"AC05", "AG02", "AM03", "AM04", "AM10", "BE05", "BE07", "CH03", "DNOR", "DT01", "FF01", "TM01"}
)
"""Refusals that no payee's account is at fault for: paid again to the same one."""

REASONS = {
    "AC01": "the account number is wrong",
    "AC03": "the payee's account number is not valid",
    "AC04": "the account is closed",
    "AC05": "our account is closed",
    "AC06": "the account is blocked",
    "AC13": "the account is of a kind that takes no transfers",
    "AC14": "the payee's account is of a kind that takes no transfers",
    "AG01": "transfers to this account are forbidden",
    "AG02": "the bank does not know this kind of transfer",
    "AM01": "the amount is zero",
    "AM02": "the amount is above what is allowed",
    "AM03": "the currency is not processed",
    "AM04": "our account has not enough money",
    "AM05": "the bank holds it to be a duplicate",
    "AM09": "the amount is wrong",
    "AM10": "the control sum does not fit",
    "BE01": "the holder's name does not match the account",
    "BE04": "the payee's address is missing",
    "BE05": "the bank does not know us as the sender",
    "BE06": "the payee is not known there",
    "BE07": "our address is missing",
    "CH03": "the execution date is too far ahead",
    "CNOR": "the payee's bank is not in this clearing",
    "CUST": "taken back at our own request",
    "DNOR": "our bank is not in this clearing",
    "DT01": "the date is wrong",
    "DU01": "the bank had this file before",
    "DU02": "the bank had this batch before",
    "DU03": "the bank had this payment before",
    "DU04": "the bank had this payment before",
    "DU05": "the bank had this payment before",
    "DUPL": "the bank holds it to be a duplicate",
    "FF01": "the file's format is wrong",
    "FOCR": "taken back after a recall",
    "MD07": "the payee has died",
    "MS02": "the payee refuses it, without a reason",
    "MS03": "the bank gives no reason",
    "NARR": "as the bank says in words",
    "NOAS": "the payee did not answer",
    "RC01": "the bank code is wrong",
    "RC04": "the payee's bank code is wrong",
    "RR04": "a regulation forbids it",
    "TM01": "the file came after the bank's closing time",
}
"""ISO 20022 external status and return reasons, in plain words."""


class AnswerError(ValueError):
    """A report that cannot be true: the text says why, and what to ask the bank for."""


class Status(msgspec.Struct, frozen=True, gc=False):
    """One word of the bank: about a file, a batch or a payment (`name`). `code` "" where it says nothing."""

    name: str = ""
    code: str = ""
    reason: str = ""
    told: str = ""
    won: int | None = None
    count: int | None = None
    counted: dict[str, int] = {}


class StatusReport(msgspec.Struct, frozen=True):
    """A whole pain.002."""

    message_id: str
    original_message_id: str
    group: Status
    batches: tuple[Status, ...]
    payments: tuple[Status, ...]


class Asked(msgspec.Struct, frozen=True):
    """The file of ours: `payments` are won by EndToEndId."""

    message_id: str
    payment_information_id: str
    payments: Mapping[str, int]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What is told about one payment: `state` is accepted or rejected."""

    end_to_end_id: str
    state: PayoutState
    reason: str = ""
    told: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a report comes to. `conflicts` are lines about payments that are not the file's."""

    verdicts: tuple[Verdict, ...]
    conflicts: tuple[str, ...]
    whole: bool  # each payment of the file has a verdict


def in_words(reason: str) -> str:
    """A reason's code with what it means."""
    return f"{reason} ({REASONS[reason]})" if reason in REASONS else reason or "no reason given"


def interpret(report: StatusReport, asked: Asked) -> Answer:
    """Verdicts for the file's payments, in the order of the file. Raises AnswerError."""
    if len(report.batches) > 1:
        raise AnswerError(f"has {len(report.batches)} batches, the file has one: ask the bank")
    batch = report.batches[0] if report.batches else Status()
    if report.batches and batch.name != asked.payment_information_id:
        raise AnswerError(
            f"answers batch {batch.name}, the file's is {asked.payment_information_id}: ask the bank for the"
            " right answer"
        )
    for one in (report.group, batch):
        _fits(one, asked)
        if one.code == REJECTED and one.reason in DUPLICATE:
            raise AnswerError(
                f"refuses a second copy of {asked.message_id}: {in_words(one.reason)}; nothing is changed:"
                " ask the bank how it came twice, and for its answer to the first"
            )
    said, disputed = _said(report.payments, asked)
    general = batch if batch.code not in NO_WORD_YET else report.group
    if REJECTED in (report.group.code, batch.code) and any(one.code in ACCEPTED for one in said.values()):
        raise AnswerError("rejects the whole and accepts a part of it: ask the bank which is true")
    for one in (report.group, batch):
        _counts(one, said)
    for one, other in ((report.group, batch), (batch, report.group)):
        if one.code in ACCEPTED and other.code == REJECTED:
            raise AnswerError(
                "accepts one of the file and its only batch, and rejects the other: ask the bank which holds"
            )
    if report.group.code == REJECTED:
        general = report.group
    unnamed = len(asked.payments.keys() - said.keys() - disputed.keys())
    rest = _rest(report, batch, said, unnamed)
    verdicts = [
        verdict
        for name in asked.payments
        if name not in disputed and (verdict := _verdict(name, said.get(name), general, rest)) is not None
    ]
    return Answer(tuple(verdicts), tuple(disputed.values()), len(verdicts) == len(asked.payments))


def _fits(one: Status, asked: Asked) -> None:
    if one.code not in KNOWN:
        raise AnswerError(f"says {one.code}, which is no status of ISO 20022: ask the bank what it means")
    if one.count is not None and one.count != len(asked.payments):
        raise AnswerError(
            f"counts {one.count:,} payments, {asked.message_id} has {len(asked.payments):,}:"
            " ask the bank for the right answer"
        )
    total = sum(asked.payments.values())
    if one.won is not None and one.won != total:
        raise AnswerError(
            f"sums up {one.won:,} won, {asked.message_id} orders {total:,}: ask the bank for the right answer"
        )


def _said(payments: tuple[Status, ...], asked: Asked) -> tuple[dict[str, Status], dict[str, str]]:
    """What is said of payments by name; and a line about each that is not the file's, or of which it is not
    clear what is said: no general word holds for that one either.
    """
    said: dict[str, Status] = {}
    disputed: dict[str, str] = {}
    for one in payments:
        if one.code not in KNOWN:
            raise AnswerError(f"says {one.code} of {one.name}, which is no status of ISO 20022: ask the bank")
        won = asked.payments.get(one.name)
        if won is None:
            disputed[one.name] = f"{one.name or 'a payment without EndToEndId'}: is not in {asked.message_id}"
        elif one.won is not None and one.won != won:
            disputed[one.name] = f"{one.name}: the bank says {one.won:,} won, ordered are {won:,}"
        elif one.code == REJECTED and one.reason in DUPLICATE:
            disputed[one.name] = f"{one.name}: {in_words(one.reason)}: ask the bank what became of the first"
        elif one.name in said and said[one.name].code != one.code:
            raise AnswerError(f"says both {said[one.name].code} and {one.code} of {one.name}: ask the bank")
        else:
            said[one.name] = one
    return {name: one for name, one in said.items() if name not in disputed}, disputed


def _counts(one: Status, said: dict[str, Status]) -> None:
    """Rejects that are counted must be named, unless all are rejected."""
    counted = one.counted.get(REJECTED)
    named = sum(status.code == REJECTED for status in said.values())
    if counted is not None and one.code != REJECTED and counted != named:
        raise AnswerError(f"counts {counted:,} rejects and names {named:,}: ask the bank for the right one")


def _rest(report: StatusReport, batch: Status, said: dict[str, Status], unnamed: int) -> bool:
    """Whether payments that are not named are accepted: the report's own counts must say so."""
    for one in (batch, report.group):
        accepted = sum(count for code, count in one.counted.items() if code in ACCEPTED)
        named = sum(status.code in ACCEPTED for status in said.values())
        if accepted and accepted == named + unnamed:
            return True
    return False


def _verdict(name: str, own: Status | None, general: Status, rest: bool) -> Verdict | None:
    if own is None and general.code in NO_WORD_YET:
        return Verdict(name, PayoutState.ACCEPTED) if rest else None
    one = own if own is not None and own.code not in NO_WORD_YET else general
    if own is not None and own.code in ("PDNG", "RCVD") and general.code != REJECTED:
        return None
    if one.code == REJECTED:
        reason = one.reason or general.reason
        return Verdict(name, PayoutState.REJECTED, reason, one.told or general.told)
    return Verdict(name, PayoutState.ACCEPTED) if one.code in ACCEPTED else None
