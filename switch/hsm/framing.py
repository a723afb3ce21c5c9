"""Frames of HSM host commands: a 2-byte big-endian length that excludes itself, then the message. Sans-IO."""

from typing import Final

LENGTH_BYTES: Final = 2
FRAME_BYTES_MAX: Final = 0xFFFF


class FrameError(ValueError):
    """A length that no frame has: the stream cannot be followed any further, close it."""


def frame(message: bytes) -> bytes:
    """The message with its length in front. Raises FrameError if it is empty or above 65535 bytes."""
    if not 0 < len(message) <= FRAME_BYTES_MAX:
        raise FrameError(f"a frame carries 1 to {FRAME_BYTES_MAX} bytes, not {len(message)}")
    return len(message).to_bytes(LENGTH_BYTES) + message


class FrameSplitter:
    """Cuts a byte stream into messages, wherever the network cut it."""

    __slots__ = ("_length_max", "_length_min", "_rest")

    def __init__(self, *, length_min: int = 1, length_max: int = FRAME_BYTES_MAX) -> None:
        self._length_min = length_min
        self._length_max = length_max
        self._rest = b""

    @property
    def partial(self) -> bool:
        """Whether the stream stands inside a frame."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by `data`, in order. Raises FrameError on a length outside the limits."""
        if self._rest:
            data = self._rest + data
        messages: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= LENGTH_BYTES:
            length = (data[at] << 8) | data[at + 1]
            if not self._length_min <= length <= self._length_max:
                raise FrameError(
                    f"frame of {length} bytes: the limits are {self._length_min} to {self._length_max}"
                )
            stop = at + LENGTH_BYTES + length
            if stop > end:
                break
            messages.append(data[at + LENGTH_BYTES : stop])
            at = stop
        self._rest = data[at:]
        return messages
