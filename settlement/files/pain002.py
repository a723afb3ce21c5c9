"""pain.002.001.10, CustomerPaymentStatusReport: what the bank says to a file of ours (ISO 20022, 2019).

It speaks of the file as a whole, of its batch, and of single payments; each may be left out. What it means
for each payment is `settlement.domain.answers`.
"""

from typing import Any, BinaryIO

from settlement.domain.answers import Status, StatusReport
from settlement.files.xml import UnsafeXmlError, all_at, count_of, parts, text_at, won_of

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"
SCHEMA = "pain.002.001.10"
PAYMENTS_MAX = 300_000

_text = text_at(NAMESPACE)
_all = all_at(NAMESPACE)
_WANTED = frozenset({"TxInfAndSts", "OrgnlPmtInfAndSts", "OrgnlGrpInfAndSts", "GrpHdr"})


def read(source: BinaryIO) -> StatusReport:
    """Read and validate one message. Raises UnsafeXmlError."""
    message_id = original = ""
    group = Status()
    batches: list[Status] = []
    payments: list[Status] = []
    waiting: list[Status] = []  # payments of the batch that is being read
    for name, element in parts(source, NAMESPACE, _WANTED, SCHEMA):
        if name == "GrpHdr":
            message_id = _text(element, "MsgId")
        elif name == "OrgnlGrpInfAndSts":
            original = _text(element, "OrgnlMsgId")
            group = _status(element, original, "GrpSts")
        elif name == "TxInfAndSts":
            waiting.append(_payment(element))
        else:
            batch = _status(element, _text(element, "OrgnlPmtInfId"), "PmtInfSts")
            batches.append(batch)
            payments += waiting
            waiting = []
        if len(payments) + len(waiting) > PAYMENTS_MAX:
            raise UnsafeXmlError(
                f"answers more than {PAYMENTS_MAX:,} payments: ask the bank for smaller files"
            )
    return StatusReport(message_id, original, group, tuple(batches), tuple(payments))


def _status(element: Any, name: str, field: str) -> Status:
    total = _text(element, "OrgnlCtrlSum")
    counted: dict[str, int] = {}
    for one in _all(element, "NbOfTxsPerSts"):
        code = _text(one, "DtldSts")
        counted[code] = counted.get(code, 0) + (count_of(_text(one, "DtldNbOfTxs"), "DtldNbOfTxs") or 0)
    reason, told = _reason(element)
    return Status(
        name,
        _text(element, field),
        reason,
        told,
        won_of(total, "KRW", "OrgnlCtrlSum") if total else None,
        count_of(_text(element, "OrgnlNbOfTxs"), "OrgnlNbOfTxs"),
        counted,
    )


def _payment(element: Any) -> Status:
    amounts = _all(element, "OrgnlTxRef/Amt/InstdAmt")
    name = _text(element, "OrgnlEndToEndId")
    won = won_of(amounts[0].text or "", amounts[0].get("Ccy", ""), name) if amounts else None
    reason, told = _reason(element)
    return Status(name, _text(element, "TxSts"), reason, told, won)


def _reason(element: Any) -> tuple[str, str]:
    """The first code of a reason, and all that is added in words."""
    code = ""
    words: list[str] = []
    for one in _all(element, "StsRsnInf"):
        code = code or _text(one, "Rsn/Cd") or _text(one, "Rsn/Prtry")
        words += [(line.text or "").strip() for line in _all(one, "AddtlInf")]
    return code, " ".join(words)[:500]
