"""The nightly credit of one wallet: from cashback promised to points that can be spent."""

from collections.abc import Sequence

import msgspec

from switch.domain.wallet import NEVER, Lot, LotKind
from switch.ledger.chart import Account
from switch.ledger.journal import Entry, entry

_FAR = 99_999_999


class Credit(msgspec.Struct, frozen=True):
    """What the credit does to a wallet: entries, won added to lots, a new lot, what the member owes."""

    entries: tuple[Entry, ...]
    lot_changes: tuple[tuple[int, int], ...]  # (lot number, won added; negative = taken)
    new_lot: Lot | None
    receivable: int


def credit(
    net: int, *, receivable: int, lots: Sequence[Lot], lot_seq: int, expires: int, booked_on: int
) -> Credit:
    """Book a wallet's net accrual of one business date (won, not 0) on the open date `booked_on` (yyyymmdd).

    A positive net first pays off what the member owes, the rest goes to the points lot that ends on
    `expires` (a new one with number lot_seq + 1 if there is none). A negative net is taken from valid
    points, earliest expiry first, and what they cannot cover is owed (DOMAIN rule 9). `lots` are the
    wallet's points lots. Raises ValueError on a net of 0.
    """
    if not net:
        raise ValueError("a net of 0 has nothing to book")
    if net > 0:
        return _give(net, receivable, lots, lot_seq, expires, booked_on)
    return _take(-net, receivable, lots, booked_on)


def _give(
    won: int, receivable: int, lots: Sequence[Lot], lot_seq: int, expires: int, booked_on: int
) -> Credit:
    entries: list[Entry] = []
    paid_off = min(won, receivable)
    if paid_off:
        entries.append(entry(Account.CASHBACK_ACCRUED, Account.MEMBER_RECEIVABLE, paid_off))
    points = won - paid_off
    if not points:
        return Credit(tuple(entries), (), None, receivable - paid_off)
    found = next((lot for lot in lots if lot.expires == expires and not lot.funder_no), None)
    lot_no = found.lot_no if found else lot_seq + 1
    entries.append(entry(Account.CASHBACK_ACCRUED, Account.POINTS, points, lot_no=lot_no))
    if found:
        return Credit(tuple(entries), ((lot_no, points),), None, receivable - paid_off)
    lot = Lot(lot_no, LotKind.POINTS, 0, points, points, booked_on, expires)
    return Credit(tuple(entries), (), lot, receivable - paid_off)


def _take(won: int, receivable: int, lots: Sequence[Lot], booked_on: int) -> Credit:
    entries: list[Entry] = []
    changes: list[tuple[int, int]] = []
    left = won
    usable = [lot for lot in lots if lot.balance > 0 and lot.valid_on(booked_on)]
    for lot in sorted(usable, key=lambda lot: (_FAR if lot.expires == NEVER else lot.expires, lot.lot_no)):
        if not left:
            break
        taken = min(left, lot.balance)
        left -= taken
        entries.append(entry(Account.POINTS, Account.CASHBACK_ACCRUED, taken, lot_no=lot.lot_no))
        changes.append((lot.lot_no, -taken))
    if left:
        entries.append(entry(Account.MEMBER_RECEIVABLE, Account.CASHBACK_ACCRUED, left))
    return Credit(tuple(entries), tuple(changes), None, receivable + left)
