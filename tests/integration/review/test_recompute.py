"""The night's recomputation on real payments: budgets that ran out, windows, companies, returns undone."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from settlement.domain.bankdays import CalendarFacts
from settlement.errors import ControlMismatchError
from settlement.frame import Frame, Silent
from settlement.pipeline import run
from settlement.reference import Facts
from settlement.settings import Settings
from settlement.steps.verify_cashback import verify
from settlement.store.runs import Run, RunKey
from switch.clock import open_clock
from switch.domain.budget import Budget
from switch.domain.calendar import SEOUL, date_of_day
from switch.domain.payment import Kind
from switch.domain.wallet import Holder
from tests.integration.authorizer.ground import OPENING_DAY
from tests.integration.review.town import Town, coupon, programme
from tests.support.postgres import Database, shared_server
from tests.unit.decide import world

DAY = 20260620
NOW = datetime(2026, 6, 21, 12, tzinfo=SEOUL)
BUY, BACK, UNDO = Kind.PURCHASE, Kind.REFUND, Kind.REVERSAL


TAMPERINGS = {
    "UPDATE payment SET detail = (detail::jsonb #- '{missed}')::text WHERE detail LIKE '%missed%'": (
        "the rules give"
    ),
    "UPDATE payment SET detail = jsonb_set(detail::jsonb, '{missed}', '[[3, 1, 99999]]')::text"
    " WHERE kind = 1 AND wallet_id = 1": "which were not due",
    "UPDATE payment SET detail = jsonb_set(detail::jsonb, '{kept_after}', '[]')::text WHERE kind = 2": (
        "the rules keep"
    ),
    "UPDATE payment SET detail = jsonb_set(detail::jsonb, '{kept_before}', '[[1, 0, 99999]]')::text"
    " WHERE kind = 2": "more was kept than had been granted",
    "UPDATE payment SET detail = jsonb_set(detail::jsonb, '{grants}', '[[1, 0, 1]]')::text"
    " WHERE kind = 5 AND wallet_id = 1": "does not grant again",
    "UPDATE entry SET budget_no = 0 WHERE budget_no = 1 AND wallet_id = 1": "entries by funder",
    "UPDATE wallet SET holder = 1": "the rules give",
    "UPDATE payment SET detail = replace(detail, 'summer', 'winter')": "is not the programme's",
    "UPDATE payment SET local_day = '2026-06-21' WHERE kind = 1 AND wallet_id = 2": "does not fall into",
}
"""What somebody may do to the books, and what the night says of it."""


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    server = shared_server()
    own = server.migrated()
    yield own
    server.drop(own)


@pytest.fixture(scope="module")
def town(database: Database) -> Town:
    return played(database)


def played(database: Database) -> Town:
    """A day in the window: district's budget ends in the middle of the second payment."""
    since = datetime(2026, 1, 1, tzinfo=SEOUL)
    budgets = [Budget(code="cashback", funder="district", monthly=5_000)]
    one = programme(("june", world.TIERS_T, since), budgets=budgets)
    summer, welcome = one.campaigns
    policy = replace(one.policies[0], spending_order=("coupon", "grant", "charged", "points"))
    one = replace(one, policies=(policy,), campaigns=(replace(summer, min_spend=9_000), welcome))
    town = Town(database, one)
    people = [world.wallet(world.charged(1, 500_000), coupon(2), wallet_id=n) for n in (1, 2, 3)]
    people[2].holder = Holder.COMPANY
    few = (world.charged(1, 8_500), world.points(2, 2_000))
    people.append(world.wallet(*few, wallet_id=4, points_on=True))
    town.people(people)
    town.ground.set_day(DAY)
    first, second, third, _, _ = town.send(
        {"kind": BUY, "amount": 100_005, "day": DAY, "merchant": world.MARKET},
        {"kind": BUY, "amount": 90_000, "day": DAY, "wallet": 2},
        {"kind": BUY, "amount": 40_000, "day": DAY},
        {"kind": BUY, "amount": 70_000, "day": DAY, "wallet": 3},
        {"kind": Kind.TOPUP, "amount": 70_000, "day": DAY, "wallet": 3},
    )
    assert second.cashback > 0
    refund = town.request(BACK, 33_333, of=first, day=DAY, merchant=world.MARKET)
    (back,) = town.send(refund)
    town.send(
        town.request(BUY, 9_000, wallet=2, day=DAY),
        town.request(UNDO, 33_333, of=back, day=DAY, merchant=world.MARKET),
        town.request(BACK, 12_345, of=replace(third), day=DAY),
        town.request(UNDO, 90_000, wallet=2, of=second, day=DAY),
    )
    _only_points_come_back(town)
    town.ground.check_books()
    town.ground.set_day(DAY + 1)
    return town


def _only_points_come_back(town: Town) -> None:
    """What is left is less than the window asks for, though no won of the basis has come back."""
    (bought,) = town.send({"kind": BUY, "amount": 10_000, "day": DAY, "wallet": 4})
    (back,) = town.send({"kind": BACK, "amount": 1_500, "day": DAY, "wallet": 4, "of": bought})
    assert (bought.basis, back.basis, back.cashback) == (8_500, 0, -8_500 * 2 // 100)


def settings_at(town: Town, clock: Path) -> Settings:
    address = town.ground.database.app_url.set(drivername="postgresql").render_as_string(hide_password=False)
    clock.write_text(town.ground.now().isoformat())
    return Settings.model_validate(
        {
            "database": {"url": address},
            "clock": {"mode": "simulated", "file": str(clock)},
            "files": {"outbox": str(clock.parent / "out")},
            "originator": {"test": {"name": "Test", "account": "1005000000017", "bank": "020"}},
        }
    )


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_does_not_fit_the_rules_is_told(
    town: Town, database: Database, tmp_path: Path, tampering: str
) -> None:
    with database.engine(owner=True).connect() as connection:
        connection.execute(text("SELECT dure_ensure_day('2026-06-21')"))
        assert connection.execute(text(tampering)).rowcount
        facts = Facts(connection, 1)
        of_day = Run(RunKey(1, date(2026, 6, 20), 1), NOW, CalendarFacts("none", ()))
        settings = settings_at(town, tmp_path / "clock")
        clock = open_clock("simulated", str(tmp_path / "clock"), simulation=True)
        frame = Frame(connection, facts, of_day, settings, clock, Silent())
        with pytest.raises(ControlMismatchError, match=TAMPERINGS[tampering]):
            verify(frame)
        connection.rollback()


def test_a_day_with_everything_is_recomputed_and_credited(town: Town, tmp_path: Path) -> None:
    with town.engine.connect() as connection:
        told = connection.execute(
            text("SELECT count(*) FILTER (WHERE detail LIKE '%missed%'), sum(cashback)::bigint FROM payment")
        ).one()
    assert told[0] >= 2
    settings = settings_at(town, tmp_path / "clock")
    for day in (OPENING_DAY, DAY):
        report = run(town.engine, settings, date_of_day(day))
        assert [one.problem for one in report.programmes] == [""]
    town.ground.check_books()
    had = 2_000  # the points that a member began with, all of them back
    assert sum(points for _, points, _ in town.balances().values()) == told[1] + had
