"""All rules of a programme at once: one payment in, the hits out."""

from collections.abc import Callable, Sequence
from typing import Protocol

from switch.domain.watch import Hit, Seen, Watch
from switch.domain.watch_repeats import Repeats
from switch.domain.watch_share import Share
from switch.domain.watch_tickets import Tickets
from switch.domain.watch_topups import AfterTopup
from switch.domain.watch_volume import Volume


class Detector(Protocol):
    """What looks for one rule."""

    def observe(self, seen: Seen) -> Hit | None:
        """Take a payment in; say whether the rule is met with it."""

    def forget(self, moment: int) -> None:
        """Drop what can no longer count at `moment` (seconds)."""

    def __len__(self) -> int:
        """Subjects that are kept in mind."""


class Engine:
    """The detectors of one programme. `opened` gives the ordinal day on which a shop joined."""

    def __init__(self, watches: Sequence[Watch], opened: Callable[[int], int]) -> None:
        self._detectors = [detector_of(watch, opened) for watch in watches]
        self.lookback_days = max([watch.lookback_days for watch in watches], default=0)

    def observe(self, seen: Seen) -> list[Hit]:
        """Take a payment in and return the rules that are met with it."""
        return [hit for one in self._detectors if (hit := one.observe(seen)) is not None]

    def forget(self, moment: int) -> None:
        """Drop what can no longer count at `moment` (seconds), by the clock and not by a payment's word."""
        for detector in self._detectors:
            detector.forget(moment)

    @property
    def subjects(self) -> int:
        """Members and shops that are kept in mind, rule by rule."""
        return sum(len(one) for one in self._detectors)


def detector_of(watch: Watch, opened: Callable[[int], int]) -> Detector:
    """What looks for a rule."""
    if watch.kind == "repeats":
        return Repeats(watch)
    if watch.kind == "tickets":
        return Tickets(watch)
    if watch.kind == "share":
        return Share(watch)
    if watch.kind == "after_topup":
        return AfterTopup(watch)
    return Volume(watch, opened)
