"""Cutting a byte stream into message payloads: two bytes of length, big-endian.

By the listener's configuration the length counts itself too (inclusive), and a TPDU of five bytes stands
between length and message: 0x60, destination, source. A reply's TPDU is the request's with the two swapped.
"""

from typing import Final

from switch.wire.spec import PAYLOAD_MAX

LENGTH_BYTES: Final = 2
TPDU_BYTES: Final = 5
TPDU_ID: Final = 0x60
_LENGTH_LIMIT: Final = 0xFFFF


class FrameError(ValueError):
    """The stream cannot be trusted any further: close this connection.

    `frames` are the complete payloads that came in the same read before the bad length.
    """

    def __init__(self, reason: str, frames: list[bytes]) -> None:
        super().__init__(reason)
        self.frames = frames


class Framer:
    """Collects bytes, gives out payloads.

    Holds less than one frame between calls, so its memory is bounded.
    """

    __slots__ = ("_buffer", "_counted", "_tpdu", "frame_max")

    def __init__(self, frame_max: int = PAYLOAD_MAX, *, inclusive: bool = False, tpdu: bool = False) -> None:
        """`frame_max`: the longest payload accepted, bytes, 1..65535; a TPDU counts as part of the payload.

        `inclusive`: the length on the wire counts its own two bytes. `tpdu`: every payload begins with one;
        it stays on the payloads that come out: `split_tpdu` takes it off.
        """
        if not 1 <= frame_max <= _LENGTH_LIMIT:
            raise ValueError(f"frame_max must be 1..{_LENGTH_LIMIT}, got {frame_max}")
        self.frame_max = frame_max
        self._buffer = b""
        self._counted = LENGTH_BYTES if inclusive else 0
        self._tpdu = tpdu

    @property
    def pending(self) -> bool:
        """Whether a frame has begun and not ended.

        Time it: a slow sender must not hold a connection for ever.
        """
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads completed by `data`, in order.

        Raises FrameError on a length of 0 or above `frame_max`, and where a TPDU is due and there is none.
        """
        if self._buffer:
            data = self._buffer + data
        frames: list[bytes] = []
        position, size, counted = 0, len(data), self._counted
        while size - position >= LENGTH_BYTES:
            length = (data[position] << 8 | data[position + 1]) - counted
            if not 0 < length <= self.frame_max:
                self._buffer = b""
                raise FrameError(f"frame length {length} is outside 1..{self.frame_max}", frames)
            end = position + LENGTH_BYTES + length
            if end > size:
                break
            payload = data[position + LENGTH_BYTES : end]
            if self._tpdu and (length <= TPDU_BYTES or payload[0] != TPDU_ID):
                self._buffer = b""
                raise FrameError("a frame without TPDU and message", frames)
            frames.append(payload)
            position = end
        self._buffer = data[position:]
        return frames


def frame(payload: bytes, inclusive: bool = False, tpdu: bytes = b"") -> bytes:
    """The payload with its length before it, and between them the TPDU where one is given.

    Raises ValueError when it does not fit two bytes, or is empty, or the TPDU is none.
    """
    if tpdu:
        if len(tpdu) != TPDU_BYTES or tpdu[0] != TPDU_ID:
            raise ValueError(f"a TPDU has {TPDU_BYTES} bytes, the first 0x{TPDU_ID:02X}")
        payload = tpdu + payload if payload else b""
    length = len(payload) + LENGTH_BYTES if inclusive else len(payload)
    if not payload or length > _LENGTH_LIMIT:
        raise ValueError(f"a frame holds 1..{_LENGTH_LIMIT} bytes, got {length}")
    return length.to_bytes(LENGTH_BYTES, "big") + payload


def split_tpdu(payload: bytes) -> tuple[bytes, bytes]:
    """The TPDU and the message of a payload from a Framer with `tpdu`."""
    return payload[:TPDU_BYTES], payload[TPDU_BYTES:]


def reply_tpdu(tpdu: bytes) -> bytes:
    """The TPDU of the reply: source and destination swapped."""
    return tpdu[:1] + tpdu[3:] + tpdu[1:3]
