"""The same member at the same shop again and again within a short time, with amounts alike."""

from array import array

from switch.domain.money import PPM
from switch.domain.watch import LATE_S, Hit, Seen, Watch

KEPT_MAX = 256
"""Payments of one member at one shop that are looked back on."""


class Repeats:
    """Kind repeats: flat (moment, won) pairs for each member and shop."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._of: dict[tuple[int, int], array[int]] = {}

    def observe(self, seen: Seen) -> Hit | None:
        """Count a payment; the hit if enough like it stand close together."""
        watch = self.watch
        if seen.topup or seen.won < watch.won:
            return None
        key = (seen.wallet_id, seen.merchant_no)
        kept = self._of.get(key)
        if kept is None:
            kept = self._of[key] = array("q")
        _add(kept, seen, watch.seconds)
        alike = [
            (kept[place], kept[place + 1])
            for place in range(0, len(kept), 2)
            if abs(kept[place + 1] - seen.won) * PPM <= watch.similar_ppm * max(kept[place + 1], seen.won)
        ]
        best: list[tuple[int, int]] = []
        for end, _ in alike:
            if seen.moment <= end < seen.moment + watch.seconds:
                inside = [one for one in alike if end - watch.seconds < one[0] <= end]
                if len(inside) >= watch.count and len(inside) > len(best):
                    best = inside
        if not best:
            return None
        member = watch.subject == "member"
        amounts = [won for _, won in best]
        return Hit(
            watch=watch,
            programme_no=seen.programme_no,
            bucket=seen.bucket if member else 0,
            wallet_id=seen.wallet_id if member else 0,
            merchant_no=0 if member else seen.merchant_no,
            first=best[0][0],
            last=best[-1][0],
            figures={"count": len(best), "won": sum(amounts), "seconds": best[-1][0] - best[0][0]},
            of_bucket=seen.bucket,
            of_wallet=seen.wallet_id,
            of_merchant=seen.merchant_no,
            least=min(amounts),
            most=max(amounts),
        )

    def forget(self, moment: int) -> None:
        """Drop the pairs of whom nothing counts any more."""
        edge = moment - self.watch.seconds - LATE_S
        for key in [key for key, kept in self._of.items() if kept[-2] <= edge]:
            del self._of[key]

    def __len__(self) -> int:
        return len(self._of)


def _add(kept: "array[int]", seen: Seen, span: int) -> None:
    place = len(kept)
    while place and kept[place - 2] > seen.moment:
        place -= 2
    kept[place:place] = array("q", (seen.moment, seen.won))
    edge = kept[-2] - span - LATE_S
    gone = 0
    while kept[gone] <= edge or len(kept) - gone > 2 * KEPT_MAX:
        gone += 2
    if gone:
        del kept[:gone]
