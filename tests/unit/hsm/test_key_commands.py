"""Keys made, exported, imported; and held to what their header says they are for."""

import pytest

from hsm_sim.crypto import tr31, uses
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.tr31 import Header
from switch.hsm import commands
from switch.hsm.commands import GeneratedKey, HsmRefused, KeyResult
from tests.unit.hsm.unit import ask, call, clear, text

TMK, ZMK = clear(11), clear(12)
TMK_AES, ZMK_AES = clear(13, 32), clear(14, 16)
TMK_TEXT, ZMK_TEXT = text("002", TMK), text("000", ZMK)
TMK_AES_TEXT = text("002", TMK_AES, algorithm="A", usage="K1")
ZMK_AES_TEXT = text("000", ZMK_AES, algorithm="A", usage="K1")


def generate(key_type: str, **wanted: object) -> GeneratedKey:
    arguments = {"scheme": "U", "under": None, "under_tmk": False, "exported_scheme": "R"} | wanted
    return call(commands.generate_key(key_type, **arguments), commands.parse_generated_key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key_type", "usage", "mode"),
    [("002", "P0", "B"), ("003", "M3", "C"), ("001", "P0", "B"), ("009", "B0", "X")],
)
def test_session_keys_reach_a_terminal_as_key_blocks(key_type: str, usage: str, mode: str) -> None:
    made = generate(key_type, under=TMK_TEXT, under_tmk=True)
    assert made.exported is not None
    assert made.exported.startswith("RB0080")
    header, key = tr31.unwrap(TMK, made.exported[1:])
    assert header == Header("B", usage, "T", mode, "00", "N")
    assert key == TEST_LMK.decrypt(key_type, made.lmk)
    assert call(commands.check_value(key_type, made.lmk), commands.parse_check_value) == made.kcv


@pytest.mark.parametrize("key_type", ["000", "001", "009", "109", "402"])
@pytest.mark.parametrize("scheme", ["R", "X"])
def test_no_issuers_key_goes_out_under_a_terminals_master_key(key_type: str, scheme: str) -> None:
    """Whoever has opened one terminal knows its master key: with a line to the HSM that must be all."""
    key = text(key_type, clear(15))
    request = commands.export_key(key_type, key, under=TMK_TEXT, under_tmk=True, scheme=scheme)
    with pytest.raises(HsmRefused) as caught:
        call(request, commands.parse_exported_key)
    assert caught.value.code == "29"


def test_aes_session_keys_under_an_aes_terminal_master_key() -> None:
    for key_type, usage, mode in (("002", "P0", "B"), ("003", "M6", "C")):
        made = generate(key_type, under=TMK_AES_TEXT, under_tmk=True, scheme="S", algorithm="A1")
        assert made.exported is not None
        assert made.exported.startswith("RD0112")
        header, key = tr31.unwrap(TMK_AES, made.exported[1:])
        assert header == Header("D", usage, "A", mode, "00", "N")
        assert TEST_LMK.decrypt_block(made.lmk) == (Header("D", usage, "A", mode, "00", "E"), key)
        assert call(commands.check_value(key_type, made.lmk), commands.parse_check_value) == made.kcv


def test_a_key_is_never_exported_under_a_weaker_one() -> None:
    for under, algorithm in ((TMK_TEXT, "A1"), (text("002", TMK_AES[:16], algorithm="A", usage="K1"), "A3")):
        with pytest.raises(HsmRefused) as caught:
            generate("002", under=under, under_tmk=True, scheme="S", algorithm=algorithm)
        assert caught.value.code == "A5"
    with pytest.raises(HsmRefused) as caught:
        generate("003", under=TMK_AES_TEXT, under_tmk=True, exported_scheme="X")
    assert caught.value.code == "26"


@pytest.mark.parametrize("algorithm", ["A1", "A2", "A3"])
def test_a_base_key_for_aes(algorithm: str) -> None:
    made = generate("009", scheme="S", algorithm=algorithm)
    header, key = TEST_LMK.decrypt_block(made.lmk)
    assert (header.usage, header.algorithm, header.mode) == ("B0", "A", "X")
    assert len(key) == 8 + 8 * int(algorithm[1])


@pytest.mark.parametrize(
    ("key_type", "scheme"), [(t, s) for t in ("000", "001", "002", "003", "009", "109", "402") for s in "US"]
)
@pytest.mark.parametrize("exported", ["R", "U", "X"])
def test_export_and_import_bring_the_same_key_back(key_type: str, scheme: str, exported: str) -> None:
    made = generate(key_type, scheme=scheme)
    request = commands.export_key(key_type, made.lmk, under=ZMK_TEXT, under_tmk=False, scheme=exported)
    if scheme == "S" and exported != "R":
        with pytest.raises(HsmRefused) as caught:
            call(request, commands.parse_exported_key)
        assert caught.value.code == "AA"
        return
    out = call(request, commands.parse_exported_key)
    wanted = "S" if exported == "R" else "U"
    back = call(
        commands.import_key(key_type, out.key, zmk=ZMK_TEXT, scheme=wanted), commands.parse_imported_key
    )
    assert out.check_value == back.check_value == made.kcv
    assert call(commands.check_value(key_type, back.key), commands.parse_check_value) == made.kcv


def test_aes_keys_between_zones() -> None:
    made = generate("001", scheme="S", algorithm="A1", under=ZMK_AES_TEXT)
    assert made.exported is not None
    back = call(
        commands.import_key("001", made.exported, zmk=ZMK_AES_TEXT, scheme="S"), commands.parse_imported_key
    )
    assert TEST_LMK.decrypt_block(back.key)[1] == TEST_LMK.decrypt_block(made.lmk)[1]
    with pytest.raises(HsmRefused) as caught:
        call(
            commands.import_key("001", made.exported, zmk=ZMK_AES_TEXT, scheme="U"),
            commands.parse_imported_key,
        )
    assert caught.value.code == "26"


def block_under_zmk(usage: str, mode: str, exportability: str = "E", algorithm: str = "T") -> str:
    return "R" + tr31.wrap(ZMK, Header("B", usage, algorithm, mode, "00", exportability), clear(21))


def imported(key_type: str, block: str, scheme: str = "S") -> KeyResult:
    return call(
        commands.import_key(key_type, block, zmk=ZMK_TEXT, scheme=scheme), commands.parse_imported_key
    )


@pytest.mark.parametrize(
    ("key_type", "usage", "mode", "code"),
    [
        ("003", "P0", "B", "A6"),
        ("002", "M3", "C", "A6"),
        ("001", "K0", "B", "A6"),
        ("402", "V2", "C", "A6"),
        ("002", "P0", "C", "A8"),
        ("003", "M3", "E", "A8"),
        ("003", "M6", "C", "A7"),
        ("003", "D0", "B", "A6"),
    ],
)
def test_a_block_is_imported_as_what_it_says_only(key_type: str, usage: str, mode: str, code: str) -> None:
    with pytest.raises(HsmRefused) as caught:
        imported(key_type, block_under_zmk(usage, mode))
    assert caught.value.code == code


def test_a_block_that_may_not_be_exported_stays_one() -> None:
    block = block_under_zmk("P0", "B", "N")
    with pytest.raises(HsmRefused) as caught:
        imported("001", block, scheme="U")
    assert caught.value.code == "AA"
    under_lmk = imported("001", block).key
    with pytest.raises(HsmRefused) as caught:
        call(commands.export_key("001", under_lmk, under=ZMK_TEXT, under_tmk=False, scheme="R"),
             commands.parse_exported_key)  # fmt: skip
    assert caught.value.code == "AA"
    # S may leave in older forms as well.
    free = imported("001", block_under_zmk("P0", "B", "S")).key
    for scheme in "RUX":
        request = commands.export_key("001", free, under=ZMK_TEXT, under_tmk=False, scheme=scheme)
        call(request, commands.parse_exported_key)


PIN_BLOCK = "0" * 16
PIN_KEY = text("002", clear(22), usage="P0")
MAC_KEY = text("003", clear(23), usage="M3")
GENERATE_ONLY = TEST_LMK.encrypt_block(Header("D", "M3", "T", "G", "00", "E"), clear(23))
VERIFY_ONLY = TEST_LMK.encrypt_block(Header("D", "M3", "T", "V", "00", "E"), clear(23))
ENCRYPT_ONLY = TEST_LMK.encrypt_block(Header("D", "P0", "T", "E", "00", "E"), clear(22))
DECRYPT_ONLY = TEST_LMK.encrypt_block(Header("D", "P0", "T", "D", "00", "E"), clear(22))
PVK = text("002", clear(24))
CVK = text("402", clear(25), usage="C0")
CMAC_KEY = text("003", clear(26), algorithm="A")

ENFORCED = {
    "a PIN key makes no MAC": (f"M600131003{PIN_KEY}0001a", "A6"),
    "nor a CMAC": (f"M600160003{PIN_KEY}0001a", "A6"),
    "nor does it verify one": (f"M800131003{PIN_KEY}0001a{'0' * 16}", "A6"),
    "a MAC key opens no PIN block": (f"DC{MAC_KEY}{PVK}{PIN_BLOCK}0106100000123410000", "A6"),
    "a PIN key checks no card": (f"CW{PIN_KEY}4123456789012345;8701101", "A6"),
    "a PIN key wraps nothing": (f"A01003U;1{PIN_KEY}R", "A6"),
    "a wrapping key opens no PIN block": (
        f"DC{text('002', TMK, usage='K1')}{PVK}{PIN_BLOCK}0106100000123410000", "A6"),
    "a key that generates does not verify": (f"M800131003{GENERATE_ONLY}0001a{'0' * 16}", "A8"),
    "a key that verifies does not generate": (f"M600131003{VERIFY_ONLY}0001a", "A8"),
    "a key that encrypts opens no PIN block": (f"DC{ENCRYPT_ONLY}{PVK}{PIN_BLOCK}0106100000123410000", "A8"),
    "a key that decrypts seals none": (
        f"CA{PIN_KEY}{DECRYPT_ONLY}12{PIN_BLOCK}0101061000001234", "A8"),
    "an AES key makes no X9.19": (f"M600131003{CMAC_KEY}0001a", "A6"),
    "a TDES key makes no CMAC": (f"M600160003{MAC_KEY}0001a", "A6"),
    "no CMAC with an older key text": (f"M600160003{text('003', clear(23))}0001a", "A7"),
    "a block of another type": (f"M600131002{MAC_KEY}0001a", "28"),
    "a block cut off": (f"M600131003{MAC_KEY[:60]}0001a", "15"),
    "a block without length": ("M600131003SD", "15"),
    "a block of no other unit": (f"M600131003{MAC_KEY[:-1]}{'0' if MAC_KEY[-1] != '0' else '1'}0001a", "A4"),
    "a block as a base key": (f"GW41{MAC_KEY}906FFFF9876543210E000010001a", "A6"),
    "an AES key without its block": ("A00009U#B0A1X00E00", "26"),
    "a usage that the type has not": ("A00003S#P0T2B00E00", "A6"),
    "an algorithm that the usage has not": ("A00003S#M3A1C00E00", "A7"),
    "an unknown algorithm": ("A00002S#P0T3B00E00", "A7"),
    "a mode that the usage has not": ("A00002S#P0T2C00E00", "A8"),
    "an unknown exportability": ("A00002S#P0T2B00X00", "AA"),
    "optional blocks": ("A00002S#P0T2B00E01", "AB"),
    "a header cut off": ("A00002S#P0T2B", "15"),
    "a type in a header that is not there": ("A00FFFS", "28"),
    "a type in a header, under the older LMK": ("A00FFFU#P0T2B00E00", "28"),
    "an unknown usage": ("A00FFFS#ZZT2B00E00", "A6"),
    "a new header for a block": (f"A8003{ZMK_TEXT}{MAC_KEY}R#M3T2C00E00", "15"),
    "an algorithm that the key has not": (f"A8002{ZMK_TEXT}{PVK}R#P0A1B00E00", "A7"),
    "a block where a key text under the LMK belongs": (f"A6003{ZMK_TEXT}{MAC_KEY}U", "26"),
    "a block of the older version": (
        f"A6001{ZMK_TEXT}RA0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701S", "A7"),
    "check value of another type": (f"BUFF1{MAC_KEY};002", "A6"),
    "check value of an unknown type": (f"BUFF1{MAC_KEY};999", "28"),
}  # fmt: skip


@pytest.mark.parametrize(("message", "code"), ENFORCED.values(), ids=ENFORCED.keys())
def test_use_is_enforced(message: str, code: str) -> None:
    assert ask(message) == code.encode()


def test_keys_as_blocks_do_what_older_texts_do() -> None:
    old = f"M600131003{text('003', clear(23))}0003abc"
    for block in (MAC_KEY, GENERATE_ONLY):
        assert ask(f"M600131003{block}0003abc") == ask(old)
    mac = ask(old)[6:].decode()
    for block in (MAC_KEY, VERIFY_ONLY):
        assert ask(f"M800131003{block}0003abc{mac}") == b"00"
    card = "4123456789012345;8701101"
    assert ask(f"CW{CVK}{card}") == ask(f"CW{text('402', clear(25))}{card}")
    pin = f"{PVK}{PIN_BLOCK}0106100000123410000"
    assert ask(f"DC{DECRYPT_ONLY}{pin}") == ask(f"DC{text('002', clear(22))}{pin}")


def test_a_type_of_several_usages_is_exported_as_the_one_that_is_named() -> None:
    tmk = text("002", clear(31))
    plain = ask(f"A8002{ZMK_TEXT}{tmk}R")[2:].decode()
    named = ask(f"A8002{ZMK_TEXT}{tmk}R#K0T2B00E00")[2:].decode()
    assert tr31.parse_header(plain[1:81])[0].usage == "P0"
    assert tr31.unwrap(ZMK, named[1:81]) == (Header("B", "K0", "T", "B", "00", "E"), clear(31))


def test_one_flipped_nibble_of_a_key_under_the_lmk_is_refused() -> None:
    for at in range(1, len(MAC_KEY)):
        flipped = MAC_KEY[:at] + chr(ord(MAC_KEY[at]) ^ 1) + MAC_KEY[at + 1 :]
        reply = ask(f"M600131003{flipped}0001a")
        assert len(reply) == 2
        assert reply != b"00"


def test_every_use_names_a_type_and_usages_that_are_known() -> None:
    for use in (v for v in vars(uses).values() if isinstance(v, uses.Use)):
        known = uses.USAGES_OF_TYPE[use.key_type]
        assert set(use.usages) <= set(known), use.key_type
        assert all(set(use.modes) & set(uses.MODES_OF_USAGE[u]) for u in use.usages)
