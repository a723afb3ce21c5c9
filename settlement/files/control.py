"""Reads a finished file back and counts again: what the schema cannot see, or the writer got wrong.

A file may be valid and still not payable. So its bytes are parsed anew against the schema, and every
transfer is held against the frozen payouts, in order: none missing, none twice, none changed.
"""

from collections.abc import Iterable
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import Any, BinaryIO

import msgspec
from lxml import etree

from settlement.files.pain001 import NAMESPACE

_N = f"{{{NAMESPACE}}}"


class ControlError(ValueError):
    """A file that must not leave: the text says which control failed, with both values."""


class Expected(msgspec.Struct, frozen=True, gc=False):
    """What one transfer must say."""

    end_to_end_id: str
    won: int
    account: str
    bank: str


class Head(msgspec.Struct, frozen=True):
    """What the file as a whole must say; count and won as they were frozen."""

    message_id: str
    pay_on: date
    count: int
    won: int


@cache
def schema() -> Any:
    """The published schema of pain.001.001.09."""
    xsd = files("settlement.files").joinpath("xsd/pain.001.001.09.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(xsd))


def check(source: BinaryIO, head: Head, expected: Iterable[Expected]) -> None:
    """Check a whole file in one bounded pass. Raises ControlError."""
    seen: set[str] = set()
    won = 0
    try:
        for found, due in zip_longest(_elements(source, head), expected):
            if found is None:
                raise ControlError(f"payout {due.end_to_end_id} of {due.won:,} won is missing in the file")
            if due is None:
                raise ControlError(f"the file pays {found.end_to_end_id}, which is no payout of the run")
            if found != due:
                raise ControlError(f"the file says {_said(found)}, the payout is {_said(due)}")
            if found.end_to_end_id in seen:
                raise ControlError(f"EndToEndId {found.end_to_end_id} appears twice")
            seen.add(found.end_to_end_id)
            won += found.won
    except etree.XMLSyntaxError as error:
        raise ControlError(f"the file is not valid pain.001.001.09: {error.msg}") from error
    if (len(seen), won) != (head.count, head.won):
        raise ControlError(f"the file pays {len(seen)} × {won:,} won, frozen are {head.count} × {head.won:,}")


def _elements(source: BinaryIO, head: Head) -> Iterable[Expected]:
    """The transfers of a file, validated while read and let go at once; its heads are checked on the way."""
    totals = 0
    whole = False
    events = etree.iterparse(
        source, events=("end",), schema=schema(), resolve_entities=False, no_network=True, huge_tree=True
    )
    for _, element in events:
        parent = element.getparent()
        if element.tag == f"{_N}CdtTrfTxInf":
            yield _transfer(element)
            element.clear()
            while element.getprevious() is not None:
                del parent[0]
        elif element.tag == f"{_N}NbOfTxs":
            _equal("NbOfTxs", element.text, str(head.count))
            totals += 1
        elif element.tag == f"{_N}CtrlSum":
            _equal("CtrlSum", element.text, str(head.won))
            totals += 1
        elif element.tag == f"{_N}MsgId":
            _equal("MsgId", element.text, head.message_id)
        elif element.tag == f"{_N}Document":
            whole = True
        elif element.tag == f"{_N}ReqdExctnDt":
            _equal("ReqdExctnDt", element.findtext(f"{_N}Dt"), head.pay_on.isoformat())
    if not whole:
        raise ControlError("the file is cut off: its last element is not closed")
    if totals != 4:
        raise ControlError(f"the file has {totals} control totals; group header and batch have two each")


def _transfer(element: Any) -> Expected:
    name = element.findtext(f"{_N}PmtId/{_N}EndToEndId")
    amount = element.find(f"{_N}Amt/{_N}InstdAmt")
    if amount is None or amount.get("Ccy") != "KRW":
        raise ControlError(f"{name} is not in won (KRW)")
    if not (amount.text or "").isascii() or not (amount.text or "").isdigit() or int(amount.text) <= 0:
        raise ControlError(f"{name} orders {amount.text!r}: only whole won above 0 can be paid")
    account = element.findtext(f"{_N}CdtrAcct/{_N}Id/{_N}Othr/{_N}Id")
    bank = element.findtext(f"{_N}CdtrAgt/{_N}FinInstnId/{_N}ClrSysMmbId/{_N}MmbId")
    return Expected(name, int(amount.text), account, bank)


def _equal(what: str, found: str | None, due: str) -> None:
    if found != due:
        raise ControlError(f"{what} in the file is {found}, it must be {due}")


def _said(transfer: Expected) -> str:
    return f"{transfer.end_to_end_id} {transfer.won:,} won to {transfer.bank} {transfer.account}"
