import pytest

from switch.wire.framing import FrameError, Framer, frame, reply_tpdu, split_tpdu


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


TPDU = bytes.fromhex("6000010203")


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("tpdu", [b"", TPDU])
def test_what_is_framed_one_way_is_cut_the_same_way(inclusive: bool, tpdu: bytes) -> None:
    payloads = [b"a", b"bb" * 40, b"c" * 2043]
    stream = b"".join(frame(p, inclusive, tpdu) for p in payloads)
    for step in (1, 6, len(stream)):
        framer = Framer(inclusive=inclusive, tpdu=bool(tpdu))
        got = [f for i in range(0, len(stream), step) for f in framer.feed(stream[i : i + step])]
        assert got == [tpdu + p for p in payloads]


def test_an_inclusive_length_counts_itself() -> None:
    assert frame(b"x" * 258, inclusive=True)[:2] == b"\x01\x04"
    assert frame(b"xyz", True, TPDU) == b"\x00\x0a" + TPDU + b"xyz"
    for head in (b"\x00\x00", b"\x00\x01", b"\x00\x02"):
        with pytest.raises(FrameError):
            Framer(inclusive=True).feed(head + b"rest")
    with pytest.raises(ValueError, match="65535"):
        frame(b"x" * 65534, inclusive=True)


@pytest.mark.parametrize("payload", [b"0200", TPDU, b"\x61\x00\x01\x02\x030800", b""])
def test_a_frame_without_the_tpdu_that_is_due_is_an_error_and_keeps_what_came_before(payload: bytes) -> None:
    framer = Framer(tpdu=True)
    good = frame(b"good", tpdu=TPDU)
    with pytest.raises(FrameError) as caught:
        framer.feed(good + len(payload).to_bytes(2, "big") + payload)
    assert caught.value.frames == [TPDU + b"good"]
    assert not framer.pending


def test_a_reply_goes_back_where_its_request_came_from() -> None:
    assert split_tpdu(TPDU + b"0200") == (TPDU, b"0200")
    assert reply_tpdu(TPDU) == bytes.fromhex("6002030001")


@pytest.mark.parametrize("tpdu", [b"\x60", b"\x61\x00\x01\x02\x03", TPDU + b"\x00"])
def test_what_is_no_tpdu_is_not_sent(tpdu: bytes) -> None:
    with pytest.raises(ValueError, match="TPDU"):
        frame(b"0210", tpdu=tpdu)
    with pytest.raises(ValueError, match="65535"):
        frame(b"", tpdu=TPDU)
