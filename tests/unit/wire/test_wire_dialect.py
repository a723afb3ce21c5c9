"""The BCD dialect, byte by byte, and what it refuses."""

import pytest

from switch.wire import dialect, private
from switch.wire.dialect import ASCII, BCD, CODECS
from switch.wire.layout import FORM, STANDARD_LAYOUT
from switch.wire.message import MessageError
from switch.wire.request import parse_request
from tests.unit.wire.samples import CHIP, CLOSE, ICC, MAC, PAN, PURCHASE, REQUESTS, SIGN_ON, STRIPE


def refused(body: bytes) -> MessageError:
    with pytest.raises(MessageError) as caught:
        BCD.decode(body)
    return caught.value


def test_a_network_message_on_the_wire() -> None:
    body = BCD.encode("0800", SIGN_ON)
    assert body.hex() == (
        "08008238000000800000040000000000000011210315000000011215001121"
        "54303030303030310001"
    )  # fmt: skip


def test_fields_on_the_wire_of_a_purchase() -> None:
    body = BCD.with_mac(BCD.encode_for_mac("0200", STRIPE), MAC)
    assert body[:2].hex() == "0200"
    assert body[10:19].hex() == "16" + PAN
    assert f"37{PAN}d29122010000000000000f" in body.hex()  # 37 digits and separator, filled to 19 bytes
    assert b"\x00\x19CH006onlineOR003A-1\x04\x10" in body
    assert body.endswith(bytes.fromhex(MAC))
    assert body[: BCD.decode(body).mac_input_len] == BCD.encode_for_mac("0200", STRIPE)


def test_chip_data_is_bytes_and_its_length_counts_them() -> None:
    body = BCD.encode("0200", CHIP)
    assert bytes.fromhex(f"0{len(ICC) // 2:03d}") + bytes.fromhex(ICC) in body


def test_a_net_amount_keeps_its_sign() -> None:
    assert BCD.encode("0500", CLOSE).endswith(b"D" + bytes.fromhex(f"{24_000:016d}"))


@pytest.mark.parametrize(("mti", "fields"), REQUESTS)
def test_both_dialects_say_the_same(mti: str, fields: dict[int, str]) -> None:
    read = {}
    for name, codec in CODECS.items():
        covered = codec.encode_for_mac(mti, fields)
        message = codec.decode(codec.with_mac(covered, MAC))
        assert (message.mti, message.fields, message.mac) == (mti, fields, MAC)
        assert message.mac_input_len == len(covered)
        plain = codec.decode(codec.encode(mti, fields))
        assert (plain.mac, plain.mac_input_len) == (None, len(codec.encode(mti, fields)))
        read[name] = parse_request(message)
    assert read["ascii"] == read["bcd"]


@pytest.mark.parametrize(
    ("was", "becomes", "field"),
    [
        ("16" + PAN, "1A" + PAN, 2),  # a length that is no number
        ("16" + PAN, "99" + PAN, 2),
        ("16" + PAN, "15" + PAN, 2),  # odd, and not filled with 0
        (PAN, PAN[:-1] + "A", 2),
        ("0410", "1410", 49),  # half a byte too many
        ("000123", "00012F", 11),
        ("0019" + b"CH006".hex(), "1019" + b"CH006".hex(), 48),
        (b"T0000001".hex(), b"T000\xff001".hex(), 41),
    ],
)
def test_what_is_no_bcd_names_its_field(was: str, becomes: str, field: int) -> None:
    body = BCD.encode("0200", PURCHASE).hex()
    assert body.count(was.lower()) >= 1
    error = refused(bytes.fromhex(body.replace(was.lower(), becomes, 1)))
    assert (error.field, error.mti, error.code) == (field, "0200", "30")
    assert PAN not in f"{error!r} {error.echo}"


def test_a_track_of_odd_length_must_be_filled_with_f() -> None:
    body = BCD.encode("0200", STRIPE)
    at = body.rindex(bytes.fromhex(PAN)) + 18
    assert body[at] & 0x0F == 0x0F
    assert refused(body[:at] + bytes([body[at] & 0xF0]) + body[at + 1 :]).field == 35


def test_a_message_that_ends_too_early_or_late() -> None:
    body = BCD.encode("0200", PURCHASE)
    assert refused(body[:-1]).field == 52
    assert refused(body[:40]).mti == "0200"
    assert refused(body + b"\x00").field == 52
    assert refused(body[:9]).mti is None
    assert refused(b"\x08\x00\x82" + bytes(7)).mti is None
    assert refused(bytes(4000)).mti is None
    assert refused(ASCII.encode("0200", PURCHASE)).mti is None
    with pytest.raises(MessageError) as caught:
        ASCII.decode(body)
    assert caught.value.mti is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({2: PAN[:-1] + "A"}, "field 2"),
        ({4: "1"}, "field 4"),
        ({35: PAN + "D29122010000"}, "field 35"),
        ({41: "é" * 8}, "field 41"),
        ({52: "0123456789ABCDEX"}, "field 52"),
        ({55: "ABC"}, "field 55"),
        ({65: "1"}, "field 65"),
        ({97: "X" * 17}, "field 97"),
        ({97: "é" * 17}, "field 97"),
    ],
)
def test_the_encoder_refuses_what_bcd_cannot_say(fields: dict[int, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BCD.encode("0210", fields)


def test_every_field_of_the_standard_has_a_length_and_a_form() -> None:
    assert STANDARD_LAYOUT.keys() == FORM.keys() == set(range(2, 129))


def test_a_field_we_do_not_take_is_stepped_over_and_named() -> None:
    body = BCD.encode("0800", SIGN_ON)
    bits = int.from_bytes(body[2:10], "big") | 1 << (64 - 18)
    at = 18 + 5 + 3 + 3 + 2  # behind field 13
    error = refused(body[:2] + bits.to_bytes(8, "big") + body[10:at] + b"\x54\x11" + body[at:])
    assert error.field == 18
    assert error.echo == {n: SIGN_ON[n] for n in (7, 11, 12, 13, 41)}
    assert repr(BCD) == "Codec('bcd')"


def test_memories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "_PLANS_MAX", 4)
    monkeypatch.setattr(private, "_KNOWN_MAX", 4)
    dialect._plans.clear()
    dialect._layouts.clear()
    private._known.clear()
    optional = (14, 37, 48, 52)
    for chosen in range(16):
        fields = {
            n: v for n, v in PURCHASE.items() if n not in optional or chosen >> optional.index(n) & 1
        } | {48: f"BN002{chosen + 10}"}
        for _ in range(2):
            parse_request(BCD.decode(BCD.encode("0200", fields)))
        assert len(dialect._plans) <= 4
        assert len(dialect._layouts) <= 4
        assert len(private._known) <= 4


@pytest.mark.parametrize("secret", ["CV003123", "KS020FFFF9876543210E00001", "OR003A-1"])
def test_nothing_of_a_card_a_key_or_an_order_is_remembered(secret: str) -> None:
    private._known.clear()
    parse_request(ASCII.decode(ASCII.encode("0200", PURCHASE | {48: f"CH003pos{secret}"})))
    assert not private._known
