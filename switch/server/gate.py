"""How much is worked on at once, over all lines: the rest waits, and each line has its turn.

Thousands of messages at once would all be slow together, until HSM and terminals give up on each of them. So
some are worked on and quickly done while the others wait. What has waited too long is dropped without an
answer: its terminal no longer listens, and will repeat or reverse.

Lines that wait take turns, one message each, so that whoever sends the most does not hold up the others: a
message waits for one turn of the lines before it, not for all that stands behind them.
"""

from collections import OrderedDict, deque
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

    __slots__ = ("_limits", "_lines", "waiting", "working")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # In the order of their turns; a line without a message is not here.
        self._lines: OrderedDict[Sender, deque[tuple[bytes, float]]] = OrderedDict()
        self.waiting = 0  # messages that wait for their turn
        self.working = 0

    def enter(self, sender: Sender, payload: bytes, now: float) -> bool:
        """Begin with this message, now or in its turn; False when too many wait: it is dropped."""
        if self.working < self._limits.working_max and not self.waiting:
            self.working += 1
            sender.begin(payload)
        elif self.waiting < self._limits.waiting_max:
            self._lines.setdefault(sender, deque()).append((payload, now))
            self.waiting += 1
        else:
            metrics.REQUESTS_SHED.inc("full")
            return False
        return True

    def leave(self, now: float) -> None:
        """A message is done: the next may begin."""
        self.working -= 1
        while self.waiting and self.working < self._limits.working_max:
            sender, messages = self._lines.popitem(last=False)
            payload, since = messages.popleft()
            self.waiting -= 1
            if messages:
                self._lines[sender] = messages  # at the end: the next turn is another's
            if now - since > self._limits.waiting_s:
                metrics.REQUESTS_SHED.inc("late")
                sender.passed_over()
            elif sender.gone:
                sender.passed_over()
            else:
                self.working += 1
                sender.begin(payload)
