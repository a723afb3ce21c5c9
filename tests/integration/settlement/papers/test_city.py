"""The city's report: its sums are the journal's, net, and apart; budgets end when they will."""

from datetime import date, timedelta
from pathlib import Path

import msgspec
import openpyxl
import pytest
from sqlalchemy import text

from settlement.errors import ControlMismatchError, UsageError
from settlement.papers.city_paper import paper_of
from settlement.papers.city_read import City, read_city
from settlement.papers.paper import Cell, Paper
from settlement.papers.period import Period, month_of, span
from settlement.papers.words import Words
from settlement.reference import load_all
from switch.domain.budget import Budget
from switch.domain.programme_file import canonical_json
from switch.ledger.chart import Account
from switch.ledger.journal import Source
from tests.integration.settlement.papers.conftest import FRIDAY, SATURDAY, SUNDAY, Month, Tell

NOVEMBER = month_of("2026-11")


def _report(month: Month, period: Period = NOVEMBER, until: date | None = None) -> tuple[City, Paper]:
    with month.engine.connect() as connection:
        [facts] = load_all(connection, None)
        found = read_city(connection, facts, period, until)
        return found, paper_of(found, facts, Words("en"))


def _table(paper: Paper, title: str) -> dict[Cell, tuple[Cell, ...]]:
    [table] = [one for one in paper.tables if one.title == title]
    rows = [*table.rows, *([table.totals] if table.totals else [])]
    return {row[0]: tuple(row[1:]) for row in rows}


def _sum(month: Month, where: str) -> int:
    with month.owner.connect() as connection:
        query = f"SELECT coalesce(sum(won), 0)::bigint FROM entry WHERE {where}"
        return int(connection.execute(text(query)).scalar_one())


def test_issued_and_spent_are_apart_and_are_the_journals(month: Month) -> None:
    month.sql("UPDATE entry SET debit = 201, credit = 101 WHERE wallet_id = 8 AND debit = 101")  # taken back
    _, paper = _report(month)
    issued, spent = _table(paper, "Issued"), _table(paper, "Spent")
    assert issued["Charged money"] == (10_000_000, 10_000_000, 0)
    assert issued["Total"] == (10_000_000, 10_000_000, 0)
    assert spent["Charged money"][:3] == (822_345, 200_000, 622_345)
    assert spent["Total"][:2] == (_sum(month, "credit = 221"), _sum(month, "debit = 221"))


def test_cashback_by_funder_is_net_of_what_was_taken_back_and_corrected(month: Month) -> None:
    month.sql(  # a correction of the national share: 1,000 won were too much
        "INSERT INTO entry SELECT bucket, business_date, wallet_id, 99, 0, programme_no, 4, 202, 111, 1000,"
        " 2, 0, 11 FROM entry WHERE wallet_id = 7 LIMIT 1"
    )
    _, paper = _report(month)
    found = _table(paper, "Cashback by funder")
    for at, name in enumerate(("national", "city", "district"), 11):
        granted = _sum(month, f"debit = 111 AND credit = 211 AND funder_no = {at}")
        back = _sum(month, f"debit = 211 AND credit = 111 AND funder_no = {at}")
        corrected = -1_000 if name == "national" else 0
        assert found[name] == (granted, back, corrected, granted - back + corrected)
    assert found["Total"][3] == sum(row[3] for name, row in found.items() if name != "Total")  # type: ignore[misc]


def test_trade_by_each_dimension_comes_to_the_whole(month: Month) -> None:
    month.sql("INSERT INTO merchant_fact VALUES (1, :day, 'cafe', 'large', 'jung', 'jung')", day=SATURDAY)
    month.sql("UPDATE payment SET channel = 'app' WHERE approved = 500000")
    _, paper = _report(month)
    assert _table(paper, "Spent by district") == {
        "jung": (530_000, 200_000, 330_000, 1),
        "seo": (292_345, 0, 292_345, 3),  # shop 1 on Friday, when it was there
        "Total": (822_345, 200_000, 622_345, 3),
    }
    assert _table(paper, "Spent by category")["cafe"] == (530_000, 200_000, 330_000, 1)
    assert _table(paper, "Spent by shop size")["large"] == (530_000, 200_000, 330_000, 1)
    assert _table(paper, "Spent by channel") == {
        "app": (500_000, 0, 500_000, 1),
        "pos": (322_345, 200_000, 122_345, 3),
        "Total": (822_345, 200_000, 622_345, 3),
    }
    assert _table(paper, "Spent by merchant group") == {"traditional_market": (10_000, 0, 10_000, 1)}


def test_merchants_money_is_that_of_the_runs(month: Month) -> None:
    _, paper = _report(month)
    found = _table(paper, "Merchants' settlement")
    assert found["Fee"] == (2_430 - 1_530 + 4_500 + 18 + 15,)
    assert found["Held: not paid yet (1)"] == (12_327,)
    assert found["Carried: merchants owe it (0)"] == (0,)
    _, early = _report(month, until=SATURDAY)
    assert _table(early, "Merchants' settlement")["Carried: merchants owe it (1)"] == (-168_470,)


def test_budgets_are_burnt_down(month: Month) -> None:
    books = month.books
    lines = (
        Budget(code="cashback", funder="city", monthly=40_000),
        Budget(code="gift", funder="city", whole=9_000),
    )
    document = canonical_json(msgspec.structs.replace(books.programme, budgets=lines)).decode()
    month.sql("UPDATE programme SET document = :document", document=document)
    month.sql("INSERT INTO budget VALUES (1, 1, 'cashback', 12), (2, 1, 'gift', 12)")
    month.sql("UPDATE entry SET budget_no = 1 WHERE funder_no = 12")
    for ago in range(1, 8):  # a week before in which each day took 2,000
        month.sql("SELECT dure_ensure_day(:day)", day=FRIDAY - timedelta(days=ago))
        month.sql(
            "INSERT INTO entry SELECT bucket, :day, wallet_id, :seq, 0, 1, 1, 111, 211, 2000, 0, 0, 12, 1"
            " FROM wallet WHERE wallet_id = 7",
            day=FRIDAY - timedelta(days=ago),
            seq=100 + ago,
        )
    used = 14_000 + 16_747 - 4_000
    _, paper = _report(month, span(date(2026, 11, 13), date(2026, 11, 30)))
    [table] = [one for one in paper.tables if one.title == "Budgets and when they end"]
    cashback, gift = table.rows
    assert cashback[:5] == ("cashback", "city", 40_000, used, 40_000 - used)
    # A Friday is worth 3,823 (2,000 and 5,647), a Saturday nothing, a Sunday 6,000, all others 2,000.
    assert cashback[5] == used + 4 * 2_000 + 3_823 + 0 + 6_000 + 2_000
    assert cashback[7] == "2026-11-29 (2026-11-26 ~ not in this period)"
    assert gift == ("gift", "city", 9_000, 0, 9_000, None, "for good", None)
    month.sql("INSERT INTO budget_month VALUES (1, 202611, 20000, 0)")  # resized meanwhile
    _, paper = _report(month, span(date(2026, 11, 13), date(2026, 11, 30)))
    [table] = [one for one in paper.tables if one.title == "Budgets and when they end"]
    first, *_ = table.rows
    assert first[2:5] == (20_000, used, 20_000 - used)
    assert first[7] == "used up on 2026-11-22"  # a refund on Saturday had kept it alive
    _, paper = _report(month, span(FRIDAY, SUNDAY))
    assert "under 7 days: none" in [row[7] for one in paper.tables for row in one.rows if len(row) == 8]


def test_what_was_imported_uses_no_budget_of_the_months_issue(month: Month) -> None:
    lines = (Budget(code="issuance", funder="", monthly=40_000),)
    document = canonical_json(msgspec.structs.replace(month.books.programme, budgets=lines)).decode()
    month.sql("UPDATE programme SET document = :document", document=document)

    def used() -> object:
        _, paper = _report(month, span(FRIDAY, SUNDAY))
        [table] = [one for one in paper.tables if one.title == "Budgets and when they end"]
        return next(iter(table.rows))[3]

    before = used()
    assert isinstance(before, int)
    for seq, source, won in ((101, Source.FUNDING, 70_000), (102, Source.PAYMENT, 5_000)):
        month.sql(
            "INSERT INTO entry SELECT bucket, :day, wallet_id, :seq, 0, 1, :source, :debit, :credit, :won,"
            " 0, 0, 0, 0 FROM wallet WHERE wallet_id = 7",
            day=FRIDAY,
            seq=seq,
            source=int(source),
            debit=int(Account.SAFEGUARDED),
            credit=int(Account.CARD_MONEY),
            won=won,
        )
    assert used() == before + 5_000


def test_issued_in_all_and_milestones(month: Month) -> None:
    month.sql("UPDATE entry SET won = 95000000 WHERE debit = 101 AND wallet_id = 7")
    month.sql("UPDATE entry SET won = 4000000 WHERE debit = 101 AND wallet_id = 8")
    _, paper = _report(month)
    assert _table(paper, "Issued since the beginning")[10**8] == ("not yet",)
    month.sql("UPDATE entry SET won = 5000000 WHERE debit = 101 AND wallet_id = 8")
    _, paper = _report(month)
    found = _table(paper, "Issued since the beginning")
    assert (found[10**8], found[10**9]) == ((FRIDAY,), ("not yet",))


def test_only_closed_dates_count(month: Month) -> None:
    monday = SUNDAY + timedelta(days=1)
    month.books.buy(8, month.market, 77_777, monday)
    city, paper = _report(month)
    assert city.through == SUNDAY
    assert _table(paper, "Spent")["Total"][0] == 822_345
    with pytest.raises(UsageError, match="no date from 2026-12-01 on is closed"):
        _report(month, month_of("2026-12"))
    with pytest.raises(UsageError, match="closed dates only"):
        _report(month, span(monday, monday))


def test_archived_dates_are_missed_and_not_forgotten(month: Month) -> None:
    month.sql("UPDATE entry SET won = 60000000 WHERE debit = 101")
    month.sql(
        "INSERT INTO opening_entry SELECT bucket, wallet_id, 1, 1, 101, 201, 1, 0, won FROM entry"
        " WHERE debit = 101"
    )
    month.sql("DELETE FROM entry WHERE business_date = :day", day=FRIDAY)
    month.sql("INSERT INTO archived_date VALUES (1, :day, 4, 10, 1, 'x')", day=FRIDAY)
    with pytest.raises(ControlMismatchError, match="2026-11-20 has been archived"):
        _report(month)
    _, paper = _report(month, span(SATURDAY, SUNDAY))
    assert _table(paper, "Issued since the beginning")[10**8] == ("by 2026-11-20",)
    [table] = [one for one in paper.tables if one.title == "Issued since the beginning"]
    assert table.notes == ("Issued net through 2026-11-22: 120,000,000 won",)


def test_the_command_writes_what_it_shows(month: Month, tell: Tell, tmp_path: Path) -> None:
    code, out = tell(month, "report city --month 2026-11 --until 2026-11-21")
    assert code == 0
    assert "2026-11-21 (기간이 끝나지 않음)" in out
    assert max(len(line) for line in out.splitlines()) <= 120
    code, out = tell(month, "report city --month 2026-11 --to", str(tmp_path))
    assert code == 0
    assert {path.suffix for path in tmp_path.glob("city-seoro-2026-11.*")} == {".pdf", ".xlsx", ".csv"}
    book = openpyxl.load_workbook(tmp_path / "city-seoro-2026-11.xlsx")
    assert list(book["발행"].iter_rows(values_only=True))[-1] == ("합계", 20_000_000, 0, 20_000_000)
