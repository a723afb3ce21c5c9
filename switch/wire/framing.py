"""Cutting a byte stream into message payloads: two bytes of length, big-endian, not counting themselves."""

from typing import Final

from switch.wire.spec import PAYLOAD_MAX

LENGTH_BYTES: Final = 2
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

    __slots__ = ("_buffer", "frame_max")

    def __init__(self, frame_max: int = PAYLOAD_MAX) -> None:
        """`frame_max`: the longest payload accepted, bytes, 1..65535."""
        if not 1 <= frame_max <= _LENGTH_LIMIT:
            raise ValueError(f"frame_max must be 1..{_LENGTH_LIMIT}, got {frame_max}")
        self.frame_max = frame_max
        self._buffer = b""

    @property
    def pending(self) -> bool:
        """Whether a frame has begun and not ended.

        Time it: a slow sender must not hold a connection for ever.
        """
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads completed by `data`, in order.

        Raises FrameError on a length of 0 or above `frame_max`.
        """
        if self._buffer:
            data = self._buffer + data
        frames: list[bytes] = []
        position, size = 0, len(data)
        while size - position >= LENGTH_BYTES:
            length = data[position] << 8 | data[position + 1]
            if not 0 < length <= self.frame_max:
                self._buffer = b""
                raise FrameError(f"frame length {length} is outside 1..{self.frame_max}", frames)
            end = position + LENGTH_BYTES + length
            if end > size:
                break
            frames.append(data[position + LENGTH_BYTES : end])
            position = end
        self._buffer = data[position:]
        return frames


def frame(payload: bytes) -> bytes:
    """The payload with its length before it.

    Raises ValueError when it does not fit two bytes, or is empty.
    """
    if not 0 < len(payload) <= _LENGTH_LIMIT:
        raise ValueError(f"a frame holds 1..{_LENGTH_LIMIT} bytes, got {len(payload)}")
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload
