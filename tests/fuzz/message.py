"""Messages in both dialects: anything is a message or a MessageError, and a message reads as it was."""

from switch.wire.dialect import CODECS
from switch.wire.message import MessageError
from switch.wire.request import error_fields, parse_request, reply_mti

_PAYMENT = {
    2: "9410610000000016",
    3: "000000",
    4: "000000012345",
    7: "1118030000",
    11: "000001",
    12: "120000",
    13: "1118",
    22: "012",
    32: "123456",
    41: "T0000001",
    42: "SHOP000001     ",
    48: "CH003pos",
    49: "410",
}
_NETWORK = {7: "1118030000", 11: "000001", 12: "120000", 13: "1118", 41: "T0000001", 70: "001"}
_ORIGINAL = "0200000001111803000000000123456" + "0" * 11


def seeds() -> list[bytes]:
    """Good messages of several kinds; the first byte says the dialect."""
    found: list[bytes] = []
    for number, codec in enumerate((CODECS["ascii"], CODECS["bcd"])):
        for mti, fields in (
            ("0200", _PAYMENT),
            ("0200", {**_PAYMENT, 3: "200000", 90: _ORIGINAL}),
            ("0800", _NETWORK),
        ):
            found.append(bytes([number]) + codec.encode(mti, fields))
            if mti != "0800":
                body = codec.encode_for_mac(mti, fields)
                found.append(bytes([number]) + codec.with_mac(body, "0123456789ABCDEF"))
    return found


def fuzz_one(data: bytes) -> None:
    """Decode, parse, and write again: only MessageError may be raised."""
    if not data:
        return
    codec = CODECS["bcd" if data[0] & 1 else "ascii"]
    try:
        message = codec.decode(data[1:])
    except MessageError as error:
        _answerable(error)
        return
    if message.mac is None:
        again = codec.encode(message.mti, message.fields)
    else:
        body = codec.encode_for_mac(message.mti, message.fields)
        again = codec.with_mac(body, message.mac)
    assert codec.decode(again).fields == message.fields
    try:
        parse_request(message)
    except MessageError as error:
        _answerable(error)


def _answerable(error: MessageError) -> None:
    """A refusal that has an MTI can be answered."""
    if error.mti is not None:
        fields = error_fields(error)
        assert reply_mti(error.mti)[2] in "13"
        assert fields[39]
