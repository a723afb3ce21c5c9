"""A member who leaves an unusual share of what he spends at one shop."""

from array import array

from switch.domain.money import PPM
from switch.domain.watch import DAY_S, LATE_DAYS, Hit, Seen, Watch

ENTRIES_MAX = 512
"""Days and shops of one member that are looked back on."""


class Share:
    """Kind share: flat (day, merchant, won, count) for each member."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._of: dict[int, array[int]] = {}

    def observe(self, seen: Seen) -> Hit | None:
        """Count a payment; the hit if its shop has too large a share of a window that it stands in."""
        watch = self.watch
        if seen.topup:
            return None
        kept = self._of.get(seen.wallet_id)
        if kept is None:
            kept = self._of[seen.wallet_id] = array("q")
        day = seen.moment // DAY_S
        _add(kept, day, seen, watch.days)
        for end in range(day, min(kept[-4], day + watch.days - 1) + 1):
            first, total, won, count = _sums(kept, end, seen.merchant_no, watch.days)
            if total >= watch.won and count >= watch.count and won * PPM >= watch.share_ppm * total:
                return Hit(
                    watch=watch,
                    programme_no=seen.programme_no,
                    bucket=seen.bucket,
                    wallet_id=seen.wallet_id,
                    merchant_no=0,
                    first=first * DAY_S,
                    last=end * DAY_S + DAY_S - 1,
                    figures={
                        "won": won,
                        "count": count,
                        "total": total,
                        "share_ppm": won * PPM // total,
                        "merchant_no": seen.merchant_no,
                    },
                    of_bucket=seen.bucket,
                    of_wallet=seen.wallet_id,
                    of_merchant=seen.merchant_no,
                )
        return None

    def forget(self, moment: int) -> None:
        """Drop members of whom nothing counts any more."""
        edge = moment // DAY_S - self.watch.days - LATE_DAYS
        for key in [key for key, kept in self._of.items() if kept[-4] <= edge]:
            del self._of[key]

    def __len__(self) -> int:
        return len(self._of)


def _add(kept: "array[int]", day: int, seen: Seen, span: int) -> None:
    place = len(kept)
    while place and kept[place - 4] >= day:
        place -= 4
        if kept[place] == day and kept[place + 1] == seen.merchant_no:
            kept[place + 2] += seen.won
            kept[place + 3] += 1
            return
    while place < len(kept) and kept[place] <= day:
        place += 4
    kept[place:place] = array("q", (day, seen.merchant_no, seen.won, 1))
    edge = kept[-4] - span - LATE_DAYS
    gone = 0
    while kept[gone] <= edge or len(kept) - gone > 4 * ENTRIES_MAX:
        gone += 4
    if gone:
        del kept[:gone]


def _sums(kept: "array[int]", end: int, merchant_no: int, span: int) -> tuple[int, int, int, int]:
    """(first day at the shop, won in all, won at the shop, count there) of the window that ends at `end`."""
    total = won = count = 0
    first = end
    for place in range(0, len(kept), 4):
        if end - span < kept[place] <= end:
            total += kept[place + 2]
            if kept[place + 1] == merchant_no:
                first = min(first, kept[place])
                won += kept[place + 2]
                count += kept[place + 3]
    return first, total, won, count
