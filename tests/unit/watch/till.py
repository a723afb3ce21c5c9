"""Payments made up for the detectors."""

from collections.abc import Callable, Iterable

from switch.domain.watch import Hit, Seen, Watch, seconds_of
from switch.domain.watch_engine import Engine, detector_of

OPENED = seconds_of(20250101, 0) // 86_400


def seen(day: int, time: int, won: int, *, member: int = 1, shop: int = 1, topup: bool = False) -> Seen:
    """A payment of a local day (yyyymmdd) and time (hhmmss)."""
    return Seen(1, member % 1024, member, 0, shop, seconds_of(day, time), won, topup)


def hits(
    watch: Watch, payments: Iterable[Seen], opened: Callable[[int], int] = lambda _: OPENED
) -> list[Hit]:
    """What a rule says of payments in the order given."""
    detector = detector_of(watch, opened)
    return [hit for one in payments if (hit := detector.observe(one)) is not None]


def engine(*watches: Watch) -> Engine:
    """Several rules at once."""
    return Engine(watches, lambda _: OPENED)
