"""Framing and the client's half of the codec, without a socket."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.hsm import commands
from switch.hsm.commands import GeneratedKey, HsmRefused, PinResult
from switch.hsm.framing import FrameError, FrameSplitter, frame


@settings(print_blob=True, max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 30))
def test_frames_survive_any_cut(messages: list[bytes], cut: int) -> None:
    stream = b"".join(frame(m) for m in messages)
    splitter = FrameSplitter()
    got: list[bytes] = []
    for at in range(0, len(stream), cut):
        got += splitter.feed(stream[at : at + cut])
    assert got == messages
    assert not splitter.partial


@pytest.mark.parametrize("data", [b"\x00\x00", b"\x00\x03abc", b"\xff\xff"])
def test_lengths_that_lie(data: bytes) -> None:
    with pytest.raises(FrameError, match="limits are 4 to 100"):
        FrameSplitter(length_min=4, length_max=100).feed(data)


def test_empty_and_oversized_frames_are_not_made() -> None:
    for message in (b"", bytes(65_536)):
        with pytest.raises(FrameError):
            frame(message)


def test_key_replies() -> None:
    u, x = "U" + "1" * 32, "X" + "2" * 32
    both = commands.parse_generated_key(b"00", f"{u}{x}ABCDEF".encode())
    assert both == GeneratedKey(u, x, "ABCDEF")
    assert commands.parse_generated_key(b"00", f"{u}ABCDEF".encode()) == GeneratedKey(u, None, "ABCDEF")
    assert u not in repr(both)
    assert x not in repr(both)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (b"00", PinResult.OK),
        (b"01", PinResult.WRONG),
        (b"20", PinResult.BAD_BLOCK_OR_KEY),
        (b"24", PinResult.BAD_BLOCK_OR_KEY),
    ],
)
def test_pin_results(error: bytes, result: PinResult) -> None:
    assert commands.parse_pin_result(error, b"") is result


def test_refusals_name_command_and_code() -> None:
    with pytest.raises(HsmRefused, match="refused DC: 10, parity") as caught:
        commands.parse_pin_result(b"10", b"")
    assert (caught.value.command, caught.value.code) == ("DC", "10")
    with pytest.raises(HsmRefused, match="refused M6: 15"):
        commands.parse_mac(b"15", b"")
    with pytest.raises(HsmRefused, match="refused M8: 10"):
        commands.parse_mac_verified(b"10", b"")
    with pytest.raises(HsmRefused, match="refused CY: 68"):
        commands.parse_cvv_verified(b"68", b"")
    with pytest.raises(HsmRefused, match="refused A0: 28"):
        commands.parse_generated_key(b"28", b"")


def test_bad_arguments_are_named_and_never_quoted() -> None:
    calls: tuple[Callable[[], bytes], ...] = (
        lambda: commands.verify_pin("U", "U", "5ECRET", "061000001234", "1", "1234"),
        lambda: commands.verify_mac("U", b"", "5ECRET"),
        lambda: commands.verify_cvv("U", "5ECRET", "4123456789012345", "8701", "101"),
        lambda: commands.generate_cvv("U", "5ECRET", "8701", "101"),
    )
    for call in calls:
        with pytest.raises(ValueError, match="has") as caught:
            call()
        assert "5ECRET" not in str(caught.value)
    with pytest.raises(ValueError, match="limited to 32000"):
        commands.generate_mac("U", bytes(32_001))


def test_every_error_code_has_two_characters() -> None:
    assert all(len(code) == 2 for code in commands.ERRORS)
