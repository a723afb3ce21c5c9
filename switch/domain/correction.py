"""Corrections of cashback: what another version of the rules gives for a payment as it stands.

Nothing of the payment changes: its basis, its place in the month and what has come back of it are as stored.
What is due is the cashback of what remains, by the right version. What stands is what the payment has kept
and what corrections have booked since. So a proposal that is made again finds exactly what is still missing,
also after a later refund, which takes back by the version that judged the payment.

A budget that had nothing left at the payment stays so: of it no more is due than it gave.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from switch.domain.budget import Grants
from switch.domain.cashback import NOTHING, Rating, rate
from switch.domain.decision import Detail
from switch.domain.granting import Key, due, first_grants, keep, windows_again
from switch.domain.request import Terms
from switch.domain.rerate import as_charged, kept_by
from switch.domain.wallet import LOT_KIND_NAME, Lot, LotKind, Wallet

_FAR = 99_999_999


class Purchase(msgspec.Struct, gc=False):
    """A purchase as it stands. Won; `kinds` are the kinds of its lots by number; days yyyymmdd.

    `company`: its wallet is a company's.
    """

    bucket: int
    wallet_id: int
    seq: int
    local_day: int
    month: int
    channel: str
    approved: int
    returned: int
    basis: int
    usage_before: int
    company: bool
    policy_no: int
    detail: Detail
    kinds: Mapping[int, int]


class Difference(msgspec.Struct, frozen=True, gc=False):
    """What one funder's budget is to give more (won > 0) or get back (won < 0) for one purchase."""

    bucket: int
    wallet_id: int
    seq: int
    funder_no: int
    budget_no: int
    local_day: int
    month: int
    stood: int
    due: int

    @property
    def won(self) -> int:
        """Won to be booked."""
        return self.due - self.stood


def basis_left(one: Purchase, basis_kinds: Sequence[str]) -> int:
    """The basis of what remains of a purchase: returns go the way of the lots in reverse (DOMAIN rule 8)."""
    if not one.returned:
        return one.basis
    if one.returned == one.approved:
        return 0
    left, skip = one.basis, one.returned
    for lot_no, used in reversed(one.detail.uses):
        part = min(skip, used)
        skip -= part
        if LOT_KIND_NAME[one.kinds[lot_no]] in basis_kinds:
            left -= part
    return left


def right_grants(one: Purchase, terms: Terms) -> Grants:
    """What the version of `terms` gives for what remains of a purchase."""
    if one.company and not terms.policy.company_cashback:
        return ()
    whole = _rating(one, terms, one.basis, one.approved)
    granted = {(funder, budget): won for funder, budget, won in first_grants(one.detail)}
    short = {(funder, budget) for funder, budget, _ in one.detail.missed}
    first: list[tuple[int, int, int]] = []
    for key, won in as_charged(due(whole, terms), one.detail).items():
        most = min(won, granted.get(key, 0)) if key in short else won
        if most:
            first.append((*key, most))
    if not one.returned:
        return tuple(first)
    rest = _remaining(one, terms)
    return keep(tuple(first), whole.total, as_charged(due(rest, terms), one.detail))


def stands(one: Purchase, terms: Terms) -> Grants:
    """What a purchase has kept; `terms` are those of the version that judged it."""
    rest = _remaining(one, terms) if one.returned else NOTHING
    return kept_by(one.detail, one.returned, due(rest, terms))


def _remaining(one: Purchase, terms: Terms) -> Rating:
    left = basis_left(one, terms.policy.cashback_basis)
    return _rating(one, terms, left, one.approved - one.returned)


def _rating(one: Purchase, terms: Terms, basis: int, amount: int) -> Rating:
    if not basis:
        return NOTHING
    return rate(
        terms.policy,
        basis=basis,
        usage_before=one.usage_before,
        groups=one.detail.groups,
        channel=one.channel,
        windows=windows_again(terms, one.detail, amount),
    )


def differences(
    one: Purchase, right: Grants, standing: Mapping[Key, int], waived: Mapping[Key, int]
) -> list[Difference]:
    """Where what is due differs from what stands, in the order of funders and budgets.

    `waived` won (signed as they were let go) are not asked for again; a later return takes nothing of them
    back, so they are no part of what stands.
    """
    wanted = {(funder, budget): won for funder, budget, won in right}
    found = []
    for key in sorted({*wanted, *standing}):
        won, stood, let_go = wanted.get(key, 0), standing.get(key, 0), waived.get(key, 0)
        if won < stood and let_go < 0:
            won = min(stood, won - let_go)
        elif won > stood and let_go > 0:
            won = max(stood, won - let_go)
        if won != stood:
            at = (one.bucket, one.wallet_id, one.seq, *key, one.local_day, one.month)
            found.append(Difference(*at, stood, won))
    return found


class Moves(NamedTuple):
    """How a correction is booked on a wallet.

    `paid`: (place, won) that pay off what the member owes; `given`: (place, won) into the points lot;
    `taken`: (place, lot_no, won) out of points, lot_no 0 for those just given; `short`: (place, won) that
    points do not cover. A place is that of a difference in what was asked.
    """

    paid: tuple[tuple[int, int], ...]
    given: tuple[tuple[int, int], ...]
    taken: tuple[tuple[int, int, int], ...]
    short: tuple[tuple[int, int], ...]


def bounded(wons: Sequence[int], got: Sequence[int]) -> list[int]:
    """What is booked of each difference where budgets gave `got` of those that are positive.

    What a budget lacks for one funder's share is not taken for another's either: a member never has less than
    the correction as a whole says.
    """
    lacking = sum(won - had for won, had in zip(wons, got, strict=True) if won > 0)
    booked = [min(won, had) if won > 0 else won for won, had in zip(wons, got, strict=True)]
    for place, won in enumerate(booked):
        if won < 0 < lacking:
            spared = min(lacking, -won)
            booked[place] += spared
            lacking -= spared
    return booked


def moves(wons: Sequence[int], wallet: Wallet, held: Mapping[int, int], today: int) -> Moves:
    """Plan the won of each difference (signed) on a wallet as it stands on `today` (yyyymmdd).

    What comes pays off first what the member owes, the rest becomes points. What goes is taken from what
    came, then from valid points that no hold keeps, the earliest expiry first.
    """
    paid: list[tuple[int, int]] = []
    given: list[tuple[int, int]] = []
    taken: list[tuple[int, int, int]] = []
    short: list[tuple[int, int]] = []
    owes = wallet.receivable
    for place, won in enumerate(wons):
        if won > 0:
            off = min(owes, won)
            owes -= off
            if off:
                paid.append((place, off))
            if won > off:
                given.append((place, won - off))
    points = sorted(
        (lot for lot in wallet.lots.values() if lot.kind == LotKind.POINTS and lot.valid_on(today)),
        key=lambda lot: (lot.expires or _FAR, lot.lot_no),
    )
    free = [[lot.lot_no, lot.balance - held.get(lot.lot_no, 0)] for lot in points]
    fresh = sum(won for _, won in given)
    free.insert(0, [0, fresh])
    for place, won in enumerate(wons):
        left = max(-won, 0)
        for source in free:
            part = min(left, source[1])
            if part > 0:
                source[1] -= part
                left -= part
                taken.append((place, source[0], part))
        if left:
            short.append((place, left))
    return Moves(tuple(paid), tuple(given), tuple(taken), tuple(short))


def points_lot(wallet: Wallet, expires: int, today: int) -> Lot:
    """The wallet's own points that end on `expires` (yyyymmdd), or a new, empty lot for them."""
    for lot in wallet.lots.values():
        if lot.kind == LotKind.POINTS and lot.expires == expires and not lot.funder_no:
            return lot
    return Lot(wallet.lot_seq + 1, LotKind.POINTS, 0, 0, 0, today, expires)
