"""Which answer belongs to which request, at the terminal's end of a line, without the line.

Replies come in any order, so each is matched by what the switch must echo: the class of the MTI, the STAN and
the terminal. A reply that matches nothing (late, unasked) is not an answer to anything.

Times are seconds of a monotonic clock, given by the caller.
"""

from typing import Final, Generic, TypeVar

IN_FLIGHT_MAX: Final = 4096


def match_key(mti: str, stan: str, terminal_id: str) -> str:
    """What a request and its reply have in common: the class of the MTI (its second digit), DE11, DE41."""
    return mti[1] + stan + terminal_id


Waiter = TypeVar("Waiter")


class Pending(Generic[Waiter]):
    """Requests that wait for replies, at a terminal's end of the connection. Bounded."""

    __slots__ = ("_waiting", "in_flight_max")

    def __init__(self, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        self.in_flight_max = in_flight_max
        self._waiting: dict[str, tuple[float, Waiter]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, key: str, deadline_s: float, waiter: Waiter) -> None:
        """Wait for the reply to `key`. Raises ValueError when it is waited for already, or too many are."""
        if key in self._waiting:
            raise ValueError("a request with this STAN is on its way; wait for it, or take the next STAN")
        if len(self._waiting) >= self.in_flight_max:
            raise ValueError(f"{self.in_flight_max} requests are on their way, the bound of this connection")
        self._waiting[key] = (deadline_s, waiter)

    def match(self, key: str) -> Waiter | None:
        """Who waits for this reply; None when nobody does (any more)."""
        entry = self._waiting.pop(key, None)
        return None if entry is None else entry[1]

    def expired(self, now_s: float) -> list[Waiter]:
        """Those whose deadline has come, no longer waiting.

        Costs a look at each: call it a few times a second.
        """
        late = [key for key, (deadline_s, _) in self._waiting.items() if deadline_s <= now_s]
        return [self._waiting.pop(key)[1] for key in late]

    def abandon(self) -> list[Waiter]:
        """Everybody that waits: the connection is gone."""
        waiters = [waiter for _, waiter in self._waiting.values()]
        self._waiting.clear()
        return waiters
