"""Chip keys and cryptograms against pyemv, and the IBM 3624 method against its own arithmetic."""

import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto import emv, ibm3624
from hsm_sim.crypto.tdes import Tdes

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyemv import ac, kd

KEY = st.binary(min_size=16, max_size=16)
PAN = st.text("0123456789", min_size=13, max_size=19)


@settings(print_blob=True, max_examples=100, deadline=None)
@given(KEY, PAN, st.integers(0, 99), st.binary(min_size=2, max_size=2), st.binary(min_size=4, max_size=4),
       st.binary(min_size=1, max_size=90))  # fmt: skip
def test_pyemv_agrees(imk: bytes, pan: str, psn: int, atc: bytes, un: bytes, data: bytes) -> None:
    sequence = f"{psn:02d}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        master = emv.icc_master_key(imk, pan, sequence)
        assert master == kd.derive_icc_mk_a(imk, pan, sequence)
        key = emv.session_key(master, atc)
        assert key == kd.derive_common_sk(master, atc + bytes(6))
        assert emv.session_key(master, atc, un) == kd.derive_common_sk(master, atc + bytes(2) + un)
        cryptogram = emv.arqc(key, data)
        assert cryptogram == ac.generate_ac(key, data, ac.PaddingType.EMV)
        assert emv.arqc_padded(key, data) == ac.generate_ac(key, data, ac.PaddingType.VISA)
        assert emv.arpc(key, cryptogram, b"00") == ac.generate_arpc_1(key, cryptogram, b"00")
        assert emv.arpc_method_2(key, cryptogram, un, atc) == ac.generate_arpc_2(key, cryptogram, un, atc)


def test_keys_of_the_published_example() -> None:
    imk = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    master = emv.icc_master_key(imk, "12345678901234567", "01")
    assert master.hex().upper() == "73AD54688CEF2934B0979857E3C719F1"
    assert emv.session_key(imk, bytes.fromhex("001C")).hex().upper() == "E9FB384AF807B940FEDCEA613461B0C4"


def test_lengths_are_looked_at() -> None:
    calls: tuple[Callable[[], bytes], ...] = (
        lambda: emv.card_digits("94106100000123x7", "00"),
        lambda: emv.card_digits("9410610000012347", "0"),
        lambda: emv.master_key_of(bytes(8), bytes(8)),
        lambda: emv.session_key(bytes(16), b"1"),
        lambda: emv.arpc(bytes(16), bytes(8), b"000"),
        lambda: emv.arpc_method_2(bytes(16), bytes(8), bytes(3)),
        lambda: emv.arpc_method_2(bytes(16), bytes(8), bytes(4), bytes(9)),
    )
    for call in calls:
        with pytest.raises(ValueError):  # noqa: PT011 each text is its own
            call()


TABLE = "0123456789012345"
PVK = Tdes(bytes(range(16)))
BLOCK = ibm3624.validation_block("5799900000N0", "990000000123")


@settings(print_blob=True, max_examples=80, deadline=None)
@given(st.text("0123456789", min_size=4, max_size=12), st.text("0123456789", min_size=4, max_size=12))
def test_an_offset_is_of_one_pin(pin: str, other: str) -> None:
    natural = ibm3624.natural_pin(PVK, TABLE, BLOCK, len(pin))
    offset = ibm3624.offset_of(natural, pin).ljust(12, "F")
    assert ibm3624.offset_matches(PVK, TABLE, BLOCK, pin, offset)
    assert ibm3624.offset_matches(PVK, TABLE, BLOCK, other, offset) == (pin == other)
    assert ibm3624.offset_of(natural, natural) == "0" * len(pin)


@pytest.mark.parametrize(
    "table", ["", "0" * 16, "012345678901234A", "0011223344556677"[:15], "0000012345678901"]
)
def test_tables_that_would_give_a_pin_away(table: str) -> None:
    with pytest.raises(ValueError, match="decimalisation table"):
        ibm3624.check_table(table)


@pytest.mark.parametrize("template", ["", "N" * 12, "579990000000", "57999000x0N0"])
def test_validation_data_that_is_none(template: str) -> None:
    with pytest.raises(ValueError, match="PIN validation data"):
        ibm3624.validation_block(template, "990000000123")
