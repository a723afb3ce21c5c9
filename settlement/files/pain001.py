"""pain.001.001.09, CustomerCreditTransferInitiation: the order to pay (ISO 20022, 2019 release).

One file is one message with one batch from one account on one execution date. It is written as a stream, a
transfer at a time, and the same order gives the same bytes. It is read back by another way than it was
written: a parser that holds every byte against the published schema while it reads.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import Any, BinaryIO

from lxml import etree

from settlement.files.orders import ControlError, Order, Party, Transfer, masked, printable

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
CLEARING_SYSTEM = "KFTC"
"""Proprietary code of the clearing system whose member ids are Korea's three-digit bank codes."""

NAME = "pain.001"
SUFFIX = ".pain.001.xml"

_CHUNK = 1_000
_N = f"{{{NAMESPACE}}}"
_MEMBER = f"{_N}FinInstnId/{_N}ClrSysMmbId/{_N}MmbId"
_PATHS = (
    f"{_N}PmtId/{_N}EndToEndId",
    f"{_N}Amt/{_N}InstdAmt",
    f"{_N}Cdtr/{_N}Nm",
    f"{_N}CdtrAcct/{_N}Id/{_N}Othr/{_N}Id",
    f"{_N}CdtrAgt/{_MEMBER}",
    f"{_N}RmtInf/{_N}Ustrd",
)

_SHAPE = [
    _N + name
    for name in (
        *("CdtTrfTxInf", "PmtId", "EndToEndId", "Amt", "InstdAmt"),
        *("CdtrAgt", "FinInstnId", "ClrSysMmbId", "ClrSysId", "Prtry", "MmbId"),
        *("Cdtr", "Nm", "CdtrAcct", "Id", "Othr", "Id", "RmtInf", "Ustrd"),
    )
]
_FOUND_AT = (2, 4, 12, 16, 10, 18)
"""Where the elements of `_PATHS` stand in a transfer of that shape: quicker than to find them."""


def write(sink: BinaryIO, order: Order, transfers: Iterable[Transfer]) -> None:
    """Write the message to `sink`."""
    sink.write(_head(order).encode())
    remittance = _escaped(printable(order.remittance))
    parts: list[str] = []
    for transfer in transfers:
        parts.append(_transfer(transfer, remittance))
        if len(parts) == _CHUNK:
            sink.write("".join(parts).encode())
            parts.clear()
    sink.write("".join([*parts, "</PmtInf>\n</CstmrCdtTrfInitn></Document>\n"]).encode())


def _escaped(text: str) -> str:
    if "&" in text or "<" in text or ">" in text:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def _name(party: Party) -> str:
    return f"<Nm>{_escaped(printable(party.name))}</Nm>"


def _account(party: Party) -> str:
    return f"<Id><Othr><Id>{_escaped(party.account)}</Id></Othr></Id>"


def _agent(party: Party) -> str:
    system = f"<ClrSysId><Prtry>{CLEARING_SYSTEM}</Prtry></ClrSysId>"
    member = f"<ClrSysMmbId>{system}<MmbId>{_escaped(party.bank)}</MmbId></ClrSysMmbId>"
    return f"<FinInstnId>{member}</FinInstnId>"


def _head(order: Order) -> str:
    totals = f"<NbOfTxs>{order.count}</NbOfTxs>\n<CtrlSum>{order.won}</CtrlSum>\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="{NAMESPACE}"><CstmrCdtTrfInitn>\n<GrpHdr>\n'
        f"<MsgId>{_escaped(order.message_id)}</MsgId>\n"
        f"<CreDtTm>{order.created_at.isoformat(timespec='seconds')}</CreDtTm>\n"
        f"{totals}<InitgPty>{_name(order.debtor)}</InitgPty>\n</GrpHdr>\n<PmtInf>\n"
        f"<PmtInfId>{_escaped(order.payment_information_id)}</PmtInfId>\n"
        f"<PmtMtd>TRF</PmtMtd>\n<BtchBookg>true</BtchBookg>\n{totals}"
        f"<ReqdExctnDt><Dt>{order.pay_on.isoformat()}</Dt></ReqdExctnDt>\n"
        f"<Dbtr>{_name(order.debtor)}</Dbtr>\n"
        f"<DbtrAcct>{_account(order.debtor)}<Ccy>KRW</Ccy></DbtrAcct>\n"
        f"<DbtrAgt>{_agent(order.debtor)}</DbtrAgt>\n"
    )


def _transfer(transfer: Transfer, remittance: str) -> str:
    payee = transfer.payee
    return (
        f"<CdtTrfTxInf><PmtId><EndToEndId>{_escaped(transfer.end_to_end_id)}</EndToEndId></PmtId>"
        f'<Amt><InstdAmt Ccy="KRW">{transfer.won}</InstdAmt></Amt>'
        f"<CdtrAgt>{_agent(payee)}</CdtrAgt><Cdtr>{_name(payee)}</Cdtr>"
        f"<CdtrAcct>{_account(payee)}</CdtrAcct>"
        f"<RmtInf><Ustrd>{remittance}</Ustrd></RmtInf></CdtTrfTxInf>\n"
    )


@cache
def schema() -> Any:
    """The published schema of pain.001.001.09."""
    xsd = files("settlement.files").joinpath("xsd/pain.001.001.09.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(xsd))


def check(source: BinaryIO, order: Order, transfers: Iterable[Transfer]) -> None:
    """Hold a whole finished file against what it must say, in one bounded pass. Raises ControlError.

    None missing, none twice, none changed; the sums counted anew and equal to those of both heads.
    """
    seen: set[str] = set()
    won = 0
    try:
        for found, due in zip_longest(_elements(source, order), transfers):
            if found is None:
                raise ControlError(f"payout {due.end_to_end_id} of {due.won:,} won is missing in the file")
            if due is None:
                raise ControlError(f"the file pays {found.end_to_end_id}, which is none of its payouts")
            if found != _as_written(due):
                raise ControlError(f"the file says {_said(found)}, the payout is {_said(due)}")
            if found.end_to_end_id in seen:
                raise ControlError(f"EndToEndId {found.end_to_end_id} appears twice")
            seen.add(found.end_to_end_id)
            won += found.won
    except etree.XMLSyntaxError as error:
        raise ControlError(f"the file is not valid pain.001.001.09: {error.msg}") from error
    if (len(seen), won) != (order.count, order.won):
        raise ControlError(
            f"the file pays {len(seen):,} × {won:,} won, frozen are {order.count:,} × {order.won:,}"
        )


def _as_written(due: Transfer) -> Transfer:
    name = printable(due.payee.name)
    if name == due.payee.name:
        return due
    return Transfer(due.end_to_end_id, due.won, Party(name, due.payee.account, due.payee.bank))


def _elements(source: BinaryIO, order: Order) -> Iterable[Transfer]:
    """The transfers of a file, validated while read and let go at once; its heads are checked on the way."""
    heads = _heads(order)
    remittance = printable(order.remittance)
    totals = 0
    whole = False
    events = etree.iterparse(
        source,
        events=("end",),
        tag=[f"{_N}{name}" for name in ("CdtTrfTxInf", "Document", *heads)],
        schema=schema(),
        resolve_entities=False,
        no_network=True,
        huge_tree=True,
    )
    for _, element in events:
        name = element.tag.removeprefix(_N)
        if name == "CdtTrfTxInf":
            yield _read(element, remittance)
            parent = element.getparent()
            element.clear()
            while element.getprevious() is not None:
                del parent[0]
        elif name == "Document":
            whole = True
        else:
            path, due = heads[name]
            _equal(name, element.findtext(path), due)
            totals += name in ("NbOfTxs", "CtrlSum")
    if not whole:
        raise ControlError("the file is cut off: its last element is not closed")
    if totals != 4:
        raise ControlError(f"the file has {totals} control totals; group header and batch have two each")


def _heads(order: Order) -> dict[str, tuple[str, str]]:
    """What stands once for the whole file: where in its element, and what it must be."""
    debtor, name = order.debtor, printable(order.debtor.name)
    return {
        "MsgId": (".", order.message_id),
        "CreDtTm": (".", order.created_at.isoformat(timespec="seconds")),
        "NbOfTxs": (".", str(order.count)),
        "CtrlSum": (".", str(order.won)),
        "InitgPty": (f"{_N}Nm", name),
        "PmtInfId": (".", order.payment_information_id),
        "ReqdExctnDt": (f"{_N}Dt", order.pay_on.isoformat()),
        "Dbtr": (f"{_N}Nm", name),
        "DbtrAcct": (f"{_N}Id/{_N}Othr/{_N}Id", debtor.account),
        "DbtrAgt": (_MEMBER, debtor.bank),
    }


def _read(element: Any, remittance: str) -> Transfer:
    parts = list(element.iter())
    if [part.tag for part in parts] == _SHAPE:
        identity, amount, *rest = (parts[place] for place in _FOUND_AT)
    else:
        identity, amount, *rest = (element.find(path) for path in _PATHS)
    name, account, bank, told = ((each.text or "") if each is not None else "" for each in rest)
    about = (identity.text or "") if identity is not None else ""
    if amount is None or amount.get("Ccy") != "KRW":
        raise ControlError(f"{about} is not in won (KRW)")
    won = amount.text or ""
    if not won.isascii() or not won.isdigit() or int(won) <= 0:
        raise ControlError(f"{about} orders {won!r}: only whole won above 0 can be paid")
    _equal(f"{about}: Ustrd", told, remittance)
    return Transfer(about, int(won), Party(name, account, bank))


def _equal(what: str, found: str | None, due: str) -> None:
    if found != due:
        raise ControlError(f"{what} in the file is {found}, it must be {due}")


def _said(transfer: Transfer) -> str:
    payee = transfer.payee
    return (
        f"{transfer.end_to_end_id} {transfer.won:,} won to {payee.bank} {masked(payee.account)} {payee.name}"
    )
