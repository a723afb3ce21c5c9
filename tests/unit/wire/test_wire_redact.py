import pytest

from switch.wire.message import encode
from switch.wire.private import encode_private
from switch.wire.redact import REMOVED, luhn_valid, mask_pan, redact, redact_event
from tests.unit.wire.samples import PAN, PIN_BLOCK, PURCHASE

PUBLISHED_PAN = "4012345678909"


def test_masks() -> None:
    assert mask_pan(PAN) == "941061******3147"
    assert mask_pan("12345678") == "********"
    assert mask_pan("") == ""


def test_luhn_of_published_numbers() -> None:
    assert luhn_valid("79927398713")
    assert luhn_valid(PUBLISHED_PAN)
    assert luhn_valid("4111111111111111")
    assert not luhn_valid("79927398710")


@pytest.mark.parametrize(
    "value",
    [
        PAN,
        f"card {PAN} is bad",
        int(PAN),
        -int(PAN),
        f"16{PAN}000000",
        "9410 6190 5827 3147",
        "9410-6190-5827-3147",
        {"a": {"b": [PAN]}},
        {PAN: 1},
        (PAN,),
        {2: PAN},
        {"2": PAN},
        {"DE2": PAN},
        {"pan": "94106112345678900000"},
        ValueError(f"no {PAN}"),
        encode("0200", PURCHASE),
        encode("0200", PURCHASE).decode(),
        PURCHASE,
        [[[[[[[[[[PAN]]]]]]]]]],
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_pan_never_gets_through(value: object) -> None:
    shown = repr(redact(value))
    assert PAN not in shown
    assert PAN[6:12] not in shown


def test_pin_blocks_keys_and_tracks_never_get_through() -> None:
    key = "U" + "0F" * 16
    for value in (
        {52: PIN_BLOCK},
        {"pin_block": PIN_BLOCK},
        f"block {PIN_BLOCK}",
        {"tmk_key": key},
        f"key={key}",
    ):
        shown = repr(redact(value))
        assert PIN_BLOCK not in shown
        assert key not in shown
    for field in (35, 45, 52, 55):
        assert redact({field: "anything", "n": 1}) == {field: REMOVED, "n": 1}
    assert redact({"pin": "1234"}) == {"pin": REMOVED}


TRACK = f"{PAN}=29121010000012300000"
KEY_BLOCK = (
    "RB0096P0TE00E0000471D4FBE35E5865BDE20DBF4C15503161F55D681170BF8DD14D01B6822EF8550CB67C569DE8AC048"
)


@pytest.mark.parametrize(
    "value",
    [
        TRACK,
        f"read {TRACK}",
        TRACK.replace("=", "D") + "F",
        {"track2": TRACK},
        {35: TRACK},
        {"DE35": TRACK},
        {55: "9F2608" + "A1" * 8},
        {"icc": "9F2608" + "A1" * 8},
        "chip 9F2608" + "A1" * 8 + "9F360200FF",
        {48: "CV003123BN00212"},
        {48: "KS020FFFF9876543210E00001"},
        {48: "PB032" + "0A" * 16},
        {"CV": "123"},
        {"48": "CV003123"},
        {48: "CV004123"},
        {"ksn": "FFFF9876543210E00001"},
        "serial FFFF9876543210E00001",
        KEY_BLOCK,
        f"key {KEY_BLOCK} came",
        {48: encode_private({"TP": KEY_BLOCK})},
        [{48: encode_private({"TM": KEY_BLOCK})}],
    ],
)
def test_tracks_chip_data_and_keys_never_get_through(value: object) -> None:
    shown = repr(redact(value))
    secrets = ("1010000012300000", "A1A1", "123", "FFFF987654", "0A0A0A", "471D4FBE", PAN[6:12])
    assert not [one for one in secrets if one in shown]


def test_of_private_data_the_rest_is_shown() -> None:
    assert redact({48: "CH003posBN00212CV003123"}) == {48: {"CH": "pos", "BN": "12", "CV": REMOVED}}


def test_ordinary_values_stay() -> None:
    ordinary = {
        "amount": 17_400,
        "terminal": "T0000001",
        "rrn": "632612000123",
        "at": "2026-11-21T12:15:00+09:00",
        "ok": True,
        "none": None,
        "business_date": 20261121,
        "masked": mask_pan(PAN),
        "ratio": 0.5,
    }
    assert redact(ordinary) == ordinary


def test_a_repr_that_fails_does_not() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError(PAN)

    assert redact(Odd()) == "[Odd]"


def test_as_a_log_processor() -> None:
    event = redact_event(
        None, "info", {"event": f"paid with {PAN}", "pan": PAN, "stan": 123, "exc_info": True}
    )
    assert event == {"event": f"paid with {REMOVED}", "pan": REMOVED, "stan": 123, "exc_info": True}
