"""PINs verified and translated, under keys of every kind, by what client and simulator say to each other."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto import dukpt_aes, dukpt_tdes, ibm3624, pinblock
from hsm_sim.crypto.aes import Aes
from hsm_sim.crypto.lmk import TEST_LMK, Lmk
from hsm_sim.crypto.pinblock import account_part
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes
from hsm_sim.handlers import blocks
from hsm_sim.keys import Keys
from switch.hsm import commands
from switch.hsm.commands import HsmRefused, PinResult
from tests.unit.hsm.unit import ask, call, clear, text

PAN = "9410610000012347"
ACCOUNT = account_part(PAN)
OTHER_PAN = "9410610000098763"
PIN = "4821"
WRONG_PIN = "4822"

TPK, TPK_AES = clear(1), clear(2)
ZPK, ZPK_AES = clear(3), clear(4, 32)
PVK = clear(5)
BDK, BDK_AES = clear(6), clear(7, 32)
TPK_TEXT, TPK_AES_TEXT = text("002", TPK), text("002", TPK_AES, algorithm="A")
ZPK_TEXT, ZPK_AES_TEXT = text("001", ZPK), text("001", ZPK_AES, algorithm="A")
PVK_TEXT = text("002", PVK)
BDK_TEXT, BDK_AES_TEXT = text("009", BDK), text("009", BDK_AES, algorithm="A")
KSN = bytes.fromhex("FFFF9876543210E00003")
KSN_AES = bytes.fromhex("123456789012345600000003")
PVV = pin_verification_value(Tdes(PVK), ACCOUNT, "1", PIN)

CIPHERS: dict[str, tuple[Tdes | Aes, str]] = {
    "01": (Tdes(TPK), TPK_TEXT),
    "47": (Tdes(TPK), TPK_TEXT),
    "48": (Aes(TPK_AES), TPK_AES_TEXT),
}


def block(cipher: Tdes | Aes, pin: str, code: str, pan: str = PAN) -> str:
    bound_to = blocks.Account(account_part(pan), pan)
    return blocks.sealed(cipher, pin, code, bound_to).hex().upper()


def account(code: str, pan: str = PAN) -> str:
    return pan if code == "48" else account_part(pan)


def verify(code: str, pin_block: str, pan: str = PAN) -> PinResult:
    request = commands.verify_pin(
        CIPHERS[code][1], PVK_TEXT, pin_block, account(code, pan), "1", PVV, block_format=code
    )
    return call(request, commands.parse_pin_result)


@pytest.mark.parametrize("code", CIPHERS)
def test_verify_under_a_terminal_key(code: str) -> None:
    cipher = CIPHERS[code][0]
    assert verify(code, block(cipher, PIN, code)) is PinResult.OK
    assert verify(code, block(cipher, WRONG_PIN, code)) is PinResult.WRONG
    assert verify(code, "0" * len(block(cipher, PIN, code))) is PinResult.BAD_BLOCK_OR_KEY
    assert verify(code, block(cipher, PIN, code), OTHER_PAN) is PinResult.BAD_BLOCK_OR_KEY


def dukpt_keys(code: str) -> tuple[str, str, Tdes | Aes]:
    """BDK's text, serial number and the cipher the terminal has."""
    if code == "48":
        initial = dukpt_aes.initial_key(BDK_AES, KSN_AES[:8])
        key = dukpt_aes.TransactionKeys(dukpt_aes.transaction_key(initial, KSN_AES), KSN_AES).pin
        return BDK_AES_TEXT, KSN_AES.hex(), Aes(key)
    initial = dukpt_tdes.initial_key(BDK, KSN)
    return BDK_TEXT, KSN.hex(), Tdes(dukpt_tdes.TransactionKeys(dukpt_tdes.transaction_key(initial, KSN)).pin)


@pytest.mark.parametrize("code", CIPHERS)
def test_verify_under_dukpt(code: str) -> None:
    bdk, ksn, cipher = dukpt_keys(code)
    # The next serial number but one has other keys: the same block is noise under them.
    later = ksn[:-1] + "6"
    right, wrong = block(cipher, PIN, code), block(cipher, WRONG_PIN, code)
    for pin_block, number, want in (
        (right, ksn, PinResult.OK),
        (wrong, ksn, PinResult.WRONG),
        (right, later, PinResult.BAD_BLOCK_OR_KEY),
    ):
        request = commands.verify_pin_dukpt(
            bdk, PVK_TEXT, number, pin_block, account(code), "1", PVV, block_format=code
        )
        assert call(request, commands.parse_pin_result_dukpt) is want


def test_the_whole_pan_of_12_digits_is_not_taken_for_an_account() -> None:
    pan = "941061000012"
    pvv = pin_verification_value(Tdes(PVK), account_part(pan), "1", PIN)
    request = commands.verify_pin(
        TPK_AES_TEXT, PVK_TEXT, block(Aes(TPK_AES), PIN, "48", pan), pan, "1", pvv, block_format="48"
    )
    assert call(request, commands.parse_pin_result) is PinResult.OK


def test_offset_under_dukpt() -> None:
    bdk, ksn, cipher = dukpt_keys("01")
    template, table = "5799900000N0", "0123456789012345"
    validation = ibm3624.validation_block(template, ACCOUNT)
    offset = ibm3624.offset_of(ibm3624.natural_pin(Tdes(PVK), table, validation, 4), PIN).ljust(12, "F")

    def go(pin: str, *, check: str = "04", table: str = table, offset: str = offset) -> bytes:
        return ask(
            f"GO0{bdk}{PVK_TEXT}906{ksn}{block(cipher, pin, '01')}01{check}{ACCOUNT}{table}{template}{offset}"
        )

    assert go(PIN) == b"00"
    assert go(WRONG_PIN) == b"01"
    assert go(PIN + "0") == b"01"
    assert go(PIN, check="05") == b"01"
    assert go(PIN, check="13") == b"15"
    assert go(PIN, offset="F" * 12) == b"01"
    assert go(PIN, table="0" * 16) == b"25"


def test_a_zone_sends_blocks_of_its_own() -> None:
    cipher = Tdes(ZPK)
    for code in ("01", "03", "47"):
        assert ask(f"EC{ZPK_TEXT}{PVK_TEXT}{block(cipher, PIN, code)}{code}{ACCOUNT}1{PVV}") == b"00"
    # A terminal's PIN is never taken from a block that is bound to no account.
    assert ask(f"DC{TPK_TEXT}{PVK_TEXT}{block(Tdes(TPK), PIN, '03')}03{ACCOUNT}1{PVV}") == b"23"


ZONES: dict[str, tuple[Tdes | Aes, str]] = {
    "01": (Tdes(ZPK), ZPK_TEXT),
    "47": (Tdes(ZPK), ZPK_TEXT),
    "48": (Aes(ZPK_AES), ZPK_AES_TEXT),
}
STRENGTH = ["01", "47", "48"]


@pytest.mark.parametrize(("source", "target"), list(itertools.product(STRENGTH, STRENGTH)))
def test_translation_keeps_the_account_and_never_weakens(source: str, target: str) -> None:
    pan_or_account = PAN if "48" in (source, target) else ACCOUNT
    tpk, zpk = CIPHERS[source], ZONES[target]
    request = commands.translate_pin(
        tpk[1], zpk[1], block(tpk[0], PIN, source), pan_or_account, from_format=source, to_format=target
    )
    if STRENGTH.index(target) < STRENGTH.index(source):
        with pytest.raises(HsmRefused) as caught:
            call(request, commands.parse_translated_pin)
        assert caught.value.code == "23"
        return
    translated = bytes.fromhex(call(request, commands.parse_translated_pin))
    assert blocks.opened(zpk[0], translated, target, blocks.Account(ACCOUNT, PAN)) == PIN
    with pytest.raises(pinblock.BadPinBlock):
        blocks.opened(zpk[0], translated, target, blocks.Account(account_part(OTHER_PAN), OTHER_PAN))


def test_a_block_of_another_account_is_not_translated() -> None:
    request = commands.translate_pin(
        TPK_TEXT, ZPK_TEXT, block(Tdes(TPK), PIN, "01", OTHER_PAN), ACCOUNT, from_format="01", to_format="01"
    )
    with pytest.raises(HsmRefused) as caught:
        call(request, commands.parse_translated_pin)
    assert caught.value.code == "20"


@pytest.mark.parametrize("target", ["01", "47", "48"])
def test_a_block_without_account_is_never_bound_to_one(target: str) -> None:
    tail = f"03{target}{PAN};" if target == "48" else f"03{target}{ACCOUNT}"
    request = f"CA{TPK_TEXT}{ZONES[target][1]}12{block(Tdes(TPK), PIN, '03')}{tail}"
    assert ask(request) == b"23"


@pytest.mark.parametrize(("source", "target"), [("01", "01"), ("01", "47"), ("01", "48"), ("48", "48")])
def test_dukpt_to_zone(source: str, target: str) -> None:
    bdk, ksn, cipher = dukpt_keys(source)
    tail = f"{PAN};" if target == "48" else ACCOUNT
    reply = ask(f"CI{bdk}{ZONES[target][1]}906{ksn}{block(cipher, PIN, source)}{target}{tail}")
    assert (reply[:4], reply[-2:]) == (b"0004", target.encode())
    translated = bytes.fromhex(reply[4:-2].decode())
    assert blocks.opened(ZONES[target][0], translated, target, blocks.Account(ACCOUNT, PAN)) == PIN


def test_aes_dukpt_is_not_weakened_to_format_0() -> None:
    bdk, ksn, cipher = dukpt_keys("48")
    assert ask(f"CI{bdk}{ZPK_TEXT}906{ksn}{block(cipher, PIN, '48')}01{PAN};") == b"23"


def test_a_pin_goes_under_the_lmk_with_the_test_lmk_only() -> None:
    pin_block = block(Tdes(TPK), PIN, "01")
    assert ask(f"JC{TPK_TEXT}{pin_block}01{ACCOUNT}") == b"000" + PIN.encode()
    pairs = [clear(100 + n) for n in range(20)]
    other = Keys(Lmk(pairs))
    tpk = other.lmk.encrypt("002", "U", TPK)
    assert ask(f"JC{tpk}{pin_block}01{ACCOUNT}", other) == b"68"
    # Nor is a PVV made of a PIN in the clear: it would open every PVV of the books to a search.
    pvk = other.lmk.encrypt("002", "U", clear(21))
    assert ask(f"DG{pvk}01234{ACCOUNT}1", other) == b"68"
    assert TEST_LMK.check_value != other.lmk.check_value


@settings(print_blob=True, max_examples=200, deadline=None)
@given(st.sampled_from(sorted(CIPHERS)), st.data())
def test_noise_is_a_bad_block_or_a_wrong_pin(code: str, data: st.DataObject) -> None:
    size = 16 if code == "48" else 8
    noise = data.draw(st.binary(min_size=size, max_size=size)).hex()
    assert verify(code, noise) in (PinResult.BAD_BLOCK_OR_KEY, PinResult.WRONG, PinResult.OK)


REFUSED = {
    "GQ with a MAC": (f"GQ1{BDK_TEXT}", "15"),
    "GQ BDK of another type": (f"GQ0{TPK_TEXT}{PVK_TEXT}906{KSN.hex()}", "10"),
    "GQ counter zero": (
        f"GQ0{BDK_TEXT}{PVK_TEXT}906FFFF9876543210E00000{'0' * 16}01{ACCOUNT}1{PVV}", "15"),
    "GQ counter of too many ones": (
        f"GQ0{BDK_TEXT}{PVK_TEXT}906FFFF9876543210FFFFFF{'0' * 16}01{ACCOUNT}1{PVV}", "15"),
    "GQ descriptor not hex": (f"GQ0{BDK_TEXT}{PVK_TEXT}9x6{KSN.hex()}", "15"),
    "GQ short serial number": (f"GQ0{BDK_TEXT}{PVK_TEXT}906{KSN.hex()[:19]}", "15"),
    "GQ format 4 under TDES": (
        f"GQ0{BDK_TEXT}{PVK_TEXT}906{KSN.hex()}{'0' * 16}48{PAN};1{PVV}", "23"),
    "GQ format 0 under AES": (
        f"GQ0{BDK_AES_TEXT}{PVK_TEXT}906{KSN_AES.hex()}{'0' * 32}01{ACCOUNT}1{PVV}", "23"),
    "GQ PVK of another type": (
        f"GQ0{BDK_TEXT}{BDK_TEXT}906{KSN.hex()}{'0' * 16}01{ACCOUNT}1{PVV}", "11"),
    "GQ too long": (f"GQ0{BDK_TEXT}{PVK_TEXT}906{KSN.hex()}{'0' * 16}01{ACCOUNT}1{PVV}0", "15"),
    "DC format 4 under TDES": (f"DC{TPK_TEXT}{PVK_TEXT}{'0' * 16}48{PAN};1{PVV}", "23"),
    "DC format 0 under AES": (f"DC{TPK_AES_TEXT}{PVK_TEXT}{'0' * 32}01{ACCOUNT}1{PVV}", "23"),
    "DC PAN without its end": (f"DC{TPK_AES_TEXT}{PVK_TEXT}{'0' * 32}48{PAN}1{PVV}", "15"),
    "DC PAN too short": (f"DC{TPK_AES_TEXT}{PVK_TEXT}{'0' * 32}4812345678901;1{PVV}", "22"),
    "CA maximum PIN length": (f"CA{TPK_TEXT}{ZPK_TEXT}06{'0' * 16}0101{ACCOUNT}", "15"),
    "CA ZPK of another type": (f"CA{TPK_TEXT}{TPK_TEXT}12{'0' * 16}0101{ACCOUNT}", "11"),
    "CA bad block": (f"CA{TPK_TEXT}{ZPK_TEXT}12{'0' * 16}0101{ACCOUNT}", "20"),
    "JC bad block": (f"JC{TPK_TEXT}{'0' * 16}01{ACCOUNT}", "20"),
    "CI bad block": (f"CI{BDK_TEXT}{ZPK_TEXT}906{KSN.hex()}{'0' * 16}01{ACCOUNT}", "20"),
    "GO bad block": (
        f"GO0{BDK_TEXT}{PVK_TEXT}906{KSN.hex()}{'0' * 16}0104{ACCOUNT}01234567890123455799900000N0{'F' * 12}",
        "20"),
    "GO validation data": (
        f"GO0{BDK_TEXT}{PVK_TEXT}906{KSN.hex()}{'0' * 16}0104{ACCOUNT}0123456789012345{'N' * 12}{'F' * 12}",
        "15"),
}  # fmt: skip


@pytest.mark.parametrize(("message", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(message: str, code: str) -> None:
    assert ask(message) == code.encode()
