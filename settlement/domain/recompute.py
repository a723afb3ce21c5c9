"""What the rules make of one payment's cashback, from the journal alone: by funder and budget, won by won.

A purchase is granted what it rates, less what its explanation says that a budget did not have. A return
keeps the rating of what remains, as far as it was granted; an undone return is granted again, as far as
budgets had it. Payments of releases before budgets are held to their funders alone.
"""

from collections.abc import Collection, Mapping

import msgspec

from switch.domain.budget import CASHBACK, Grants
from switch.domain.calendar import moment_of
from switch.domain.campaign import Campaign
from switch.domain.cashback import NOTHING, Piece, Rating, Window, rate
from switch.domain.decision import NO_DETAIL, Detail
from switch.domain.granting import Key, due, first_grants, keep, minus, plus
from switch.domain.programme import Policy
from switch.domain.request import Terms
from switch.domain.rerate import as_charged

Won = dict[Key, int]
"""Won by (funder_no, budget_no); negative where they were taken back."""


class UntraceableError(ValueError):
    """A payment whose explanation does not fit the rules, so that what is due cannot be told."""


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase as it was rated: won, `amount` as approved; `moment` yyyymmddhhmmss; `groups` are the
    merchant's on its day."""

    amount: int
    basis: int
    usage_before: int
    moment: int
    channel: str
    groups: Collection[str]
    company: bool
    detail: Detail


class Plain(msgspec.Struct, frozen=True):
    """What the cashback of a purchase hangs on, where no budget fell short and no window counted (won)."""

    policy_no: int
    channel: str
    groups: tuple[str, ...]
    company: bool
    basis: int
    usage_before: int


def plain(case: Plain, terms: Terms) -> Won:
    """What every purchase of this case is granted. Raises UntraceableError."""
    one = Rated(
        amount=case.basis,
        basis=case.basis,
        usage_before=case.usage_before,
        moment=0,
        channel=case.channel,
        groups=case.groups,
        company=case.company,
        detail=NO_DETAIL,
    )
    return purchase(one, terms)


def level(policy: Policy) -> list[tuple[int, int | None]]:
    """Stretches of a month's usage (won) inside which it does not matter where a purchase lies.

    One that begins at or above the first figure, and ends at or below the second (None: wherever it ends),
    is rated as if it began at the first.
    """
    return [*((tier.above, tier.up_to) for tier in policy.tiers), (policy.cap, None)]


def keys_of(terms: Terms) -> set[Key]:
    """The (funder_no, budget_no) that plain purchases of a version are charged to."""
    policy = terms.policy
    named = [(CASHBACK, tier.shares) for tier in policy.tiers]
    named += [(bonus.budget or CASHBACK, bonus.shares) for bonus in policy.bonuses]
    return {
        (terms.funder_no[funder], terms.budget_no.get((code, funder), 0))
        for code, shares in named
        for funder, _ in shares
    }


def purchase(one: Rated, terms: Terms) -> Won:
    """What a purchase is granted. Raises UntraceableError."""
    wanted = as_charged(due(rating(one, terms, one.basis, one.amount), terms), one.detail)
    for funder, budget, won in one.detail.missed:
        if not budget or won > wanted.get((funder, budget), 0):
            raise UntraceableError(f"its explanation says {won:,} were missing, which were not due")
        wanted[funder, budget] -= won
    return _without_zeros(wanted)


def rating(one: Rated, terms: Terms, basis: int, amount: int) -> Rating:
    """The rating of what remains of a purchase: `basis` won of `amount`. Raises UntraceableError."""
    if not basis or (one.company and not terms.policy.company_cashback):
        return NOTHING
    windows = [_window(piece, one, terms) for piece in one.detail.pieces if piece.kind == "campaign"]
    return rate(
        terms.policy,
        basis=basis,
        usage_before=one.usage_before,
        groups=one.groups,
        channel=one.channel,
        windows=[window for window in windows if amount >= window.campaign.min_spend],
    )


def _window(piece: Piece, one: Rated, terms: Terms) -> Window:
    """A campaign's window that the explanation names, if the payment falls into it.

    What it came to for the member bounds what it comes to now: how much the member could still get is a sum
    over the payments before, which the proof holds to its own record.
    """
    known = terms.windows_by_code.get(piece.code)
    if known is None:
        raise UntraceableError(f"its campaign {piece.code} is not the programme's")
    campaign: Campaign = known[1]
    inside = moment_of(campaign.starts) <= one.moment < moment_of(campaign.ends)
    where = campaign.where
    here = (not where.channels or one.channel in where.channels) and (
        not where.groups or any(group in one.groups for group in where.groups)
    )
    if not inside or not here or one.amount < campaign.min_spend:
        raise UntraceableError(f"it does not fall into its campaign {piece.code}")
    return Window(campaign, piece.won) if campaign.member_max else Window(campaign)


def taken_back(root: Rated, terms: Terms, detail: Detail, before: int, after: int) -> Won:
    """What a return takes back (negative) of a purchase whose basis falls from `before` to `after` won.

    Raises UntraceableError.
    """
    was, rest = _ratings(root, terms, detail, before, after)
    if detail.kept_before is None or detail.kept_after is None:
        return _by_rating(due(rest, terms), due(was, terms))
    if _total(detail.kept_before) > _total(first_grants(root.detail)):
        raise UntraceableError("its explanation says that more was kept than had been granted")
    kept = keep(detail.kept_before, was.total, as_charged(due(rest, terms), root.detail))
    if _won_of(kept) != _won_of(detail.kept_after):
        raise UntraceableError(
            f"the rules keep {_total(kept):,}, its explanation {_total(detail.kept_after):,}"
        )
    return {(funder, budget): -won for funder, budget, won in minus(detail.kept_before, kept)}


def granted_again(root: Rated, terms: Terms, detail: Detail, undone: Detail, before: int, after: int) -> Won:
    """What undoing a return (`undone`) grants again, whose basis rises from `before` to `after` won.

    Raises UntraceableError.
    """
    if detail.kept_after is None or undone.kept_before is None:
        was, now = _ratings(root, terms, detail, before, after)
        return _by_rating(due(now, terms), due(was, terms))
    wanted = _won_of(minus(undone.kept_before, undone.kept_after or ()))
    again, missed = _won_of(detail.grants), _won_of(detail.missed)
    if _added(again, missed) != wanted or any(not budget for _, budget in missed):
        raise UntraceableError("it does not grant again what its refund had taken back")
    if _won_of(plus(detail.kept_before or (), detail.grants)) != _won_of(detail.kept_after):
        raise UntraceableError("what it says is kept is not what it grants again")
    return again


def _ratings(root: Rated, terms: Terms, detail: Detail, before: int, after: int) -> tuple[Rating, Rating]:
    """The ratings of what stood of a purchase before a return or its undoing, and stands after it."""
    came, went = detail.returned or (0, 0)
    return rating(root, terms, before, root.amount - came), rating(root, terms, after, root.amount - went)


def _by_rating(now: Mapping[Key, int], was: Mapping[Key, int]) -> Won:
    """The change of two ratings by funder alone, as releases before budgets booked it."""
    change: Won = {}
    for sign, rated in ((1, now), (-1, was)):
        for (funder, _), won in rated.items():
            change[funder, 0] = change.get((funder, 0), 0) + sign * won
    return _without_zeros(change)


def _won_of(grants: Grants) -> Won:
    return {(funder, budget): won for funder, budget, won in grants if won}


def _added(one: Won, other: Won) -> Won:
    return _without_zeros({key: one.get(key, 0) + other.get(key, 0) for key in {*one, *other}})


def _without_zeros(won_of: Mapping[Key, int]) -> Won:
    return {key: won for key, won in won_of.items() if won}


def _total(grants: Grants) -> int:
    return sum(won for _, _, won in grants)
