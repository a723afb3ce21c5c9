"""Issue of campaigns: whom it reaches, that nobody gets it twice, and that a pot is never overdrawn."""

from datetime import datetime
from threading import Thread
from typing import Any

import pytest

from switch.domain.calendar import SEOUL
from switch.service.admin import NotFoundError, RefusedError
from switch.service.giving import issue as issuing
from switch.service.giving.campaigns import revoke, status
from switch.service.giving.issue import IssueReport, issue
from switch.service.import_files import ImportRefusedError
from tests.integration.acts.town import ACTOR, NOON, Town


def give(town: Town, code: str, *members: str, **more: Any) -> IssueReport:
    """Issue a campaign to these members."""
    file = town.directory / "people.csv"
    file.write_text("\n".join(["member_id", *members]) + "\n")
    more = {"now": NOON, "actor": ACTOR, **more}
    return issue(town.engine, "town", code, members=file, **more)


def test_a_coupon_goes_to_each_once_in_the_files_order_until_the_pot_has_no_whole_one(town: Town) -> None:
    people = [town.member() for _ in range(7)]
    report = give(town, "coupon", *people[:2])
    assert (report.issued, report.won) == (2, 20_000)
    assert town.lots(people[0]) == [(4, 10_000, 20260625)]
    report = give(town, "coupon", *reversed(people))
    assert (report.issued, report.had_it, report.no_money_for) == (3, 2, 2)
    assert report.left_out == [people[3], people[2]]
    assert town.pool("campaign:coupon") == (55_000, 5_000, 50_000)
    assert give(town, "coupon", *people[:2]).issued == 0
    entry = town.rows("SELECT debit, credit, won, source, budget_no FROM entry WHERE credit = 204")[0]
    assert (entry.debit, entry.won, entry.source) == (111, 10_000, 5)
    assert entry.budget_no > 0
    seen = status(town.engine, "town", "coupon")
    assert (seen.issued, seen.issued_won, seen.unspent, seen.spent, seen.left) == (
        5,
        50_000,
        50_000,
        0,
        5_000,
    )
    assert town.broken() == {}


def test_a_revoked_coupon_goes_back_to_the_pot_and_its_member_does_not_get_it_again(town: Town) -> None:
    people = [f"M{number}" for number in range(1, 8)]
    back = revoke(town.engine, "town", "coupon", people[0], actor=ACTOR, now=NOON)
    assert back.won == 10_000
    assert town.pool("campaign:coupon") == (55_000, 15_000, 40_000)
    with pytest.raises(RefusedError, match="nothing unspent"):
        revoke(town.engine, "town", "coupon", people[0], actor=ACTOR, now=NOON)
    report = give(town, "coupon", *people)
    assert (report.issued, report.had_it, report.left_out) == (1, 5, [people[3]])
    seen = status(town.engine, "town", "coupon")
    assert (seen.issued, seen.revoked, seen.unspent, seen.left) == (6, 10_000, 50_000, 5_000)
    assert town.broken() == {}


def test_a_grant_asks_for_the_audience_and_takes_from_the_months_budget(town: Town) -> None:
    pupils = [town.member(tags=1) for _ in range(2)]
    others = [town.member(), town.member(tags=2), town.member(tags=1, state=2)]
    report = give(town, "scholarship", *pupils, *others)
    assert (report.issued, report.not_in_audience, report.stopped) == (2, 2, 1)
    assert town.pool("school", 202606) == (1_000_000, 900_000, 100_000)
    july = give(town, "scholarship", *pupils, now=datetime(2026, 7, 2, 12, tzinfo=SEOUL))
    assert july.had_it == 2
    more = [town.member(tags=1) for _ in range(2)]
    july = give(town, "scholarship", *more, now=datetime(2026, 7, 2, 12, tzinfo=SEOUL))
    assert (july.issued, july.no_money_for) == (1, 1)
    assert town.pool("school", 202607) == (50_000, 0, 50_000)
    assert town.lot(more[0], 1).expires == 20261231
    assert town.broken() == {}


def test_all_or_those_with_a_tag(town: Town) -> None:
    clubs = {town.member(tags=2), town.member(tags=3)}
    known = {"now": NOON, "actor": ACTOR}
    report = issue(town.engine, "town", "relief", tag="club", **known)
    had = town.rows("SELECT member_id FROM lot JOIN member USING (bucket, wallet_id) WHERE campaign_no = 3")
    assert clubs < {row.member_id for row in had}
    assert report.issued == len(had)
    everyone = town.scalar("SELECT count(*) FROM wallet WHERE state = 1")
    again = issue(town.engine, "town", "relief", **known)
    assert (again.issued, again.had_it) == (everyone - len(had), len(had))
    assert town.broken() == {}


def test_a_run_that_is_stopped_goes_on_where_it_stopped(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [town.member() for _ in range(10)]
    monkeypatch.setattr(issuing, "WALLETS_AT_ONCE", 3)

    def stop(_what: str, done: int, _all: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give(town, "relief", *people, progress=stop)
    report = give(town, "relief", *people)
    assert (report.issued, report.had_it) == (4, 6)
    assert {tuple(town.lots(one)) for one in people} == {((3, 1_000, 20260715),)}
    assert town.broken() == {}


def test_two_runs_at_once_give_nobody_twice(town: Town) -> None:
    people = [town.member() for _ in range(40)]
    file = town.directory / "both.csv"
    reports: list[IssueReport] = []

    def run() -> None:
        reports.append(issue(town.engine, "town", "relief", members=file, actor=ACTOR, now=NOON))

    file.write_text("\n".join(["member_id", *people]) + "\n")
    threads = [Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.issued for one in reports) == [0, 40]
    assert town.broken() == {}


def test_a_bad_file_books_nothing_and_tells_every_fault(town: Town) -> None:
    member = town.member()
    with pytest.raises(ImportRefusedError) as refused:
        give(town, "relief", member, "M99999", member)
    assert [line.split(": ", 1)[0] for line in refused.value.problems] == [
        "people.csv:4: member_id".replace(": ", ": "),
        "people.csv:3: member_id",
    ] or len(refused.value.problems) == 2
    assert town.lots(member) == []


def test_outside_its_time_or_rounds_nothing_is_issued(town: Town) -> None:
    member = town.member()
    late = datetime(2026, 7, 1, 0, 0, tzinfo=SEOUL)
    with pytest.raises(RefusedError, match="may be issued from"):
        give(town, "coupon", member, now=late)
    with pytest.raises(RefusedError, match="has not come yet"):
        give(town, "coupon", member, on=late.date())
    with pytest.raises(RefusedError, match="2 times"):
        give(town, "coupon", member, round_no=3)
    with pytest.raises(RefusedError, match="no member tag"):
        issue(town.engine, "town", "relief", tag="choir", actor=ACTOR, now=NOON)
    with pytest.raises(NotFoundError, match="no campaign"):
        give(town, "coupons", member)
    assert town.lots(member) == []
