"""Key blocks against published ones and against psec; and no nibble of one may be changed."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto import tr31
from hsm_sim.crypto.kcv import check_value, check_value_aes
from hsm_sim.crypto.refused import KeyRefused
from hsm_sim.crypto.tr31 import Header
from tests.unit.hsm.vectors import named, raw, shown

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from psec import tr31 as judge

DECODED = named("tr31", "tr31_decode_test")
DECRYPTED = named("tr31", "tr31_decrypt_test")
DERIVED = named("tr31", "tr31_crypto_test")

BLOCKS = {name: name.split("_")[0] for name in DECRYPTED if "_tr31_" in name and not name.endswith("_verify")}
TDES_KBPK = bytes(range(1, 17))
AES_KBPK = bytes(range(1, 33))
PIN_KEY = Header("B", "P0", "T", "B", "00", "E")


@pytest.mark.parametrize("name", BLOCKS)
def test_published_block(name: str) -> None:
    """The key, its check value and its serial number. Versions A, C and E are read on request only."""
    test, block = BLOCKS[name], DECRYPTED[name]
    header, key = tr31.unwrap(raw(DECRYPTED[f"{test}_kbpk"]), block, versions="ABCDE")
    assert shown(key) == DECRYPTED[f"{test}_tr31_key_verify"]
    kcv = DECRYPTED[f"{test}_tr31_kcv_verify"]
    assert (check_value_aes if header.algorithm == "A" else check_value)(key, len(kcv)) == kcv
    assert header.option("KS") == DECRYPTED.get(f"{test}_tr31_ksn_verify")
    if header.version not in tr31.VERSIONS:
        with pytest.raises(KeyRefused) as caught:
            tr31.unwrap(raw(DECRYPTED[f"{test}_kbpk"]), block)
        assert caught.value.code == "A7"


PROTECTION = [
    (test, method, version)
    for test, version in (
        ("test1", "A"), ("test1", "B"), ("test2", "A"), ("test3", "B"), ("test4", "C"), ("test5", "B"),
        ("test6", "D"), ("test7", "E"), ("test8", "D"),
    )
    for method in ("variant" if version in "AC" else "derive",)
]  # fmt: skip


@pytest.mark.parametrize(("test", "method", "version"), PROTECTION)
def test_published_protection_keys(test: str, method: str, version: str) -> None:
    encryption, authentication = tr31.protection_keys(version, raw(DERIVED[f"{test}_kbpk"]))
    assert shown(encryption) == DERIVED[f"{test}_kbek_{method}_verify"]
    assert shown(authentication) == DERIVED[f"{test}_kbak_{method}_verify"]


def test_every_published_protection_key_is_looked_at() -> None:
    tested = {f"{test}_{key}_{method}_verify" for test, method, _ in PROTECTION for key in ("kbek", "kbak")}
    assert tested == {name for name in DERIVED if name.endswith("_verify")}


def test_published_headers() -> None:
    def header(test: str) -> Header:
        return tr31.parse_header(DECODED[f"{test}_tr31_ascii"])[0]

    assert header("test1").option("KS") == DECODED["test1_ksn_verify"]
    assert header("test2") == Header("D", "B0", "T", "N", "00", "N")
    assert header("test3") == Header("D", "D0", "A", "N", "00", "N")
    fourth = header("test4")
    assert fourth.option("KS") == DECODED["test4_ksn_verify"]
    # 00 says that the check value is the older kind: a zero block under the key.
    assert fourth.option("KC") == "00" + DECODED["test4_kcv_verify"]
    assert fourth.option("KP") == "00" + DECODED["test4_kcv_kbpk_verify"]


def one_block(version: str, algorithm: str, size: int) -> tuple[bytes, str, bytes]:
    kbpk = AES_KBPK if version == "D" else TDES_KBPK
    key = bytes(range(100, 100 + size))
    options = (("KS", "FFFF9876543210E00000"),) if size == 16 else ()
    return kbpk, tr31.wrap(kbpk, Header(version, "P0", algorithm, "E", "00", "E", options), key), key


KINDS = [("B", "T", 16), ("B", "T", 24), ("D", "T", 16), ("D", "A", 16), ("D", "A", 24), ("D", "A", 32)]


@pytest.mark.parametrize(("version", "algorithm", "size"), KINDS)
def test_psec_reads_what_we_wrap_and_we_what_it_wraps(version: str, algorithm: str, size: int) -> None:
    kbpk, block, key = one_block(version, algorithm, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header, unwrapped = judge.unwrap(kbpk, block)
        foreign = judge.wrap(kbpk, judge.Header(version, "M3", algorithm, "C", "00", "N"), key)
    assert (unwrapped, header.key_usage, header.mode_of_use) == (key, "P0", "E")
    assert tr31.unwrap(kbpk, foreign) == (Header(version, "M3", algorithm, "C", "00", "N"), key)
    assert tr31.unwrap(kbpk, block)[1] == key


@pytest.mark.parametrize(("version", "algorithm", "size"), KINDS)
def test_one_flipped_nibble_anywhere_is_refused(version: str, algorithm: str, size: int) -> None:
    """Every character of the block, to every character that differs in one bit of its nibble or its case."""
    kbpk, block, _ = one_block(version, algorithm, size)
    for at, character in enumerate(block):
        for bit in (1, 2, 4, 8, 0x20):
            other = chr(ord(character) ^ bit)
            with pytest.raises(KeyRefused):
                tr31.unwrap(kbpk, block[:at] + other + block[at + 1 :])


HEX_KINDS = st.sampled_from(KINDS)


@settings(print_blob=True, max_examples=300, deadline=None)
@given(HEX_KINDS, st.data())
def test_any_other_hex_digit_is_refused(kind: tuple[str, str, int], data: st.DataObject) -> None:
    kbpk, block, _ = one_block(*kind)
    at = data.draw(st.integers(0, len(block) - 1))
    other = data.draw(st.sampled_from("0123456789ABCDEF").filter(lambda c: c != block[at]))
    with pytest.raises(KeyRefused):
        tr31.unwrap(kbpk, block[:at] + other + block[at + 1 :])


@settings(print_blob=True, max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=0x17F), max_size=130), st.integers(0, 112))
def test_noise_is_refused_and_never_more(noise: str, keep: int) -> None:
    for version, algorithm, size in (("B", "T", 16), ("D", "A", 16)):
        kbpk, block, _ = one_block(version, algorithm, size)
        text = block[:keep] + noise
        if text == block:
            continue
        with pytest.raises(KeyRefused):
            tr31.unwrap(kbpk, text)


def test_another_wrapping_key_is_refused_with_the_same_error_as_a_change() -> None:
    kbpk, block, _ = one_block("B", "T", 16)
    codes = set()
    for key, text in ((bytes(16), block), (kbpk, block[:-1] + ("0" if block[-1] != "0" else "1"))):
        with pytest.raises(KeyRefused) as caught:
            tr31.unwrap(key, text)
        codes.add(caught.value.code)
    assert codes == {"A4"}


@pytest.mark.parametrize(
    ("kbpk", "header", "key", "code"),
    [
        (TDES_KBPK, Header("A", "P0", "T", "E"), bytes(16), "A7"),
        (TDES_KBPK, Header("BD", "P0", "T", "E"), bytes(16), "A7"),
        (TDES_KBPK, PIN_KEY, bytes(15), "A5"),
        (TDES_KBPK, Header("B", "P0", "A", "E"), bytes(16), "A5"),
        (AES_KBPK[:16], Header("D", "P0", "A", "E"), bytes(32), "A5"),
        (bytes(8), PIN_KEY, bytes(16), "A5"),
        (TDES_KBPK, Header("B", "P0", "T", "E", optional=(("KS1", ""),)), bytes(16), "AC"),
        (TDES_KBPK, Header("B", "P0", "T", "E", optional=(("KS", "x" * 252),)), bytes(16), "AC"),
        (TDES_KBPK, Header("B", "P0", "T", "E", optional=(("KS", ""),) * 99), bytes(16), "AB"),
    ],
)
def test_what_is_not_wrapped(kbpk: bytes, header: Header, key: bytes, code: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        tr31.wrap(kbpk, header, key)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["", "x", "xy", "12345678901", "é"])
def test_optional_blocks_come_back(text: str) -> None:
    header = Header("D", "K1", "A", "B", "00", "N", (("CT", text),))
    if not text.isascii():
        with pytest.raises(KeyRefused):
            tr31.wrap(AES_KBPK, header, bytes(16))
        return
    assert tr31.unwrap(AES_KBPK, tr31.wrap(AES_KBPK, header, bytes(16)))[0] == header


def test_an_optional_block_may_say_its_length_in_the_long_form() -> None:
    head = "B0000P0TE00E0100KS00020020" + "F" * 20
    block = head + "0" * 64
    header, at = tr31.parse_header(f"B{len(block):04d}{block[5:]}")
    assert header.option("KS") is not None
    assert at <= len(block)


@pytest.mark.parametrize("options", ["KS02", "KSZZ", "KSFF", "KS00", "KS00ZZ", "KS0002", "KS000200FFFF", "K"])
def test_optional_blocks_that_lie(options: str) -> None:
    text = f"P0TE00E0100{options}"
    with pytest.raises(KeyRefused) as caught:
        tr31.parse_header(f"B{len(text) + 5:04d}{text}")
    assert caught.value.code == "AC"
