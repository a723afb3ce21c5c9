"""Files that are written in parts are still one import: all or nothing, numbered and judged as one."""

import pytest
from sqlalchemy import text

from switch.service import import_members
from switch.store.reference_write import put_sales
from tests.integration.admin.conftest import Desk
from tests.support.stage import pan

HEADER = "programme,member_id,pan,expiry,pvki,pvv,state\n"


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows at a time."""
    monkeypatch.setattr(import_members, "ROWS_AT_A_TIME", 2)


def _members(count: int) -> str:
    return "member_id,programme,points_on\n" + "".join(f"N-{n},seoro,yes\n" for n in range(count))


def _cards(*rows: tuple[str, int, str]) -> str:
    return HEADER + "".join(f"seoro,{who},{pan(500 + n)},3012,,,{state}\n" for who, n, state in rows)


@pytest.mark.usefixtures("in_parts")
def test_members_and_cards_of_many_parts(town: Desk) -> None:
    assert town.dure("import", "members", str(town.file("n.csv", _members(5)))) == 0
    assert town.scalar("SELECT count(DISTINCT wallet_id) FROM member WHERE member_id LIKE 'N-%'") == 5
    rows = [("N-0", 1, ""), ("N-1", 2, ""), ("N-2", 3, ""), ("N-0", 4, "lost"), ("N-0", 5, "")]
    file = town.file("c.csv", _cards(*rows))
    assert town.dure("import", "cards", str(file)) == 0
    query = (
        "SELECT array_agg(card_no || state ORDER BY card_no) FROM card JOIN member USING (wallet_id)"
        " WHERE member_id = 'N-0'"
    )
    assert town.scalar(query) == ["1active", "2lost", "3active"]
    assert town.scalar("SELECT count(*) FROM hotlist") == 1
    assert town.dure("import", "cards", str(file)) == 0
    changed = [*rows[:-1], ("N-0", 5, "blocked")]
    assert town.dure("import", "cards", str(town.file("c.csv", _cards(*changed)))) == 0
    assert town.scalar(query) == ["1active", "2lost", "3blocked"]


@pytest.mark.usefixtures("in_parts")
def test_a_fault_in_the_last_part_undoes_the_first(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert town.dure("import", "members", str(town.file("n.csv", _members(2)))) == 0
    twice = _cards(("N-0", 1, ""), ("N-1", 2, ""), ("N-1", 3, ""), ("N-0", 1, ""))
    stranger = _cards(("N-0", 1, ""), ("N-1", 2, ""), ("N-1", 3, ""), ("N-77", 4, ""), ("N-78", 5, ""))
    outside = _cards(("N-0", 1, ""), ("N-1", 2, "")) + "seoro,N-0,4000000000000002,3012,,,\n"
    for content, told in (
        (twice, "stands on line 2 already"),
        (stranger, 'no member "N-78"'),
        (outside, "outside the card ranges"),
    ):
        assert town.dure("import", "cards", str(town.file("c.csv", content))) == 2
        assert told in capsys.readouterr().err
        assert town.scalar("SELECT count(*) FROM card") == 2
        assert town.scalar("SELECT count(*) FROM card_index") == 2
    more = "member_id,programme,points_on\nP-1,seoro,yes\nP-2,seoro,no\nP-3,seoro,yes\nP-4,serro,yes\n"
    assert town.dure("import", "members", str(town.file("p.csv", more))) == 2
    assert town.scalar("SELECT count(*) FROM member WHERE member_id LIKE 'P-%'") == 0
    assert town.scalar("SELECT count(*) FROM wallet") == 4


def test_a_citys_annual_sales_go_in_at_once_and_again(town: Desk) -> None:
    rows = [(number, 20250101, 100 + number) for number in range(10, 20_010)]
    with town.app.begin() as connection:
        put_sales(connection, rows)
        put_sales(connection, [(number, day, won + 1) for number, day, won in rows])
    with town.engine.connect() as connection:
        query = "SELECT count(*), min(annual_sales) FROM merchant_sales WHERE merchant_no > 9"
        assert tuple(connection.execute(text(query)).one()) == (20_000, 111)
