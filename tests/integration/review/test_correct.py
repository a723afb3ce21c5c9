"""Corrections through the books: two people, exact won by funder, once, and right after later refunds."""

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from switch.domain.budget import Budget
from switch.domain.calendar import SEOUL
from switch.domain.payment import Kind
from switch.domain.request import Stored
from switch.service.admin import RefusedError
from switch.service.review import correct
from switch.service.review.correct import Proposal, Wanted
from switch.service.review.correct_list import sums, write_lines, write_messages
from switch.service.review.correct_post import Posted, post
from switch.service.review.explain import explain
from tests.integration.review.town import DAY, RIGHT_TIERS, WRONG_TIERS, Town, programme
from tests.support.postgres import Database, shared_server
from tests.unit.decide import world

SINCE = datetime(2026, 6, 10, tzinfo=SEOUL)
NOW = datetime(2026, 6, 29, 12, tzinfo=SEOUL)
BUY, BACK = Kind.PURCHASE, Kind.REFUND


@pytest.fixture
def database() -> Iterator[Database]:
    server = shared_server()
    own = server.migrated()
    yield own
    server.drop(own)


def town_of(database: Database, *budgets: Budget, right_first: bool = True) -> Town:
    """7 % until 10 June, then by mistake 9 % – or the other way round. Members with 500 won of points."""
    tiers = (RIGHT_TIERS, WRONG_TIERS) if right_first else (WRONG_TIERS, RIGHT_TIERS)
    versions = (("first", tiers[0], datetime(2026, 1, 1, tzinfo=SEOUL)), ("second", tiers[1], SINCE))
    town = Town(database, programme(*versions, budgets=budgets))
    town.people(
        [world.wallet(world.charged(1, 500_000), world.points(2, 500), wallet_id=n) for n in (1, 2, 3)]
    )
    return town


def wanted(**more: object) -> Wanted:
    known = {"programme_id": "test", "since": SINCE, "until": SINCE + timedelta(days=3), "version": "first"}
    return Wanted(**{**known, **more})  # type: ignore[arg-type]


def corrected(town: Town, **more: object) -> Posted:
    """Proposed by one, approved by another, posted."""
    proposed = correct.propose(town.engine, wanted(**more), "kim", NOW)
    correct.approve(town.engine, proposed.number, "lee", NOW)
    return post(town.engine, proposed.number, "root", lambda: NOW)


def by_funder(town: Town) -> dict[str, int]:
    """Won that each funder owes for cashback, all journals."""
    query = text(
        "SELECT f.funder_id, sum(CASE WHEN e.debit = 111 THEN won ELSE -won END)::bigint FROM entry e"
        " JOIN funder f USING (funder_no) WHERE 111 IN (debit, credit) GROUP BY 1"
    )
    with town.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def test_what_was_too_much_is_taken_from_points_then_owed_and_names_its_payment(database: Database) -> None:
    town = town_of(database)
    first, _, _ = town.send(
        {"kind": BUY, "amount": 10_000, "wallet": 1},
        {"kind": BUY, "amount": 100_000, "wallet": 2},
        {"kind": BUY, "amount": 50_000, "wallet": 3, "day": DAY - 1},  # judged rightly
    )
    proposed = correct.propose(town.engine, wanted(), "kim", NOW)
    assert (proposed.payments, proposed.members, proposed.over, proposed.under) == (2, 2, 2_200, 0)
    assert town.balances()[1] == (490_000, 500, 0)  # nothing is booked yet
    correct.approve(town.engine, proposed.number, "lee", NOW)
    done = post(town.engine, proposed.number, "root", lambda: NOW)
    assert (done.payments, done.taken, done.owed, done.given, done.short) == (2, 2_200, 1_500, 0, 0)
    assert town.balances() == {1: (490_000, 300, 0), 2: (400_000, 0, 1_500), 3: (450_000, 500, 0)}
    assert by_funder(town) == {"national": 6_400, "city": 3_200, "district": 1_600}
    facts = explain(town.engine, f"1:{first.seq}", NOW)
    lines = [line for section in facts.told["en"].sections for line in section.lines]
    assert f"Correction {proposed.number}: by version first it is 200 won of cashback less; posted." in lines
    assert "Booked: -200 won (district -200 won)." in lines
    with town.engine.connect() as connection:
        references = connection.execute(text("SELECT reference FROM act ORDER BY wallet_id")).scalars().all()
    assert references[0] == f"correction:{proposed.number}:1:{first.seq}"
    town.ground.check_books()


def test_what_was_too_little_pays_off_what_is_owed_and_becomes_points(database: Database) -> None:
    town = town_of(database, right_first=False)
    town.send({"kind": BUY, "amount": 100_000, "wallet": 1}, {"kind": BUY, "amount": 50_000, "wallet": 2})
    # 7 % were given where 9 % are right; then those 9 % turn out to be wrong, beyond what there is in points.
    assert corrected(town).given == 3_000
    assert town.balances()[1] == (400_000, 2_500, 0)
    assert town.balances()[2] == (450_000, 1_500, 0)
    assert by_funder(town) == {"national": 6_000, "city": 3_000, "district": 4_500}
    town.ground.check_books()


def test_a_person_cannot_approve_what_is_their_own_and_the_database_says_so_too(database: Database) -> None:
    town = town_of(database)
    town.send({"kind": BUY, "amount": 10_000})
    number = correct.propose(town.engine, wanted(), "Kim ", NOW).number
    with pytest.raises(RefusedError, match="is not approved"):
        post(town.engine, number, "root", lambda: NOW)
    with pytest.raises(RefusedError, match="somebody else"):
        correct.approve(town.engine, number, " kim", NOW)
    with pytest.raises(IntegrityError, match="correction_two_people"), town.engine.begin() as connection:
        connection.execute(text("UPDATE correction SET approved_by = 'KIM', approved_at = now()"))
    assert correct.approve(town.engine, number, "lee", NOW).state == "approved"
    with pytest.raises(RefusedError, match="approved already"):
        correct.approve(town.engine, number, "park", NOW)


def test_books_that_changed_before_the_approval_refuse_it_and_after_it_leave_the_payment_out(
    database: Database,
) -> None:
    town = town_of(database)
    one, _ = town.send({"kind": BUY, "amount": 10_000}, {"kind": BUY, "amount": 20_000, "wallet": 2})
    stale = correct.propose(town.engine, wanted(), "kim", NOW).number
    town.send(town.request(BACK, 4_000, of=one))
    with pytest.raises(RefusedError, match="changed since"):
        correct.approve(town.engine, stale, "lee", NOW)
    fresh = correct.propose(town.engine, wanted(), "kim", NOW)
    assert fresh.over == 120 + 400
    correct.approve(town.engine, fresh.number, "lee", NOW)
    town.send(town.request(BACK, 1_000, of=replace(one, returned=4_000)))
    done = post(town.engine, fresh.number, "root", lambda: NOW)
    assert (done.left_out, done.taken) == (1, 400)
    again = corrected(town)
    assert (again.left_out, again.taken) == (0, 100)
    town.ground.check_books()


def test_a_refund_after_the_correction_is_followed_by_proposing_again(database: Database) -> None:
    """Of 10,000 won at 9 % instead of 7 %, all comes back: the refund takes 900, the correction gives 200."""
    town = town_of(database)
    (one,) = town.send({"kind": BUY, "amount": 10_000})
    assert corrected(town).taken == 200
    with pytest.raises(RefusedError, match="nothing to correct"):
        correct.propose(town.engine, wanted(), "kim", NOW)
    town.send(town.request(BACK, 5_000, of=one))
    assert corrected(town).given == 100
    town.send(town.request(BACK, 5_000, of=replace(one, returned=5_000)))
    assert corrected(town).given == 100
    assert by_funder(town) == {"national": 0, "city": 0, "district": 0}
    assert town.balances()[1] == (500_000, 500, 0)
    town.ground.check_books()


def test_forgiven_won_are_never_asked_for_again_nor_paid_for_after_a_refund(database: Database) -> None:
    town = town_of(database)
    one, _ = town.send({"kind": BUY, "amount": 10_000}, {"kind": BUY, "amount": 40_000, "wallet": 2})
    done = corrected(town, forgive_below=300, owe=False)
    assert (done.waived, done.taken) == (200 + 300, 500)  # all of one; of two what points did not cover
    assert town.balances()[1][1:] == (500, 0)
    assert town.balances()[2][1:] == (0, 0)
    town.send(town.request(BACK, 10_000, of=one))
    with pytest.raises(RefusedError, match="nothing to correct"):
        correct.propose(town.engine, wanted(), "kim", NOW)
    town.ground.check_books()


def test_a_budget_is_given_back_to_and_never_exceeded(database: Database) -> None:
    town = town_of(database, Budget(code="cashback", funder="district", monthly=600), right_first=False)
    town.send({"kind": BUY, "amount": 10_000}, {"kind": BUY, "amount": 40_000, "wallet": 2})
    # 100 and 400 of 600 are used; 300 and 1,200 were right: 100 are left for the first that asks.
    done = corrected(town)
    assert (done.given, done.short) == (100, 900)
    with town.engine.connect() as connection:
        booked = connection.execute(
            text("SELECT sum(granted - returned)::bigint, sum(won)::bigint FROM budget_slot")
        ).one()
    assert tuple(booked) == (600, 0)
    assert corrected(town).short == 900
    town.ground.check_books()


def test_what_members_lose_can_be_granted_again(database: Database) -> None:
    town = town_of(database, Budget(code="cashback", funder="district", monthly=1_500))
    town.send({"kind": BUY, "amount": 40_000})
    assert corrected(town).taken == 800
    (more,) = town.send({"kind": BUY, "amount": 40_000, "wallet": 2, "day": DAY + 5})
    assert more.cashback == 1_600 + 800 + 1_100  # 300 had never been granted, 800 came back
    town.ground.check_books()


def test_a_run_that_two_start_at_once_books_everything_once(database: Database, tmp_path: Path) -> None:
    town = town_of(database)
    town.send(*(town.request(BUY, 10_000, wallet=n % 3 + 1) for n in range(9)))
    number = correct.propose(town.engine, wanted(), "kim", NOW).number
    correct.approve(town.engine, number, "lee", NOW)
    with ThreadPoolExecutor(2) as both:
        runs = list(both.map(lambda _: post(town.engine, number, "root", lambda: NOW), range(2)))
    assert sum(one.payments for one in runs) == 9
    assert sum(one.taken for one in runs) == 1_800
    assert correct.proposal(town.engine, number).state == "posted"
    assert post(town.engine, number, "root", lambda: NOW).payments == 0
    added = sums(town.engine, number)
    assert [(one.member, one.payments, one.booked) for one in added.members] == [
        ("M1", 3, -600),
        ("M2", 3, -600),
        ("M3", 3, -600),
    ]
    assert [(one.funder, one.won, one.booked) for one in added.funders] == [("district", -1_800, -1_800)]
    assert write_lines(town.engine, number, tmp_path / "lines.csv") == 9
    assert write_messages(town.engine, number, tmp_path / "told.csv") == 3
    told = list(csv.DictReader((tmp_path / "told.csv").open(encoding="utf-8")))
    assert told[0] == {
        "member": "M1",
        "won": "-600",
        "ko": "2026년 6월 캐시백이 600원 초과 지급되어 600원을 차감했습니다.",
        "en": "Your cashback of June 2026 was 600 won too much: 600 won have been taken off.",
    }
    with pytest.raises(RefusedError, match="name a new file"):
        write_lines(town.engine, number, tmp_path / "lines.csv")
    town.ground.check_books()


def test_a_run_that_was_stopped_is_finished_by_the_same_command(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = town_of(database)
    town.send(*(town.request(BUY, 10_000, wallet=n) for n in (1, 2, 3)))
    number = correct.propose(town.engine, wanted(), "kim", NOW).number
    correct.approve(town.engine, number, "lee", NOW)
    monkeypatch.setattr("switch.service.review.correct_post.WALLETS_AT_ONCE", 1)
    instants = iter([NOW, NOW])

    def dies_in_the_third_piece() -> datetime:
        return next(instants)

    with pytest.raises(StopIteration):
        post(town.engine, number, "root", dies_in_the_third_piece)
    assert correct.proposal(town.engine, number).state == "approved"
    town.ground.check_books()
    assert post(town.engine, number, "root", lambda: NOW).payments == 1
    assert [points for _, points, _ in town.balances().values()] == [300, 300, 300]
    town.ground.check_books()


def test_only_a_group_or_a_category(database: Database) -> None:
    town = town_of(database)
    town.send(
        {"kind": BUY, "amount": 10_000, "merchant": world.MARKET},
        {"kind": BUY, "amount": 20_000, "merchant": world.PLAIN},
    )
    market: Proposal = correct.propose(town.engine, wanted(group="traditional_market"), "kim", NOW)
    assert (market.payments, market.over) == (1, 200)
    meals = correct.propose(town.engine, wanted(category="restaurant"), "kim", NOW)
    assert (meals.payments, meals.over) == (2, 600)
    with pytest.raises(LookupError, match="no merchant has the category"):
        correct.propose(town.engine, wanted(category="nowhere"), "kim", NOW)


def test_stored(database: Database) -> None:
    """What the switch answered stays as it was: a correction changes no payment."""
    town = town_of(database)
    (one,) = town.send({"kind": BUY, "amount": 10_000})
    corrected(town)
    after: Stored = next(iter(town.ground.stored().values()))
    assert (after.cashback, after.detail, after.policy_no) == (900, one.detail, one.policy_no)
