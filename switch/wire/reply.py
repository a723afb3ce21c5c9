"""The fields of an answer: what comes back unchanged, and what is told."""

from typing import Final

from switch.wire.message import CODE_FORMAT, Message, MessageError
from switch.wire.private import Balances, encode_balances, encode_private
from switch.wire.spec import is_request

_REPLY_ECHO: Final = (3, 4, 7, 11, 12, 13, 37, 41, 42, 49, 70)


def reply_fields(
    message: Message,
    *,
    code: str,
    rrn: str | None = None,
    business_mmdd: str | None = None,
    approval: str | None = None,
    private: dict[str, str] | None = None,
    balances: Balances | None = None,
    amount: int | None = None,
    icc: str | None = None,
) -> dict[int, str]:
    """The fields that answer `message` with `code` (DE39).

    Its DE7, 11, 12, 13, 37, 41, 42 come back unchanged. `rrn` is used only when the request brought none.
    `approval` is DE38 (6 characters), `business_mmdd` DE15; `amount` (won) takes the place of the request's
    DE4 where less was approved than asked; `icc` is DE55 in hex.
    Raises PrivateDataError when `private` or `balances` do not fit.
    """
    given = message.fields
    fields: dict[int, str] = {number: given[number] for number in _REPLY_ECHO if number in given}
    fields[39] = code
    if rrn is not None and 37 not in fields:
        fields[37] = rrn
    if business_mmdd is not None:
        fields[15] = business_mmdd
    if approval is not None:
        fields[38] = approval
    if private:
        fields[48] = encode_private(private)
    if balances is not None:
        fields[54] = encode_balances(balances)
    if amount is not None:
        fields[4] = f"{amount:012d}"
    if icc is not None:
        fields[55] = icc
    return fields


def error_fields(error: MessageError) -> dict[int, str]:
    """The fields that answer a refused message: its echo, DE39, and with code 30 the field's number in DE44.

    Raises ValueError when the message was not legible: then there is nothing to answer, the connection is
    closed.
    """
    if error.mti is None or not is_request(error.mti):
        raise ValueError("an illegible message is not answered")
    fields = {**error.echo, 39: error.code}
    if error.code == CODE_FORMAT:
        fields[44] = f"{error.field or 0:03d}"
    return fields
