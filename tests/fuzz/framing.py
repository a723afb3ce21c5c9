"""Framing: whatever comes, in whatever pieces, is cut into the same frames or refused."""

from switch.wire.framing import FrameError, Framer, frame

FRAME_MAX = 512


def seeds() -> list[bytes]:
    """A few good streams; the first byte says how they are cut and which framing they have."""
    return [
        bytes([pieces]) + frame(b"0800" + b"x" * length) + frame(b"y")
        for pieces in (0, 1, 7, 130)
        for length in (0, 5, 300)
    ]


def fuzz_one(data: bytes) -> None:
    """All at once and in pieces must give the same frames; nothing but FrameError may be raised."""
    if not data:
        return
    how, stream = data[0], data[1:]
    inclusive, tpdu = bool(how & 64), bool(how & 128)
    whole, whole_failed = _feed(Framer(FRAME_MAX, inclusive=inclusive, tpdu=tpdu), [stream])
    size = how % 64 + 1
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    cut, cut_failed = _feed(Framer(FRAME_MAX, inclusive=inclusive, tpdu=tpdu), pieces)
    assert whole_failed == cut_failed
    assert whole == cut
    assert all(len(one) <= FRAME_MAX for one in map(_size, whole))


def _size(one: object) -> bytes:
    return one if isinstance(one, bytes) else one[-1]  # type: ignore[index,no-any-return]


def _feed(framer: Framer, pieces: list[bytes]) -> tuple[list[object], bool]:
    found: list[object] = []
    for piece in pieces:
        try:
            found += framer.feed(piece)
        except FrameError as error:
            found += error.frames
            return found, True
    return found, False
