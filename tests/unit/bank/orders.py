"""Orders to the simulated bank, written by hand from ISO 20022: nothing of ours writes or reads them."""

from datetime import date
from pathlib import Path

from lxml import etree

from terminal_sim.bank import Bank
from terminal_sim.bank_script import Script, load

HOUSE, CITY = "100200300400", "555000111"
FRIDAY = date(2026, 11, 20)
MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)

_NS = {
    "p": "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10",
    "s": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08",
    "n": "urn:iso:std:iso:20022:tech:xsd:camt.054.001.08",
}


def order(
    message_id: str,
    pay_on: date,
    payments: list[tuple[str, int, str]],
    *,
    debtor: str = HOUSE,
    as_one: bool = True,
    won: int | None = None,
    count: int | None = None,
    batch_id: str = "",
    bank: str = "020",
) -> bytes:
    """A pain.001 of (EndToEndId, won, payee's account); `won` and `count` lie in both heads."""
    told = sum(p[1] for p in payments) if won is None else won
    number = len(payments) if count is None else count
    member = "<ClrSysMmbId><ClrSysId><Prtry>KFTC</Prtry></ClrSysId><MmbId>{}</MmbId></ClrSysMmbId>"
    agent = f"<FinInstnId>{member}</FinInstnId>"
    body = "".join(
        f"<CdtTrfTxInf><PmtId><EndToEndId>{name}</EndToEndId></PmtId>"
        f'<Amt><InstdAmt Ccy="KRW">{amount}</InstdAmt></Amt>'
        f"<CdtrAgt>{agent.format(bank)}</CdtrAgt><Cdtr><Nm>가게 &amp; 딸</Nm></Cdtr>"
        f"<CdtrAcct><Id><Othr><Id>{account}</Id></Othr></Id></CdtrAcct>"
        "<RmtInf><Ustrd>seoro</Ustrd></RmtInf></CdtTrfTxInf>"
        for name, amount, account in payments
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"><CstmrCdtTrfInitn>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2026-11-21T01:00:00+09:00</CreDtTm>"
        f"<NbOfTxs>{number}</NbOfTxs><CtrlSum>{told}</CtrlSum><InitgPty><Nm>house</Nm></InitgPty></GrpHdr>"
        f"<PmtInf><PmtInfId>{batch_id or message_id + '-B1'}</PmtInfId><PmtMtd>TRF</PmtMtd>"
        f"<BtchBookg>{str(as_one).lower()}</BtchBookg><NbOfTxs>{number}</NbOfTxs><CtrlSum>{told}</CtrlSum>"
        f"<ReqdExctnDt><Dt>{pay_on}</Dt></ReqdExctnDt><Dbtr><Nm>house</Nm></Dbtr>"
        f"<DbtrAcct><Id><Othr><Id>{debtor}</Id></Othr></Id><Ccy>KRW</Ccy></DbtrAcct>"
        f"<DbtrAgt>{agent.format('088')}</DbtrAgt>{body}</PmtInf></CstmrCdtTrfInitn></Document>"
    ).encode()


def script(folder: Path, more: str = "", *, opening: int = 1_000_000) -> Script:
    """The script of a bank with two accounts, and `more`: keys of its head come first."""
    folder.mkdir(parents=True, exist_ok=True)
    head, _, rest = more.partition("---")
    path = folder / "bank.toml"
    path.write_text(
        f'code = "088"\nfirst_day = 2026-11-20\n{head}\n'
        f'[[account]]\nnumber = "{HOUSE}"\nname = "house"\nopening = {opening}\n'
        f'[[account]]\nnumber = "{CITY}"\nname = "city"\nopening = 0\n{rest}\n',
        "utf-8",
    )
    return load(path)


def put(folder: Path, name: str, data: bytes) -> Path:
    """A file as it is dropped at the bank."""
    (folder / "in").mkdir(parents=True, exist_ok=True)
    path = folder / "in" / name
    path.write_bytes(data)
    return path


def days(bank: Bank, first: date, last: date) -> None:
    """From the morning of one day to the evening of another."""
    bank.morning(first)
    bank.evening(last)


def out(folder: Path, kind: str) -> list[etree._Element]:
    """The bank's answers of one kind, in the order in which they were given."""
    return [etree.fromstring(p.read_bytes()) for p in sorted((folder / "out").glob(f"*_{kind}.xml"))]


def texts(element: etree._Element, path: str) -> list[str]:
    """The texts at a path; prefixes p: pain.002, s: camt.053, n: camt.054."""
    return [str(found.text) for found in element.findall(path, _NS)]


def statements(folder: Path, account: str) -> list[etree._Element]:
    """The statements of one account."""
    return [
        one for one in out(folder, "camt.053") if texts(one, ".//s:Stmt/s:Acct/s:Id/s:Othr/s:Id") == [account]
    ]


def balances(statement: etree._Element) -> tuple[int, int]:
    """Opening and closing won."""
    opening, closing = texts(statement, ".//s:Bal/s:Amt")
    return int(opening), int(closing)


def entries(statement: etree._Element) -> list[tuple[int, str]]:
    """Signed won and what names the entry."""
    found = []
    for entry in statement.findall(".//s:Ntry", _NS):
        sign = -1 if entry.findtext("s:CdtDbtInd", "", _NS) == "DBIT" else 1
        names = texts(entry, "s:NtryDtls/s:Btch/s:PmtInfId") or texts(entry, ".//s:EndToEndId")
        names = names or texts(entry, ".//s:Ustrd")
        found.append((sign * int(entry.findtext("s:Amt", "", _NS)), names[0]))
    return found


def verdicts(report: etree._Element) -> dict[str, str]:
    """What a pain.002 says of each payment: its code, or nothing where it is accepted."""
    return {
        str(tx.findtext("p:OrgnlEndToEndId", "", _NS)): str(tx.findtext("p:StsRsnInf/p:Rsn/p:Cd", "", _NS))
        for tx in report.findall(".//p:TxInfAndSts", _NS)
    }
