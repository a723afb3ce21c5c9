"""Terminals that guess: unknown cards, wrong check values, wrong PINs, counted per terminal.

A card's own counters stop guesses at one card. Somebody who holds a terminal and goes through many cards is
stopped here: beyond a number of failures in a window the terminal is refused until the window has passed.
Reversals and advices are still taken, so that honest money is never left hanging, up to TOLD_TIMES as many
failures: they name cards too. Network messages always are.
"""

from collections import deque
from collections.abc import Callable

from switch.service import metrics

TOLD_TIMES = 5
TERMINALS_MAX = 50_000
"""Terminals with recent failures that are remembered; beyond it the longest quiet are forgotten."""


class Probing:
    """Failures of the last `window_s` seconds, per terminal. `failures_max` 0 counts nothing."""

    def __init__(self, now_s: Callable[[], float], *, failures_max: int, window_s: float) -> None:
        """`now_s`: seconds of a monotonic clock."""
        self._now_s = now_s
        self._failures_max = failures_max
        self._window_s = window_s
        self._failures: dict[str, deque[float]] = {}

    def __len__(self) -> int:
        return len(self._failures)

    def failed(self, terminal_id: str) -> bool:
        """Count a failure; True when it is the one that stops the terminal."""
        if not self._failures_max:
            return False
        times = self._failures.pop(terminal_id, None) or deque(maxlen=self._failures_max * TOLD_TIMES)
        stopped_before = self._full(times, self._failures_max)
        times.append(self._now_s())
        self._failures[terminal_id] = (
            times  # put in again: the order of the dictionary is that of last failures
        )
        if len(self._failures) > TERMINALS_MAX:
            del self._failures[next(iter(self._failures))]
        metrics.PROBES.inc()
        return self._full(times, self._failures_max) and not stopped_before

    def stopped(self, terminal_id: str, *, told: bool = False) -> bool:
        """Whether the terminal has failed too often to be asked now, or `told` of what has happened."""
        if not self._failures:
            return False
        times = self._failures.get(terminal_id)
        if times is None:
            return False
        if self._now_s() - times[-1] > self._window_s:
            del self._failures[terminal_id]
            return False
        return self._full(times, self._failures_max * (TOLD_TIMES if told else 1))

    def _full(self, times: "deque[float]", most: int) -> bool:
        return len(times) >= most and self._now_s() - times[-most] <= self._window_s
