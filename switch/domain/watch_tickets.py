"""Tickets far above what is usual at a shop: a multiple of the quantile of its own past."""

from array import array

from switch.domain.money import PPM
from switch.domain.watch import DAY_S, LATE_DAYS, WINDOW_DAYS_MAX, Hit, Seen, Watch
from switch.domain.watch_window import Window

PAST_MAX = 200
"""Tickets of a shop that its usual one is taken from: the last ones of the days before."""


class _Shop:
    """Flat (day, won) pairs in order of days, the threshold as of `day`, and the high tickets."""

    __slots__ = ("day", "high", "kept", "usual")

    def __init__(self) -> None:
        self.kept = array("q")
        self.high = Window()
        self.day = 0
        self.usual = 0


class Tickets:
    """Kind tickets. Today's tickets never count as usual: a day is judged by those before it."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._of: dict[int, _Shop] = {}

    def observe(self, seen: Seen) -> Hit | None:
        """Count a ticket; the hit if enough high ones stand within the window."""
        watch = self.watch
        if seen.topup:
            return None
        shop = self._of.get(seen.merchant_no)
        if shop is None:
            shop = self._of[seen.merchant_no] = _Shop()
        day = seen.moment // DAY_S
        if day != shop.day:
            shop.usual = self._usual(shop.kept, day)
            shop.day = day
        _add(shop.kept, day, seen.won)
        threshold = max(watch.factor * shop.usual, watch.won)
        if not shop.usual or seen.won < threshold:
            return None
        shop.high.add(day, seen.won, watch.days, LATE_DAYS)
        best: tuple[int, int, int, int] | None = None
        for found in shop.high.ends(day, watch.days):
            if found[3] >= max(watch.count, 1) and (best is None or found[3] > best[3]):
                best = found
        if best is None:
            return None
        first, last, won, count = best
        return Hit(
            watch=watch,
            programme_no=seen.programme_no,
            bucket=0,
            wallet_id=0,
            merchant_no=seen.merchant_no,
            first=first * DAY_S,
            last=last * DAY_S + DAY_S - 1,
            figures={"count": count, "won": won, "usual": shop.usual, "ticket": seen.won},
            of_merchant=seen.merchant_no,
            least=threshold,
        )

    def _usual(self, kept: "array[int]", day: int) -> int:
        """The quantile of the tickets before `day`; 0 while there are too few."""
        past = [
            kept[place + 1] for place in range(0, len(kept), 2) if day - WINDOW_DAYS_MAX < kept[place] < day
        ][-PAST_MAX:]
        if len(past) < max(self.watch.sample, 1):
            return 0
        past.sort()
        return past[(len(past) - 1) * self.watch.quantile_ppm // PPM]

    def forget(self, moment: int) -> None:
        """Drop shops without a ticket for as long as tickets are remembered."""
        edge = moment // DAY_S - WINDOW_DAYS_MAX
        for key in [key for key, shop in self._of.items() if shop.kept[-2] <= edge]:
            del self._of[key]

    def __len__(self) -> int:
        return len(self._of)


def _add(kept: "array[int]", day: int, won: int) -> None:
    """Keep a ticket; of the days before, the last PAST_MAX, and as many of the day itself."""
    place = len(kept)
    while place and kept[place - 2] > day:
        place -= 2
    kept[place:place] = array("q", (day, won))
    if len(kept) > 4 * PAST_MAX:
        del kept[:2]
