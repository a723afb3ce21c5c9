"""Budgets by command: how they stand, made larger and smaller, never below what is granted, once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving.budgets import Adjusted, adjust, budget_list, budget_show
from switch.service.giving.finding import programme_of
from switch.service.giving.issue import issue
from switch.store.acts import ActConflictError
from switch.store.budget_pool import give, lines_of, take
from tests.integration.acts.town import ACTOR, NOON, Town


def change(town: Town, won: int, reference: str, code: str = "school", month: int = 202606) -> Adjusted:
    return adjust(
        town.engine, "town", code, won, reference, actor=ACTOR, now=NOON, month=month, note="council"
    )


def test_a_budget_shows_its_days_and_its_changes(town: Town) -> None:
    listed = {(one.code, one.month): one for one in budget_list(town.engine, "town", NOON)}
    assert set(listed) == {("school", "2026-06"), ("issuance", "2026-06"), ("campaign:coupon", "for good")}
    assert listed["school", "2026-06"].left == 1_000_000
    file = town.directory / "pupils.csv"
    pupils = [town.member(tags=1) for _ in range(3)]
    file.write_text("\n".join(["member_id", *pupils]) + "\n")
    issue(town.engine, "town", "scholarship", members=file, actor=ACTOR, now=NOON)
    done = change(town, -800_000, "cut-1")
    assert (done.budget.amount, done.budget.left, done.done_before) == (200_000, 50_000, False)
    assert change(town, -800_000, "cut-1").done_before
    shown = budget_show(town.engine, "town", "school", NOON)[0]
    assert [(day.day, day.granted, day.left) for day in shown.days] == [("2026-06-15", 150_000, 50_000)]
    assert [(one.won, one.amount, one.actor, one.note) for one in shown.changes] == [
        (-800_000, 200_000, ACTOR, "council")
    ]
    assert town.broken() == {}


def test_it_never_shrinks_below_what_is_granted_wherever_the_rest_lies(town: Town) -> None:
    town.run(
        "INSERT INTO budget_slot SELECT budget_no, 202606, slot, 20000, 0, 0, 0"
        " FROM budget, generate_series(1, 2) AS slot WHERE code = 'school'"
    )
    town.run(
        "UPDATE budget_month SET free = free - 40000 FROM budget b"
        " WHERE b.budget_no = budget_month.budget_no AND code = 'school' AND month = 202606"
    )
    with pytest.raises(RefusedError, match="50,000 won of it are still to be granted"):
        change(town, -50_001, "cut-2")
    assert change(town, -35_000, "cut-3").budget.left == 15_000
    assert change(town, 5_000, "more-1").budget.left == 20_000
    assert town.pool("school", 202606) == (170_000, 20_000, 150_000)
    with pytest.raises(ActConflictError, match="before"):
        change(town, 6_000, "more-1")
    for said, code, month in (("has a month each", "school", 0), ("no budget", "schools", 202606)):
        with pytest.raises((RefusedError, NotFoundError), match=said):
            change(town, 1, "never", code, month)
    assert town.broken() == {}


def test_many_take_at_once_and_none_gets_a_won_too_much(town: Town) -> None:
    with town.engine.connect() as connection:
        line = lines_of(connection, programme_of(connection, "town"))["campaign:coupon", "city"]

    def one(number: int) -> int:
        with town.engine.begin() as connection:
            got = take(connection, line, 202606, 3_000, 1_000)
            if number % 4 == 0 and got:
                give(connection, line, 202606, got)
                return 0
            return got

    with ThreadPoolExecutor(8) as pool:
        granted = sum(pool.map(one, range(60)))
    assert granted <= 55_000
    while True:
        with town.engine.begin() as connection:
            got = take(connection, line, 202606, 7_000)
        granted += got
        if not got:
            break
    assert granted == 55_000
    assert town.pool("campaign:coupon") == (55_000, 0, 55_000)


def test_the_proof_tells_a_budget_that_was_tampered_with(town: Town) -> None:
    broken = town.broken()
    assert set(broken) == {"budgets_equal_entries"}  # taken above without a posting
    town.run("UPDATE budget_month SET free = free + 1 WHERE month = 202606")
    assert "budgets_hold" in town.broken()
