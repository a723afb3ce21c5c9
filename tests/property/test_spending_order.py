"""Spending and giving back, against an auditor who only knows the rules as they are written (3 and 8).

Whatever lots a wallet holds and whatever order its programme names: a payment takes from the lots as the rule
says, coupons only whole, and returns give back the very won in the reverse of the order spent, lot by lot.
What belongs to a lot that has expired meanwhile goes to its funder instead, and a return of all leaves the
wallet as it was.
"""

from collections import Counter
from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.payment import Kind, Outcome
from switch.domain.reasons import BY_NUMBER
from switch.domain.wallet import Lot, LotKind, Wallet
from switch.store.reference import ProgrammeGiven
from tests.unit.decide.test_spending import (
    CAMPAIGNS,
    FIXED,
    MARKET_ONLY,
    PERCENT,
    RELIEF,
    SCHOOL,
)
from tests.unit.decide.world import CITY, DISTRICT, MARKET, NATIONAL, PLAIN, Till, wallet

DAY = 20260610
EXPIRIES = (0, 20260609, 20260610, 20260612, 20260615, 20261231)
KINDS = {"coupon": 4, "grant": 3, "points": 2, "charged": 1}
ORDERS = [order for size in (2, 3, 4) for order in permutations(KINDS, size)]


@st.composite
def lots(draw: st.DrawFn) -> tuple[Lot, ...]:
    found = []
    for lot_no in range(1, draw(st.integers(1, 7)) + 1):
        kind = draw(st.sampled_from(list(LotKind)))
        campaign, funder = 0, 0
        won = draw(st.integers(1, 60_000))
        granted = won
        if kind in (LotKind.GRANT, LotKind.POINTS):
            funder = draw(st.sampled_from((NATIONAL, CITY, DISTRICT)))
        if kind == LotKind.GRANT:
            campaign = draw(st.sampled_from((0, SCHOOL, RELIEF)))
        if kind == LotKind.COUPON:
            campaign = draw(st.sampled_from((FIXED, PERCENT, MARKET_ONLY)))
            granted = CAMPAIGNS[campaign].won
            won = granted - draw(st.sampled_from((0, 0, 0, 1_000)))
            funder = CITY
        expires = draw(st.sampled_from(EXPIRIES))
        found.append(Lot(lot_no, kind, funder, won, granted, 20260601, expires, campaign))
    return tuple(found)


def takes_off(campaign_no: int, amount: int, market: bool) -> int:
    """What a whole coupon takes off, by the words of its campaign."""
    if campaign_no == FIXED:
        return 30_000 if amount >= 40_000 else 0
    if campaign_no == PERCENT:
        return min(9_000, amount * 3 // 10)
    return min(5_000, amount) if market else 0


def as_the_rule_says(at: Wallet, order: tuple[str, ...], amount: int, market: bool) -> list[tuple[int, int]]:
    """(lot, won) in the order in which a payment of DAY takes them; the sum falls short where money does."""
    pile: list[tuple[int, int]] = []
    left = amount
    for name in order:
        if name == "points" and not at.points_on:
            continue
        mine = [lot for lot in at.lots.values() if lot.kind == KINDS[name]]
        mine = [lot for lot in mine if lot.balance and (not lot.expires or lot.expires >= DAY)]
        mine.sort(key=lambda lot: (lot.expires or 99_999_999, lot.lot_no))
        if name == "coupon":
            whole = [lot for lot in mine if lot.balance == lot.granted]
            worth = [(lot.lot_no, takes_off(lot.campaign_no, amount, market)) for lot in whole]
            pays = [(lot_no, min(won, left)) for lot_no, won in worth if won and left][:1]
        else:
            pays = []
            rest = left
            for lot in mine:
                if lot.campaign_no == SCHOOL:
                    continue  # neither shop sells schooling
                pays.append((lot.lot_no, min(lot.balance, rest)))
                rest -= pays[-1][1]
        pile += [(lot_no, won) for lot_no, won in pays if won]
        left -= sum(won for _, won in pays)
    return pile


@given(
    lots=lots(),
    order=st.sampled_from(ORDERS),
    on=st.booleans(),
    market=st.booleans(),
    amount=st.integers(1, 120_000),
    partial=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(1, 60_000), st.integers(0, 6), st.booleans()), max_size=6),
)
@settings(max_examples=400, deadline=None, print_blob=True)
def test_returns_undo_the_order_spent_won_for_won(
    lots: tuple[Lot, ...],
    order: tuple[str, ...],
    on: bool,
    market: bool,
    amount: int,
    partial: bool,
    cuts: list[tuple[int, int, bool]],
) -> None:
    # Without cashback nothing is clawed back, so that lots show returns and nothing else.
    till = Till(
        till_wallet(lots, on),
        given=ProgrammeGiven(campaigns=CAMPAIGNS),
        spending_order=order,
        tiers=(),
        bonuses=(),
        expired_to="district",
    )
    before = balances(till)
    shop = MARKET if market else PLAIN
    rule = with_a_coupon_that_suffices(lots, on, order, amount, market)
    bought = till.send(Kind.PURCHASE, amount, merchant=shop, partial=partial)
    spent = [(lot_no, won) for lot_no, _, won in till.last.spent]
    if sum(won for _, won in rule) == amount:
        assert (BY_NUMBER[bought.reason].name, spent) == ("approved", rule)
    elif not partial:
        assert (bought.outcome, spent) == (Outcome.DECLINED, [])
    elif bought.approved:
        assert BY_NUMBER[bought.reason].name == "partial_approval"
        # It is what the rule says of that amount for the coupon that pays, and the most that it can be.
        used = {lot_no for lot_no, _ in spent}
        others = tuple([lot for lot in lots if lot.kind != LotKind.COUPON or lot.lot_no in used])
        at = till_wallet(others, on)
        assert spent == as_the_rule_says(at, order, bought.approved, market)
        assert sum(won for _, won in spent) == bought.approved < amount
        more = as_the_rule_says(at, order, bought.approved + 1, market)
        assert sum(won for _, won in more) <= bought.approved
    assert total(till) + bought.approved == sum(before.values())
    pile, treasury = list(spent), Counter[int]()
    ends = {lot.lot_no: lot for lot in lots}
    day = DAY
    for won, later, undo in cuts:
        left = sum(part for _, part in pile)
        if not left:
            break
        day = min(day + later, 20260630)
        won = min(won, left)
        back, pile_after = popped(pile, won)
        held = balances(till)
        returned = till.send(Kind.REFUND, won, of=bought, day=day, merchant=shop)
        lived, expired = Counter[int](), Counter[int]()
        for lot_no, part in back:
            lot = ends[lot_no]
            if lot.expires and lot.expires < day:
                expired[lot.funder_no or DISTRICT] += part
            else:
                lived[lot_no] += part
        assert [lot_no for lot_no, _, _ in till.last.restored] == [no for no, _ in back if no in lived]
        assert Counter(dict(as_pairs(till.last.restored))) == lived
        assert balances(till) == {lot_no: have + lived[lot_no] for lot_no, have in held.items()}
        assert sum_by_funder(till.last.treasury) == expired
        if undo:
            undone = till.send(Kind.REVERSAL, won, of=returned, day=day, merchant=shop)
            assert undone.outcome == Outcome.APPROVED
            assert balances(till) == held
            assert sum_by_funder(till.last.treasury) == Counter({no: -part for no, part in expired.items()})
        else:
            pile = pile_after
            treasury += expired
    standing = sum(part for _, part in pile)
    assert bought.approved - bought.returned == standing
    assert till.wallet.usage_of(202606).spent == standing
    assert total(till) + standing + sum(treasury.values()) == sum(before.values())
    if not standing and not treasury:
        assert balances(till) == before


def with_a_coupon_that_suffices(
    lots: tuple[Lot, ...], on: bool, order: tuple[str, ...], amount: int, market: bool
) -> list[tuple[int, int]]:
    """What the rule says for the first coupon with which the money suffices, else for the first."""
    coupons = {lot.lot_no for lot in lots if lot.kind == LotKind.COUPON}
    first = pile = as_the_rule_says(till_wallet(lots, on), order, amount, market)
    while sum(won for _, won in pile) < amount:
        used = [lot_no for lot_no, _ in pile if lot_no in coupons]
        if not used:
            return first
        lots = tuple([lot for lot in lots if lot.lot_no not in used])
        pile = as_the_rule_says(till_wallet(lots, on), order, amount, market)
    return pile


def till_wallet(lots: tuple[Lot, ...], on: bool) -> Wallet:
    """The wallet as it was before the payment: a decision changes lots in place."""
    return wallet(
        *[Lot(*(getattr(lot, name) for name in lot.__struct_fields__)) for lot in lots], points_on=on
    )


def balances(till: Till) -> dict[int, int]:
    return {lot.lot_no: lot.balance for lot in till.wallet.lots.values()}


def total(till: Till) -> int:
    return sum(balances(till).values())


def popped(pile: list[tuple[int, int]], won: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(the last `won` of a pile, the latest spent first; what is left of it)."""
    left, back = list(pile), []
    while won:
        lot_no, part = left.pop()
        take = min(part, won)
        if take < part:
            left.append((lot_no, part - take))
        back.append((lot_no, take))
        won -= take
    return back, left


def as_pairs(restored: tuple[tuple[int, int, int], ...]) -> list[tuple[int, int]]:
    return [(lot_no, won) for lot_no, _, won in restored]


def sum_by_funder(pairs: Any) -> Counter[int]:
    found = Counter[int]()
    for funder, won in pairs:
        found[funder] += won
    return found
