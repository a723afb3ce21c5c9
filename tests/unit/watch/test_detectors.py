"""Each detector: what it finds, what it leaves alone, and where exactly it begins."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.domain.watch import Watch, moment_of_seconds, seconds_of
from switch.domain.watch_engine import detector_of
from switch.domain.watch_window import ENTRIES_MAX, Window
from tests.unit.watch.till import engine, hits, seen

DAY = 20260629


def test_volume_of_a_member_over_days_is_met_with_the_won_that_reaches_it() -> None:
    rule = Watch(code="v", kind="volume", subject="member", days=3, won=1_000_000)
    payments = [
        seen(20260625, 120_000, 900_000),  # before the window of the 29th, in that of the 27th
        seen(20260627, 120_000, 99_999),
        seen(20260628, 120_000, 400_000, member=2),
        seen(20260628, 120_000, 500_000),
        seen(DAY, 120_000, 400_000),
        seen(DAY, 120_001, 1),
    ]
    (hit,) = hits(rule, payments)
    assert (hit.wallet_id, hit.merchant_no, hit.figures) == (1, 0, {"won": 1_000_000, "count": 4})
    assert (moment_of_seconds(hit.first), moment_of_seconds(hit.last)) == (20260627000000, 20260629235959)


def test_volume_needs_won_and_count_together_and_can_ask_it_of_several_days() -> None:
    both = Watch(code="v", kind="volume", subject="shop", seconds=600, won=100_000, count=3)
    payments = [seen(DAY, at, 50_000, member=at) for at in (120_000, 120_100, 121_001, 121_002)]
    (hit,) = hits(both, payments)
    assert (hit.merchant_no, hit.wallet_id, hit.figures) == (1, 0, {"won": 150_000, "count": 3})
    assert moment_of_seconds(hit.first) == 20260629120100  # the first lies 600 s and more before the last

    lasting = Watch(code="v", kind="volume", subject="member", days=7, won=200_000, on_days=3)
    days = (20260623, 20260625, 20260629)
    assert len(hits(lasting, [seen(day, 90_000, 200_000) for day in days])) == 1
    assert hits(lasting, [seen(day, 90_000, 200_000 - (day == DAY)) for day in days]) == []
    assert hits(lasting, [seen(day, 90_000, 200_000) for day in (20260622, 20260625, 20260629)]) == []


def test_a_new_shop_is_new_for_so_many_days_only() -> None:
    rule = Watch(code="n", kind="new_shop", subject="shop", days=7, new_days=30, won=3_000_000)
    opened = seconds_of(20260601, 0) // 86_400
    payments = [seen(20260630, 120_000, 3_000_000)]
    assert len(hits(rule, payments, lambda _: opened)) == 1
    assert hits(rule, [seen(20260701, 120_000, 3_000_000)], lambda _: opened) == []


def test_repeats_are_of_one_member_at_one_shop_alike_and_close_together() -> None:
    rule = Watch(code="r", kind="repeats", subject="member", seconds=600, count=3, similar_ppm=100_000)
    alike = [seen(DAY, 120_000, 100_000), seen(DAY, 120_300, 95_000), seen(DAY, 120_959, 105_000)]
    (hit,) = hits(rule, alike)
    assert hit.figures == {"count": 3, "won": 300_000, "seconds": 599}
    assert (hit.least, hit.most, hit.of_wallet, hit.of_merchant) == (95_000, 105_000, 1, 1)
    assert hits(rule, [*alike[:2], seen(DAY, 121_000, 105_000)]) == []  # the first is 600 s back
    assert hits(rule, [*alike[:2], seen(DAY, 120_959, 120_000)]) == []  # not alike
    assert hits(rule, [*alike[:2], seen(DAY, 120_959, 100_000, shop=2)]) == []
    assert hits(rule, [*alike[:2], seen(DAY, 120_959, 100_000, member=2)]) == []
    of_shop = Watch(code="r", kind="repeats", subject="shop", seconds=600, count=3, similar_ppm=100_000)
    (hit,) = hits(of_shop, alike)
    assert (hit.wallet_id, hit.merchant_no, hit.of_wallet) == (0, 1, 1)


def test_tickets_are_held_against_the_shops_own_past_once_it_has_one() -> None:
    rule = Watch(code="t", kind="tickets", subject="shop", days=1, factor=5, sample=10, count=2)
    past = [seen(20260620 + n % 5, 100_000 + n, 10_000 + n) for n in range(10)]
    past.sort(key=lambda one: one.moment)
    usual = 10_004  # the median of ten is the fifth
    high = [seen(DAY, 120_000, 5 * usual), seen(DAY, 130_000, 5 * usual)]
    (hit,) = hits(rule, [*past, *high])
    assert hit.figures == {"count": 2, "won": 10 * usual, "usual": usual, "ticket": 5 * usual}
    assert hit.least == 5 * usual
    assert hits(rule, [*past, high[0], seen(DAY, 130_000, 5 * usual - 1)]) == []
    assert hits(rule, [*past[:9], *high]) == []  # too few to know what is usual
    # A flood of high tickets on one day does not become usual on that day.
    assert len(hits(rule, [*past, *[seen(DAY, 120_000 + n, 5 * usual) for n in range(50)]])) == 49


def test_share_asks_for_a_total_and_names_the_shop() -> None:
    rule = Watch(code="s", kind="share", subject="member", days=7, share_ppm=800_000, won=500_000, count=3)
    elsewhere = seen(20260626, 120_000, 100_000, shop=2)
    there = [seen(20260627 + n % 2, 130_000 + n, 134_000) for n in range(3)]
    (hit,) = hits(rule, [elsewhere, *sorted(there, key=lambda one: one.moment)])
    assert hit.figures == {
        "won": 402_000, "count": 3, "total": 502_000, "share_ppm": 800_796, "merchant_no": 1
    }  # fmt: skip
    assert hits(rule, [seen(20260626, 120_000, 101_000, shop=2), *there]) == []
    assert hits(rule, there) == []  # 402,000 won are no total to speak of


def test_round_amounts_count_only_soon_after_a_top_up() -> None:
    rule = Watch(
        code="a", kind="after_topup", subject="member", days=2, after_s=600, round_won=10_000,
        won=50_000, count=2,
    )  # fmt: skip
    first = [seen(20260628, 120_000, 500_000, topup=True), seen(20260628, 121_000, 500_000)]
    second = [seen(DAY, 80_000, 300_000, topup=True), seen(DAY, 80_500, 290_000)]
    (hit,) = hits(rule, [*first, *second])
    assert (hit.figures, hit.with_topups) == ({"won": 790_000, "count": 2}, True)
    assert hits(rule, [*first, second[0], seen(DAY, 81_001, 290_000)]) == []
    assert hits(rule, [*first, second[0], seen(DAY, 80_500, 289_999)]) == []
    assert hits(rule, [*first, second[0], seen(DAY, 80_500, 40_000)]) == []
    assert hits(rule, [*first, seen(DAY, 80_500, 290_000)]) == []


RULES = (
    Watch(code="a", kind="volume", subject="member", days=3, won=300_000),
    Watch(code="b", kind="volume", subject="shop", seconds=300, won=200_000, count=3),
    Watch(code="c", kind="repeats", subject="member", seconds=300, count=3, similar_ppm=200_000),
    Watch(code="d", kind="share", subject="member", days=3, share_ppm=700_000, won=200_000),
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 599), st.integers(1, 12), st.integers(1, 3), st.integers(1, 2)
    ),
    max_size=40,
)


@settings(max_examples=120, deadline=None, print_blob=True)
@given(events=EVENTS, seed=st.integers(0, 9))
def test_payments_that_come_a_little_late_change_nobody_who_is_found(
    events: list[tuple[int, int, int, int, int]], seed: int
) -> None:
    payments = [
        seen(20260627 + day, 120_000 + second // 60 * 100 + second % 60, won * 10_000, member=who, shop=shop)
        for day, second, won, who, shop in events
    ]
    in_order = sorted(payments, key=lambda one: one.moment)
    mixed = list(in_order)
    random.Random(seed).shuffle(mixed)
    mixed.sort(key=lambda one: one.moment // 86_400)  # out of order within each day

    def found(order: list) -> set[tuple[str, int, int]]:  # type: ignore[type-arg]
        one = engine(*RULES[:3])  # a share may fall again: it is judged by what came before
        return {(hit.watch.code, hit.wallet_id, hit.merchant_no) for p in order for hit in one.observe(p)}

    assert found(mixed) == found(in_order)


@settings(max_examples=100, deadline=None, print_blob=True)
@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 9)), min_size=1, max_size=60))
def test_a_window_sums_exactly_what_lies_in_it(events: list[tuple[int, int]]) -> None:
    window = Window()
    for number, (at, won) in enumerate(events):
        window.add(at, won, 500, 3_000)
        for first, last, total, count in window.ends(at, 500):
            inside = [one for one in events[: number + 1] if last - 500 < one[0] <= last]
            assert (first, total, count) == (
                min(i[0] for i in inside),
                sum(i[1] for i in inside),
                len(inside),
            )
            assert last - 500 < at <= last


def test_what_is_kept_of_a_subject_is_bounded_and_who_is_gone_is_forgotten() -> None:
    window = Window()
    for at in range(2 * ENTRIES_MAX):
        window.add(at, 1, 10**9, 0)
    assert [found[3] for found in window.ends(2 * ENTRIES_MAX - 1, 10**9)] == [ENTRIES_MAX]
    for rule in (
        *RULES,
        Watch(code="t", kind="tickets", subject="shop", days=1, factor=5, sample=10),
        Watch(code="a", kind="after_topup", subject="member", days=2, after_s=600, round_won=10_000, count=2),
    ):
        detector = detector_of(rule, lambda _: 0)
        for payment in (seen(20260501, 110_000, 50_000, topup=True), seen(20260501, 110_100, 50_000)):
            detector.observe(payment)
        assert len(detector) > 0
        detector.forget(seconds_of(20260501, 120_000))
        assert len(detector) > 0 or rule.seconds
        detector.forget(seconds_of(20260701, 0))
        assert len(detector) == 0
