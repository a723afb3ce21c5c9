"""Round amounts right after a top-up: money that is turned into cash, not into goods."""

from array import array

from switch.domain.watch import DAY_S, LATE_DAYS, LATE_S, Hit, Seen, Watch
from switch.domain.watch_window import Window

TOPUPS_MAX = 16
"""Top-ups of one member that are looked back on."""


class AfterTopup:
    """Kind after_topup: the last top-ups of each member, and his round payments soon after one."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._topups: dict[int, array[int]] = {}
        self._of: dict[int, Window] = {}

    def observe(self, seen: Seen) -> Hit | None:
        """Note a top-up, or count a payment; the hit if there are enough of them in the window."""
        watch = self.watch
        if seen.topup:
            self._note(seen)
            return None
        if seen.won < watch.won or seen.won % watch.round_won:
            return None
        topups = self._topups.get(seen.wallet_id, ())
        if not any(0 <= seen.moment - at <= watch.after_s for at in topups):
            return None
        window = self._of.get(seen.wallet_id)
        if window is None:
            window = self._of[seen.wallet_id] = Window()
        day = seen.moment // DAY_S
        window.add(day, seen.won, watch.days, LATE_DAYS)
        best: tuple[int, int, int, int] | None = None
        for found in window.ends(day, watch.days):
            if found[3] >= max(watch.count, 1) and (best is None or found[3] > best[3]):
                best = found
        if best is None:
            return None
        first, last, won, count = best
        return Hit(
            watch=watch,
            programme_no=seen.programme_no,
            bucket=seen.bucket,
            wallet_id=seen.wallet_id,
            merchant_no=0,
            first=first * DAY_S,
            last=last * DAY_S + DAY_S - 1,
            figures={"won": won, "count": count},
            of_bucket=seen.bucket,
            of_wallet=seen.wallet_id,
            with_topups=True,
        )

    def _note(self, seen: Seen) -> None:
        topups = self._topups.get(seen.wallet_id)
        if topups is None:
            topups = self._topups[seen.wallet_id] = array("q")
        topups.append(seen.moment)
        if len(topups) > TOPUPS_MAX:
            topups.remove(min(topups))

    def forget(self, moment: int) -> None:
        """Drop members of whom nothing counts any more."""
        soon = moment - self.watch.after_s - LATE_S
        for key in [key for key, topups in self._topups.items() if max(topups) < soon]:
            del self._topups[key]
        edge = moment // DAY_S - self.watch.days - LATE_DAYS
        for key in [key for key, window in self._of.items() if window.latest <= edge]:
            del self._of[key]

    def __len__(self) -> int:
        return len(self._of) + len(self._topups)
