"""pacs.004.001.09, PaymentReturn: a payment comes back (ISO 20022, 2019 release).

Messages between banks; some pass them on to their customers. No schema of it is kept here, so the few fields
that are needed are asked for strictly, and whatever else it holds is not looked at.
"""

from typing import BinaryIO

from settlement.files.camt import Notice, Returned
from settlement.files.xml import UnsafeXmlError, all_at, parts, text_at, won_of

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pacs.004.001.09"
RETURNS_MAX = 300_000

_text = text_at(NAMESPACE)
_all = all_at(NAMESPACE)


def read(source: BinaryIO) -> Notice:
    """What a message says comes back. Raises UnsafeXmlError for one without an identity, name or amount."""
    message_id = ""
    returned: list[Returned] = []
    for name, element in parts(source, NAMESPACE, frozenset({"GrpHdr", "TxInf"})):
        if name == "GrpHdr":
            message_id = _text(element, "MsgId")
            continue
        own = _text(element, "OrgnlEndToEndId")
        amounts = _all(element, "RtrdIntrBkSttlmAmt")
        if not own or len(own) > 35 or len(amounts) != 1:
            raise UnsafeXmlError("has a return without OrgnlEndToEndId or RtrdIntrBkSttlmAmt: ask the bank")
        won = won_of((amounts[0].text or "").strip(), amounts[0].get("Ccy", ""), own)
        reason = _text(element, "RtrRsnInf/Rsn/Cd") or _text(element, "RtrRsnInf/Rsn/Prtry")
        returned.append(Returned(own, won, reason[:35]))
        if len(returned) > RETURNS_MAX:
            raise UnsafeXmlError(f"has more than {RETURNS_MAX:,} returns: ask the bank for smaller files")
    if not message_id or len(message_id) > 35 or not returned:
        raise UnsafeXmlError("is no whole pacs.004: it has no MsgId, or no return (TxInf)")
    return Notice(message_id, "", "", tuple(returned))
