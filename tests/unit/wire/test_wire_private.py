import pytest

from switch.wire.private import (
    Balances,
    PrivateDataError,
    decode_balances,
    decode_private,
    encode_balances,
    encode_private,
)


def test_items_there_and_back() -> None:
    items = {"CB": "1740", "OR": "", "TP": "X" + "A" * 32}
    assert encode_private(items) == "CB0041740OR000TP033X" + "A" * 32
    assert decode_private(encode_private(items)) == items
    assert decode_private("") == {}


@pytest.mark.parametrize(
    "text", ["C", "CB", "CB1", "CB00", "CB001", "CB002a", "CB0 1a", "CB+01a", "C 001a", "CB001aCB001b"]
)
def test_what_lies_is_refused(text: str) -> None:
    with pytest.raises(PrivateDataError):
        decode_private(text)


@pytest.mark.parametrize("items", [{"C": "1"}, {"CBX": "1"}, {"C-": "1"}, {"CB": "x" * 1000}])
def test_what_does_not_fit_is_refused(items: dict[str, str]) -> None:
    with pytest.raises(PrivateDataError):
        encode_private(items)


def test_balances() -> None:
    text = encode_balances(Balances(123_456, 0))
    assert text == "0001410C000000123456" + "0002410C000000000000"
    assert decode_balances(text) == Balances(123_456, 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0001410C000000123456",
        "0001410C000000123456" * 2,
        "0001410D000000123456" + "0002410C000000000000",
        "x" * 40,
    ],
)
def test_balances_that_are_none(text: str) -> None:
    with pytest.raises(PrivateDataError):
        decode_balances(text)


@pytest.mark.parametrize("balances", [Balances(-1, 0), Balances(0, 10**12)])
def test_balances_that_do_not_fit(balances: Balances) -> None:
    with pytest.raises(PrivateDataError):
        encode_balances(balances)
