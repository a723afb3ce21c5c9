"""pain.001.001.09, CustomerCreditTransferInitiation: the order to pay merchants (ISO 20022, 2019 release).

One file is one message with one batch on one execution date. It is written as a stream, a transfer at a
time, and the same order gives the same bytes.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, BinaryIO

import msgspec
from lxml import etree

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
CLEARING_SYSTEM = "KFTC"
"""Proprietary code of the clearing system whose member ids are Korea's three-digit bank codes."""

NAME_MAX = 140
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff]+")

# An element: its name, its text or its children, and its attributes.
_Element = tuple[str, "str | list[_Element]"]


class Party(msgspec.Struct, frozen=True, gc=False):
    """A name, an account number and its bank's clearing code."""

    name: str
    account: str
    bank: str


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """One payout: won > 0 to a merchant's account."""

    end_to_end_id: str
    won: int
    payee: Party


class Order(msgspec.Struct, frozen=True):
    """The head of a file. `count` and `won` (CtrlSum) are those of all its transfers."""

    message_id: str
    payment_information_id: str
    created_at: datetime
    pay_on: date
    originator: Party
    count: int
    won: int
    remittance: str


class OrderError(ValueError):
    """Transfers that do not come to what their order announces."""


def write(sink: BinaryIO, order: Order, transfers: Iterable[Transfer]) -> None:
    """Write the message to `sink`.

    Raises OrderError if the transfers do not come to the order's count and won, or one is not positive.
    """
    count = won = 0
    with (
        etree.xmlfile(sink, encoding="UTF-8") as xml,
        xml.element(_tag("Document"), nsmap={None: NAMESPACE}),
        xml.element(_tag("CstmrCdtTrfInitn")),
    ):
        xml.write("\n")
        _put(xml, ("GrpHdr", _group_header(order)))
        with xml.element(_tag("PmtInf")):
            xml.write("\n")
            for part in _batch_head(order):
                _put(xml, part)
            for transfer in transfers:
                if transfer.won <= 0:
                    raise OrderError(f"{transfer.end_to_end_id} pays {transfer.won} won: it must be above 0")
                count += 1
                won += transfer.won
                _put(xml, ("CdtTrfTxInf", _transfer(transfer, order.remittance)))
        xml.write("\n")
    if (count, won) != (order.count, order.won):
        raise OrderError(
            f"{order.message_id} announces {order.count} transfers of {order.won} won, has {count} of {won}"
        )


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _put(xml: Any, element: _Element) -> None:
    """One element on a line of its own."""
    _nest(xml, element)
    xml.write("\n")


def _nest(xml: Any, element: _Element) -> None:
    name, content = element
    attributes = {"Ccy": "KRW"} if name == "InstdAmt" else {}
    with xml.element(_tag(name), attributes):
        if isinstance(content, str):
            xml.write(content)
        else:
            for child in content:
                _nest(xml, child)


def _name(text: str) -> str:
    """A name as the format takes it: printable, on one line, at most 140 characters."""
    return _CONTROL_CHARACTERS.sub(" ", text).strip()[:NAME_MAX]


def _group_header(order: Order) -> list[_Element]:
    return [
        ("MsgId", order.message_id),
        ("CreDtTm", order.created_at.isoformat(timespec="seconds")),
        ("NbOfTxs", str(order.count)),
        ("CtrlSum", str(order.won)),
        ("InitgPty", [("Nm", _name(order.originator.name))]),
    ]


def _batch_head(order: Order) -> list[_Element]:
    return [
        ("PmtInfId", order.payment_information_id),
        ("PmtMtd", "TRF"),
        ("BtchBookg", "true"),
        ("NbOfTxs", str(order.count)),
        ("CtrlSum", str(order.won)),
        ("ReqdExctnDt", [("Dt", order.pay_on.isoformat())]),
        ("Dbtr", [("Nm", _name(order.originator.name))]),
        ("DbtrAcct", [*_account(order.originator), ("Ccy", "KRW")]),
        ("DbtrAgt", _agent(order.originator)),
    ]


def _transfer(transfer: Transfer, remittance: str) -> list[_Element]:
    return [
        ("PmtId", [("EndToEndId", transfer.end_to_end_id)]),
        ("Amt", [("InstdAmt", str(transfer.won))]),
        ("CdtrAgt", _agent(transfer.payee)),
        ("Cdtr", [("Nm", _name(transfer.payee.name))]),
        ("CdtrAcct", _account(transfer.payee)),
        ("RmtInf", [("Ustrd", remittance)]),
    ]


def _account(party: Party) -> list[_Element]:
    return [("Id", [("Othr", [("Id", party.account)])])]


def _agent(party: Party) -> list[_Element]:
    system: _Element = ("ClrSysId", [("Prtry", CLEARING_SYSTEM)])
    member: _Element = ("ClrSysMmbId", [system, ("MmbId", party.bank)])
    return [("FinInstnId", [member])]
