"""A blocking line to the switch for tests of bytes: what is sent and what comes back is seen as it is.

`TerminalConnection` reads replies for its owner; here a test holds the payloads themselves, so that it can
compare two answers byte by byte, or send what no terminal would.
"""

import socket
import ssl
import struct
import time
from types import TracebackType
from typing import Self

from switch.wire.framing import Framer, frame, reply_tpdu, split_tpdu
from terminal_sim.connection import PLAIN, LineSettings
from terminal_sim.terminal import Reply, Terminal

REPLY_S = 15.0


class ClosedByPeerError(Exception):
    """The switch closed the connection."""


class Line:
    """One TCP connection, used by one thread."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        timeout_s: float = REPLY_S,
        receive_buffer: int = 0,
        settings: LineSettings = PLAIN,
    ) -> None:
        """`receive_buffer` (bytes) makes a reader with little room; 0 leaves it to the system."""
        self._settings = settings
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(timeout_s)
        self._socket.connect((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.tls is not None:
            self._socket = settings.tls.wrap_socket(self._socket, server_hostname=host)
        self._framer = Framer(0xFFFF, inclusive=settings.inclusive, tpdu=bool(settings.tpdu))
        self._ready: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Close as a pulled cable does: RST, and nothing of what is on its way is read."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def finish(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def send(self, payload: bytes) -> None:
        """Send one framed payload."""
        self._socket.sendall(frame(payload, self._settings.inclusive, self._settings.tpdu))

    def receive(self, timeout_s: float = REPLY_S) -> bytes:
        """The next payload. Raises TimeoutError, or ClosedByPeerError at the end of the stream."""
        deadline = time.monotonic() + timeout_s
        while not self._ready:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65_536)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            if not data:
                raise ClosedByPeerError("the switch closed the connection")
            self._ready += self._framer.feed(data)
        payload = self._ready.pop(0)
        if not self._settings.tpdu:
            return payload
        tpdu, payload = split_tpdu(payload)
        assert tpdu == reply_tpdu(self._settings.tpdu), "the reply's TPDU is not the request's, swapped"
        return payload

    def ask(self, payload: bytes, timeout_s: float = REPLY_S) -> bytes:
        """Send and take the next answer, as bytes."""
        self.send(payload)
        return self.receive(timeout_s)

    def exchange(self, terminal: Terminal, payload: bytes, timeout_s: float = REPLY_S) -> Reply:
        """Send and let the terminal read the answer."""
        return terminal.receive(self.ask(payload, timeout_s))

    def wait_closed(self, timeout_s: float) -> float:
        """Wait until the switch closes; returns the seconds it took. Answers that still come are dropped.

        Raises TimeoutError when it has not closed by then.
        """
        started = time.monotonic()
        while True:
            try:
                self.receive(max(0.001, started + timeout_s - time.monotonic()))
            except ClosedByPeerError:
                return time.monotonic() - started

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes for that long."""
        try:
            self.receive(seconds)
        except TimeoutError:
            return True
        return False
