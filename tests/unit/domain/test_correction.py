"""What a correction books: bounded by budgets, never against a member beyond what it says as a whole."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from switch.domain.budget import Budget, Line, Pools
from switch.domain.correction import bounded, moves
from switch.domain.decision import Detail, decode_detail
from switch.domain.payment import Kind
from switch.domain.rerate import as_charged, kept_by
from switch.store.reference import ProgrammeGiven
from tests.unit.decide import world

WONS = st.lists(st.tuples(st.integers(-1_000, 1_000).filter(bool), st.integers(0, 1_000)), max_size=6)


def test_what_one_funder_lacks_is_not_taken_for_another() -> None:
    assert bounded([-100, 60], [0, 60]) == [-100, 60]
    assert bounded([-100, 60], [0, 20]) == [-60, 20]
    assert bounded([-40, 60], [0, 0]) == [0, 0]


@settings(print_blob=True)
@given(WONS)
def test_a_short_budget_never_turns_a_correction_against_the_member(parts: list[tuple[int, int]]) -> None:
    wons = [won for won, _ in parts]
    got = [min(max(won, 0), had) for won, had in parts]
    booked = bounded(wons, got)
    assert sum(booked) >= min(sum(wons), 0)
    for won, had, done in zip(wons, got, booked, strict=True):
        assert done == had if won > 0 else won <= done <= 0


@settings(print_blob=True)
@given(
    st.lists(st.integers(-1_000, 1_000), max_size=6),
    st.integers(0, 900),
    st.integers(0, 900),
    st.integers(0, 900),
)
def test_every_won_goes_one_way_and_no_held_won_moves(
    wons: list[int], points: int, held: int, owed: int
) -> None:
    wallet = world.wallet(world.charged(1, 5_000), world.points(2, points))
    wallet.receivable = owed
    plan = moves(wons, wallet, {2: min(held, points)}, 20260610)
    for place, won in enumerate(wons):
        came = sum(part for at, part in (*plan.paid, *plan.given) if at == place)
        went = sum(part for at, _, part in plan.taken if at == place)
        short = sum(part for at, part in plan.short if at == place)
        assert (came, went + short) == (max(won, 0), max(-won, 0))
    assert sum(part for _, part in plan.paid) <= owed
    assert sum(part for _, lot, part in plan.taken if lot == 2) <= points - min(held, points)
    assert sum(part for _, lot, part in plan.taken if not lot) <= sum(part for _, part in plan.given)


def test_a_budget_that_is_named_later_claws_nothing_more_back() -> None:
    """A purchase granted without a bound, refunded in part after the programme has named a budget."""
    till = world.Till(world.wallet(world.charged(1, 100_000)))
    bought = till.send(Kind.PURCHASE, 10_005)
    line = Line(1, 1, world.CITY, Budget(code="cashback", funder="city", monthly=0))
    till.reference.given[1] = ProgrammeGiven(budget_no={("cashback", "city"): 1})
    till.reference.terms_known.clear()
    till.pools = Pools({1: line})
    assert till.send(Kind.REFUND, 5_009, of=bought, day=20260611).cashback == -501
    kept = decode_detail(bought.detail).kept
    assert kept is not None
    assert all(budget == 0 for _, budget, _ in kept)


def test_a_purchase_that_an_older_release_has_partly_returned_keeps_what_it_had_left() -> None:
    """Such a release noted by funder what was granted, and not what was kept."""
    till = world.Till(world.wallet(world.charged(1, 100_000)))
    bought = till.send(Kind.PURCHASE, 10_005)
    detail = decode_detail(bought.detail)
    old = replace(detail, grants=(), kept=None, funders=tuple((f, won) for f, _, won in detail.grants))
    till.send(Kind.REFUND, 5_009, of=bought, day=20260611)
    rated = {(f, b): won for f, b, won in decode_detail(bought.detail).kept or ()}
    assert kept_by(old, 5_009, rated) == tuple((f, 0, won) for (f, _), won in rated.items())
    assert kept_by(old, 0, {}) == tuple((f, 0, won) for f, won in old.funders)


def test_what_is_due_is_charged_where_the_purchase_was() -> None:
    detail = Detail(grants=((1, 0, 40), (2, 7, 20)), missed=((3, 8, 10),))
    assert as_charged({(1, 6): 30, (2, 7): 10, (3, 8): 5}, detail) == {(1, 0): 30, (2, 7): 10, (3, 8): 5}
