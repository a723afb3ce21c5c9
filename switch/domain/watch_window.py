"""Sliding windows of won and count, exact, in little memory: one flat array a subject.

Entries of the same instant are one. Payments may come out of order by as much as the slack; what comes later
still is not counted, for its neighbours are forgotten. A window holds at most ENTRIES_MAX instants.
"""

from array import array
from collections.abc import Iterator

ENTRIES_MAX = 4_096


class Window:
    """(at, won, count) triples in order of `at`: a second, or a day's ordinal number."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = array("q")

    @property
    def latest(self) -> int:
        """The newest instant; an empty window has none and must not be asked."""
        return self._kept[-3]

    def add(self, at: int, won: int, span: int, slack: int) -> None:
        """Count a payment, and forget what lies more than span and slack behind the newest."""
        kept = self._kept
        place = len(kept)
        while place and kept[place - 3] > at:
            place -= 3
        if place and kept[place - 3] == at:
            kept[place - 2] += won
            kept[place - 1] += 1
        else:
            kept[place:place] = array("q", (at, won, 1))
        edge = kept[-3] - span - slack
        gone = 0
        while kept[gone] <= edge or len(kept) - gone > 3 * ENTRIES_MAX:
            gone += 3
        if gone:
            del kept[:gone]

    def ends(self, at: int, span: int) -> Iterator[tuple[int, int, int, int]]:
        """(first, last, won, count) of each window with an entry at `at` and one at its end."""
        kept = self._kept
        if len(kept) and kept[-3] == at:
            yield self._sums(len(kept), span)
            return
        for place in range(len(kept), 0, -3):
            end = kept[place - 3]
            if end < at:
                return
            if end < at + span:
                yield self._sums(place, span)

    def _sums(self, place: int, span: int) -> tuple[int, int, int, int]:
        kept = self._kept
        last = kept[place - 3]
        edge = last - span
        won = count = 0
        first = last
        while place and kept[place - 3] > edge:
            first = kept[place - 3]
            won += kept[place - 2]
            count += kept[place - 1]
            place -= 3
        return first, last, won, count

    def days_with(self, last: int, span: int, won: int, count: int) -> int:
        """How many instants of the window that ends at `last` reach both thresholds by themselves."""
        kept = self._kept
        return sum(
            1
            for place in range(0, len(kept), 3)
            if last - span < kept[place] <= last and kept[place + 1] >= won and kept[place + 2] >= count
        )
