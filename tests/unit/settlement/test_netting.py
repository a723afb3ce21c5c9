"""What a merchant gets (worked examples 6 and 7) and how a run's steps follow each other."""

from datetime import date, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.bankdays import facts
from settlement.domain.netting import Held, Net, Terms, carried_since, net, pay_on, terms
from settlement.domain.run import State, Step, StepError, move, remaining
from switch.domain.calendar import SEOUL
from switch.domain.programme import FeeClass, Policy

POLICY = Policy(
    programme_id="seoro",
    version="1",
    effective_from=datetime(2025, 1, 1, tzinfo=SEOUL),
    funder_order=(),
    tiers=(),
    fee_classes=(FeeClass(0, 300_000_000, 1_500), FeeClass(300_000_000, 1_000_000_000, 9_000)),
    fee_default_ppm=15_000,
)


SMALL, LARGE = terms(POLICY, 300_000_000), terms(POLICY, 300_000_001)  # 0.15 %, 0.90 %


def adds_up(one: Net) -> bool:
    """The sum that the database checks as well."""
    due = one.sales - one.refunds - one.fee - one.vat + one.rebate + one.rebate_vat + one.subsidy
    return due - one.reserved + one.released - one.rounding + one.carried_in == one.paid + one.carried_out


def test_the_fee_is_the_floor_on_the_days_net() -> None:
    day = net(SMALL, sales=4_500 + 12_900 + 33_350, refunds=0)
    assert (day.fee, day.paid, day.carried_out) == (76, 50_674, 0)


def test_gifts_bear_no_fee() -> None:
    gifts = terms(POLICY, 300_000_000, donation=True)
    day = net(gifts, sales=50_750, refunds=750)
    assert (day.fee_rate_ppm, day.fee, day.paid) == (0, 0, 50_000)


def test_a_negative_net_gives_the_fee_back_and_is_carried() -> None:
    first = net(LARGE, sales=30_000, refunds=200_000)
    assert (first.fee, first.paid, first.carried_out) == (-1_530, 0, -168_470)
    second = net(LARGE, sales=500_000, refunds=0, carried_in=first.carried_out)
    assert (second.paid, second.carried_out) == (327_030, 0)


def test_what_comes_to_nothing_is_neither_paid_nor_carried() -> None:
    day = net(terms(POLICY, None), sales=0, refunds=0)
    assert (day.paid, day.carried_out, day.fee_rate_ppm, day.held) == (0, 0, 15_000, "")


@pytest.mark.parametrize("held", [Held.ACCOUNT, Held.HOLD])
def test_money_that_cannot_be_paid_is_held_whole(held: Held) -> None:
    by = Terms(1_500, unit=100, held=held, reserve_ppm=100_000, reserve_max=1_000_000)
    day = net(by, sales=10_000, refunds=0, carried_in=-1_000)
    assert (day.paid, day.carried_out, day.reserved, day.rounding, day.held) == (0, 8_985, 0, 0, held.value)


@pytest.mark.parametrize("name", ["sales", "refunds", "subsidy", "reserve_in"])
def test_negative_sums_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        net(SMALL, **{"sales": 0, "refunds": 0, name: -1})


def test_tax_is_the_floor_on_the_fee_and_is_given_back_with_it() -> None:
    by = terms(msgspec.structs.replace(POLICY, fee_vat_ppm=100_000), 1)
    assert net(by, sales=50_750, refunds=0).vat == 7  # 10 % of 76
    back = net(by, sales=0, refunds=50_750)
    assert (back.fee, back.vat, back.carried_out) == (-76, -7, -50_750 + 76 + 7)


def test_a_reserve_is_kept_back_up_to_its_most_and_comes_back_once_it_is_released() -> None:
    by = Terms(0, reserve_ppm=100_000, reserve_max=1_500)
    first = net(by, sales=10_009, refunds=0)
    assert (first.reserved, first.reserve, first.paid) == (1_000, 1_000, 9_009)
    second = net(by, sales=10_000, refunds=0, reserve_in=first.reserve)
    assert (second.reserved, second.reserve, second.paid) == (500, 1_500, 9_500)
    lowered = net(Terms(0, reserve_ppm=100_000, reserve_max=600), sales=0, refunds=0, reserve_in=1_500)
    assert (lowered.released, lowered.reserve, lowered.paid) == (900, 600, 900)
    released = net(Terms(0), sales=0, refunds=0, reserve_in=1_500)
    assert (released.released, released.reserve, released.paid) == (1_500, 0, 1_500)


def test_a_reserve_takes_no_more_than_is_due() -> None:
    by = Terms(0, reserve_ppm=1_000_000, reserve_max=1_000_000)
    day = net(by, sales=10_000, refunds=0, carried_in=-4_000)
    assert (day.reserved, day.paid, day.carried_out) == (6_000, 0, 0)


def test_a_payout_is_rounded_to_its_unit_and_less_than_one_is_carried_whole() -> None:
    by = Terms(0, unit=100)
    day = net(by, sales=12_345, refunds=0)
    assert (day.rounding, day.paid, day.carried_out) == (45, 12_300, 0)
    little = net(by, sales=99, refunds=0)
    assert (little.rounding, little.paid, little.carried_out, little.held) == (0, 0, 99, Held.SMALL)


@settings(print_blob=True)
@given(
    st.builds(
        Terms,
        *(st.integers(0, 1_000_000), st.integers(0, 1_000_000), st.sampled_from([1, 10, 1_000])),
        held=st.sampled_from([Held.NOT, Held.HOLD, Held.ACCOUNT]),
        reserve_ppm=st.integers(0, 1_000_000),
        reserve_max=st.integers(0, 100_000),
    ),
    st.tuples(*[st.integers(0, 1_000_000)] * 3),
    st.tuples(*[st.integers(-1_000_000, 1_000_000)] * 3),
    st.integers(0, 100_000),
)
def test_every_net_adds_up(
    by: Terms, sums: tuple[int, int, int], signed: tuple[int, int, int], kept: int
) -> None:
    sales, refunds, subsidy = sums
    rebate, rebate_vat, carried = signed
    one = net(
        by,
        sales=sales,
        refunds=refunds,
        rebate=rebate,
        rebate_vat=rebate_vat,
        subsidy=subsidy,
        carried_in=carried,
        reserve_in=kept,
    )
    assert adds_up(one)
    assert one.paid == 0 or (one.paid > 0 and not one.carried_out and one.paid % by.unit == 0)
    assert 0 <= one.rounding < by.unit
    assert one.reserve == kept + one.reserved - one.released >= 0
    assert one.reserve <= (by.reserve_max if by.reserve_ppm else 0)
    assert not (by.held and (one.paid or one.reserved or one.rounding))


def test_each_line_is_made_from_the_days_net() -> None:
    one = net(Terms(9_000, 100_000, 10, reserve_ppm=100_000, reserve_max=20_000), sales=50_755, refunds=750)
    assert (one.fee, one.vat, one.reserved, one.reserve) == (450, 45, 5_000, 5_000)  # of 50,005
    assert (one.rounding, one.paid, one.carried_out) == (0, 44_510, 0)


def test_what_is_carried_is_as_old_as_its_first_day_and_a_debt_that_turns_begins_anew() -> None:
    first, second = date(2026, 11, 20), date(2026, 11, 21)
    assert carried_since(0, None, -5, first) == first
    assert carried_since(-5, first, -7, second) == first
    assert carried_since(-5, first, 7, second) == second
    assert carried_since(-5, first, 0, second) is None


@pytest.mark.parametrize(
    ("day", "paid"),
    [(22, (1, 24)), (23, (1, 31)), (24, (2, 3)), (25, (2, 3)), (27, (2, 3)), (30, (2, 3)), (31, (2, 4))],
)
def test_seollal_2025(day: int, paid: tuple[int, int]) -> None:
    business_date = date(2025, 1, day)
    assert pay_on(facts(business_date).calendar(), POLICY, None, business_date) == date(2025, *paid)


def test_a_merchants_own_term_goes_before_the_policys() -> None:
    monday = date(2026, 11, 16)
    assert pay_on(facts(monday).calendar(), POLICY, 3, monday) == date(2026, 11, 19)


@pytest.mark.parametrize(
    ("business_date", "closed"),
    [
        (date(2025, 4, 28), date(2025, 5, 1)),  # Labour Day: no public holiday then, yet banks are closed
        (date(2026, 4, 28), date(2026, 5, 1)),
        (date(2026, 8, 10), date(2026, 8, 17)),  # substitute
        (date(2026, 12, 20), date(2027, 1, 1)),  # the next year is known as well
    ],
)
def test_banks_are_closed(business_date: date, closed: date) -> None:
    assert not facts(business_date).calendar().is_open(closed)


def test_overrides_reach_the_calendar_and_the_record() -> None:
    known = facts(date(2026, 11, 16), [date(2026, 11, 18)], [date(2026, 12, 25)])
    assert pay_on(known.calendar(), POLICY, None, date(2026, 11, 16)) == date(2026, 11, 19)
    assert known.calendar().is_open(date(2026, 12, 25))
    assert known.extra_closed == (date(2026, 11, 18),)
    assert known.source.startswith("holidays 0.")


def test_steps_go_on_where_they_stopped() -> None:
    assert remaining([]) == list(Step)
    assert remaining([Step.CLOSE_DAY], Step.CREDIT_CASHBACK) == [Step.EXPIRE_LOTS, Step.CREDIT_CASHBACK]
    assert remaining(list(Step)) == []
    assert remaining([Step.CLOSE_DAY, Step.CREDIT_CASHBACK], Step.CLOSE_DAY) == []
    with pytest.raises(StepError, match="although close_day is not"):
        remaining([Step.EMIT_FILES])


def test_done_is_for_good() -> None:
    assert move(None, State.RUNNING) is State.RUNNING
    assert move(State.REFUSED, State.RUNNING) is State.RUNNING
    for state in State:
        with pytest.raises(StepError):
            move(State.DONE, state)
    with pytest.raises(StepError, match="not begun"):
        move(None, State.DONE)


def test_what_is_settled_late_is_paid_on_the_first_bank_day_after() -> None:
    friday = date(2026, 11, 20)
    calendar = facts(friday).calendar()
    assert pay_on(calendar, POLICY, None, friday, date(2026, 11, 21)) == date(2026, 11, 24)
    assert pay_on(calendar, POLICY, None, friday, date(2026, 11, 24)) == date(2026, 11, 24)
    assert pay_on(calendar, POLICY, None, friday, date(2026, 11, 28)) == date(2026, 11, 30)
