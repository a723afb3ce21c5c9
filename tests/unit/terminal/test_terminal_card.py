"""What a simulated card shows in each way of being read, and what its terminal makes of its keys."""

from datetime import UTC, datetime

import pytest

from hsm_sim.crypto import dukpt_aes, dukpt_tdes, emv, tr31
from hsm_sim.crypto.aes import Aes, cmac
from hsm_sim.crypto.cvv import CvvKey
from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.pinblock import account_part, decipher_format4, decode_format0, decode_format3
from hsm_sim.crypto.tdes import Tdes
from switch.wire.dialect import CODECS
from switch.wire.emv import arqc_input, cryptogram_of, encode_icc, parse_icc
from switch.wire.private import decode_private, encode_private
from terminal_sim.card import ABSENT, PSN, IssuerKeys, SimCard
from terminal_sim.dukpt import AES, TDES, AesStore, TdesStore, base_key, initial_serial
from terminal_sim.keys import tmk
from terminal_sim.reply import Reply
from terminal_sim.session import keys_of_exchange
from terminal_sim.terminal import Terminal, TerminalError

NOW = datetime(2026, 11, 21, 3, 15, tzinfo=UTC)
PAN = "9410619058273149"
PVK, CVK, IMK = (bytes.fromhex(text * 16) for text in ("1A", "2C", "46"))
ISSUER = IssuerKeys(Tdes(PVK), CvvKey(CVK), IMK)


@pytest.fixture
def card() -> SimCard:
    return SimCard(PAN, "3012", "1234", ISSUER)


def test_check_values_have_the_order_of_their_place(card: SimCard) -> None:
    assert card.check_value("000") == CvvKey(CVK).value(PAN, "1230", "000")
    assert card.track2().endswith(CvvKey(CVK).value(PAN, "3012", "201"))
    assert card.track2().startswith(f"{PAN}=30122011")
    assert card.track2("000").endswith("000")
    keyed = card.present("keyed", 1_000, NOW)
    assert keyed == {"entry_mode": "012", "expiry": "3012", "cvv2": card.check_value()}
    assert "cvv2" not in card.present("keyed", 1_000, NOW, check=ABSENT)
    assert card.present("qr", 1_000, NOW) == {"entry_mode": "031"}


def test_a_chip_signs_what_the_message_says_and_counts(card: SimCard) -> None:
    for atc in (1, 2):
        shown = card.present("chip", 17_400, NOW)
        objects = parse_icc(shown["icc"] or "")
        chip = cryptogram_of(objects)
        assert (chip.amount, chip.currency, chip.atc, chip.is_request) == (17_400, "0410", atc, True)
        key = emv.session_key(emv.icc_master_key(IMK, PAN, PSN), atc.to_bytes(2))
        assert emv.arqc(key, arqc_input(objects)).hex().upper() == chip.cryptogram
    assert cryptogram_of(parse_icc(card.icc(1, NOW, offline=True))).is_certificate
    right = card.icc(1, NOW)
    card.atc -= 1
    assert parse_icc(card.icc(1, NOW, wrong=True))["9F26"] != parse_icc(right)["9F26"]


def test_a_chip_knows_its_issuer(card: SimCard) -> None:
    icc = card.icc(1_000, NOW)
    key = emv.session_key(emv.icc_master_key(IMK, PAN, PSN), (1).to_bytes(2))
    made = emv.arpc(key, bytes.fromhex(parse_icc(icc)["9F26"]), b"00")
    good = encode_icc({"91": made.hex() + b"00".hex()})
    for answer, expected in ((good, True), (good[:-1] + "1", False), ("9F", False), (None, None)):
        reply = Reply("0210", "00", {} if answer is None else {55: answer}, True)
        assert card.authenticated(icc, reply) is expected


def test_without_the_issuers_keys_there_is_no_chip_and_no_check_value() -> None:
    card = SimCard(PAN, "3012", "1234", IssuerKeys())
    assert card.present("keyed", 1_000, NOW) == {"entry_mode": "012", "expiry": "3012"}
    for entry in ("chip", "stripe"):
        with pytest.raises(TerminalError, match="not known here"):
            card.present(entry, 1_000, NOW)


def session_terminal(pin_format: str = "0") -> Terminal:
    return Terminal("T0000001", "M1", tmk(1, "T0000001"), pin_format=pin_format)


@pytest.mark.parametrize("mark", ["", "R"])
def test_session_keys_come_as_key_blocks_for_their_use_only(mark: str) -> None:
    master, pin_key, mac_key = tmk(1, "T0000001"), tmk(2, "a"), tmk(2, "b")
    pin_block = mark + tr31.wrap(master, tr31.Header("B", "P0", "T", "E"), pin_key)
    mac_block = mark + tr31.wrap(master, tr31.Header("B", "M3", "T", "C"), mac_key)
    told = {"KP": check_value(pin_key), "KM": check_value(mac_key)}
    keys = keys_of_exchange(master, encode_private({"TP": pin_block, "TM": mac_block, **told}))
    assert keys.mac(b"x") == RetailMac(mac_key).mac(b"x")
    with pytest.raises(TerminalError, match="no usable"):
        keys_of_exchange(master, encode_private({"TP": mac_block, "TM": mac_block, **told}))
    swapped = {"KP": told["KM"], "KM": told["KP"]}
    with pytest.raises(TerminalError, match="check value"):
        keys_of_exchange(master, encode_private({"TP": pin_block, "TM": mac_block, **swapped}))


def test_a_format_3_block_differs_each_time() -> None:
    terminal, key = session_terminal("3"), tmk(3, "pin")
    terminal._keys = keys_of_exchange(
        tmk(1, "T0000001"),
        encode_private(
            {
                "TP": tr31.wrap(tmk(1, "T0000001"), tr31.Header("B", "P0", "T", "E"), key),
                "TM": tr31.wrap(tmk(1, "T0000001"), tr31.Header("B", "M3", "T", "C"), key),
                "KP": check_value(key),
                "KM": check_value(key),
            }
        ),
    )
    fields = [CODECS["ascii"].decode(terminal.purchase(NOW, PAN, 1, pin="4711")).fields for _ in range(2)]
    assert fields[0][52] != fields[1][52]
    assert decode_private(fields[0][48])["PF"] == "3"
    clear = Tdes(key).decrypt(bytes.fromhex(fields[0][52]))
    assert decode_format3(clear, account_part(PAN)) == "4711"


@pytest.mark.parametrize("dialect", ["ascii", "bcd"])
def test_tdes_dukpt_gives_every_message_its_own_key(dialect: str) -> None:
    base, serial = base_key(1, TDES), initial_serial("T0000001", TDES)
    terminal = Terminal("T0000001", "M1", b"", dialect=dialect, dukpt=TdesStore(base, serial))
    assert terminal.has_keys
    assert not terminal.needs_exchange
    seen = set()
    for counter in (1, 2):
        payload = terminal.purchase(NOW, PAN, 1_000, pin="4711")
        message = terminal.codec.decode(payload)
        ksn = bytes.fromhex(decode_private(message.fields[48])["KS"])
        assert dukpt_tdes.counter_of(ksn) == counter
        initial = dukpt_tdes.initial_key(base, ksn)
        keys = dukpt_tdes.TransactionKeys(dukpt_tdes.transaction_key(initial, ksn))
        assert message.mac == RetailMac(keys.mac_request).mac(payload[: message.mac_input_len]).hex().upper()
        clear = Tdes(keys.pin).decrypt(bytes.fromhex(message.fields[52]))
        assert decode_format0(clear, account_part(PAN)) == "4711"
        seen.add(ksn)
    assert len(seen) == 2
    # A repeat is the same message: under its own key, not the next.
    again = terminal.codec.decode(terminal.repeat_of(payload))
    assert again.fields[48] == message.fields[48]


def test_aes_dukpt_takes_format_4_and_cmacs() -> None:
    base, serial = base_key(1, AES), initial_serial("T0000001", AES)
    terminal = Terminal("T0000001", "M1", b"", pin_format="4", dukpt=AesStore(base, serial))
    payload = terminal.purchase(NOW, PAN, 1_000, pin="4711")
    message = terminal.codec.decode(payload)
    private = decode_private(message.fields[48])
    assert 52 not in message.fields
    ksn = bytes.fromhex(private["KS"])
    initial = dukpt_aes.initial_key(base, ksn[:8])
    keys = dukpt_aes.TransactionKeys(dukpt_aes.transaction_key(initial, ksn), ksn)
    assert message.mac == cmac(keys.mac_request, payload[: message.mac_input_len])[:8].hex().upper()
    assert decipher_format4(Aes(keys.pin), bytes.fromhex(private["PB"]), PAN) == "4711"
