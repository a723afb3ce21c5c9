import pytest

from switch.wire.message import Message, MessageError, decode, encode
from switch.wire.private import Balances
from switch.wire.request import (
    BatchClose,
    BatchDetail,
    Network,
    OriginalData,
    Payment,
    Reversal,
    close_reply,
    error_fields,
    parse_request,
    reply_fields,
)
from tests.unit.wire.samples import (
    ADVICE,
    CHIP,
    CLOSE,
    COMPLETION,
    DETAIL,
    HOLD,
    ICC,
    INQUIRY,
    ORIGINAL,
    PAN,
    PARTIAL_REVERSAL,
    PIN_BLOCK,
    PREAUTH,
    PURCHASE,
    REFUND,
    REQUESTS,
    REVERSAL,
    SIGN_ON,
    STRIPE,
    TRACK2,
    VOID,
)


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
    [("001", "sign_on"), ("002", "sign_off"), ("101", "key_exchange"), ("201", "cutover"), ("301", "echo")],
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
    "private",
    [
        *("CH003posCH003pos", "CH009pos", "CH", "XX001a", "CH004cash", "CB0051,000"),
        *(
            "BN0010",
            "BN000",
            "BN0071000000",
            "BN002+1",
            "PA0010",
            "CV00212",
            "CV0041234",
            "KS002FF",
            "PF0011",
        ),
        *("KS020ffff9876543210e00001", "LB0011", "PF0011", "PB03200000000000000000000000000000000", "PF0014"),
        "PF0014PB03200000000000000000000000000000000",  # and another block in DE52
    ],
)
def test_private_data_that_cannot_be_read_names_field_48(private: str) -> None:
    with pytest.raises(MessageError) as caught:
        parse_request(message("0200", PURCHASE | {48: private}))
    assert (caught.value.field, caught.value.mti) == (48, "0200")
    assert error_fields(caught.value)[44] == "048"


@pytest.mark.parametrize(("mti", "fields"), REQUESTS)
def test_nothing_printed_shows_the_card(mti: str, fields: dict[int, str]) -> None:
    request = parse_request(message(mti, fields))
    shown = f"{request!r} {request}"
    assert not [one for one in (PAN, PAN[6:12], PIN_BLOCK, TRACK2[16:], ICC[:20]) if one in shown]
    assert ("941061******3147" in shown) == (2 in fields)


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


def payment(mti: str, fields: dict[int, str]) -> Payment:
    request = parse_request(message(mti, fields))
    assert isinstance(request, Payment)
    return request


def refused(mti: str, fields: dict[int, str]) -> MessageError:
    with pytest.raises(MessageError) as caught:
        parse_request(message(mti, fields))
    assert caught.value.mti == mti
    return caught.value


def test_a_preauthorisation_and_what_adds_to_it() -> None:
    hold = payment("0100", PREAUTH)
    assert (hold.kind, hold.advice, hold.entry, hold.psn, hold.icc) == ("preauth", False, "chip", "001", ICC)
    more = payment("0101", PREAUTH | {90: HOLD})
    assert more.original is not None
    assert (more.repeat, more.original.family, more.original.stan) == (True, "010", 123)
    assert refused("0100", PREAUTH | {90: ORIGINAL}).field == 90


def test_advices_completions_and_offline_payments() -> None:
    offline = payment("0220", ADVICE)
    assert (offline.kind, offline.advice, offline.approval, offline.original) == (
        "purchase", True, "A00001", None,
    )  # fmt: skip
    completion = payment("0221", COMPLETION)
    assert completion.original is not None
    assert (completion.repeat, completion.original.family) == (True, "010")
    assert refused("0220", COMPLETION | {90: ORIGINAL}).field == 90
    assert refused("0220", ADVICE | {52: PIN_BLOCK}).field == 52
    assert refused("0220", ADVICE | {3: "200000"}).code == "12"


def test_a_void_names_what_it_undoes() -> None:
    assert payment("0200", VOID).kind == "void"
    for named in ("0100", "0200", "0220", "0201", "0000"):
        assert payment("0200", VOID | {90: named + ORIGINAL[4:]}).original is not None
    assert refused("0200", VOID | {90: "0420" + ORIGINAL[4:]}).field == 90
    assert refused("0200", REFUND | {90: HOLD}).field == 90


def test_a_stripe_gives_its_track() -> None:
    read = payment("0200", {n: v for n, v in STRIPE.items() if n != 14})
    assert (read.entry, read.track2, read.expiry) == ("stripe", TRACK2, "2912")
    other = TRACK2.replace(PAN, PAN[:-1] + "0")
    for track in (
        other,
        PAN,
        f"{PAN}=2913201",
        f"{PAN}=29",
        f"{PAN}={PAN}",
        TRACK2.replace("=2912", "=2811"),
    ):
        assert refused("0200", STRIPE | {35: track}).field == 35


def test_a_chip_may_give_a_track_which_is_not_the_stripes() -> None:
    assert payment("0200", CHIP | {35: TRACK2}).track2 is None
    assert refused("0200", CHIP | {35: TRACK2.replace(PAN, PAN[:-1] + "0")}).field == 35


@pytest.mark.parametrize("icc", ["9F360200A79F360200A8", "9F3603", "9F368000", "7000"])
def test_chip_data_that_cannot_be_read_names_field_55(icc: str) -> None:
    error = refused("0200", CHIP | {55: icc})
    assert error.field == 55
    assert "00A7" not in str(error)


@pytest.mark.parametrize(
    ("mode", "has", "fault"),
    [
        ("021", {}, 35), ("901", {}, 35), ("051", {}, 55), ("071", {}, 55), ("911", {}, 55),
        ("012", {35: TRACK2}, 35), ("012", {55: ICC}, 55), ("012", {23: "001"}, 23),
        ("031", {55: ICC}, 55), ("101", {35: TRACK2}, 35), ("811", {55: ICC}, 55),
        ("021", {35: TRACK2, 55: ICC}, 55), ("041", {}, 22), ("041", {55: ICC}, 22), ("001", {}, 22),
    ],
)  # fmt: skip
def test_the_entry_mode_says_what_the_card_must_have_given(
    mode: str, has: dict[int, str], fault: int
) -> None:
    for mti, fields in (("0100", PURCHASE), ("0200", PURCHASE), ("0200", INQUIRY)):
        for _ in range(10):  # also when shapes like it have been compiled
            assert refused(mti, fields | {22: mode} | has).field == fault


@pytest.mark.parametrize("mode", ["012", "021", "901", "031", "051", "071", "911", "101", "811"])
def test_a_refund_or_advice_needs_no_card(mode: str) -> None:
    assert payment("0200", REFUND | {22: mode}).entry_mode == mode
    assert payment("0220", ADVICE | {22: mode}).entry_mode == mode
    assert payment("0200", VOID | {22: mode}).entry_mode == mode


def test_what_terminal_and_card_bring_beyond_the_plain_payment() -> None:
    rest = {n: v for n, v in PURCHASE.items() if n != 52}
    serial, block = "FFFF9876543210E00001", "0123456789ABCDEF" * 2
    private = f"BN00212PA0011CV003123KS020{serial}PF0014PB032{block}"
    found = payment("0200", rest | {48: private})
    assert (found.batch_no, found.partial_ok, found.cvv2, found.ksn) == (12, True, "123", serial)
    assert (found.pin_format, found.pin_block) == ("4", block)
    assert payment("0200", PURCHASE | {48: "PF0013"}).pin_format == "3"
    plain = payment("0200", PURCHASE)
    assert (plain.batch_no, plain.partial_ok, plain.cvv2, plain.ksn, plain.pin_format) == (
        0, False, None, None, "0",
    )  # fmt: skip
    assert refused("0200", CHIP | {48: "CV003123"}).field == 48
    assert refused("0220", ADVICE | {48: "CV003123"}).field == 48


def test_a_partial_reversal_says_what_remains() -> None:
    partial = parse_request(message("0420", PARTIAL_REVERSAL))
    assert isinstance(partial, Reversal)
    assert (partial.replacement, partial.batch_no, partial.kind) == (5_000, 12, "purchase")
    whole = parse_request(message("0400", REVERSAL | {90: HOLD}))
    assert isinstance(whole, Reversal)
    assert (whole.replacement, whole.kind) == (None, "preauth")
    assert refused("0420", REVERSAL | {95: "0" * 41 + "1"}).field == 95


def test_a_reversal_may_not_know_all_of_its_original() -> None:
    found = parse_request(message("0420", REVERSAL | {90: "0" * 42}))
    assert isinstance(found, Reversal)
    assert (found.original.family, found.original.stan, found.original.transmission) == ("", 0, "0" * 10)
    for text in ("0800" + ORIGINAL[4:], ORIGINAL[:10] + "1399000000" + ORIGINAL[20:]):
        assert refused("0420", REVERSAL | {90: text}).field == 90


def test_a_batch_close() -> None:
    close = parse_request(message("0500", CLOSE))
    assert isinstance(close, BatchClose)
    assert (close.batch_no, close.repeat, close.totals.net) == (12, False, -24_000)
    totals = close.totals
    assert (totals.credits, totals.credit_won, totals.debits, totals.debit_won) == (1, 1_000, 3, 30_000)
    assert (totals.debits_reversed, totals.debit_reversed_won) == (1, 5_000)
    assert parse_request(message("0501", CLOSE)).repeat
    assert refused("0500", CLOSE | {97: f"C{24_000:016d}"}).field == 97
    assert refused("0500", CLOSE | {48: "KS020FFFF9876543210E00001"}).field == 48
    assert refused("0500", {n: v for n, v in CLOSE.items() if n != 77}).field == 77
    reply = close_reply(message("0500", CLOSE), code="00", host=totals, in_balance=True, business_mmdd="1121")
    assert {n: reply[n] for n in range(74, 78)} == {n: CLOSE[n] for n in range(74, 78)}
    assert (reply[39], reply[66], reply[97], reply[15]) == ("00", "1", CLOSE[97], "1121")
    assert decode(encode("0510", reply)).fields == reply


def test_a_detail_of_a_batch() -> None:
    detail = parse_request(message("0320", DETAIL))
    assert isinstance(detail, BatchDetail)
    assert (detail.kind, detail.amount, detail.batch_no, detail.last) == ("purchase", 17_400, 12, True)
    assert (detail.original.encode(), detail.rrn, detail.approval) == (ORIGINAL, "632612000123", "A00001")
    assert not parse_request(message("0321", DETAIL | {48: "BN00212"})).last  # type: ignore[union-attr]
    assert refused("0320", DETAIL | {3: "210000"}).field == 3
    assert refused("0320", DETAIL | {90: HOLD}).field == 90
    assert refused("0320", DETAIL | {90: "0200" + "0" * 38}).field == 90
    assert refused("0320", DETAIL | {2: PAN}).field == 2


def test_a_reply_tells_less_than_was_asked_and_what_the_chip_must_know() -> None:
    fields = reply_fields(message("0200", CHIP), code="10", amount=9_000, icc="910A" + "00" * 10)
    assert (fields[4], fields[55], fields[39]) == ("000000009000", "910A" + "00" * 10, "10")
    assert decode(encode("0210", fields)).fields == fields
