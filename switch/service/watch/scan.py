"""The rules over a span of history: the same detectors, day by day, for programmes that begin to watch."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import msgspec
from sqlalchemy import Engine

from switch.domain.watch import DAY_S
from switch.service.admin import NotFoundError, RefusedError
from switch.service.watch.rules import Pending, read_rules
from switch.store.watch_feed import of_day
from switch.store.watch_flags import write_hits

DAYS_MAX = 366


class Scanned(msgspec.Struct):
    """What a scan did: payments read (those before the span too), flags opened and added to."""

    programme: str
    first: date
    last: date
    payments: int = 0
    opened: dict[str, int] = {}
    extended: int = 0
    stopped: int = 0


def scan(
    engine: Engine,
    programme_id: str,
    first: date,
    last: date,
    now: datetime,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Scanned:
    """Read local days `first` to `last`, and before them what windows reach back to, and write flags down.

    Run again it changes nothing. Raises NotFoundError, RefusedError.
    """
    if not first <= last or (last - first).days >= DAYS_MAX:
        raise RefusedError(f"{first} to {last} is no span of 1 to {DAYS_MAX} days: name an earlier --from")
    with engine.connect() as connection:
        rules = read_rules(connection)
    numbers = [number for number, name in rules.programme_id.items() if name == programme_id]
    if not numbers:
        raise NotFoundError(
            f'no programme "{programme_id}" with a [[watch]]: `programme list` shows them all'
        )
    number = numbers[0]
    detectors = rules.detectors(number)
    done = Scanned(programme_id, first, last, opened={})
    start = first - timedelta(days=detectors.lookback_days)
    days = (last - start).days + 1
    for passed in range(days):
        day = start + timedelta(days=passed)
        pending = Pending()
        with engine.connect() as connection:
            for seen, _ in of_day(connection, [number], day):
                done.payments += 1
                for hit in detectors.observe(seen):
                    if day >= first:
                        pending.add(hit)
        detectors.forget(day.toordinal() * DAY_S + DAY_S - 1)
        with engine.begin() as connection:
            written = write_hits(connection, pending.take(), now)
        for _, detector in written.opened:
            done.opened[detector] = done.opened.get(detector, 0) + 1
        done.extended += written.extended
        done.stopped += written.stopped
        progress(day.isoformat(), passed + 1, days)
    return done
