"""camt.053.001.08 and camt.054.001.08: statements and notices of the bank (ISO 20022, 2019 release).

Of a statement every booked entry is read; entries that are only announced (PDNG, INFO) move no balance and
stand in no statement of ours. Of a notice only what came back is read.
"""

from datetime import date, datetime
from typing import Any, BinaryIO

import msgspec

from settlement.domain.matching import Entry, Part
from settlement.domain.statement import Statement
from settlement.files.xml import UnsafeXmlError, all_at, parts, text_at, won_of

STATEMENT = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
NOTICE = "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"
ENTRIES_MAX = 300_000  # with their details, in a file
_PREFIX = "urn:iso:std:iso:20022:tech:xsd:"

_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)


class Returned(msgspec.Struct, frozen=True):
    """A payment that the bank announces as coming back."""

    end_to_end_id: str
    won: int
    reason: str = ""


class Notice(msgspec.Struct, frozen=True):
    """What comes back, as announced. `account` and `bank` are ours, "" where the message names none."""

    message_id: str
    account: str
    bank: str
    returned: tuple[Returned, ...]


class _Reader:
    """Reads the entries of one message; which namespace they are in is all that differs."""

    def __init__(self, namespace: str) -> None:
        self.text = text_at(namespace)
        self.all = all_at(namespace)
        self._read = 0

    def amount(self, element: Any, what: str) -> int:
        """The signed amount of an entry, a detail or a balance."""
        found = self.all(element, "Amt")
        if not found:
            raise UnsafeXmlError(f"{what} has no amount")
        won = won_of((found[0].text or "").strip(), found[0].get("Ccy", ""), what)
        side = self.text(element, "CdtDbtInd")
        if side not in ("CRDT", "DBIT"):
            raise UnsafeXmlError(f"{what} is neither CRDT nor DBIT")
        return won if side == "CRDT" else -won

    def account(self, element: Any) -> tuple[str, str]:
        """Number and bank of an account."""
        number = self.text(element, "Acct/Id/Othr/Id") or self.text(element, "Acct/Id/IBAN")
        return number, self.text(element, "Acct/Svcr/FinInstnId/ClrSysMmbId/MmbId")

    def entry(self, element: Any, entry_no: int) -> Entry | None:
        """An entry that is booked; None for one that is not."""
        status = self.text(element, "Sts/Cd")
        if status != "BOOK":
            return None
        what = f"entry {entry_no}"
        won = self.amount(element, what)
        if won == 0:
            raise UnsafeXmlError(f"{what} moves nothing")
        on = self.text(element, "BookgDt/Dt") or self.text(element, "BookgDt/DtTm")
        return Entry(
            entry_no,
            won,
            _day(on, what),
            self.text(element, "AcctSvcrRef") or self.text(element, "NtryRef"),
            self.text(element, "RvslInd") in ("true", "1"),
            self.parts(element, won),
        )

    def parts(self, element: Any, won: int) -> tuple[Part, ...]:
        found: list[Part] = []
        for group in self.all(element, "NtryDtls"):
            batch = self.text(group, "Btch/PmtInfId")
            message = self.text(group, "Btch/MsgId")
            details = self.all(group, "TxDtls")
            found += [self.part(one, batch, message, won) for one in details]
            if not details and (batch or message):
                found.append(Part(payment_information_id=batch, message_id=message))
        self._read += len(found) + 1
        if self._read > ENTRIES_MAX:
            raise UnsafeXmlError(f"has more than {ENTRIES_MAX:,} entries: ask the bank for smaller files")
        words = self.text(element, "AddtlNtryInf")
        if not found:
            return (Part(remittance=words, won=won),)
        return tuple(found)

    def part(self, element: Any, batch: str, message: str, entry_won: int) -> Part:
        won = self.amount(element, "a payment") if self.all(element, "Amt") else None
        if won is not None and (won > 0) is not (entry_won > 0):
            raise UnsafeXmlError(
                "an entry and its payment do not go the same way: ask the bank for the right one"
            )
        words = [(one.text or "").strip() for one in self.all(element, "RmtInf/Ustrd")]
        words += [(one.text or "").strip() for one in self.all(element, "RmtInf/Strd/CdtrRefInf/Ref")]
        words += [(one.text or "").strip() for one in self.all(element, "RmtInf/Strd/AddtlRmtInf")]
        return Part(
            self.text(element, "Refs/EndToEndId"),
            self.text(element, "Refs/PmtInfId") or batch,
            self.text(element, "Refs/MsgId") or message,
            " ".join(words)[:2_000],
            won,
            self.text(element, "RtrInf/Rsn/Cd") or self.text(element, "RtrInf/Rsn/Prtry"),
        )


def read_statements(source: BinaryIO) -> tuple[str, list[Statement]]:
    """The message's identity and its statements. Raises UnsafeXmlError."""
    reader = _Reader(STATEMENT)
    message_id, number = "", 0
    entries: list[Entry] = []
    found: list[Statement] = []
    wanted = frozenset({"GrpHdr", "Ntry", "Stmt"})
    for name, element in parts(source, STATEMENT, wanted, STATEMENT.removeprefix(_PREFIX)):
        if name == "GrpHdr":
            message_id = reader.text(element, "MsgId")
        elif name == "Ntry":
            number += 1
            entry = reader.entry(element, number)
            entries += [entry] if entry is not None else []
        else:
            found.append(_statement(reader, element, tuple(entries)))
            entries, number = [], 0
    return message_id, found


def _statement(reader: _Reader, element: Any, entries: tuple[Entry, ...]) -> Statement:
    name = reader.text(element, "Id")
    balances = {reader.text(one, "Tp/CdOrPrtry/Cd"): one for one in reversed(reader.all(element, "Bal"))}
    opening = next((balances[code] for code in _OPENING if code in balances), None)
    closing = next((balances[code] for code in _CLOSING if code in balances), None)
    if opening is None or closing is None:
        raise UnsafeXmlError(
            f"statement {name} lacks its opening (OPBD) or closing (CLBD) balance: ask the bank for both"
        )
    number, bank = reader.account(element)
    sequence = reader.text(element, "ElctrncSeqNb") or reader.text(element, "LglSeqNb")
    if sequence and not (sequence.isascii() and sequence.isdigit() and len(sequence) <= 9):
        raise UnsafeXmlError(f"statement {name} has the number {sequence[:40]!r}: ask the bank what it means")
    first = reader.text(element, "FrToDt/FrDtTm") or _dated(reader, opening)
    last = reader.text(element, "FrToDt/ToDtTm") or _dated(reader, closing)
    return Statement(
        name,
        int(sequence) if sequence else None,
        number,
        bank,
        reader.amount(opening, f"the opening balance of {name}"),
        reader.amount(closing, f"the closing balance of {name}"),
        _day(first, name),
        _day(last, name),
        entries,
    )


def _dated(reader: _Reader, balance: Any) -> str:
    return reader.text(balance, "Dt/Dt") or reader.text(balance, "Dt/DtTm")


def read_notice(source: BinaryIO) -> Notice:
    """What a notice announces as coming back. Raises UnsafeXmlError."""
    reader = _Reader(NOTICE)
    message_id = number = bank = ""
    returned: list[Returned] = []
    wanted = frozenset({"GrpHdr", "Ntry", "Ntfctn"})
    for name, element in parts(source, NOTICE, wanted, NOTICE.removeprefix(_PREFIX)):
        if name == "GrpHdr":
            message_id = reader.text(element, "MsgId")
        elif name == "Ntry":
            won = reader.amount(element, "an entry")
            for one in reader.parts(element, won) if won > 0 else ():
                if one.end_to_end_id:
                    part_won = one.won if one.won is not None else won
                    returned.append(Returned(one.end_to_end_id, part_won, one.return_reason))
        else:
            number, bank = reader.account(element)
    return Notice(message_id, number, bank, tuple(returned))


def _day(text: str, what: str) -> date:
    try:
        return datetime.fromisoformat(text).date() if "T" in text else date.fromisoformat(text)
    except ValueError:
        raise UnsafeXmlError(f"{what} has the date {text[:40]!r}: ask the bank for the right one") from None
