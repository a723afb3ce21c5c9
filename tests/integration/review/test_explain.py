"""Explanations of payments that went through a lane: told from what was stored."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from switch.domain.budget import Budget
from switch.domain.calendar import SEOUL
from switch.domain.explain_facts import PaymentFacts, StandingFacts
from switch.domain.payment import Kind
from switch.domain.request import Stored
from switch.service.admin import NotFoundError, RefusedError
from switch.service.review.explain import explain
from tests.integration.review.town import DAY, RIGHT_TIERS, Town, coupon, programme
from tests.support.postgres import Server, shared_server
from tests.unit.decide import world

NOW = datetime(2026, 6, 20, 15, tzinfo=SEOUL)


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[Town, list[Stored]]]:
    server: Server = shared_server()
    database = server.migrated()
    since = datetime(2026, 1, 1, tzinfo=SEOUL)
    budgets = [Budget(code="cashback", funder="district", monthly=1_300)]
    town = Town(
        database,
        programme(
            ("june", world.TIERS_T, since),
            ("july", RIGHT_TIERS, datetime(2026, 7, 1, tzinfo=SEOUL)),
            budgets=budgets,
        ),
    )
    town.people(
        [
            world.wallet(
                coupon(1), world.points(2, 700), world.charged(3, 900_000), wallet_id=1, points_on=True
            ),
            world.wallet(world.charged(1, 10_000), wallet_id=2),
        ]
    )
    buy, back = Kind.PURCHASE, Kind.REFUND
    stored = town.send(
        {"kind": buy, "amount": 10_005},  # 0: below the coupon's minimum spend
        {"kind": buy, "amount": 280_000, "day": DAY + 1},  # 1: coupon; district's budget runs out
        {"kind": buy, "amount": 100_000, "day": DAY + 2, "merchant": world.MARKET},  # 2: crosses a tier
        {"kind": buy, "amount": 350_000, "day": DAY + 2},  # 3: two limits at once
        {"kind": buy, "amount": 5_000, "day": DAY + 2, "merchant": world.DEPARTMENT},  # 4: restricted
        {"kind": buy, "amount": 20_000, "wallet": 2},  # 5: short of money
        {"kind": back, "amount": 5_009, "of": 0, "day": DAY + 1},  # 6
        {"kind": Kind.TOPUP, "amount": 50_000, "wallet": 2},  # 7
        {"kind": Kind.PREAUTH, "amount": 30_000, "wallet": 2, "day": DAY + 1},  # 8
        {"kind": buy, "amount": 40_000, "day": 20260620},  # 9: in the window
        {"kind": Kind.REVERSAL, "amount": 40_000, "day": 20260620, "of": 9},  # 10
    )
    yield town, stored
    server.drop(database)


def _lines(town: Town, one: Stored, language: str = "en") -> str:
    found = explain(town.engine, f"{one.wallet_id}:{one.seq}", NOW).told[language]
    return "\n".join([found.headline, *(line for section in found.sections for line in section.lines)])


def test_a_payment_tells_its_money_its_cashback_and_what_came_back(told: tuple[Town, list[Stored]]) -> None:
    town, stored = told
    lines = _lines(town, stored[0])
    assert "1. 700 won from points (lot 2)" in lines
    assert "“환영 쿠폰” did not pay: 9,995 won below its minimum spend." in lines
    assert "10 % of 9,305 won = 930.5 won, floored to 930 won (national 372 won, city 186 won" in lines
    assert "501 won of cashback were clawed back (national 200 won, city 100 won, district 201 won)" in lines
    assert "Of the 930 won granted, 429 won still stand." in lines
    assert "환불 5,009원: 캐시백 501원을 회수하고 429원을 남겼습니다" in _lines(town, stored[0], "ko")


def test_what_a_budget_did_not_have_is_told(told: tuple[Town, list[Stored]]) -> None:
    town, stored = told
    lines = _lines(town, stored[1])
    assert "3,000 won from coupon “환영 쿠폰” of city (lot 1)" in lines
    assert "Due in all: 27,700 won." in lines
    assert "The budget “cashback” of district had nothing left for 10,152 won of it in June 2026." in lines
    market = _lines(town, stored[2])
    assert "Tier 300,000 won to 500,000 won: 7 % of 86,305 won = 6,041.35 won" in market
    assert "Bonus “market”: 3 % of 100,000 won = 3,000 won (district 3,000 won)." in market


def test_all_reasons_are_told_and_what_would_have_passed(told: tuple[Town, list[Stored]]) -> None:
    town, stored = told
    limits = _lines(town, stored[3])
    assert "50,000 won over the limit of 300,000 won for one payment." in limits
    assert "Also: It was over the limit for one day." in limits
    assert "It counts anew from 13 June 2026 00:00." in limits
    assert "Up to 300,000 won would have passed." in limits
    assert "제한 규칙 large_store: 대형." in _lines(town, stored[4], "ko")
    assert "a top-up of 10,000 won would have made it pass" in _lines(town, stored[5])


def test_returns_holds_and_windows(told: tuple[Town, list[Stored]]) -> None:
    town, stored = told
    assert "It belongs to the purchase of 10,005 won on 10 June 2026, 12:00:00" in _lines(town, stored[6])
    assert "50,000원이 새 로트 2번에 충전되었습니다." in _lines(town, stored[7], "ko")
    assert "10,000 won of charged money (lot 1), valid until 1 June 2031 are held until" in _lines(
        town, stored[8]
    )
    window = _lines(town, stored[9])
    assert "2 % of 40,000 won = 800 won, but only 500 won were left to this member of the campaign" in window
    assert "Of the 3,101 won granted, 0 won still stand." in window


def test_a_payment_is_found_by_terminal_and_by_reference_number(told: tuple[Town, list[Stored]]) -> None:
    town, stored = told
    by_terminal = explain(town.engine, "T0000001/4/2026-06-12", NOW).facts
    by_rrn = explain(town.engine, stored[3].rrn, NOW, programme_id="test").facts
    assert isinstance(by_terminal, PaymentFacts)
    assert by_terminal == by_rrn
    assert (by_terminal.seq, by_terminal.member) == (stored[3].seq, "M1")
    with pytest.raises(NotFoundError, match="T0000001/99/2026-06-12"):
        explain(town.engine, "T0000001/99/2026-06-12", NOW)
    with pytest.raises(RefusedError, match="needs --programme"):
        explain(town.engine, "M1", NOW)


def test_a_members_standing(told: tuple[Town, list[Stored]]) -> None:
    town, _ = told
    found = explain(town.engine, "M1", NOW, programme_id="test")
    facts = found.facts
    assert isinstance(facts, StandingFacts)
    limits = {one.name: (one.limit - one.used, one.resets) for one in facts.limits}
    assert limits == {
        "payment": (300_000, 0),
        "day": (400_000, 20260621),
        "month": (1_115_004, 20260701),
        "topup_month": (500_000, 20260701),
    }
    assert [(one.rate_ppm, one.left) for one in facts.tiers] == [(70_000, 118_704), (60_000, 500_000)]
    assert (facts.basis, facts.cashback) == (381_296, 23_977)
    assert [one.reason for one in facts.declined] == ["merchant_restricted", "over_payment_limit"]
    assert "앞으로 118,704원까지 7 % 적립(누적 300,000원 초과 500,000원 이하 구간)." in [
        line for section in found.told["ko"].sections for line in section.lines
    ]
    held = explain(town.engine, "M2", NOW, programme_id="test").facts
    assert isinstance(held, StandingFacts)
    assert [(one.lot.won, one.held) for one in held.lots] == [(10_000, 10_000), (50_000, 20_000)]
