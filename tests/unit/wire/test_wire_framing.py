import pytest

from switch.wire.framing import FrameError, Framer, frame


def test_frames_come_out_whole_however_the_bytes_come_in() -> None:
    payloads = [b"a", b"bb" * 40, b"c" * 2048]
    stream = b"".join(frame(p) for p in payloads)
    for step in (1, 2, 3, 7, 100, len(stream)):
        framer = Framer()
        got = [f for i in range(0, len(stream), step) for f in framer.feed(stream[i : i + step])]
        assert got == payloads
        assert not framer.pending


def test_the_length_is_big_endian_and_does_not_count_itself() -> None:
    assert frame(b"x" * 258)[:2] == b"\x01\x02"


def test_half_a_frame_is_pending() -> None:
    framer = Framer()
    assert framer.feed(b"\x00") == []
    assert framer.pending
    assert framer.feed(b"\x02a") == []
    assert framer.feed(b"b") == [b"ab"]
    assert not framer.pending


@pytest.mark.parametrize("head", [b"\x00\x00", b"\x08\x01", b"\xff\xff"])
def test_a_length_that_cannot_be_is_an_error_and_keeps_what_came_before(head: bytes) -> None:
    framer = Framer(2048)
    with pytest.raises(FrameError) as caught:
        framer.feed(frame(b"good") + head + b"rest")
    assert caught.value.frames == [b"good"]


def test_limits_of_the_framer_itself() -> None:
    with pytest.raises(ValueError, match="frame_max"):
        Framer(0)
    with pytest.raises(ValueError, match="65535"):
        frame(b"")
    with pytest.raises(ValueError, match="65535"):
        frame(b"x" * 65536)
