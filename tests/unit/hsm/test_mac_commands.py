"""MACs of M6, M8 and GW, and chip cryptograms by KQ: client's half to simulator's half."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto import aes, dukpt_aes, dukpt_tdes, emv
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.tr31 import Header
from switch.hsm import commands
from tests.unit.hsm.unit import ask, call, clear, text

BDK, BDK_AES = clear(41), clear(42, 32)
BDK_TEXT, BDK_AES_TEXT = text("009", BDK), text("009", BDK_AES, algorithm="A")
KSN, KSN_AES = "FFFF9876543210E00003", "123456789012345600000003"
DATA = st.binary(min_size=1, max_size=300)


def working(ksn: str) -> dukpt_tdes.TransactionKeys | dukpt_aes.TransactionKeys:
    """What the terminal has."""
    number = bytes.fromhex(ksn)
    if len(number) == dukpt_aes.KSN_BYTES:
        initial = dukpt_aes.initial_key(BDK_AES, number[:8])
        return dukpt_aes.TransactionKeys(dukpt_aes.transaction_key(initial, number), number)
    return dukpt_tdes.TransactionKeys(dukpt_tdes.transaction_key(dukpt_tdes.initial_key(BDK, number), number))


def mac_of(key: bytes, data: bytes) -> str:
    full = aes.cmac(key, data) if len(key) == 32 else RetailMac(key).mac(data)
    return full.hex().upper()[:16]


@settings(print_blob=True, max_examples=60, deadline=None)
@given(st.sampled_from([(BDK_TEXT, KSN), (BDK_AES_TEXT, KSN_AES)]), DATA)
def test_dukpt_macs(keys: tuple[str, str], data: bytes) -> None:
    bdk, ksn = keys
    terminal = working(ksn)
    request = mac_of(terminal.mac_request, data)
    reply = mac_of(terminal.mac_response, data)
    assert call(commands.generate_mac_dukpt(bdk, ksn, data), commands.parse_mac_dukpt) == reply

    def right(mac: str, number: str = ksn) -> bool:
        return call(commands.verify_mac_dukpt(bdk, number, data, mac), commands.parse_mac_dukpt_verified)

    assert right(request)
    assert right(request.lower())
    assert not right(reply), "a reply sent back is no request"
    assert not right(request, ksn[:-1] + "5")
    assert not right(("0" if request[0] != "0" else "1") + request[1:])


def test_halves_of_a_mac() -> None:
    mac = mac_of(working(KSN).mac_request, b"abc")
    for generate, verify, part in (("5", "2", mac[:8]), ("6", "3", mac[8:])):
        assert ask(f"GW{generate}1{BDK_TEXT}906{KSN}0003abc") == b"00" + part.encode()
        assert ask(f"GW{verify}1{BDK_TEXT}906{KSN}{part}0003abc") == b"00"


TAK_AES = text("003", clear(43), algorithm="A")


@settings(print_blob=True, max_examples=40, deadline=None)
@given(DATA)
def test_cmac_under_an_aes_terminal_key(data: bytes) -> None:
    mac = aes.cmac(clear(43), data).hex().upper()[:16]
    assert call(commands.generate_mac(TAK_AES, data), commands.parse_mac) == mac
    assert call(commands.verify_mac(TAK_AES, data, mac), commands.parse_mac_verified)
    assert not call(commands.verify_mac(TAK_AES, data + b"1", mac), commands.parse_mac_verified)


IMK = clear(51)
IMK_TEXT = text("109", IMK)
PAN, PSN, ATC, UN = "9410610000012347", "01", "001C", "A1B2C3D4"


@settings(print_blob=True, max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=254), st.sampled_from(["00", "05", "Y1"]))
def test_a_chip_is_believed_and_answered(data: bytes, arc: str) -> None:
    key = emv.session_key(emv.icc_master_key(IMK, PAN, PSN), bytes.fromhex(ATC))
    cryptogram = emv.arqc(key, data)
    arqc = cryptogram.hex().upper()
    arpc = emv.arpc(key, cryptogram, arc.encode()).hex().upper()

    def verified(
        *, pan: str = PAN, psn: str = PSN, atc: str = ATC, data: bytes = data, arqc: str = arqc
    ) -> tuple[bool, str]:
        request = commands.verify_arqc(IMK_TEXT, pan, psn, atc, UN, data, arqc, arc)
        return call(request, commands.parse_arqc_verified)

    assert verified() == (True, arpc)
    assert call(
        commands.generate_arpc(IMK_TEXT, PAN, PSN, ATC, UN, arqc, arc), commands.parse_arpc
    ) == arpc  # fmt: skip
    assert verified(pan=PAN[:-1] + "0") == (False, "")
    assert verified(psn="02") == (False, "")
    assert verified(atc="001D") == (False, "")
    assert verified(data=bytes([data[0] ^ 1]) + data[1:]) == (False, "")
    assert verified(arqc="0" * 16) == (False, "")


@pytest.mark.parametrize("scheme", ["0", "1"])
def test_the_older_schemes(scheme: str) -> None:
    master = emv.icc_master_key(IMK, PAN, PSN)
    key = master if scheme == "0" else emv.session_key(master, bytes.fromhex(ATC), bytes.fromhex(UN))
    data = bytes(range(29))
    cryptogram = emv.arqc_padded(key, data)
    request = commands.verify_arqc(IMK_TEXT, PAN, PSN, ATC, UN, data, cryptogram.hex(), "00", scheme=scheme)
    assert call(request, commands.parse_arqc_verified) == (
        True, emv.arpc(key, cryptogram, b"00").hex().upper()
    )  # fmt: skip


def kq(mode: str, tail: bytes, scheme: str = "C") -> bytes:
    head = f"KQ{mode}{scheme}{IMK_TEXT}".encode() + emv.card_digits(PAN, PSN)
    return ask(head + bytes.fromhex(ATC + UN) + tail)


def test_modes_without_answer_and_of_method_2() -> None:
    key = emv.session_key(emv.icc_master_key(IMK, PAN, PSN), bytes.fromhex(ATC))
    cryptogram = emv.arqc_padded(key, b"12345678")
    checked = b"08" + b"12345678" + b";" + cryptogram
    csu = bytes(4)
    assert kq("0", checked) == b"00"
    assert kq("3", checked + csu + b"2ab") == b"00" + emv.arpc_method_2(key, cryptogram, csu, b"ab")
    assert kq("4", cryptogram + csu + b"0") == b"00" + emv.arpc_method_2(key, cryptogram, csu)


REFUSED_KQ = {
    "unknown mode": (("5", b"", "C"), "15"),
    "unknown scheme": (("0", b"", "2"), "15"),
    "no data": (("0", b"00;" + bytes(8), "C"), "80"),
    "data without its end": (("0", b"0112" + bytes(8), "C"), "80"),
    "data cut off": (("0", b"FF12", "C"), "15"),
    "length not hex": (("0", b"ZZ12", "C"), "15"),
    "no response code": (("2", bytes(8), "C"), "15"),
    "too long": (("2", bytes(11), "C"), "15"),
    "too much proprietary data": (("4", bytes(12) + b"9" + bytes(9), "C"), "80"),
}


@pytest.mark.parametrize(("arguments", "code"), REFUSED_KQ.values(), ids=REFUSED_KQ.keys())
def test_refused_chip(arguments: tuple[str, bytes, str], code: str) -> None:
    assert kq(*arguments) == code.encode()


ANOTHER_USE = TEST_LMK.encrypt_block(Header("D", "B0", "T", "X", "00", "E"), IMK)

REFUSED = {
    "KQ key of another type": (b"KQ2C" + BDK_TEXT.encode() + bytes(24), "10"),
    "KQ key of another use": (b"KQ20" + ANOTHER_USE.encode() + bytes(24), "A6"),
    "KQ cut": (b"KQ", "15"),
    "GW unknown mode": (f"GW71{BDK_TEXT}906{KSN}0001a".encode(), "15"),
    "GW unknown method": (f"GW43{BDK_TEXT}906{KSN}0001a".encode(), "15"),
    "GW CMAC under TDES": (f"GW46{BDK_TEXT}906{KSN}0001a".encode(), "15"),
    "GW X9.19 under AES": (f"GW41{BDK_AES_TEXT}906{KSN_AES}0001a".encode(), "15"),
    "GW short serial number": (f"GW41{BDK_AES_TEXT}906{KSN}0001a".encode(), "15"),
    "GW nothing to do": (f"GW41{BDK_TEXT}906{KSN}0000".encode(), "80"),
    "GW shorter than said": (f"GW41{BDK_TEXT}906{KSN}0002a".encode(), "80"),
    "GW longer than said": (f"GW41{BDK_TEXT}906{KSN}0001ab".encode(), "80"),
    "GW MAC not hex": (f"GW11{BDK_TEXT}906{KSN}{'Z' * 16}0001a".encode(), "15"),
    "M6 a part of a CMAC": (f"M610160003{TAK_AES}0010{'a' * 16}".encode(), "15"),
    "M6 unknown algorithm": (f"M600150003{TAK_AES}0001a".encode(), "15"),
}


@pytest.mark.parametrize(("message", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(message: bytes, code: str) -> None:
    assert ask(message) == code.encode()


def test_arguments_are_looked_at_and_never_quoted() -> None:
    builds: tuple[Callable[[], bytes], ...] = (
        lambda: commands.verify_arqc("U", "5ECRET", "00", ATC, UN, b"1", "0" * 16, "00"),
        lambda: commands.verify_arqc("U", PAN, "00", ATC, UN, b"", "0" * 16, "00"),
        lambda: commands.verify_arqc("U", PAN, "00", ATC, UN, bytes(255), "0" * 16, "00"),
        lambda: commands.verify_arqc("U", PAN, "00", "5ECR", UN, b"1", "0" * 16, "00"),
        lambda: commands.verify_arqc("U", PAN, "00", ATC, UN, b"1", "5ECRET" + " " * 10, "00"),
        lambda: commands.generate_mac_dukpt("U", "5ECRET", b"1"),
        lambda: commands.generate_mac_dukpt("U", KSN, bytes(10_000)),
        lambda: commands.verify_mac_dukpt("U", KSN, b"1", "5ECRET"),
        lambda: commands.verify_pin("U", "U", "5ECRET" * 2, PAN, "1", "0000", block_format="48"),
        lambda: commands.verify_pin("U", "U", "0" * 32, "5ECRET", "1", "0000", block_format="48"),
        lambda: commands.translate_pin("U", "U", "5ECRET", "0" * 12, from_format="01", to_format="01"),
        lambda: commands.generate_key(
            "002", scheme="U", under=None, under_tmk=False, exported_scheme="R", algorithm="A1"
        ),
    )
    for build in builds:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 the text is looked at
            build()
        assert "5ECR" not in str(caught.value)
