"""Sustained high value or count of a member or a shop; high value of a shop that has just opened."""

from collections.abc import Callable

from switch.domain.watch import DAY_S, LATE_DAYS, LATE_S, Hit, Seen, Watch
from switch.domain.watch_window import Window


class Volume:
    """Kinds volume and new_shop. `opened` gives the ordinal day on which a shop joined."""

    def __init__(self, watch: Watch, opened: Callable[[int], int]) -> None:
        self.watch = watch
        self._opened = opened
        self._unit = DAY_S if watch.days else 1
        self._span = watch.days or watch.seconds
        self._slack = LATE_DAYS if watch.days else LATE_S
        self._member = watch.subject == "member"
        self._of: dict[int, Window] = {}

    def observe(self, seen: Seen) -> Hit | None:
        """Count a payment; the hit if the rule is met with it."""
        watch = self.watch
        if seen.topup:
            return None
        if watch.new_days and seen.moment // DAY_S - self._opened(seen.merchant_no) >= watch.new_days:
            return None
        key = seen.wallet_id if self._member else seen.merchant_no
        window = self._of.get(key)
        if window is None:
            window = self._of[key] = Window()
        at = seen.moment // self._unit
        window.add(at, seen.won, self._span, self._slack)
        best: tuple[int, int, int, int] | None = None
        for found in window.ends(at, self._span):
            if self._met(window, found) and (best is None or found[2] > best[2]):
                best = found
        return None if best is None else self._hit(seen, best)

    def _met(self, window: Window, found: tuple[int, int, int, int]) -> bool:
        watch = self.watch
        _, last, won, count = found
        if watch.on_days:
            return window.days_with(last, self._span, watch.won, watch.count) >= watch.on_days
        return won >= watch.won and count >= watch.count

    def _hit(self, seen: Seen, found: tuple[int, int, int, int]) -> Hit:
        first, last, won, count = found
        return Hit(
            watch=self.watch,
            programme_no=seen.programme_no,
            bucket=seen.bucket if self._member else 0,
            wallet_id=seen.wallet_id if self._member else 0,
            merchant_no=0 if self._member else seen.merchant_no,
            first=first * self._unit,
            last=last * self._unit + self._unit - 1,
            figures={"won": won, "count": count},
            of_bucket=seen.bucket if self._member else 0,
            of_wallet=seen.wallet_id if self._member else 0,
            of_merchant=0 if self._member else seen.merchant_no,
        )

    def forget(self, moment: int) -> None:
        """Drop the subjects of whom nothing counts any more."""
        edge = moment // self._unit - self._span - self._slack
        for key in [key for key, window in self._of.items() if window.latest <= edge]:
            del self._of[key]

    def __len__(self) -> int:
        return len(self._of)
