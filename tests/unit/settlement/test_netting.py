"""What a merchant gets (worked examples 6 and 7) and how a run's steps follow each other."""

from datetime import date, datetime

import pytest

from settlement.domain.bankdays import facts
from settlement.domain.netting import net, pay_on
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


def test_the_fee_is_the_floor_on_the_days_net() -> None:
    day = net(POLICY, sales=50_750, refunds=0, carried_in=0, annual_sales=300_000_000)
    assert (day.fee, day.paid, day.carried_out) == (76, 50_674, 0)


def test_gifts_bear_no_fee() -> None:
    day = net(POLICY, sales=50_750, refunds=750, carried_in=0, annual_sales=300_000_000, donation=True)
    assert (day.fee_rate_ppm, day.fee, day.paid) == (0, 0, 50_000)


def test_a_negative_net_gives_the_fee_back_and_is_carried() -> None:
    first = net(POLICY, sales=30_000, refunds=200_000, carried_in=0, annual_sales=300_000_001)
    assert (first.fee, first.paid, first.carried_out) == (-1_530, 0, -168_470)
    second = net(POLICY, sales=500_000, refunds=0, carried_in=first.carried_out, annual_sales=300_000_001)
    assert (second.paid, second.carried_out) == (327_030, 0)


def test_what_comes_to_nothing_is_neither_paid_nor_carried() -> None:
    day = net(POLICY, sales=0, refunds=0, carried_in=0, annual_sales=None)
    assert (day.paid, day.carried_out, day.fee_rate_ppm) == (0, 0, 15_000)


def test_money_that_cannot_be_paid_is_held() -> None:
    day = net(POLICY, sales=10_000, refunds=0, carried_in=-1_000, annual_sales=1, payable=False)
    assert (day.paid, day.carried_out) == (0, 8_985)


def test_negative_sums_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        net(POLICY, sales=-1, refunds=0, carried_in=0, annual_sales=1)


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
