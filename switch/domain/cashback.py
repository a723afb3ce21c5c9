"""Rating: how much cashback a payment earns, and whose budget pays each won of it (DOMAIN rule 4).

The month's usage before the payment places it on the tiers. The payment is cut where it crosses a tier's
boundary; every piece (tier segment or bonus) is floored to a won on its own, and the funders' shares of
that floored piece come by largest remainder. So totals are exact and explain themselves piece by piece.
"""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from switch.domain.budget import CASHBACK
from switch.domain.campaign import Campaign
from switch.domain.money import PPM, WON_MAX, largest_remainder
from switch.domain.programme import Policy, Shares

FunderWon = tuple[tuple[str, int], ...]
"""(funder id, won), without the funders that have 0."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """One segment on one tier, one bonus, or one campaign's window.

    kind is "tier", "bonus" or "campaign"; code is the bonus's or campaign's code, or the tier as
    "above-up_to". basis is the part of the payment (won) it was taken on, won the floored result (of a
    campaign: at most what the member may still get), shares whose won these are, budget the code that they
    are charged to.
    """

    kind: str
    code: str
    basis: int
    rate_ppm: int
    won: int
    shares: FunderWon
    budget: str = CASHBACK


class Window(msgspec.Struct, frozen=True, gc=False):
    """A campaign's window that a payment falls into, and the won that it may come to for this member."""

    campaign: Campaign
    room: int = WON_MAX


class Rating(msgspec.Struct, frozen=True, gc=False):
    """What a payment earns: total = Σ by_funder = Σ pieces. by_funder is in the programme's order."""

    total: int
    by_funder: FunderWon
    pieces: tuple[Piece, ...]

    def due(self) -> dict[tuple[str, str], int]:
        """Won by (budget code, funder id): what each budget owes of it."""
        won: dict[tuple[str, str], int] = {}
        for piece in self.pieces:
            for funder, part in piece.shares:
                key = (piece.budget, funder)
                won[key] = won.get(key, 0) + part
        return won


NOTHING = Rating(0, (), ())
"""The rating of a payment that earns nothing."""


def rate(
    policy: Policy,
    *,
    basis: int,
    usage_before: int,
    groups: Collection[str],
    channel: str,
    windows: Sequence[Window] = (),
) -> Rating:
    """Rate `basis` won (≥ 0) of a payment after `usage_before` won (≥ 0) of the member's month.

    `groups` are the merchant's on the payment's day, `channel` the payment's, `windows` those of campaigns
    that the payment falls into. What lies above the last tier earns nothing, bonuses and windows included,
    save those with inside_cap = False. Raises ValueError on negative won.
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
    if policy.bonuses or windows:
        inside = max(0, min(basis, policy.cap - usage_before))
        for bonus in policy.bonuses:
            if bonus.group is not None and bonus.group not in groups:
                continue
            if bonus.channel is not None and bonus.channel != channel:
                continue
            part = inside if bonus.inside_cap else basis
            if part:
                budget = bonus.budget or CASHBACK
                pieces.append(_piece("bonus", bonus.code, part, bonus.rate_ppm, bonus.shares, budget))
        for window in windows:
            one = window.campaign
            part = inside if one.inside_cap else basis
            if part:
                piece = ("campaign", one.code, part, one.rate_ppm, one.shares, one.budget_code)
                pieces.append(_piece(*piece, window.room))
    return _rating(policy.funder_order, pieces)


def _piece(
    kind: str,
    code: str,
    basis: int,
    rate_ppm: int,
    shares: Shares,
    budget: str = CASHBACK,
    room: int = WON_MAX,
) -> Piece:
    won = min(basis * rate_ppm // PPM, room)
    if not won:
        return Piece(kind, code, basis, rate_ppm, 0, (), budget)
    parts = largest_remainder(won, [share_ppm for _, share_ppm in shares])
    divided = tuple([(share[0], part) for share, part in zip(shares, parts, strict=True) if part])
    return Piece(kind, code, basis, rate_ppm, won, divided, budget)


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
