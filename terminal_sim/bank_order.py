"""What the simulated bank reads: pain.001.001.09 by the published schema and by the bank's own rules.

Written against ISO 20022 alone, beside the program that writes such files: it judges that program, so it
shares nothing with it.
"""

from collections.abc import Iterator
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from lxml import etree

PAIN_001: Final = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
FILE_BYTES_MAX: Final = 200_000_000
BANK_CODE_DIGITS: Final = 3
ACCOUNT_MAX: Final = 34
_N: Final = f"{{{PAIN_001}}}"


class UnreadableError(ValueError):
    """A file that is no pain.001: nobody can be answered. Says what is wrong with it."""


class Payment(msgspec.Struct, frozen=True):
    """One transfer as it was ordered; won above 0. `fault` is the bank's code against it, or empty."""

    end_to_end_id: str
    won: int
    bank: str
    account: str
    name: str
    remittance: str
    fault: str = ""


class Batch(msgspec.Struct, frozen=True):
    """One PmtInf: from one account on one day. `fault` holds for all of it."""

    payment_information_id: str
    execute_on: date
    debtor_bank: str
    debtor_account: str
    booked_as_one: bool
    payments: tuple[Payment, ...]
    fault: str = ""


class Order(msgspec.Struct, frozen=True):
    """One file. `fault` holds for all of it."""

    message_id: str
    created_at: str
    count: int
    won: int
    batches: tuple[Batch, ...]
    fault: str = ""


@cache
def schema(name: str) -> Any:
    """A published schema by its message, such as pain.001.001.09."""
    return etree.XMLSchema(etree.fromstring(files("terminal_sim").joinpath(f"xsd/{name}.xsd").read_bytes()))


def read(data: bytes) -> Order:
    """The order in a file. Raises UnreadableError; what can be answered stands in `fault` instead."""
    if len(data) > FILE_BYTES_MAX:
        raise UnreadableError(f"it has {len(data):,} bytes, the bank takes {FILE_BYTES_MAX:,}")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root: Any = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableError(f"it is no XML: {error.msg}") from None
    if root.getroottree().docinfo.doctype:
        raise UnreadableError("it has a document type: the bank takes none")
    published = schema("pain.001.001.09")
    if not published.validate(root):
        first = published.error_log.last_error
        raise UnreadableError(f"it is no pain.001.001.09: line {first.line}: {first.message}")
    head = root.find(f"{_N}CstmrCdtTrfInitn/{_N}GrpHdr")
    batches = tuple(_batch(element) for element in root.iter(f"{_N}PmtInf"))
    payments = [payment for batch in batches for payment in batch.payments]
    count, won = len(payments), sum(payment.won for payment in payments)
    return Order(
        message_id=_text(head, "MsgId"),
        created_at=_text(head, "CreDtTm"),
        count=count,
        won=won,
        batches=_unique(batches),
        fault=_totals(head, count, won),
    )


def _batch(element: Any) -> Batch:
    payments = tuple(_payment(one) for one in element.iter(f"{_N}CdtTrfTxInf"))
    fault = _totals(element, len(payments), sum(payment.won for payment in payments))
    if _text(element, "PmtMtd") != "TRF":
        fault = fault or "CH03"  # a method that the bank does not offer
    return Batch(
        payment_information_id=_text(element, "PmtInfId"),
        execute_on=date.fromisoformat(_text(element, "ReqdExctnDt/Dt")[:10] or "0001-01-01"),
        debtor_bank=_bank(element, "DbtrAgt"),
        debtor_account=_text(element, "DbtrAcct/Id/Othr/Id"),
        booked_as_one=_text(element, "BtchBookg") in ("true", "1"),
        payments=payments,
        fault=fault,
    )


def _payment(element: Any) -> Payment:
    amount = element.find(f"{_N}Amt/{_N}InstdAmt")
    text = amount.text if amount is not None else ""
    whole = text.isascii() and text.isdigit() and int(text) > 0
    bank, account = _bank(element, "CdtrAgt"), _text(element, "CdtrAcct/Id/Othr/Id")
    fault = ""
    if not whole:
        fault = "AM12"  # an amount that cannot be paid: won have no fraction
    elif amount.get("Ccy") != "KRW":
        fault = "AM03"
    elif not (len(bank) == BANK_CODE_DIGITS and bank.isdigit()):
        fault = "RC04"
    elif not 0 < len(account) <= ACCOUNT_MAX or not account.replace("-", "").isdigit():
        fault = "AC01"
    return Payment(
        end_to_end_id=_text(element, "PmtId/EndToEndId"),
        won=int(text) if whole else 0,
        bank=bank,
        account=account,
        name=_text(element, "Cdtr/Nm"),
        remittance=_text(element, "RmtInf/Ustrd"),
        fault=fault,
    )


def _unique(batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
    """The batches, with what is named a second time marked."""
    seen: set[str] = set()

    def marked(payments: tuple[Payment, ...]) -> Iterator[Payment]:
        for payment in payments:
            again = payment.end_to_end_id in seen
            seen.add(payment.end_to_end_id)
            yield msgspec.structs.replace(payment, fault=payment.fault or "DU04") if again else payment

    return tuple(msgspec.structs.replace(batch, payments=tuple(marked(batch.payments))) for batch in batches)


def _totals(element: Any, count: int, won: int) -> str:
    """The bank's code when an element's own totals, where it has them, are not those of its payments."""
    told_count, told_won = _text(element, "NbOfTxs"), _text(element, "CtrlSum")
    if told_count and int(told_count) != count:
        return "AM18"
    if told_won and told_won != str(won):
        return "AM10"
    return ""


def _bank(element: Any, agent: str) -> str:
    return _text(element, f"{agent}/FinInstnId/ClrSysMmbId/MmbId")


def _text(element: Any, path: str) -> str:
    found = element.findtext("/".join(f"{_N}{step}" for step in path.split("/")))
    return (found or "").strip()
