"""The bank's answers as the tests write them: small templates of our own, independent of the readers."""

from collections.abc import Iterable, Sequence
from datetime import date
from xml.sax.saxutils import escape

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NS = "urn:iso:std:iso:20022:tech:xsd:"


def reason(code: str, words: str = "") -> str:
    more = f"<AddtlInf>{escape(words)}</AddtlInf>" if words else ""
    return f"<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn>{more}</StsRsnInf>" if code else ""


def pain002(
    original: str,
    *,
    message_id: str = "BANK-1",
    group: str = "",
    group_reason: str = "",
    batch: str | None = None,
    batch_status: str = "",
    payments: Iterable[Sequence[object]] = (),
    count: int | None = None,
    total: int | str | None = None,
    per_status: Iterable[tuple[str, int]] = (),
) -> bytes:
    """`payments` are (EndToEndId, status, reason="", won=None)."""

    def one(name: object, status: object, why: object = "", won: object = None) -> str:
        amount = (
            f'<OrgnlTxRef><Amt><InstdAmt Ccy="KRW">{won}</InstdAmt></Amt></OrgnlTxRef>'
            if won is not None
            else ""
        )
        return (
            f"<TxInfAndSts><OrgnlEndToEndId>{name}</OrgnlEndToEndId><TxSts>{status}</TxSts>"
            f"{reason(str(why))}{amount}</TxInfAndSts>"
        )

    inner = "".join(one(*each) for each in payments)
    state = f"<PmtInfSts>{batch_status}</PmtInfSts>" if batch_status else ""
    batches = (
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{batch or f'{original}-B1'}</OrgnlPmtInfId>{state}{inner}"
        "</OrgnlPmtInfAndSts>"
        if inner or state or batch
        else ""
    )
    counted = "".join(
        f"<NbOfTxsPerSts><DtldNbOfTxs>{number}</DtldNbOfTxs><DtldSts>{code}</DtldSts></NbOfTxsPerSts>"
        for code, number in per_status
    )
    return (
        f'{_HEAD}<Document xmlns="{_NS}pain.002.001.10"><CstmrPmtStsRpt><GrpHdr><MsgId>{message_id}</MsgId>'
        "<CreDtTm>2026-11-21T10:00:00+09:00</CreDtTm></GrpHdr><OrgnlGrpInfAndSts>"
        f"<OrgnlMsgId>{original}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>"
        + (f"<OrgnlNbOfTxs>{count}</OrgnlNbOfTxs>" if count is not None else "")
        + (f"<OrgnlCtrlSum>{total}</OrgnlCtrlSum>" if total is not None else "")
        + (f"<GrpSts>{group}</GrpSts>" if group else "")
        + f"{reason(group_reason)}{counted}</OrgnlGrpInfAndSts>{batches}</CstmrPmtStsRpt></Document>\n"
    ).encode()


def details(
    *,
    end_to_end_id: str = "",
    payment_information_id: str = "",
    message_id: str = "",
    won: int | None = None,
    remittance: str = "",
    structured: str = "",
    return_reason: str = "",
) -> str:
    """One TxDtls."""
    refs = "".join(
        f"<{tag}>{value}</{tag}>"
        for tag, value in (
            ("MsgId", message_id),
            ("PmtInfId", payment_information_id),
            ("EndToEndId", end_to_end_id),
        )
        if value
    )
    words = f"<Ustrd>{escape(remittance)}</Ustrd>" if remittance else ""
    if structured:
        words += f"<Strd><CdtrRefInf><Ref>{structured}</Ref></CdtrRefInf></Strd>"
    return (
        "<TxDtls>"
        + (f"<Refs>{refs}</Refs>" if refs else "")
        + (
            f'<Amt Ccy="KRW">{abs(won)}</Amt><CdtDbtInd>{"CRDT" if won > 0 else "DBIT"}</CdtDbtInd>'
            if won is not None
            else ""
        )
        + (f"<RmtInf>{words}</RmtInf>" if words else "")
        + (f"<RtrInf><Rsn><Cd>{return_reason}</Cd></Rsn></RtrInf>" if return_reason else "")
        + "</TxDtls>"
    )


def ntry(
    won: int,
    *parts: str,
    on: date = date(2026, 11, 24),
    batch: str = "",
    status: str = "BOOK",
    reversal: bool = False,
    reference: str = "R1",
    currency: str = "KRW",
) -> str:
    """One Ntry: `won` above 0 came in, below went out."""
    inner = (f"<Btch><PmtInfId>{batch}</PmtInfId></Btch>" if batch else "") + "".join(parts)
    return (
        f'<Ntry><Amt Ccy="{currency}">{abs(won)}</Amt><CdtDbtInd>{"CRDT" if won > 0 else "DBIT"}</CdtDbtInd>'
        + ("<RvslInd>true</RvslInd>" if reversal else "")
        + f"<Sts><Cd>{status}</Cd></Sts><BookgDt><Dt>{on}</Dt></BookgDt>"
        f"<AcctSvcrRef>{reference}</AcctSvcrRef><BkTxCd><Prtry><Cd>X</Cd></Prtry></BkTxCd>"
        + (f"<NtryDtls>{inner}</NtryDtls>" if inner else "")
        + "</Ntry>"
    )


def _balance(kind: str, won: int, on: date) -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy="KRW">{abs(won)}</Amt>'
        f"<CdtDbtInd>{'CRDT' if won >= 0 else 'DBIT'}</CdtDbtInd><Dt><Dt>{on}</Dt></Dt></Bal>"
    )


def statement(
    name: str,
    opening: int,
    closing: int,
    entries: Sequence[str] = (),
    *,
    account: str = "1005000000017",
    bank: str = "020",
    sequence: int | None = None,
    on: date = date(2026, 11, 24),
) -> str:
    """One Stmt of a camt.053."""
    return (
        f"<Stmt><Id>{name}</Id>"
        + (f"<ElctrncSeqNb>{sequence}</ElctrncSeqNb>" if sequence is not None else "")
        + f"<Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>KRW</Ccy><Svcr><FinInstnId><ClrSysMmbId>"
        f"<MmbId>{bank}</MmbId></ClrSysMmbId></FinInstnId></Svcr></Acct>"
        + _balance("OPBD", opening, on)
        + _balance("CLBD", closing, on)
        + "".join(entries)
        + "</Stmt>"
    )


def camt053(*statements: str, message_id: str = "STMT-1") -> bytes:
    return (
        f'{_HEAD}<Document xmlns="{_NS}camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>{message_id}</MsgId>'
        "<CreDtTm>2026-11-24T20:00:00+09:00</CreDtTm></GrpHdr>" + "".join(statements) + "</BkToCstmrStmt>"
        "</Document>\n"
    ).encode()


def camt054(*entries: str, message_id: str = "NTFN-1", account: str = "1005000000017") -> bytes:
    return (
        f'{_HEAD}<Document xmlns="{_NS}camt.054.001.08"><BkToCstmrDbtCdtNtfctn><GrpHdr>'
        f"<MsgId>{message_id}</MsgId><CreDtTm>2026-11-24T20:00:00+09:00</CreDtTm></GrpHdr><Ntfctn>"
        f"<Id>{message_id}</Id><Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>KRW</Ccy></Acct>"
        + "".join(entries)
        + "</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>\n"
    ).encode()


def pacs004(
    returns: Iterable[tuple[str, int, str]], *, message_id: str = "RTR-1", currency: str = "KRW"
) -> bytes:
    """`returns` are (OrgnlEndToEndId, won, reason)."""
    inner = "".join(
        f"<TxInf><RtrId>X{index}</RtrId><OrgnlEndToEndId>{name}</OrgnlEndToEndId>"
        f'<RtrdIntrBkSttlmAmt Ccy="{currency}">{won}</RtrdIntrBkSttlmAmt>'
        f"<RtrRsnInf><Rsn><Cd>{why}</Cd></Rsn></RtrRsnInf></TxInf>"
        for index, (name, won, why) in enumerate(returns, 1)
    )
    return (
        f'{_HEAD}<Document xmlns="{_NS}pacs.004.001.09"><PmtRtr><GrpHdr><MsgId>{message_id}</MsgId>'
        "<CreDtTm>2026-11-24T20:00:00+09:00</CreDtTm><NbOfTxs>1</NbOfTxs><SttlmInf><SttlmMtd>CLRG</SttlmMtd>"
        f"</SttlmInf></GrpHdr>{inner}</PmtRtr></Document>\n"
    ).encode()
