"""DE55: anything is a set of tags or refused, and nothing of a card's data is in the refusal."""

from switch.wire.emv import IccError, arqc_input, cryptogram_of, parse_icc

_GOOD = (
    "9F2608A1B2C3D4E5F607189F2701809F100706010A03A000009F3704112233449F36020012950500000000009A03261118"
    "9C01009F02060000000123455F2A0204109F03060000000000009F1A020410820239005F340101"
)  # fmt: skip


def seeds() -> list[bytes]:
    """A whole set, a part of one, and a doubled tag."""
    return [bytes.fromhex(_GOOD), bytes.fromhex(_GOOD[:22]), bytes.fromhex(_GOOD[:22] * 2)]


def fuzz_one(data: bytes) -> None:
    """Only IccError may be raised."""
    refused: IccError | None = None
    try:
        items = parse_icc(data.hex().upper())
        cryptogram_of(items)
        arqc_input(items)
    except IccError as error:
        refused = error
    if refused is not None and len(data) >= 4:
        assert data.hex().upper() not in str(refused)
