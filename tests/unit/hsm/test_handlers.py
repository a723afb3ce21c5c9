"""Host commands against published examples, and against everything a careless or hostile host may send."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.pinblock import encode_format0
from hsm_sim.crypto.tdes import Tdes, odd_parity
from hsm_sim.handlers import HANDLERS, answer
from hsm_sim.keys import Keys
from tests.unit.hsm.unit import text

EXAMPLES = json.loads((Path(__file__).parents[2] / "vectors" / "payshield_examples.json").read_text("utf-8"))
KEYS = Keys(TEST_LMK)
CLEAR = odd_parity(bytes(range(60, 76)))
TAK = TEST_LMK.encrypt("003", "U", CLEAR)
TPK = TEST_LMK.encrypt("002", "U", CLEAR)
PVK = TEST_LMK.encrypt("002", "X", odd_parity(bytes(range(90, 106))))


def ask(message: str | bytes) -> str:
    raw = message.encode("latin-1") if isinstance(message, str) else message
    reply = answer(KEYS, b"HEAD" + raw, 4)
    assert reply[:4] == b"HEAD"
    return reply[6:].decode("latin-1")


@pytest.mark.parametrize(
    "example",
    EXAMPLES["examples"],
    ids=[f"{e['command']}-{e['name']}-{n}" for n, e in enumerate(EXAMPLES["examples"])],
)
def test_published_example(example: dict[str, str]) -> None:
    assert ask(example["command"] + example["request_body"]) == example["response_body"]


def test_diagnostics() -> None:
    assert ask("NC") == f"00{TEST_LMK.check_value}0001-D000"


def test_reply_code_is_the_command_raised_by_one() -> None:
    for command in HANDLERS:
        reply = answer(KEYS, b"0001" + command, 4)
        assert reply[4:6] == command[:1] + bytes((command[1] + 1,))


def test_generated_key_comes_under_the_lmk_and_the_tmk() -> None:
    tmk = TEST_LMK.encrypt("002", "U", CLEAR)
    reply = ask(f"A01003U;1{tmk}X")
    under_lmk, exported, kcv = reply[2:35], reply[35:68], reply[68:]
    assert reply[:2] == "00"
    key = TEST_LMK.decrypt("003", under_lmk)
    assert Tdes(CLEAR).decrypt(bytes.fromhex(exported[1:])) == key
    assert ask(f"BUFF1{under_lmk};003")[2:8] == kcv == ask(f"BUFF1{under_lmk};003;001")[2:]
    assert ask("A00003U")[2:35] != under_lmk


def test_export_and_import_bring_the_same_key_back() -> None:
    zmk = TEST_LMK.encrypt("000", "U", CLEAR)
    exported = ask(f"A8003{zmk}{TAK}U")
    assert ask(f"A6003{zmk}{exported[2:35]}U") == f"00{TAK}{exported[35:]}"


def mac_of(data: bytes) -> str:
    return RetailMac(CLEAR).mac(data).hex().upper()


@pytest.mark.parametrize("size", [1, 8, 9, 200])
def test_mac_generate_and_verify(size: int) -> None:
    data = bytes(range(256))[:size]
    request = b"00131003" + TAK.encode() + b"%04X" % size + data
    assert ask(b"M6" + request) == f"000010{mac_of(data)}"
    right = mac_of(data).encode()
    wrong = (b"0" if right[:1] != b"0" else b"1") + right[1:]
    assert ask(b"M8" + request + right) == "00"
    assert ask(b"M8" + request + right.lower()) == "00"
    assert ask(b"M8" + request + wrong) == "01"
    assert ask(b"M8" + request + b"Z" * 16) == "01"


def test_continued_mac_is_the_mac_of_the_whole() -> None:
    data = b"abcdefgh" * 6 + b"tail"
    first = ask(b"M610131003" + TAK.encode() + b"0010" + data[:16])
    middle = ask(b"M620131003" + TAK.encode() + first[2:].encode() + b"0010" + data[16:32])
    last = b"30131003" + TAK.encode() + middle[2:].encode() + b"%04X" % len(data[32:]) + data[32:]
    assert ask(b"M6" + last) == f"000010{mac_of(data)}"
    assert ask(b"M8" + last + mac_of(data).encode()) == "00"


def dc(
    pin: str, *, account: str = "061000001234", pvv: str = "0000", block: str | None = None, form: str = "01"
) -> str:
    if block is None:
        block = Tdes(CLEAR).encrypt(encode_format0(pin, "061000001234")).hex().upper()
    return ask(f"DC{TPK}{PVK}{block}{form}{account}1{pvv}")


def test_pin_right_wrong_and_bad_block() -> None:
    pvv = ask(f"DG{PVK}012340610000012341")[2:]
    other = f"{(int(pvv) + 1) % 10_000:04d}"
    assert dc("1234", pvv=pvv) == "00"
    assert dc("1234", pvv=other) == "01"
    # The account, the key and the block: one answer for each.
    assert dc("1234", pvv=pvv, account="061000001235") == "20"
    assert dc("1234", pvv=pvv, block="00" * 8) == "20"
    assert dc("1234", pvv=pvv, block="FF" * 8) == "20"
    assert dc("1234", pvv=pvv, form="05") == "23"


FLIPPED = "U" + ("0" if TAK[1] != "0" else "1") + TAK[2:]

REFUSED = {
    "NC with a body": ("NCx", "15"),
    "echo longer than said": ("B20003abcd", "80"),
    "echo length not hex": ("B2zzzz", "15"),
    "A0 unknown mode": ("A07003U", "15"),
    "A0 unknown type": ("A00999U", "28"),
    "A0 unknown scheme": ("A00003Q", "26"),
    "A0 cut": ("A00", "15"),
    "A0 too long": ("A00003U1", "15"),
    "A0 bad flag": (f"A01003U;7{TAK}X", "15"),
    "A0 under a key of another type": (f"A01003U;1{TAK}X", "10"),
    "A6 second key": (f"A6003{TEST_LMK.encrypt('000', 'U', CLEAR)}{TAK}U", "11"),
    "A8 second key": (f"A8001{TEST_LMK.encrypt('000', 'U', CLEAR)}{TAK}U", "11"),
    "BU unknown code": ("BU990" + "0" * 16, "04"),
    "BU unknown flag": ("BU029" + "0" * 16, "05"),
    "BU wrong length": (f"BUFF0{TAK};003", "05"),
    "BU no type": (f"BUFF1{TAK}", "04"),
    "M6 cut": ("M600131003", "15"),
    "M6 unknown mode": (f"M670131003{TAK}0001a", "15"),
    "M6 unknown algorithm": (f"M600111003{TAK}0001a", "15"),
    "M6 key of another type": (f"M600131003{TPK}0001a", "10"),
    "M6 type that makes no MAC": (f"M600131002{TPK}0001a", "28"),
    "M6 one nibble flipped": (f"M600131003{FLIPPED}0001a", "10"),
    "M6 single-length key": (f"M600131003{TEST_LMK.encrypt('003', 'Z', CLEAR[:8])}0001a", "27"),
    "M6 nothing to do": (f"M600131003{TAK}0000", "80"),
    "M6 shorter than said": (f"M600131003{TAK}0009abc", "80"),
    "M6 longer than said": (f"M600131003{TAK}0001abc", "80"),
    "M6 negative length": (f"M600131003{TAK}-001a", "80"),
    "M6 no padding, part of a block": (f"M600130003{TAK}0003abc", "80"),
    "M6 first part of a block": (f"M610131003{TAK}0003abc", "80"),
    "M6 hex that is not": (f"M601131003{TAK}0002zz", "15"),
    "M6 key not ASCII": ("M600131003U" + "\xff" * 32 + "0001a", "15"),
    "M8 short MAC": (f"M800131003{TAK}0001a1234", "80"),
    "DC cut": (f"DC{TPK}", "15"),
    "DC TPK of another type": (f"DC{TAK}{PVK}{'0' * 16}0106100000123410000", "10"),
    "DC PVK of another type": (f"DC{TPK}{TAK}{'0' * 16}0106100000123410000", "11"),
    "DC account": (f"DC{TPK}{PVK}{'0' * 16}0106100000123x10000", "22"),
    "DC block not hex": (f"DC{TPK}{PVK}{'0 ' * 8}0106100000123410000", "15"),
    "DG no PIN": (f"DG{PVK}0610000012341", "14"),
    "DG short PIN": (f"DG{PVK}01230610000012341", "14"),
    "CW key of another type": (f"CW{PVK}4123456789012345;8701101", "10"),
    "CW no delimiter": (f"CW{TEST_LMK.encrypt('402', 'U', CLEAR)}41234567890123458701101", "15"),
    "CW short PAN": (f"CW{TEST_LMK.encrypt('402', 'U', CLEAR)}4123;8701101", "15"),
    "unknown command": ("QQ", "68"),
    "not a command": ("\xff\xff", "68"),
    "half a command": ("N", "15"),
    "no command": ("", "15"),
}


@pytest.mark.parametrize(("message", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(message: str, code: str) -> None:
    assert ask(message) == code


BDK = TEST_LMK.encrypt("009", "U", CLEAR)
BLOCK_KEY = text("003", CLEAR, usage="M3")
KSN = "FFFF9876543210E00001"
# Requests that begin well: noise is put in anywhere behind.
GOOD = {
    b"A0": f"1003S;1{TPK}R#M3T2C00E00",
    b"A6": f"003{TEST_LMK.encrypt('000', 'U', CLEAR)}{TAK}U",
    b"A8": f"003;1{TPK}{TAK}R#M3T2C00E00",
    b"BU": f"FF1{BLOCK_KEY};003;001",
    b"CA": f"{TPK}{TEST_LMK.encrypt('001', 'U', CLEAR)}12{'0' * 16}0147061000001234",
    b"CI": f"{BDK}{TEST_LMK.encrypt('001', 'U', CLEAR)}906{KSN}{'0' * 16}01061000001234",
    b"DC": f"{TPK}{PVK}{'0' * 16}0106100000123410000",
    b"GO": f"0{BDK}{PVK}906{KSN}{'0' * 16}010406100000123401234567890123455799900000N00000FFFFFFFF",
    b"GQ": f"0{BDK}{PVK}906{KSN}{'0' * 16}0106100000123410000",
    b"GW": f"11{BDK}906{KSN}{'0' * 16}0004abcd",
    b"KQ": f"1C{TEST_LMK.encrypt('109', 'U', CLEAR)}{'x' * 14}04abcd;{'y' * 10}",
    b"M6": f"00131003{BLOCK_KEY}0008abcdefgh",
    b"M8": f"00131003{TAK}0008abcdefgh{'0' * 16}",
}


@settings(print_blob=True, max_examples=800, deadline=None)
@given(st.sampled_from(sorted(HANDLERS)), st.binary(max_size=120), st.integers(0, 200), st.integers(0, 200))
def test_no_body_makes_an_internal_error(command: bytes, noise: bytes, keep: int, go_on: int) -> None:
    good = GOOD.get(command, f"003;1{TPK}{PVK}").encode()
    reply = answer(KEYS, b"HEAD" + command + good[:keep] + noise + good[go_on:], 4)
    assert reply[:4] == b"HEAD"
    assert reply[6:8] != b"41"


@pytest.mark.parametrize("command", GOOD)
def test_what_begins_well_is_understood(command: bytes) -> None:
    # A key or block that is not right is an answer too; 15 and 80 would say that the layout is not.
    assert ask(command + GOOD[command].encode())[:2] not in ("15", "80", "41", "68")


def test_an_internal_error_is_answered_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_keys: Keys, body: bytes) -> bytes:
        raise RuntimeError(body.decode())

    monkeypatch.setitem(HANDLERS, b"NC", broken)
    assert answer(KEYS, b"0001NC123456", 4) == b"0001ND41"
    shown = capsys.readouterr()
    assert "123456" not in shown.out + shown.err


def test_refused_keys_are_not_kept() -> None:
    keys = Keys(TEST_LMK, cached_max=2)
    for _ in range(3):
        answer(keys, f"0001M600131003{FLIPPED}0001a".encode(), 4)
    assert keys.retail_mac.cache_info().currsize == 0
    for n in range(5):
        tak = TEST_LMK.encrypt("003", "U", odd_parity(bytes(range(n, n + 16))))
        answer(keys, f"0001M600131003{tak}0001a".encode(), 4)
    assert keys.retail_mac.cache_info().currsize == 2
