"""Payment crypto against published vectors and against the plainest possible implementation."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import KEY_TYPES, TEST_LMK, KeyRefused, Lmk, unwrap, wrap
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.pinblock import BadPinBlock, account_part, decode_format0, encode_format0
from hsm_sim.crypto.pvv import decimalise
from hsm_sim.crypto.tdes import Tdes, has_odd_parity, odd_parity, xor8

VECTORS = Path(__file__).parents[2] / "vectors"


def vector(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return content


X919 = vector("x919_mac")


def naive_mac(key: bytes, data: bytes) -> bytes:
    """ISO 9797-1 algorithm 3 word for word, with a fresh cipher for every step."""
    data += bytes(-len(data) % 8) or (b"" if data else bytes(8))
    state = bytes(8)
    for at in range(0, len(data), 8):
        state = Tdes(key[:8]).encrypt(xor8(state, data[at : at + 8]))
    return Tdes(key[:8]).encrypt(Tdes(key[8:]).decrypt(state))


@pytest.mark.parametrize("case", X919["single"], ids=lambda c: c["ascii"])
def test_x919_vector(case: dict[str, str]) -> None:
    mac = RetailMac(bytes.fromhex(X919["key"]))
    assert mac.mac(case["ascii"].encode()).hex().upper() == case["mac"]


def test_x919_continued_over_five_parts() -> None:
    mac = RetailMac(bytes.fromhex(X919["key"]))
    part = bytes.fromhex(X919["chained_hex"])
    iv = bytes(8)
    for expected in X919["chained_intermediate_iv"]:
        iv = mac.chain(part, iv)
        assert iv.hex().upper() == expected
    assert mac.mac(part, iv).hex().upper() == X919["chained_final_mac_after_5_blocks_of_the_same_data"]
    assert mac.mac(part * 5) == mac.mac(part, iv)


@settings(print_blob=True, max_examples=150, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.lists(st.binary(max_size=300), min_size=1, max_size=6))
def test_one_living_context_macs_like_fresh_ones(key: bytes, messages: list[bytes]) -> None:
    living = RetailMac(key)
    for message in messages:
        assert living.mac(message) == naive_mac(key, message)


@pytest.mark.parametrize("data", [b"", b"1234567"])
def test_a_continued_mac_refuses_parts_of_blocks_and_is_not_harmed(data: bytes) -> None:
    key = bytes.fromhex(X919["key"])
    mac = RetailMac(key)
    with pytest.raises(ValueError, match="whole blocks"):
        mac.chain(data)
    assert mac.mac(b"x" * 40) == naive_mac(key, b"x" * 40)


def test_a_mac_key_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        RetailMac(bytes(8))


def test_retail_mac_speed(capsys: pytest.CaptureFixture[str]) -> None:
    mac, data, times = RetailMac(bytes(range(16))), bytes(200), 20_000
    start = time.perf_counter()
    for _ in range(times):
        mac.mac(data)
    micros = (time.perf_counter() - start) / times * 1e6
    with capsys.disabled():
        print(f"\nRetailMac, 200 bytes: {micros:.1f} µs")  # noqa: T201 the figure is this test's purpose


def test_pin_block_vector() -> None:
    case = vector("pinblock_format0")
    block = encode_format0(case["pin"], account_part(case["pan"]))
    assert block.hex().upper() == case["clear_block"]
    assert decode_format0(block, account_part(case["pan"])) == case["pin"]
    with pytest.raises(BadPinBlock):
        decode_format0(block, account_part(case["other_pan"]))


@pytest.mark.parametrize("pin", ["1234", "12345", "123456789012", "0000"])
def test_pin_block_round_trip(pin: str) -> None:
    account = account_part("9410610000012347")
    assert decode_format0(encode_format0(pin, account), account) == pin


BAD_FIELDS = {
    "another format": "141234FFFFFFFFFF",
    "too short a PIN": "03123FFFFFFFFFFF",
    "too long a PIN": "0D1234567890123F",
    "a PIN of letters": "0412AB" + "F" * 10,
    "a filler that is not F": "041234FFFFFFFF0F",
    "noise": "9C5F00A1B2C3D4E5",
}


def test_every_bad_pin_block_has_the_same_error() -> None:
    account = "610000012347"
    errors = set()
    for field in BAD_FIELDS.values():
        block = xor8(bytes.fromhex(field), bytes.fromhex("0000" + account))
        with pytest.raises(BadPinBlock) as caught:
            decode_format0(block, account)
        errors.add(str(caught.value))
    for wrong in ((b"", account), (bytes(8), "12"), (bytes(8), "61000001234X")):
        with pytest.raises(BadPinBlock) as caught:
            decode_format0(*wrong)
        errors.add(str(caught.value))
    assert errors == {"the PIN block is not valid"}


@pytest.mark.parametrize(
    ("pin", "account"), [("123", "6" * 12), ("1" * 13, "6" * 12), ("12a4", "6" * 12), ("1234", "6")]
)
def test_bad_pins_are_not_quoted(pin: str, account: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the text is looked at
        encode_format0(pin, account)
    assert pin not in str(caught.value)


def test_account_part_leaves_the_check_digit_out() -> None:
    assert account_part("4012345678909") == "401234567890"
    assert account_part("9410610000012347") == "061000001234"


def test_decimalisation_takes_digits_first_then_letters() -> None:
    assert decimalise("A1B2C3D4E5F60000", 4) == "1234"
    assert decimalise("ABCDEFABCDEF1ABC", 4) == "1012"


def test_cvv_of_the_published_example() -> None:
    key = CvvKey(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
    assert key.value("4123456789012345", "8701", "101") == "561"


def test_tdes_refuses_parts_of_blocks_and_odd_key_lengths() -> None:
    with pytest.raises(ValueError, match="whole blocks"):
        Tdes(bytes(16)).encrypt(b"1234567")
    with pytest.raises(ValueError, match="8, 16 or 24"):
        Tdes(bytes(10))


def test_parity() -> None:
    assert odd_parity(bytes(2)) == b"\x01\x01"
    assert has_odd_parity(odd_parity(bytes(range(16))))
    assert not has_odd_parity(bytes(8))


DOUBLE = odd_parity(bytes(range(40, 56)))


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("scheme", ["U", "X", "Z"])
def test_keys_come_back_from_under_the_lmk(key_type: str, scheme: str) -> None:
    key = DOUBLE[:8] if scheme == "Z" else DOUBLE
    assert TEST_LMK.decrypt(key_type, TEST_LMK.encrypt(key_type, scheme, key)) == key


def test_a_key_of_one_type_is_refused_as_another() -> None:
    text = TEST_LMK.encrypt("002", "U", DOUBLE)
    with pytest.raises(KeyRefused) as caught:
        TEST_LMK.decrypt("003", text)
    assert caught.value.code == "10"


def test_swapped_halves_of_a_u_key_are_refused() -> None:
    text = TEST_LMK.encrypt("003", "U", DOUBLE)
    with pytest.raises(KeyRefused):
        TEST_LMK.decrypt("003", "U" + text[17:] + text[1:17])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "26"),
        ("U12", "26"),
        ("T" + "0" * 48, "26"),
        ("U" + "G" * 32, "15"),
        ("U" + " " * 2 + "0" * 30, "15"),
    ],
)
def test_bad_key_texts(text: str, code: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        TEST_LMK.decrypt("003", text)
    assert caught.value.code == code


def test_unknown_types_schemes_and_lengths() -> None:
    for call, code in (
        (lambda: TEST_LMK.encrypt("999", "U", DOUBLE), "28"),
        (lambda: TEST_LMK.encrypt("003", "Q", DOUBLE), "26"),
        (lambda: TEST_LMK.encrypt("003", "U", DOUBLE[:8]), "27"),
        (lambda: wrap(DOUBLE[:8], "U", DOUBLE), "27"),
        (lambda: unwrap(DOUBLE[:8], "U" + "0" * 32), "27"),
    ):
        with pytest.raises(KeyRefused) as caught:
            call()
        assert caught.value.code == code


def test_lmk_shows_its_check_value_only() -> None:
    assert repr(TEST_LMK) == f"Lmk(check_value={TEST_LMK.check_value})"
    with pytest.raises(ValueError, match="20 pairs"):
        Lmk([])
    with pytest.raises(ValueError, match="parity"):
        Lmk([bytes(16)] * 20)


def test_check_value_length() -> None:
    assert check_value(DOUBLE) == check_value(DOUBLE, 16)[:6]
