"""Funders who pay in ahead: what is covered is credited, the rest waits, merchants are paid all the same."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from settlement.desk import prepayment
from settlement.errors import UsageError
from settlement.pipeline import run
from settlement.reference import load_all
from settlement.report import ProgrammeReport
from settlement.settings import Settings
from switch.service.proofs import run as prove
from tests.integration.settlement.books import Books

SettingsAt = Callable[..., Settings]
D, D2, D3 = date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)
NIGHTS = {day: f"2026-11-{day.day + 1}T00:30:00+09:00" for day in (D, D2, D3)}
ACCOUNTS = {
    "funding": {"seoro": {"district": {"name": "서구청", "account": "777-1", "bank": "004"}}},
    "operator": {"seoro": {"name": "운영사", "account": "888-2", "bank": "011"}},
}
# Example: 20,000 won at 10 %: national 800, city 400, district 800.


def won(engine: Engine, query: str, **values: Any) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query), values).scalar_one() or 0)


def points(engine: Engine, wallet: int = 7) -> int:
    return won(engine, "SELECT sum(balance) FROM lot WHERE kind = 2 AND wallet_id = :wallet", wallet=wallet)


def balance(engine: Engine, account: int) -> int:
    """Credits less debits over both journals."""
    both = "SELECT debit, credit, won FROM entry UNION ALL SELECT debit, credit, won FROM house_entry"
    return won(
        engine,
        f"SELECT sum(CASE WHEN credit = :a THEN won ELSE -won END) FROM ({both}) x"
        " WHERE debit = :a OR credit = :a",
        a=account,
    )


NOT_BUILT = {"payments_equal_entries", "usage_equals_payments", "returns_equal_payments"}
"""Invariants of payments' own figures that these hand-made books do not keep."""


def broken(owner: Engine) -> list[str]:
    """The invariants of the books that do not hold."""
    checks = prove(owner).checks
    assert {check.name for check in checks} >= NOT_BUILT
    return [
        f"{check.name}: {check.examples}" for check in checks if check.broken and check.name not in NOT_BUILT
    ]


def settle(engine: Engine, settings_at: SettingsAt, day: date, **more: Any) -> ProgrammeReport:
    report = run(engine, settings_at(NIGHTS[day], **{**ACCOUNTS, **more}), day)
    return report.programmes[0]


def pay_in(engine: Engine, amount: int, reference: str, day: date = D) -> bool:
    with engine.begin() as connection:
        facts = load_all(connection, "seoro")[0]
        now = datetime.fromisoformat(NIGHTS[day]).astimezone(UTC)
        return prepayment.note(connection, facts, "district", amount, reference, actor="treasurer", now=now)


def test_a_prepayment_that_covers_is_used_and_moved_to_the_members_money(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 20_000, D)
    assert pay_in(engine, 1_000, "R1")
    told = settle(engine, settings_at, D)
    assert told.code == 0, told
    assert points(engine) == 2_000
    assert balance(engine, 243) == 200, "1,000 paid in, 800 used"
    assert balance(engine, 111) == -1_200, "what national and city still owe; the district owes nothing"
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT purpose, funder_no, won, debtor, payee, account_no, pay_on FROM house_transfer"
                " ORDER BY purpose"
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("fees", 0, 30, "safeguarded", "operator", "888-2", date(2026, 11, 19)),
        ("funding", 13, 800, "funder:district", "safeguarded", "1005000000017", date(2026, 11, 19)),
    ]
    assert broken(owner) == []


def test_what_is_not_covered_waits_with_an_alarm_and_merchants_are_paid(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    shop = books.merchant(1)
    books.buy(books.wallet(7, D), shop, 20_000, D)
    books.buy(7, shop, 10_000, D2)
    assert pay_in(engine, 799, "R1")
    told = settle(engine, settings_at, D)
    assert told.code == 3
    assert told.exceptions == [
        (
            "funder district: cashback of 1 dates from 2026-11-18, 800 won, is not credited:"
            " 799 won are paid in; merchants are paid all the same"
        )
    ]
    assert points(engine) == 1_200, "national and city are credited, the district waits"
    assert won(engine, "SELECT sum(won) FROM payout") == 19_970
    assert broken(owner) == []

    told = settle(engine, settings_at, D2)
    assert points(engine) == 1_800, "the older date is not covered, so the newer waits too"
    assert [line for line in told.exceptions if "2 dates from 2026-11-18, 1,200 won" in line]
    assert broken(owner) == []

    assert pay_in(engine, 401, "R2", D2)
    assert not pay_in(engine, 401, "R2", D2), "the same reference books once"
    books.buy(7, shop, 1_000, D3)
    told = settle(engine, settings_at, D3)
    assert told.exceptions[0].startswith("funder district: cashback of 1 dates from 2026-11-20, 40 won")
    assert points(engine) == 1_800 + 1_200 + 60, "both dates that waited, whole; today's 40 wait"
    assert balance(engine, 243) == 0
    assert won(engine, "SELECT sum(won) FROM house_transfer WHERE purpose = 'funding'") == 1_200
    assert balance(engine, 211) == 40
    assert broken(owner) == []


def test_a_refund_of_what_waited_comes_out_even_when_it_is_credited(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    paid = books.buy(books.wallet(7, D), books.merchant(1), 20_000, D)
    settle(engine, settings_at, D)
    assert points(engine) == 1_200
    books.refund(paid, 20_000, D2)
    told = settle(engine, settings_at, D2)
    assert told.problem == ""
    assert broken(owner) == []
    assert pay_in(engine, 800, "R1", D2)
    told = settle(engine, settings_at, D3)
    assert told.problem == ""
    assert balance(engine, 211) == 0, "nothing waits any more"
    owed = won(engine, "SELECT sum(receivable) FROM wallet")
    assert points(engine) - owed == 0, "granted 2,000, taken back 2,000"
    assert balance(engine, 243) == 800, "it was used, and came back with the refund"
    assert broken(owner) == []


def test_a_funder_that_pays_in_ahead_no_more_is_billed_and_its_cashback_goes_on(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 20_000, D)
    settle(engine, settings_at, D)
    assert points(engine) == 1_200
    books.buy(7, 1, 1_000, D2)
    told = settle(engine, settings_at, D2, funding={})
    assert (told.code, told.exceptions) == (0, [])
    assert points(engine) == 2_100
    assert balance(engine, 111) == -2_100
    assert broken(owner) == []


def test_nobody_pays_in_ahead_and_nothing_changes(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 20_000, D)
    told = settle(engine, settings_at, D, funding={}, operator={})
    assert (told.code, points(engine)) == (0, 2_000)
    assert won(engine, "SELECT count(*) FROM house_transfer") == 0


def test_a_prepayment_without_sense_is_refused(owner: Engine, engine: Engine) -> None:
    Books(owner)
    with engine.begin() as connection:
        facts = load_all(connection, "seoro")[0]
        now = datetime.fromisoformat(NIGHTS[D])
        common: dict[str, Any] = {"actor": "t", "now": now}
        for funder, amount, reference, why in (
            ("nobody", 1, "R", "it has city, district, national"),
            ("city", 0, "R", "above 0"),
            ("city", 1, "a b", "1 to 40"),
        ):
            with pytest.raises(UsageError, match=why):
                prepayment.note(connection, facts, funder, amount, reference, **common)
        assert prepayment.note(connection, facts, "city", 5, "R", **common)
        with pytest.raises(UsageError, match="5 won of city already"):
            prepayment.note(connection, facts, "district", 5, "R", **common)


def test_the_standing_of_funders(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 20_000, D)
    pay_in(engine, 500, "R1")
    settle(engine, settings_at, D)
    with engine.begin() as connection:
        facts = load_all(connection, "seoro")[0]
        found = {one.funder: one for one in prepayment.standing(connection, facts, frozenset({"district"}))}
    district = found["district"]
    assert (district.paid_in, district.used, district.left, district.waiting) == (500, 0, 500, 800)
    assert district.waiting_since == D
    assert not found["city"].ahead
