"""Rating: how much cashback a payment earns, and whose budget pays each won of it (DOMAIN rule 4).

The month's usage before the payment places it on the tiers. The payment is cut where it crosses a tier's
boundary; every piece (tier segment or bonus) is floored to a won on its own, and the funders' shares of
that floored piece come by largest remainder. So totals are exact and explain themselves piece by piece.
"""

from collections.abc import Collection, Iterable

import msgspec

from switch.domain.money import PPM, largest_remainder
from switch.domain.programme import Policy, Shares

FunderWon = tuple[tuple[str, int], ...]
"""(funder id, won), without the funders that have 0."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """One segment on one tier, or one bonus.

    kind is "tier" or "bonus"; code is the bonus's code, or the tier as "above-up_to". basis is the part of
    the payment (won) it was taken on, won the floored result, shares whose won these are.
    """

    kind: str
    code: str
    basis: int
    rate_ppm: int
    won: int
    shares: FunderWon


class Rating(msgspec.Struct, frozen=True, gc=False):
    """What a payment earns: total = Σ by_funder = Σ pieces. by_funder is in the programme's order."""

    total: int
    by_funder: FunderWon
    pieces: tuple[Piece, ...]


NOTHING = Rating(0, (), ())
"""The rating of a payment that earns nothing."""


class ReductionError(ValueError):
    """A partial cancel that would leave more cashback than the payment had."""


def rate(policy: Policy, *, basis: int, usage_before: int, groups: Collection[str], channel: str) -> Rating:
    """Rate `basis` won (≥ 0) of a payment after `usage_before` won (≥ 0) of the member's month.

    `groups` are the merchant's on the payment's day, `channel` the payment's. What lies above the last
    tier earns nothing, bonuses included, save those with inside_cap = False. Raises ValueError on
    negative won.
    """
    if basis < 0 or usage_before < 0:
        raise ValueError(f"cashback needs 0 won or more: basis {basis}, usage before {usage_before}")
    if not basis:
        return NOTHING
    usage_after = usage_before + basis
    pieces: list[Piece] = []
    for tier in policy.tiers:
        if usage_before >= tier.up_to:
            continue
        if usage_after <= tier.above:
            break
        segment = min(usage_after, tier.up_to) - max(usage_before, tier.above)
        code = f"{tier.above}-{tier.up_to}"
        pieces.append(_piece("tier", code, segment, tier.rate_ppm, tier.shares))
    for bonus in policy.bonuses:
        if bonus.group is not None and bonus.group not in groups:
            continue
        if bonus.channel is not None and bonus.channel != channel:
            continue
        bonus_basis = max(0, min(basis, policy.cap - usage_before)) if bonus.inside_cap else basis
        if bonus_basis:
            pieces.append(_piece("bonus", bonus.code, bonus_basis, bonus.rate_ppm, bonus.shares))
    return _rating(policy.funder_order, pieces)


def difference(before: Rating, after: Rating) -> FunderWon:
    """Return the won to claw back from each funder's grant when `before` shrinks to `after` (rule 7).

    `after` is the rating of the remaining amount from the same starting usage, by the same policy, groups
    and channel. The won sum to before.total − after.total, which is never negative. One funder's may be
    negative, by at most a won a piece: largest remainders do not always fall for everyone when a total
    falls (the Alabama paradox). It is booked as it stands, so that afterwards every funder has paid
    exactly its share of `after`, as if the smaller payment had been the only one.

    Order is that of `before`, then funders who are in `after` alone. Raises ReductionError.
    """
    if after.total > before.total:
        raise ReductionError(
            f"the remaining amount earns {after.total:,} won, more than the {before.total:,} won granted"
        )
    won = dict(before.by_funder)
    for funder, kept in after.by_funder:
        won[funder] = won.get(funder, 0) - kept
    return _without_zeros(won.items())


def _piece(kind: str, code: str, basis: int, rate_ppm: int, shares: Shares) -> Piece:
    won = basis * rate_ppm // PPM
    if not won:
        return Piece(kind, code, basis, rate_ppm, 0, ())
    parts = largest_remainder(won, [share_ppm for _, share_ppm in shares])
    divided = tuple([(share[0], part) for share, part in zip(shares, parts, strict=True) if part])
    return Piece(kind, code, basis, rate_ppm, won, divided)


def _rating(funder_order: tuple[str, ...], pieces: list[Piece]) -> Rating:
    if not pieces:
        return NOTHING
    if len(pieces) == 1:
        only = pieces[0]
        return Rating(only.won, only.shares, (only,))
    total = 0
    by_funder = dict.fromkeys(funder_order, 0)
    for piece in pieces:
        total += piece.won
        for funder, won in piece.shares:
            by_funder[funder] += won
    return Rating(total, _without_zeros(by_funder.items()), tuple(pieces))


def _without_zeros(items: Iterable[tuple[str, int]]) -> FunderWon:
    return tuple([(funder, won) for funder, won in items if won])
