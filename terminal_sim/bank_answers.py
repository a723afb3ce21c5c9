"""What the simulated bank writes: pain.002.001.10, camt.053.001.08 and camt.054.001.08 (ISO 20022).

Pure: the same facts give the same bytes.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import msgspec

from terminal_sim.bank_xml import Maker, to_bytes

ACCEPTED, REJECTED, PARTLY = "ACCP", "RJCT", "PART"
MORNING, EVENING = "09:00:00+09:00", "18:00:00+09:00"

REASONS: Final = {
    "AC01": "the account number is wrong",
    "AC02": "the debtor's account is not kept here",
    "AC04": "the account is closed",
    "AC06": "the account is blocked",
    "AM03": "only won can be paid",
    "AM04": "the balance does not suffice",
    "AM10": "the control sum is not that of the payments",
    "AM12": "the amount cannot be paid",
    "AM18": "the number of payments is not that of the file",
    "BE01": "the name is not the account holder's",
    "CH03": "the payment method is not offered",
    "DT01": "the execution date cannot be",
    "DU01": "this message was received before",
    "DU02": "this batch was received before",
    "DU04": "this end-to-end identification was received before",
    "RC04": "the payee's bank is not known",
}
"""External status and return reason codes of ISO 20022 that this bank uses."""

_CREDIT_TRANSFER: Final = ("PMNT", "ICDT", "DMCT")
_RETURN: Final = ("PMNT", "ICDT", "RRTN")
_RECEIVED: Final = ("PMNT", "RCDT", "DMCT")
_CHARGE: Final = ("ACMT", "MDOP", "CHRG")
_CODES: Final = {
    "payment": _CREDIT_TRANSFER,
    "batch": _CREDIT_TRANSFER,
    "return": _RETURN,
    "received": _RECEIVED,
    "charge": _CHARGE,
}


class Said(msgspec.Struct, frozen=True):
    """A payment and what the bank says of it: an empty `code` accepts."""

    end_to_end_id: str
    won: int
    code: str


class SaidBatch(msgspec.Struct, frozen=True):
    """A batch of a file: how much was ordered in it, and the payments that are told one by one."""

    payment_information_id: str
    count: int
    won: int
    refused: int
    refused_won: int
    payments: Sequence[Said]
    code: str = ""


class Report(msgspec.Struct, frozen=True):
    """One pain.002 about one file; `code` refuses all of it."""

    message_id: str
    day: date
    bank: str
    original_id: str
    count: int
    won: int
    batches: Sequence[SaidBatch]
    code: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One line of an account: won above 0 came in, below 0 went out. `kind`: see `_CODES`."""

    number: int
    day: date
    won: int
    kind: str
    end_to_end_id: str = ""
    payment_information_id: str = ""
    message_id: str = ""
    count: int = 1
    remittance: str = ""
    code: str = ""
    details: Sequence[tuple[str, int]] = ()  # end-to-end ids and won of a batch's payments


class Account(msgspec.Struct, frozen=True):
    """Whose lines they are."""

    number: str
    name: str
    bank: str


class Statement(msgspec.Struct, frozen=True):
    """One account's bank day: opening + entries = closing."""

    message_id: str
    statement_id: str
    sequence: int
    day: date
    account: Account
    opening: int
    closing: int
    entries: Sequence[Entry]


def pain_002(report: Report) -> bytes:
    """The bank's word about one file, its batches, its payments."""
    make = Maker("pain.002.001.10")
    refused = sum(batch.refused for batch in report.batches)
    group = make.OrgnlGrpInfAndSts(
        make.OrgnlMsgId(report.original_id),
        make.OrgnlMsgNmId("pain.001.001.09"),
        make.OrgnlNbOfTxs(str(report.count)),
        make.OrgnlCtrlSum(str(report.won)),
        make.GrpSts(_status(report.code, refused, report.count)),
        *_reason(make, report.code),
    )
    return to_bytes(
        make.Document(
            make.CstmrPmtStsRpt(
                make.GrpHdr(
                    make.MsgId(report.message_id),
                    make.CreDtTm(f"{report.day}T{MORNING}"),
                    make.DbtrAgt(_agent(make, report.bank)),
                ),
                group,
                *(_batch(make, batch) for batch in report.batches),
            )
        )
    )


def camt_053(statement: Statement) -> bytes:
    """One account's statement of one day."""
    make = Maker("camt.053.001.08")
    day = statement.day
    return to_bytes(
        make.Document(
            make.BkToCstmrStmt(
                make.GrpHdr(make.MsgId(statement.message_id), make.CreDtTm(f"{day}T{EVENING}")),
                make.Stmt(
                    make.Id(statement.statement_id),
                    make.ElctrncSeqNb(str(statement.sequence)),
                    make.CreDtTm(f"{day}T{EVENING}"),
                    make.FrToDt(make.FrDtTm(f"{day}T00:00:00+09:00"), make.ToDtTm(f"{day}T23:59:59+09:00")),
                    _account(make, statement.account),
                    _balance(make, "OPBD", statement.opening, day),
                    _balance(make, "CLBD", statement.closing, day),
                    *(_entry(make, entry) for entry in statement.entries),
                ),
            )
        )
    )


def camt_054(message_id: str, day: date, account: Account, returned: Sequence[Entry]) -> bytes:
    """A notice of payments that came back, ahead of the statement that shows them."""
    make = Maker("camt.054.001.08")
    return to_bytes(
        make.Document(
            make.BkToCstmrDbtCdtNtfctn(
                make.GrpHdr(make.MsgId(message_id), make.CreDtTm(f"{day}T{MORNING}")),
                make.Ntfctn(
                    make.Id(message_id),
                    make.CreDtTm(f"{day}T{MORNING}"),
                    _account(make, account),
                    *(_entry(make, entry) for entry in returned),
                ),
            )
        )
    )


def _batch(make: Maker, batch: SaidBatch) -> Any:
    good = batch.count - batch.refused
    told = (
        (ACCEPTED, good, batch.won - batch.refused_won),
        (REJECTED, batch.refused, batch.refused_won),
    )
    return make.OrgnlPmtInfAndSts(
        make.OrgnlPmtInfId(batch.payment_information_id),
        make.OrgnlNbOfTxs(str(batch.count)),
        make.OrgnlCtrlSum(str(batch.won)),
        make.PmtInfSts(_status(batch.code, batch.refused, batch.count)),
        *_reason(make, batch.code),
        *(
            make.NbOfTxsPerSts(make.DtldNbOfTxs(str(count)), make.DtldSts(status), make.DtldCtrlSum(str(won)))
            for status, count, won in told
            if count
        ),
        *(_said(make, number, said) for number, said in enumerate(batch.payments, 1)),
    )


def _said(make: Maker, number: int, said: Said) -> Any:
    return make.TxInfAndSts(
        make.StsId(str(number)),
        make.OrgnlEndToEndId(said.end_to_end_id),
        make.TxSts(REJECTED if said.code else ACCEPTED),
        *_reason(make, said.code),
        make.OrgnlTxRef(make.Amt(make.InstdAmt(str(said.won), Ccy="KRW"))),
    )


def _status(code: str, refused: int, count: int) -> str:
    if code or (count and refused == count):
        return REJECTED
    return PARTLY if refused else ACCEPTED


def _reason(make: Maker, code: str) -> list[Any]:
    if not code:
        return []
    return [make.StsRsnInf(make.Rsn(make.Cd(code)), make.AddtlInf(REASONS.get(code, "the bank refuses it")))]


def _entry(make: Maker, entry: Entry) -> Any:
    domain, family, sub_family = _CODES[entry.kind]
    return make.Ntry(
        make.NtryRef(str(entry.number)),
        make.Amt(str(abs(entry.won)), Ccy="KRW"),
        make.CdtDbtInd(_direction(entry.won)),
        make.Sts(make.Cd("BOOK")),
        make.BookgDt(make.Dt(entry.day.isoformat())),
        make.ValDt(make.Dt(entry.day.isoformat())),
        make.AcctSvcrRef(f"E{entry.number:010d}"),
        make.BkTxCd(make.Domn(make.Cd(domain), make.Fmly(make.Cd(family), make.SubFmlyCd(sub_family)))),
        make.NtryDtls(*_details(make, entry)),
    )


def _details(make: Maker, entry: Entry) -> list[Any]:
    if entry.kind == "batch":
        batch = make.Btch(
            make.MsgId(entry.message_id),
            make.PmtInfId(entry.payment_information_id),
            make.NbOfTxs(str(entry.count)),
            make.TtlAmt(str(abs(entry.won)), Ccy="KRW"),
            make.CdtDbtInd(_direction(entry.won)),
        )
        return [
            batch,
            *(
                make.TxDtls(
                    make.Refs(make.EndToEndId(name)),
                    make.Amt(str(won), Ccy="KRW"),
                    make.CdtDbtInd(_direction(entry.won)),
                )
                for name, won in entry.details
            ),
        ]
    references = (
        ("MsgId", entry.message_id),
        ("PmtInfId", entry.payment_information_id),
        ("EndToEndId", entry.end_to_end_id),
    )
    named = [make(name, text) for name, text in references if text]
    parts = [make.Refs(*named)] if named else []
    parts += [make.Amt(str(abs(entry.won)), Ccy="KRW"), make.CdtDbtInd(_direction(entry.won))]
    if entry.remittance:
        parts.append(make.RmtInf(make.Ustrd(entry.remittance)))
    if entry.code:
        words = REASONS.get(entry.code, "the payee's bank sent it back")
        parts.append(make.RtrInf(make.Rsn(make.Cd(entry.code)), make.AddtlInf(words)))
    return [make.TxDtls(*parts)]


def _account(make: Maker, account: Account) -> Any:
    return make.Acct(
        make.Id(make.Othr(make.Id(account.number))),
        make.Ccy("KRW"),
        make.Nm(account.name[:70]),
        make.Svcr(_agent(make, account.bank)),
    )


def _agent(make: Maker, bank: str) -> Any:
    return make.FinInstnId(make.ClrSysMmbId(make.ClrSysId(make.Prtry("KFTC")), make.MmbId(bank)))


def _balance(make: Maker, kind: str, won: int, day: date) -> Any:
    return make.Bal(
        make.Tp(make.CdOrPrtry(make.Cd(kind))),
        make.Amt(str(abs(won)), Ccy="KRW"),
        make.CdtDbtInd(_direction(won)),
        make.Dt(make.Dt(day.isoformat())),
    )


def _direction(won: int) -> str:
    return "DBIT" if won < 0 else "CRDT"
