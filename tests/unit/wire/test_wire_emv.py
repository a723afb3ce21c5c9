import pytest

from switch.wire.emv import (
    STORED_TAGS,
    IccError,
    arqc_input,
    cryptogram_of,
    encode_icc,
    parse_icc,
    storable,
)
from tests.unit.wire.samples import ICC


def test_objects_in_their_order() -> None:
    objects = parse_icc(ICC)
    assert list(objects)[:4] == ["9F26", "9F27", "9F36", "9F37"]
    assert objects["9F36"] == "00A7"
    assert encode_icc(objects) == ICC
    assert parse_icc("DF810102AABB") == {"DF8101": "AABB"}
    assert parse_icc("5000") == {"50": ""}


def test_long_values() -> None:
    value = "AB" * 200
    assert encode_icc({"9F10": value}) == f"9F1081C8{value}"
    assert parse_icc(f"9F1081C8{value}") == {"9F10": value}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9",
        "zz",
        "9F 36 02 00 A7",
        "9F36",
        "9F3602",
        "9F360200",
        "9F36810200A7",  # more bytes of length than needed
        "9F3682000200A7",
        "9F368000A70000",  # indefinite
        "9F3681",
        "9F360200A79F360200A8",  # twice
        "9F360200A700",  # bytes behind
        "FF9F360200A7",
        "7005" + "9F360200A7",  # a template
        "9F",
        "9F80360100",
        "DFFFFFFF0100",
    ],
)
def test_what_has_not_exactly_one_reading_is_refused(text: str) -> None:
    with pytest.raises(IccError):
        parse_icc(text)


@pytest.mark.parametrize("objects", [{"9F": "00"}, {"9F36": "00" * 256}, {"9F36": "0"}, {"xx": "00"}])
def test_what_cannot_be_written_is_refused(objects: dict[str, str]) -> None:
    with pytest.raises(IccError):
        encode_icc(objects)


def test_a_cryptogram() -> None:
    objects = parse_icc(ICC)
    found = cryptogram_of(objects)
    assert (found.cryptogram, found.atc, found.unpredictable) == ("A1B2C3D4E5F60718", 0xA7, "11223344")
    assert (found.amount, found.other_amount, found.currency, found.country) == (17_400, 0, "0410", "0410")
    assert (found.date, found.type, found.profile, found.psn) == ("261121", "00", "3900", "01")
    assert found.is_request
    assert not found.is_certificate
    assert "A1B2C3D4E5F60718" not in repr(found)
    assert cryptogram_of(objects | {"9F27": "40"}).is_certificate


def test_what_the_cryptogram_is_made_over() -> None:
    assert arqc_input(parse_icc(ICC)).hex().upper() == (
        "0000000174000000000000000410000000800004102611210011223344390000A7"
        "06010A03A0B800"
    )  # fmt: skip


@pytest.mark.parametrize("tag", ["9F26", "9F36", "9F37", "9F10", "95", "9A", "9C", "5F2A", "9F02", "82"])
def test_a_cryptogram_that_lacks_something_says_what(tag: str) -> None:
    objects = parse_icc(ICC)
    for spoiled in (
        {name: value for name, value in objects.items() if name != tag},
        objects | {tag: objects[tag] * 40},
    ):
        with pytest.raises(IccError, match=tag):
            cryptogram_of(spoiled)
    for spoiled in (objects | {"9F02": "00000001740A"}, objects | {"5F34": "0A"}):
        with pytest.raises(IccError):
            cryptogram_of(spoiled)


def test_what_may_be_kept() -> None:
    forbidden = {"57": "00", "5A": "00", "9F6B": "00", "5F20": "00", "56": "00", "9F1F": "00"}
    assert not STORED_TAGS & forbidden.keys()
    assert storable({**forbidden, "9F36": "00A7"}) == {"9F36": "00A7"}
