"""Topics and payloads of the terminal estate: what is read, and what is refused without a word of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.wire.estate import (
    Ack,
    EstateError,
    Result,
    State,
    encode,
    read_ack,
    read_state,
    read_tele,
    sender_of,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pos/v1/T0000001/state", ("T0000001", "state")),
        ("pos/v1/T0000001/ack", ("T0000001", "ack")),
        ("pos/v1/T0000001/tele/power", ("T0000001", "tele")),
        ("pos/v1/T0000001/tele/a/b/c", ("T0000001", "tele")),
        ("pos/v1/T0000001/ack/x", None),
        ("pos/v1/T0000001/notify", None),
        ("pos/v1/T000001/ack", None),
        ("pos/v1/T 000001/ack", None),
        ("pos/v2/T0000001/ack", None),
        ("pos/v1", None),
        ("", None),
    ],
)
def test_a_topic_names_its_terminal(name: str, expected: tuple[str, str] | None) -> None:
    if expected is None:
        with pytest.raises(EstateError):
            sender_of(name)
    else:
        assert sender_of(name) == expected


def test_what_is_written_is_read() -> None:
    state = State(up=1, sess=1_795_000_000, cfg=3, hot=12)
    assert read_state(encode(state)) == state
    assert encode(State(up=0, sess=7)) == b'{"up":0,"sess":7}'
    assert read_ack(encode(Ack("0" * 27, Result.OK))) == Ack("0" * 27, Result.OK)
    assert read_tele(b'{"battery":71}') == {"battery": 71}


@pytest.mark.parametrize(
    "payload",
    [
        b'{"Battery":1}',
        b'{"a":1.5}',
        b'{"a":1000000000}',
        b'{"a":"1"}',
        b"[1]",
        ("{" + ",".join(f'"a{n}":1' for n in range(17)) + "}").encode(),
    ],
)
def test_readings_have_no_room_for_a_card_number(payload: bytes) -> None:
    with pytest.raises(EstateError):
        read_tele(payload)


@settings(print_blob=True)
@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_bytes_from_outside_are_read_or_refused_and_never_told(payload: bytes) -> None:
    told: list[EstateError] = []
    for read in (read_state, read_ack, read_tele):
        try:
            read(payload)
        except EstateError as error:
            told.append(error)
    assert {str(error) for error in told} <= {"illegible", "too long", "no readings", "a number out of range"}
