"""How much is worked on at once, over all lines: the rest waits its turn, in the order it came.

Thousands of messages at once would all be slow together, until HSM and terminals give up on each of them. So
some are worked on and quickly done while the others wait. What has waited too long is dropped without an
answer: its terminal no longer listens, and will repeat or reverse.
"""

from collections import deque
from typing import Protocol

from switch.service import metrics
from switch.settings import Limits


class Sender(Protocol):
    """Whose message waits at the gate."""

    @property
    def gone(self) -> bool:
        """Whether nobody is there any more to be answered."""

    def begin(self, payload: bytes) -> None:
        """Work on a message: its turn has come."""

    def passed_over(self) -> None:
        """A message is not worked on after all."""


class Gate:
    """Lets messages in. One for all lines of a process; times are the event loop's, in seconds."""

    __slots__ = ("_limits", "_waiting", "working")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[tuple[Sender, bytes, float]] = deque()
        self.working = 0

    @property
    def waiting(self) -> int:
        """Messages that wait for their turn."""
        return len(self._waiting)

    def enter(self, sender: Sender, payload: bytes, now: float) -> bool:
        """Begin with this message, now or in its turn; False when too many wait: it is dropped."""
        if self.working < self._limits.working_max and not self._waiting:
            self.working += 1
            sender.begin(payload)
        elif len(self._waiting) < self._limits.waiting_max:
            self._waiting.append((sender, payload, now))
        else:
            metrics.REQUESTS_SHED.inc("full")
            return False
        return True

    def leave(self, now: float) -> None:
        """A message is done: the next may begin."""
        self.working -= 1
        while self._waiting and self.working < self._limits.working_max:
            sender, payload, since = self._waiting.popleft()
            if now - since > self._limits.waiting_s:
                metrics.REQUESTS_SHED.inc("late")
                sender.passed_over()
            elif sender.gone:
                sender.passed_over()
            else:
                self.working += 1
                sender.begin(payload)
