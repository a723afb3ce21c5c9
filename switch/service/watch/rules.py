"""The rules in force and what detectors must know beside payments, as the books have them now."""

from datetime import date, datetime, time
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from switch.domain.calendar import business_date
from switch.domain.programme_file import from_canonical
from switch.domain.watch import DAY_S, Hit, Watch
from switch.domain.watch_engine import Engine as Detectors
from switch.store.schema import control, merchant, programme

_NEVER_NEW: Final = 0


class Rules(msgspec.Struct, frozen=True):
    """The rules of every programme that has some, as of one epoch of the reference data."""

    epoch: int
    watches: dict[int, tuple[Watch, ...]]  # by programme_no
    cutovers: dict[int, time]
    programme_id: dict[int, str]
    opened: dict[int, int]  # merchant_no → ordinal day, where a rule asks for it

    def detectors(self, programme_no: int) -> Detectors:
        """Fresh detectors, which have seen nothing."""
        return Detectors(
            self.watches[programme_no], lambda merchant_no: self.opened.get(merchant_no, _NEVER_NEW)
        )

    def business_date(self, programme_no: int, now: datetime) -> date:
        """The business date that is open at an aware instant."""
        return business_date(now, self.cutovers[programme_no])


def read_rules(connection: Connection) -> Rules:
    """Read them; programmes without rules are left out."""
    epoch = connection.execute(select(control.c.reference_epoch)).scalar_one()
    watches: dict[int, tuple[Watch, ...]] = {}
    cutovers: dict[int, time] = {}
    names: dict[int, str] = {}
    for number, document in connection.execute(select(programme.c.programme_no, programme.c.document)):
        one = from_canonical(document.encode())
        if one.watches:
            watches[number], cutovers[number], names[number] = one.watches, one.cutover, one.programme_id
    opened: dict[int, int] = {}
    asking = [number for number, some in watches.items() if any(one.new_days for one in some)]
    if asking:
        rows = connection.execute(
            select(merchant.c.merchant_no, merchant.c.opened).where(merchant.c.programme_no.in_(asking))
        )
        opened = {row[0]: row[1].toordinal() for row in rows}
    return Rules(epoch, watches, cutovers, names, opened)


class Pending:
    """Hits not written yet: those of one rule and subject that belong together are one."""

    def __init__(self) -> None:
        self._hits: dict[tuple[int, str, int, int, int, int], list[Hit]] = {}
        self._size = 0

    def add(self, hit: Hit) -> None:
        """Keep a hit, or let one grow by it that lies within its quiet days."""
        key = (
            *(hit.programme_no, hit.watch.code, hit.wallet_id, hit.merchant_no),
            *(hit.of_wallet, hit.of_merchant),
        )
        known = self._hits.setdefault(key, [])
        for place, one in enumerate(known):
            if abs(hit.last - one.last) <= hit.watch.quiet_days * DAY_S:
                known[place] = _joined(one, hit)
                return
        known.append(hit)
        self._size += 1

    def take(self) -> list[Hit]:
        """All of them, in the order of their last payments; nothing is pending any more."""
        hits = sorted(
            (hit for some in self._hits.values() for hit in some),
            key=lambda one: (one.programme_no, one.last, one.watch.code, one.wallet_id, one.merchant_no),
        )
        self._hits.clear()
        self._size = 0
        return hits

    def __len__(self) -> int:
        return self._size


def _joined(one: Hit, two: Hit) -> Hit:
    most = max(one, two, key=lambda hit: (hit.figures["won"], hit.figures["count"]))
    return msgspec.structs.replace(
        most,
        first=min(one.first, two.first),
        last=max(one.last, two.last),
        least=min(one.least, two.least),
        most=max(one.most, two.most),
    )
