"""The plan of the demonstration: the same seed gives the same town, of the shape that is published."""

import pytest

from switch.wire.redact import luhn_valid
from terminal_sim.town_names import BARRED, CHARITY_NAME, MARKET_GROUP, STALLS
from terminal_sim.town_plan import MIDNIGHT, PAYMENTS_MAX, make_plan

PLAN = make_plan(1, 3_000)


def test_same_seed_same_plan_other_seed_other_plan() -> None:
    assert make_plan(1, 3_000) == PLAN
    assert make_plan(2, 3_000).events != PLAN.events


def test_the_average_ticket_is_that_of_a_district() -> None:
    tickets = [event.won for event in PLAN.events if event.kind == "purchase"]
    assert 17_400 <= sum(tickets) // len(tickets) <= 25_400
    assert all(won % 10 == 0 for won in tickets)


def test_lunch_is_the_busiest_hour() -> None:
    hours = [0] * 24
    for event in PLAN.events:
        hours[event.minute // 60 % 24] += 1
    assert hours.index(max(hours)) == 12


def test_one_market_and_a_few_barred_shops() -> None:
    assert sum(merchant.group == MARKET_GROUP for merchant in PLAN.merchants) == len(STALLS) == 15
    assert [merchant.name for merchant in PLAN.merchants[-len(BARRED) :]] == [shop.name for shop in BARRED]
    assert len({merchant.merchant_id for merchant in PLAN.merchants}) == len(PLAN.merchants)
    assert len({terminal.terminal_id for terminal in PLAN.terminals}) == len(PLAN.terminals)
    assert {terminal.merchant for terminal in PLAN.terminals} == set(range(len(PLAN.merchants)))


def test_cards_are_test_numbers_of_the_programme_each_once() -> None:
    pans = {member.pan for member in PLAN.members} | {PLAN.unknown_pan}
    assert len(pans) == len(PLAN.members) + 1
    assert all(pan.startswith("941062") and luhn_valid(pan) for pan in pans)


def test_everything_that_goes_wrong_in_a_day_is_in_it() -> None:
    kinds = {event.kind for event in PLAN.events}
    assert kinds >= {
        "repeat",
        "timed_out",
        "reversal_first",
        "cancel",
        "refund",
        "topup",
        "inquiry",
        "bad_mac",
        "gift",
    }
    assert any(event.pin == "wrong" for event in PLAN.events)
    assert any(event.member < 0 for event in PLAN.events)
    assert any(event.channel == "online" for event in PLAN.events)


def test_people_give_more_than_the_case_needs_and_only_to_the_charity() -> None:
    gifts = [event for event in PLAN.events if event.kind == "gift"]
    assert 0 < PLAN.case_target < sum(event.won for event in gifts)
    shops = {PLAN.merchants[PLAN.terminals[event.terminal].merchant].name for event in gifts}
    assert shops == {CHARITY_NAME}
    others = [event for event in PLAN.events if event.kind == "purchase"]
    assert CHARITY_NAME not in {
        PLAN.merchants[PLAN.terminals[event.terminal].merchant].name for event in others
    }


def test_the_same_people_pay_before_and_after_midnight() -> None:
    before = [event.member for event in PLAN.events if event.minute == MIDNIGHT - 1]
    after = [event.member for event in PLAN.events if event.minute >= MIDNIGHT]
    assert sorted(before) == sorted(after)
    assert len(after) >= 2


def test_corrections_come_after_what_they_correct() -> None:
    by_order = {event.order: event for event in PLAN.events}
    corrections = [event for event in PLAN.events if event.kind in ("cancel", "refund")]
    assert corrections
    for event in corrections:
        original = by_order[event.of]
        assert original.kind == "purchase"
        assert original.member == event.member
        assert original.minute < event.minute <= 24 * 60
        assert 1 <= event.won <= original.won


def test_no_card_number_or_pin_in_what_is_printed() -> None:
    member = PLAN.members[0]
    assert member.pan not in repr(PLAN.members)
    assert member.pin not in repr(member).replace(member.member_id, "")


@pytest.mark.parametrize("payments", [0, -1, PAYMENTS_MAX + 1])
def test_a_size_out_of_range_is_refused(payments: int) -> None:
    with pytest.raises(ValueError, match="payments"):
        make_plan(1, payments)
