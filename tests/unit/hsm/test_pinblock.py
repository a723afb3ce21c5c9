"""PIN blocks of ISO 9564-1 against published ones and against psec; one error for every bad one."""

import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto import pinblock
from hsm_sim.crypto.aes import Aes
from hsm_sim.crypto.pinblock import BadPinBlock, account_part
from tests.unit.hsm.vectors import named, raw, shown

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from psec import pinblock as judge

PAN = "9410610000012347"
ACCOUNT = account_part(PAN)
CIPHER = Aes(bytes(range(16)))


def digits(text: str) -> str:
    """A PIN as the vectors have it: a byte a digit."""
    return "".join(str(b) for b in raw(text))


def pan_of(text: str) -> str:
    """A PAN as the vectors have it: filled with F."""
    return text.rstrip("F")


FORMAT = {n: named("pinblock_iso9564", f"pinblock_format{n}_test") for n in range(5)}


def test_published_format_0() -> None:
    case = FORMAT[0]
    account = account_part(pan_of(case["pan"]))
    assert shown(pinblock.encode_format0(digits(case["pin"]), account)) == case["pinblock"]
    assert pinblock.decode_format0(raw(case["pinblock"]), account) == digits(case["pin"])
    with pytest.raises(BadPinBlock):
        pinblock.decode_format0(raw(case["pinblock"]), account_part(pan_of(case["bad_pan"])))


def test_published_format_1(monkeypatch: pytest.MonkeyPatch) -> None:
    case = FORMAT[1]
    assert pinblock.decode_format1(raw(case["pinblock_verify"])) == digits(case["pin"])
    # The published block takes the nonce's digits from its end.
    monkeypatch.setattr(
        "hsm_sim.crypto.pinblock.secrets.token_hex", lambda _n: case["pinblock_verify"][7:] + "0" * 7
    )
    assert shown(pinblock.encode_format1(digits(case["pin"]))) == case["pinblock_verify"]


def test_published_format_2() -> None:
    case = FORMAT[2]
    assert shown(pinblock.encode_format2(digits(case["pin"]))) == case["pinblock_verify"]
    assert pinblock.decode_format2(raw(case["pinblock_verify"])) == digits(case["pin"])


def test_published_format_3() -> None:
    """The vector gives what is not random: control, length and the PIN's first digits."""
    case = FORMAT[3]
    pin, account = digits(case["pin"]), account_part(pan_of(case["pan"]))
    block = pinblock.encode_format3(pin, account)
    assert shown(block).startswith(case["pinblock_verify"])
    assert pinblock.decode_format3(block, account) == pin
    with pytest.raises(BadPinBlock):
        pinblock.decode_format3(block, account_part(pan_of(case["bad_pan"])))
    assert len({pinblock.encode_format3(pin, account) for _ in range(20)}) > 1


@pytest.mark.parametrize(("pin", "field"), [("pin", "pinfield_verify"), ("pin2", "pinfield_verify2")])
def test_published_format_4_pin_field(pin: str, field: str) -> None:
    case = FORMAT[4]
    assert shown(pinblock.format4_pin_field(digits(case[pin]))[:8]) == case[field]


@pytest.mark.parametrize("number", ["", "2", "3"])
def test_published_format_4_pan_field(number: str) -> None:
    case = FORMAT[4]
    pan_field = pinblock.format4_pan_field(pan_of(case["pan" + number]))
    assert shown(pan_field) == case["panfield_verify" + number]


PINS = st.text("0123456789", min_size=4, max_size=12)
PANS = st.text("0123456789", min_size=13, max_size=19)


@settings(print_blob=True, max_examples=150, deadline=None)
@given(PINS, PANS)
def test_every_format_comes_back_and_psec_agrees(pin: str, pan: str) -> None:
    account = account_part(pan)
    format0 = pinblock.encode_format0(pin, account)
    format3 = pinblock.encode_format3(pin, account)
    format4 = pinblock.encipher_format4(CIPHER, pin, pan)
    assert format0 == judge.encode_pinblock_iso_0(pin, pan)
    assert judge.decode_pinblock_iso_3(format3, pan) == pin
    assert judge.decipher_pinblock_iso_4(bytes(range(16)), format4, pan) == pin
    assert pinblock.decode_format0(format0, account) == pin
    assert pinblock.decode_format3(format3, account) == pin
    assert pinblock.decipher_format4(CIPHER, format4, pan) == pin
    assert pinblock.decode_format1(pinblock.encode_format1(pin)) == pin
    assert pinblock.decode_format2(pinblock.encode_format2(pin)) == pin
    assert pinblock.decode_diebold(pinblock.encode_diebold(pin)) == pin


DECODERS: dict[str, Callable[[bytes], str]] = {
    "0": lambda block: pinblock.decode_format0(block, ACCOUNT),
    "1": pinblock.decode_format1,
    "2": pinblock.decode_format2,
    "3": lambda block: pinblock.decode_format3(block, ACCOUNT),
    "4": lambda block: pinblock.decipher_format4(CIPHER, block, PAN),
    "Diebold": pinblock.decode_diebold,
}


@settings(print_blob=True, max_examples=300, deadline=None)
@given(st.sampled_from(sorted(DECODERS)), st.binary(max_size=20) | st.binary(min_size=8, max_size=8))
def test_noise_has_one_error_whatever_is_wrong(name: str, block: bytes) -> None:
    try:
        pin = DECODERS[name](block)
    except BadPinBlock as bad:
        said = str(bad)
    else:
        said = ""
        assert pin.isdigit()
        assert 4 <= len(pin) <= 12
    assert said in ("", "the PIN block is not valid")


@pytest.mark.parametrize("pan", ["", "1" * 20, "94106100000123x7"])
def test_a_bad_pan_is_a_bad_block(pan: str) -> None:
    with pytest.raises(BadPinBlock):
        pinblock.decipher_format4(CIPHER, bytes(16), pan)
    with pytest.raises(ValueError, match="up to 19 digits"):
        pinblock.encipher_format4(CIPHER, "1234", pan)


def test_a_format_4_block_is_of_its_account_alone() -> None:
    block = pinblock.encipher_format4(CIPHER, "1234", PAN)
    refused = 0
    for check in range(10):
        other = PAN[:-1] + str(check)
        if other == PAN:
            continue
        try:
            assert pinblock.decipher_format4(CIPHER, block, other) != "1234"
        except BadPinBlock:
            refused += 1
    assert refused >= 8
