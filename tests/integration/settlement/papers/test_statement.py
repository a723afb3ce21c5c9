"""Merchants' statements of a settled month: what they say, and that what does not add up is refused."""

import csv
import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from settlement.errors import ControlMismatchError
from settlement.papers import statement_read as reading
from settlement.papers.period import Period, month_of, span
from settlement.papers.statement import Statement
from tests.integration.settlement.papers.conftest import FRIDAY, SATURDAY, SUNDAY, Month, Tell

NOVEMBER = month_of("2026-11")


def _read(month: Month, merchant: str = "M00001", period: Period = NOVEMBER) -> Statement:
    with month.engine.connect() as connection:
        named = reading.merchant_named(connection, merchant)
        [found] = reading.statements(connection, [named], period)
        return found


def test_a_negative_day_is_carried_and_told(month: Month) -> None:
    """DOMAIN example 6: 0.90 %, 30,000 sold, 200,000 cancelled: -168,470; then 500,000: pays 327,030."""
    found = _read(month)
    assert [
        (one.business_date, one.sales, one.refunds, one.fee, one.carried_in, one.paid, one.carried_out)
        for one in found.lines
    ] == [
        (FRIDAY, 270_000, 0, 2_430, 0, 267_570, 0),
        (SATURDAY, 30_000, 200_000, -1_530, 0, 0, -168_470),
        (SUNDAY, 500_000, 0, 4_500, -168_470, 327_030, 0),
    ]
    assert (found.opening, found.closing, found.settled_through) == (0, 0, SUNDAY)
    assert [(one.won, one.attempt, one.state) for one in found.payouts] == [
        (267_570, 1, "ordered"),
        (327_030, 1, "ordered"),
    ]


def test_a_period_opens_with_what_was_carried_into_it(month: Month) -> None:
    sunday = _read(month, period=span(SUNDAY, SUNDAY))
    assert (sunday.opening, sunday.closing, len(sunday.lines)) == (-168_470, 0, 1)
    later = _read(month, "M00002", span(date(2026, 11, 25), date(2026, 11, 30)))
    assert (later.opening, later.closing, later.lines, later.settled_through) == (12_327, 12_327, (), None)


def test_payments_behind_the_dates_come_to_their_lines(month: Month) -> None:
    found = _read(month)
    with month.engine.connect() as connection:
        rows = list(reading.payments_of(connection, found))
    assert [(one.business_date, one.sale, one.refund) for one in rows] == [
        (FRIDAY, 270_000, 0),
        (SATURDAY, 0, 200_000),
        (SATURDAY, 30_000, 0),
        (SUNDAY, 500_000, 0),
    ]
    assert {one.terminal for one in rows} == {"T0000001"}
    month.sql("DELETE FROM entry WHERE business_date = :day AND merchant_no = 1 AND debit = 201", day=SUNDAY)
    with month.engine.connect() as connection, pytest.raises(ControlMismatchError, match="2026-11-22"):
        list(reading.payments_of(connection, found))


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE merchant_net SET sales = sales + 1, paid = paid + 1 WHERE paid = 267570",
        "UPDATE merchant_net SET carried_in = -168469, paid = paid + 1 WHERE paid = 327030",
        "DELETE FROM merchant_net WHERE carried_out = -168470",
        "UPDATE payout SET won = won - 1 WHERE won = 327030",
        "DELETE FROM payout WHERE won = 267570",
    ],
)
def test_what_does_not_add_up_is_no_statement(month: Month, tampering: str) -> None:
    month.sql(tampering)
    with pytest.raises(ControlMismatchError, match="no statement for merchant M00001"):
        _read(month)


def test_all_merchants_at_once_are_the_same_as_one_by_one(
    month: Month, tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK_MERCHANTS", 2)
    code, out = tell(
        month, "report merchant --all --month 2026-11 --form csv,xlsx --to", str(tmp_path / "all")
    )
    assert code == 0
    assert out.endswith(f"3 merchants' statements in {tmp_path / 'all'}\n")
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == [f"statement-M0000{no}-2026-11.{form}" for no in (1, 2, 3) for form in ("csv", "xlsx")]
    one = tmp_path / "one"
    assert tell(month, "report merchant M00002 --month 2026-11 --form csv,xlsx --to", str(one))[0] == 0
    for path in one.iterdir():
        assert path.read_bytes() == (tmp_path / "all" / path.name).read_bytes()


def test_one_statement_that_does_not_add_up_keeps_no_other_back(
    month: Month, tell: Tell, tmp_path: Path
) -> None:
    month.sql("DELETE FROM payout WHERE won = 267570")
    code, out = tell(month, "report merchant --all --month 2026-11 --form csv --to", str(tmp_path / "all"))
    assert code == 4
    assert "2 statements are in" in out
    assert "no statement for merchant M00001: 2026-11-20 cycle 1 nets 267,570 won" in out
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == ["statement-M00002-2026-11.csv", "statement-M00003-2026-11.csv"]


def test_the_command_shows_and_refuses(month: Month, tell: Tell, tmp_path: Path) -> None:
    code, out = tell(month, "report merchant M00002 --date 2026-11-20")
    assert code == 0
    assert "등록된 계좌 없음" in out
    assert "12,327" in out
    code, out = tell(month, "report merchant M00001 --month 2026-11 --lang en --payments --json")
    told = json.loads(out)
    assert code == 0
    assert [table["title"] for table in told["tables"]] == [
        *("How it adds up", "By business date", "Payouts", "Payments")
    ]
    assert told["tables"][1]["totals"][1:] == [0, 800_000, 200_000, None, 5_400, *(0,) * 7, 594_600, 0, None]
    assert len(told["tables"][3]["rows"]) == 4
    assert tell(month, "report merchant M00001 --month 2026-11 --payments --to", str(tmp_path))[0] == 0
    with (tmp_path / "statement-M00001-2026-11.csv").open(encoding="utf-8-sig", newline="") as source:
        assert ["2026-11-22", "2026-11-22 12:00:00", "T0000001", "123456", "500000", "0"] in csv.reader(
            source
        )
    for wrong, why in (
        ("report merchant --month 2026-11", "name a merchant, or --all"),
        ("report merchant M00001", "name one period"),
        ("report merchant NOBODY --month 2026-11", "no merchant 'NOBODY'"),
        ("report merchant --all --month 2026-11", "--to"),
        ("report merchant M00001 --month 2026-11 --lang fr", "ko and en"),
    ):
        code, out = tell(month, wrong)
        assert code == 2
        assert why in out


def test_reading_changes_nothing(month: Month, tell: Tell, tmp_path: Path) -> None:
    def state() -> list[tuple[object, ...]]:
        query = "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables ORDER BY 1"
        tables = [row[0] for row in _rows(month, query)]
        return [
            (name, _rows(month, f"SELECT md5(string_agg(t::text, ';')) FROM {name} t")) for name in tables
        ]

    before = state()
    for command in ("report merchant M00001 --month 2026-11", "report city --month 2026-11"):
        assert tell(month, command)[0] == 0
    assert tell(month, "report bundle --month 2026-11 --to", str(tmp_path / "bundle"))[0] == 0
    assert state() == before


def _rows(month: Month, query: str) -> list[tuple[object, ...]]:
    with month.owner.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]
