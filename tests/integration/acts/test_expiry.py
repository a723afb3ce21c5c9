"""The night's step expire_lots: what has expired goes to whom it belongs, once, and held money waits."""

from datetime import date, datetime, time, timedelta

import msgspec
import pytest
from sqlalchemy import text

from settlement.domain.bankdays import CalendarFacts
from settlement.domain.run import State, Step
from settlement.frame import Frame, Observer, Silent
from settlement.reference import Facts
from settlement.report import ExpiredPart, ExpireOutcome
from settlement.settings import Settings
from settlement.steps import close_day, expire_lots
from settlement.store.runs import RunKey, create_run, find_run, steps_of
from switch.domain.calendar import SEOUL, day_of_date
from switch.service.giving.issue import issue
from tests.integration.acts.town import ACTOR, NOON, Town


class Stopped(Exception):
    """The run was stopped at a point."""


class Stop(Silent):
    """Stops a run at a point, or at the first that starts so."""

    def __init__(self, point: str) -> None:
        self._point = point

    def reached(self, point: str) -> None:
        if point.startswith(self._point):
            raise Stopped


class Clock:
    """Half past midnight of the day after."""

    def __init__(self, day: date) -> None:
        self._now = datetime.combine(day + timedelta(days=1), time(0, 30), SEOUL)

    def now(self) -> datetime:
        return self._now


def night(town: Town, day: date, observer: Observer | None = None, *, dry_run: bool = False) -> ExpireOutcome:
    """Close a business date, unless it is, and do the step on it."""
    with town.engine.connect() as connection:
        with connection.begin():
            facts = Facts(connection, town.no)
            key = RunKey(town.no, day)
            begun = find_run(connection, key)
            one = begun or create_run(connection, key, NOON, CalendarFacts("", (), (), ()))
        frame = Frame(connection, facts, one, Settings.model_construct(), Clock(day), observer or Silent())
        if begun is None:
            close_day.run(frame)
        if dry_run:
            with connection.begin():
                return expire_lots.preview(frame)
        return expire_lots.run(frame)


def test_what_expired_goes_to_its_funder_and_the_rest_to_whom_the_policy_says(town: Town) -> None:
    first = town.member(
        [
            (1, 9_000, 20210615, 20260615),  # charged, five years old
            (1, 9_000, 20210616, 20260616),  # good for another day
            (2, 700, 20260601, 20260614),
            (3, 50_000, 20260601, 20260615),
            (4, 30_000, 20260601, 20260615),  # a coupon that was used for 12,000
            (3, 1_000, 20260601, 0),
        ]
    )
    town.spend(first, 5, 12_000)
    held = town.member([(1, 5_000, 20210615, 20260615)])
    town.hold(held, 1, 4_000)
    file = town.directory / "people.csv"
    file.write_text(f"member_id\n{held}\n")
    issue(town.engine, "town", "coupon", members=file, actor=ACTOR, now=NOON)
    shown = night(town, date(2026, 6, 15), dry_run=True)
    assert town.lots(first)[0][1] == 9_000
    told = night(town, date(2026, 6, 15))
    assert told == shown
    assert told.parts == (
        ExpiredPart("charged", "national", 2, 10_000),
        ExpiredPart("points", "national", 1, 700),
        ExpiredPart("grant", "city", 1, 50_000),
        ExpiredPart("coupon", "city", 1, 18_000),
    )
    assert [balance for _, balance, _ in town.lots(first)] == [0, 9_000, 0, 0, 0, 1_000]
    assert [balance for _, balance, _ in town.lots(held)] == [4_000, 10_000]
    wallet = town.key(first)[1]
    entries = town.rows(
        "SELECT seq, line, debit, credit, won, lot_no, funder_no FROM entry WHERE source = 6"
        f" AND wallet_id = {wallet} ORDER BY line"
    )
    national = town.city - 1
    assert [tuple(row) for row in entries] == [
        (8, 1, 201, 241, 9_000, 1, national),
        (8, 2, 202, 241, 700, 3, national),
        (8, 3, 203, 241, 50_000, 4, town.city),
        (8, 4, 204, 241, 18_000, 5, town.city),
    ]
    with town.engine.connect() as connection, connection.begin():  # its record says so, and nothing is left
        done = steps_of(connection, RunKey(town.no, date(2026, 6, 15)))[Step.EXPIRE_LOTS]
    assert (done.state, msgspec.json.decode(done.outcome, type=ExpireOutcome)) == (State.DONE, told)
    assert night(town, date(2026, 6, 15), dry_run=True).won == 0
    assert town.broken() == {}
    town.run("DELETE FROM hold; UPDATE wallet SET holds = 0")
    later = night(town, date(2026, 6, 16))
    assert later.parts == (ExpiredPart("charged", "national", 2, 13_000),)
    assert town.broken() == {}


@pytest.mark.parametrize("point", ["expire_lots:written", "expire_lots:batch"])
def test_a_night_that_is_stopped_goes_on(town: Town, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.steps.expire_lots.BUCKETS_AT_ONCE", 2)
    day = {"expire_lots:written": date(2026, 6, 17), "expire_lots:batch": date(2026, 6, 18)}[point]
    expires = day_of_date(day)
    people = [town.member([(3, 1_000, 20260601, expires)]) for _ in range(5)]
    with pytest.raises(Stopped):
        night(town, day, Stop(point))
    report = night(town, day)
    assert report.parts == (ExpiredPart("grant", "city", 5, 5_000),)
    assert {town.lots(one)[0][1] for one in people} == {0}
    assert town.broken() == {}


def test_the_proof_tells_money_that_stayed_in_an_expired_lot(town: Town) -> None:
    member = town.member([(3, 1_000, 20260601, 20260619)])
    night(town, date(2026, 6, 19))
    assert town.broken() == {}
    with town.owner().begin() as connection:
        wallet = town.key(member)[1]
        connection.execute(text(f"UPDATE lot SET balance = 1000 WHERE wallet_id = {wallet}"))
        connection.execute(text(f"DELETE FROM entry WHERE wallet_id = {wallet} AND source = 6"))
    assert {"expired_lots_are_empty", "expiry_equals_entries"} <= town.broken().keys()
