import pytest

from switch.wire.message import Message, MessageError, decode, encode
from switch.wire.private import Balances
from switch.wire.request import (
    Network,
    OriginalData,
    Payment,
    Reversal,
    error_fields,
    parse_request,
    reply_fields,
)
from tests.unit.wire.samples import INQUIRY, ORIGINAL, PAN, PIN_BLOCK, PURCHASE, REFUND, REVERSAL, SIGN_ON


def message(mti: str, fields: dict[int, str]) -> Message:
    return decode(encode(mti, fields))


def test_a_purchase() -> None:
    payment = parse_request(message("0200", PURCHASE))
    assert isinstance(payment, Payment)
    assert (payment.kind, payment.repeat, payment.pan, payment.amount) == ("purchase", False, PAN, 17_400)
    assert (payment.stan, payment.local_time, payment.local_mmdd) == (123, 121_500, 1121)
    assert (payment.terminal_id, payment.merchant_id, payment.acquirer) == ("T0000001", "M00042", "941061")
    assert (payment.channel, payment.order_id, payment.pin_block) == ("online", "A-1", PIN_BLOCK)
    assert payment.original is None


def test_defaults_where_nothing_is_given() -> None:
    bare = {n: v for n, v in PURCHASE.items() if n not in (14, 37, 48, 52)}
    payment = parse_request(message("0201", bare))
    assert isinstance(payment, Payment)
    assert payment.repeat
    assert payment.channel == "pos"
    assert [payment.expiry, payment.rrn, payment.order_id, payment.pin_block] == [None] * 4


def test_a_refund_names_its_original() -> None:
    payment = parse_request(message("0200", REFUND))
    assert isinstance(payment, Payment)
    assert payment.original == OriginalData("0200", 123, "1121031500", "941061", "")
    assert payment.original.encode() == ORIGINAL


def test_an_inquiry_has_no_amount() -> None:
    assert parse_request(message("0200", INQUIRY)).amount == 0  # type: ignore[union-attr]
    assert parse_request(message("0200", INQUIRY | {4: "0" * 12})).amount == 0  # type: ignore[union-attr]
    with pytest.raises(MessageError) as caught:
        parse_request(message("0200", INQUIRY | {4: "000000000001"}))
    assert caught.value.field == 4


@pytest.mark.parametrize(
    ("mti", "advice", "repeat"),
    [("0400", False, False), ("0401", False, True), ("0420", True, False), ("0421", True, True)],
)
def test_reversals(mti: str, advice: bool, repeat: bool) -> None:
    reversal = parse_request(message(mti, REVERSAL))
    assert isinstance(reversal, Reversal)
    assert (reversal.advice, reversal.repeat, reversal.original.stan) == (advice, repeat, 123)


@pytest.mark.parametrize(
    ("code", "function"),
    [("001", "sign_on"), ("002", "sign_off"), ("101", "key_exchange"), ("301", "echo")],
)
def test_network_functions(code: str, function: str) -> None:
    network = parse_request(message("0800", SIGN_ON | {70: code}))
    assert isinstance(network, Network)
    assert network.function == function


def test_a_reply_asks_for_nothing() -> None:
    with pytest.raises(MessageError) as caught:
        parse_request(message("0210", {39: "00"}))
    assert caught.value.mti is None


@pytest.mark.parametrize(
    "private", ["CH003posCH003pos", "CH009pos", "CH", "XX001a", "CH004cash", "CB0051,000"]
)
def test_private_data_that_cannot_be_read_names_field_48(private: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_request(message("0200", PURCHASE | {48: private}))
    assert (caught.value.field, caught.value.mti) == (48, "0200")
    assert error_fields(caught.value)[44] == "048"


@pytest.mark.parametrize(("mti", "fields"), [("0200", PURCHASE), ("0200", REFUND), ("0420", REVERSAL)])
def test_nothing_printed_shows_the_card(mti: str, fields: dict[int, str]) -> None:
    request = parse_request(message(mti, fields))
    shown = f"{request!r} {request}"
    assert PAN not in shown
    assert PAN[6:12] not in shown
    assert PIN_BLOCK not in shown
    assert "941061******3147" in shown


def test_a_reply_gives_back_what_must_come_back() -> None:
    request = message("0200", PURCHASE)
    fields = reply_fields(
        request,
        code="00",
        rrn="999999999999",
        business_mmdd="1122",
        approval="A00001",
        private={"CB": "1740"},
        balances=Balances(1, 2),
    )
    assert {n: fields[n] for n in (7, 11, 12, 13, 37, 41, 42)} == {
        n: PURCHASE[n] for n in (7, 11, 12, 13, 37, 41, 42)
    }
    assert (fields[15], fields[38], fields[39], fields[48]) == ("1122", "A00001", "00", "CB0041740")
    assert not {2, 14, 22, 32, 52} & fields.keys()
    assert decode(encode("0210", fields)).fields == fields


def test_the_switch_numbers_a_payment_that_brought_no_number() -> None:
    request = message("0200", {n: v for n, v in PURCHASE.items() if n != 37})
    assert reply_fields(request, code="51", rrn="632612000777")[37] == "632612000777"


def test_the_answer_to_a_refused_message() -> None:
    error = MessageError("x", field=7, mti="0200", echo={11: "000123"})
    assert error_fields(error) == {11: "000123", 39: "30", 44: "007"}
    unknown_kind = MessageError("x", field=3, mti="0200", echo={11: "000123"}, code="12")
    assert error_fields(unknown_kind) == {11: "000123", 39: "12"}
    with pytest.raises(ValueError, match="not answered"):
        error_fields(MessageError("x"))
