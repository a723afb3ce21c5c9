"""DUKPT against the vectors of ANSI X9.24-1:2009 and X9.24-3:2017, from the host's side and the device's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm_sim.crypto import aes, dukpt_aes, dukpt_tdes, pinblock, tdes
from hsm_sim.crypto.dukpt import BadSerialNumber, FutureKeys, Scheme
from hsm_sim.crypto.dukpt_aes import Usage
from hsm_sim.crypto.mac import RetailMac
from tests.unit.hsm.vectors import named, raw, shown

TDES = named("dukpt_x9_24", "dukpt_tdes_test")
TDES_IK = dukpt_tdes.initial_key(raw(TDES["bdk"]), raw(TDES["iksn"]))
AES = {bits: named("dukpt_x9_24", f"dukpt_aes{bits}_test") for bits in (128, 256)}
UPDATE = {bits: named("dukpt_x9_24", f"dukpt_aes{bits}_update_key_test") for bits in (128, 256)}


def aes_ik(bits: int) -> bytes:
    return dukpt_aes.initial_key(raw(AES[bits]["bdk"]), raw(AES[bits]["ikid"]))


@pytest.mark.parametrize("part", ["dukpt_tdes_test", "dukpt_tdes_state_test"])
def test_tdes_initial_key(part: str) -> None:
    case = named("dukpt_x9_24", part)
    assert shown(dukpt_tdes.initial_key(raw(case["bdk"]), raw(case["iksn"]))) == case["ik_verify"]


TDES_ROWS = [(s, i) for s in ("", "2") for i in range(len(TDES["ksn_verify" + s]))]


@pytest.mark.parametrize(("sequence", "row"), TDES_ROWS)
def test_tdes_transaction(sequence: str, row: int) -> None:
    """Keys, PIN block, MACs and CMACs of one transaction: the initial sequence and the rollover."""
    rows = {n.removesuffix(sequence): r for n, r in TDES.items() if n.endswith("verify" + sequence)}
    want = {name: values[row] for name, values in rows.items() if isinstance(values, list)}
    data = TDES["txn_data"].encode()
    key = dukpt_tdes.transaction_key(TDES_IK, raw(want["ksn_verify"]))
    keys = dukpt_tdes.TransactionKeys(key)
    got = {
        "ksn_verify": want["ksn_verify"],
        "txn_key_verify": shown(key),
        "encrypted_pinblock_verify": shown(tdes.Tdes(keys.pin).encrypt(raw(TDES["pinblock"]))),
        "mac_request_verify": shown(RetailMac(keys.mac_request).mac(data)[:4]),
        "mac_response_verify": shown(RetailMac(keys.mac_response).mac(data)[:4]),
        "cmac_request_verify": shown(tdes.cmac(keys.mac_request, data)),
        "cmac_response_verify": shown(tdes.cmac(keys.mac_response, data)),
    }
    assert got == want


def test_tdes_device_makes_the_keys_of_its_host() -> None:
    device = dukpt_tdes.Device(TDES_IK, raw(TDES["iksn"]))
    for ksn, key in zip(TDES["ksn_verify"], TDES["txn_key_verify"], strict=True):
        assert shown(device.ksn) == ksn
        assert device.keys.pin == dukpt_tdes.TransactionKeys(raw(key)).pin
        device.advance()


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize("part", ["test", "state_test"])
def test_aes_initial_key(bits: int, part: str) -> None:
    case = named("dukpt_x9_24", f"dukpt_aes{bits}_{part}")
    assert shown(dukpt_aes.initial_key(raw(case["bdk"]), raw(case["ikid"]))) == case["ik_verify"]


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize("sequence", ["", "2", "3"])
def test_aes_transaction_keys(bits: int, sequence: str) -> None:
    """The first eight, those around the counter with too many one bits, and the last four of all."""
    case, ik = AES[bits], aes_ik(bits)
    got = [shown(dukpt_aes.transaction_key(ik, raw(ksn))) for ksn in case["ksn_verify" + sequence]]
    assert got == case["txn_key_verify" + sequence]


WORKING = [
    (bits, usage, size)
    for bits, size in ((128, 128), (256, 128), (256, 256))
    for usage in (Usage.PIN_ENCRYPTION, Usage.MAC_GENERATION, Usage.DATA_ENCRYPTION)
]


@pytest.mark.parametrize(("bits", "usage", "size"), WORKING)
def test_aes_working_keys(bits: int, usage: Usage, size: int) -> None:
    name = {
        Usage.PIN_ENCRYPTION: f"pin_key_aes{size}_verify",
        Usage.MAC_GENERATION: f"cmac_aes{size}_key_verify",
        Usage.DATA_ENCRYPTION: f"data_aes{size}_key_verify",
    }[usage]
    case, ik = AES[bits], aes_ik(bits)
    got = []
    for text in case["ksn_verify"]:
        ksn = raw(text)
        got.append(shown(dukpt_aes.working_key(dukpt_aes.transaction_key(ik, ksn), ksn, usage, size // 8)))
    assert got == case[name]


def test_aes_enciphered_pin_blocks() -> None:
    """Format 4 with the published random bytes, under the PIN key of each of the first eight."""
    case, ik = AES[128], aes_ik(128)
    pan_field = int.from_bytes(raw(case["panfield"]))
    for text, want in zip(case["ksn_verify"], case["encrypted_pinblock_verify"], strict=True):
        ksn = raw(text)
        cipher = aes.Aes(dukpt_aes.TransactionKeys(dukpt_aes.transaction_key(ik, ksn), ksn).pin)
        inner = int.from_bytes(cipher.encrypt(raw(case["pinfield"])))
        assert shown(cipher.encrypt((inner ^ pan_field).to_bytes(16))) == want
        assert pinblock.decipher_format4(cipher, raw(want), case["pan"]) == "1234"


@pytest.mark.parametrize(("bits", "size"), [(128, 16), (256, 16), (256, 32)])
def test_aes_update_keys(bits: int, size: int) -> None:
    case = UPDATE[bits]
    got = dukpt_aes.update_key(raw(case["ik"]), raw(case["ikid"]), size)
    assert shown(got) == case[f"update_key_aes{size * 8}_verify"]


@pytest.mark.parametrize("bits", [128, 256])
def test_aes_device_makes_the_keys_of_its_host(bits: int) -> None:
    case, ik = AES[bits], aes_ik(bits)
    device = dukpt_aes.Device(ik, raw(case["ikid"]))
    for ksn, key in zip(case["ksn_verify"], case["txn_key_verify"], strict=True):
        assert shown(device.ksn) == ksn
        want = dukpt_aes.TransactionKeys(raw(key), raw(ksn))
        assert (device.keys.pin, device.keys.mac_request) == (want.pin, want.mac_request)
        device.advance()


def test_192_bits_go_the_same_way() -> None:
    ik = dukpt_aes.initial_key(bytes(24), bytes(8))
    ksn = bytes(8) + (5).to_bytes(4)
    device = dukpt_aes.Device(ik, bytes(8))
    for _ in range(4):
        device.advance()
    assert len(ik) == 24
    assert device.keys.pin == dukpt_aes.TransactionKeys(dukpt_aes.transaction_key(ik, ksn), ksn).pin


@settings(print_blob=True, max_examples=60, deadline=None)
@given(st.integers(1, 10), st.integers(1, 6), st.binary(min_size=4, max_size=4))
def test_a_device_walks_every_counter_its_host_knows(bits: int, ones_max: int, seed: bytes) -> None:
    """All keys of a small counter, to the last: each the host's, none twice, and then no more."""
    scheme = Scheme(bits, ones_max)

    def step(key: bytes, reached: int) -> bytes:
        return key + reached.to_bytes(4)  # one to one, so equal keys mean an equal way

    device = FutureKeys(scheme, seed, step)
    seen = []
    while device.counter:
        assert device.key() == scheme.transaction_key(seed, device.counter, step)
        seen.append(device.counter)
        device.advance()
    assert seen == [c for c in range(1, 1 << bits) if c.bit_count() <= ones_max]
    with pytest.raises(BadSerialNumber, match="new initial key"):
        device.key()


@pytest.mark.parametrize("ksn", [b"", bytes(9), bytes(10), raw("FFFF9876543210FFFFFF"), bytes(12)])
def test_tdes_refuses_serial_numbers_that_no_device_has(ksn: bytes) -> None:
    with pytest.raises(BadSerialNumber):
        dukpt_tdes.transaction_key(TDES_IK, ksn)


@pytest.mark.parametrize("ksn", [b"", bytes(10), bytes(12), bytes(8) + raw("0001FFFF")])
def test_aes_refuses_serial_numbers_that_no_device_has(ksn: bytes) -> None:
    with pytest.raises(BadSerialNumber):
        dukpt_aes.transaction_key(bytes(16), ksn)


def test_nothing_shows_a_key() -> None:
    device = dukpt_tdes.Device(TDES_IK, raw(TDES["iksn"]))
    aes_device = dukpt_aes.Device(bytes(16), bytes(8))
    assert repr(device) == repr(aes_device) == "Device(counter=1)"
    assert repr(device.keys) == repr(aes_device.keys) == "TransactionKeys()"
    with pytest.raises(ValueError, match="16 bytes"):
        dukpt_tdes.initial_key(bytes(8), bytes(10))
    with pytest.raises(ValueError, match="shorter"):
        dukpt_aes.working_key(bytes(16), bytes(12), Usage.PIN_ENCRYPTION, 32)
