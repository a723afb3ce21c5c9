"""Granting: what a rating comes to once the budgets have been asked, and what of it stays after a return.

Every funder is asked for its own part: where one has nothing left, the others' parts are granted all the same
(DOMAIN rule 5). A return never makes a budget pay more: what is kept of a grant only shrinks.
"""

from collections.abc import Mapping, Sequence

from switch.domain.budget import Grants, Pools
from switch.domain.cashback import Rating, Window
from switch.domain.decision import Detail
from switch.domain.request import Terms
from switch.domain.wallet import Holder, Wallet

Key = tuple[int, int]
"""(funder_no, budget_no)."""


def windows_of(terms: Terms, wallet: Wallet, moment: int, amount: int) -> tuple[Window, ...]:
    """The campaign windows that a payment of `amount` won at `moment` (yyyymmddhhmmss) falls into."""
    found = []
    for campaign_no, campaign, starts, ends in terms.windows:
        if not starts <= moment < ends or amount < campaign.min_spend:
            continue
        if campaign.audience and not wallet.tags & terms.tag_bit[campaign.audience]:
            continue
        if not campaign.member_max:
            found.append(Window(campaign))
            continue
        room = campaign.member_max - wallet.campaign_won.get(campaign_no, 0)
        if room > 0:
            found.append(Window(campaign, room))
    return tuple(found)


def windows_again(terms: Terms, detail: Detail, amount: int) -> tuple[Window, ...]:
    """The windows that a purchase was rated with, each with the won that it came to, for rating `amount` won
    that remain of it; one whose minimum spend lies above that is none of them."""
    return tuple(
        [
            Window(campaign, piece.won)
            for piece in detail.pieces
            if piece.kind == "campaign" and piece.code in terms.windows_by_code
            if amount >= (campaign := terms.windows_by_code[piece.code][1]).min_spend
        ]
    )


def earns(terms: Terms, wallet: Wallet) -> bool:
    """Whether payments of this wallet earn cashback at all."""
    return wallet.holder != Holder.COMPANY or terms.policy.company_cashback


def due(rating: Rating, terms: Terms) -> dict[Key, int]:
    """Won by funder and budget, in the order of their numbers."""
    funder_no, budget_no = terms.funder_no, terms.budget_no
    if not budget_no:
        return {(funder_no[funder], 0): won for funder, won in rating.by_funder}
    won_of: dict[Key, int] = {}
    for (code, funder), won in rating.due().items():
        key = (funder_no[funder], budget_no.get((code, funder), 0))
        won_of[key] = won_of.get(key, 0) + won
    return dict(sorted(won_of.items())) if len(won_of) > 1 else won_of


def grant(wanted: Mapping[Key, int], pools: Pools, month: int) -> tuple[Grants, Grants]:
    """(granted, missed): of each budget what is left of it, at most what is due."""
    granted, missed = [], []
    for (funder_no, budget_no), won in wanted.items():
        got = min(won, pools.room(budget_no, month)) if budget_no else won
        if got:
            granted.append((funder_no, budget_no, got))
        if got < won:
            missed.append((funder_no, budget_no, won - got))
    return tuple(granted), tuple(missed)


def grant_again(wanted: Grants, pools: Pools, month: int) -> tuple[Grants, Grants]:
    """(granted, missed) of what a return had taken back, once that return is undone."""
    granted, missed = [], []
    for funder_no, budget_no, won in wanted:
        got = min(won, pools.room_again(budget_no, month, won)) if budget_no else won
        if got:
            granted.append((funder_no, budget_no, got))
        if got < won:
            missed.append((funder_no, budget_no, won - got))
    return tuple(granted), tuple(missed)


def within_bounds(
    wanted: Grants, terms: Terms, windows: Sequence[Window], wallet: Wallet
) -> tuple[Grants, Grants]:
    """(granted, cut): of what is granted again, what its campaigns still let the member have."""
    granted = {(funder_no, budget_no): won for funder_no, budget_no, won in wanted}
    for window in windows:
        if not window.campaign.member_max:
            continue
        room = window.campaign.member_max - wallet.campaign_won.get(_number(terms, window), 0)
        pots = _pots(terms, window)
        for key, won in granted.items():
            if key[1] in pots:
                granted[key] = min(won, max(room, 0))
                room -= won
    got = tuple([(*key, won) for key, won in granted.items() if won])
    return got, minus(wanted, got)


def first_grants(detail: Detail) -> Grants:
    """What a purchase was granted, or a return took; of releases before budgets, by funder alone."""
    return detail.grants or tuple([(funder_no, 0, won) for funder_no, won in detail.funders])


def kept_of(detail: Detail) -> Grants:
    """What stands of a purchase's grants."""
    return first_grants(detail) if detail.kept is None else detail.kept


def keep(before: Grants, rated_before: int, wanted: Mapping[Key, int]) -> Grants:
    """What is kept of grants when the remaining amount rates `wanted` (DOMAIN rule 7).

    `rated_before` is the total that the amount before the return rates. No part grows: a largest remainder
    may give one funder a won more of a smaller total (the Alabama paradox), and its budget may have none.
    That won is then kept by another funder, so that the member keeps exactly what the remainder rates,
    wherever the grants had not fallen short of their rating before.
    """
    kept = {(funder, budget): min(won, wanted.get((funder, budget), 0)) for funder, budget, won in before}
    if sum([won for _, _, won in before]) >= rated_before:
        short = sum(wanted.values()) - sum(kept.values())
        for funder, budget, won in before:
            if short <= 0:
                break
            more = min(short, won - kept[funder, budget])
            kept[funder, budget] += more
            short -= more
    return tuple([(funder, budget, won) for (funder, budget), won in kept.items() if won])


def minus(one: Grants, other: Grants) -> Grants:
    """`one` less `other`, part by part, without what comes to nothing."""
    rest = {(funder, budget): won for funder, budget, won in one}
    for funder, budget, won in other:
        rest[funder, budget] = rest.get((funder, budget), 0) - won
    return tuple([(funder, budget, won) for (funder, budget), won in rest.items() if won])


def plus(one: Grants, other: Grants) -> Grants:
    """Both together, part by part."""
    return minus(one, tuple([(funder, budget, -won) for funder, budget, won in other]))


def total(grants: Grants) -> int:
    """Won in all."""
    return sum([won for _, _, won in grants])


def by_funder(grants: Grants) -> tuple[tuple[int, int], ...]:
    """(funder_no, won), over all budgets of each funder."""
    won_of: dict[int, int] = {}
    for funder, _, won in grants:
        won_of[funder] = won_of.get(funder, 0) + won
    return tuple(won_of.items())


def counted(terms: Terms, windows: tuple[Window, ...], grants: Grants) -> tuple[tuple[int, int], ...]:
    """(campaign_no, won) of grants that count for the member: those of windows with a bound for each."""
    found = []
    for window in windows:
        if not window.campaign.member_max:
            continue
        pots = _pots(terms, window)
        won = sum([part for _, budget, part in grants if budget in pots])
        if won:
            found.append((_number(terms, window), won))
    return tuple(found)


def _number(terms: Terms, window: Window) -> int:
    return terms.windows_by_code[window.campaign.code][0]


def _pots(terms: Terms, window: Window) -> set[int | None]:
    campaign = window.campaign
    return {terms.budget_no.get((campaign.budget_code, funder)) for funder, _ in campaign.shares}
