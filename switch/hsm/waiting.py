"""What a command is while it waits for its answer, and what is counted about all of them."""

import asyncio
from collections.abc import Callable
from typing import Any

Parser = Callable[[bytes, bytes], Any]
Observer = Callable[[str, float], None]


class HsmUnavailable(Exception):
    """No answer from the HSM: not connected, lost, too late, or too much in flight. Decline with 91."""


class Counters:
    """What has happened so far, for the metrics page. Plain ints: read them whenever you like.

    `in_flight` counts what waits here as well as what is at an HSM; `refused` what was over that limit or
    met no connection; `moved` what another HSM was asked because the first was lost or silent.
    """

    __slots__ = ("failed", "in_flight", "late", "moved", "reconnects", "refused", "sent", "timeouts")

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self.timeouts = 0
        self.late = 0
        self.reconnects = 0
        self.refused = 0
        self.moved = 0
        self.in_flight = 0


class Waiting:
    """A command without its answer yet. `since`: when it was asked; `sent`: when it left (monotonic s)."""

    __slots__ = ("future", "message", "moved", "parser", "sent", "since")

    def __init__(self, message: bytes, parser: Parser, future: "asyncio.Future[Any]", now: float) -> None:
        self.message = message
        self.parser = parser
        self.future = future
        self.since = now
        self.sent = now
        self.moved = False

    def __repr__(self) -> str:
        return f"Waiting({self.message[:2]!r})"


def fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    """Ends a future with an error, unless it has ended."""
    if future.done():
        return
    future.set_exception(error)
    # The counters have it; a caller who stopped waiting for one of many must not fill the log.
    future.exception()
