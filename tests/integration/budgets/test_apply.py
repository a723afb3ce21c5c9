"""Applying a file again: what members were promised and what funders have paid from stays as it is."""

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from switch.domain.calendar import SEOUL
from switch.service.programmes import ApplyRefusedError, apply_programme
from tests.support.postgres import Database

NOW = datetime(2026, 6, 29, 12, tzinfo=SEOUL)
TOWN = """
[programme]
id = "town"
name = "Town"
bins = ["941061"]
member_tags = ["youth", "senior"]

[[funder]]
id = "city"
name = "City"

[[budget]]
code = "cashback"
funder = "city"
monthly = 1_000_000

[[campaign]]
code = "gift"
name = "Gift"
kind = "grant"
funder = "city"
won = 10_000
starts = 2026-06-01T00:00:00+09:00
ends = 2026-07-01T00:00:00+09:00
valid_days = 30
total_max = 50_000

[[campaign]]
code = "rush"
name = "Rush"
kind = "cashback"
rate = "1 %"
shares = { city = "1 %" }
starts = 2026-06-01T00:00:00+09:00
ends = 2026-07-01T00:00:00+09:00

[[policy]]
version = "1"
effective_from = 2026-01-01T00:00:00+09:00
fee_default = "1 %"
spending_order = ["grant", "charged"]
payout_days = 2
points_expiry_months = 60
charged_expiry_months = 60

[[policy.tier]]
above = 0
up_to = 300_000
rate = "10 %"
shares = { city = "10 %" }

[[policy.fee_class]]
above = 0
up_to = 300_000_000
rate = "0.15 %"
"""


def apply(database: Database, folder: Path, file: str = TOWN) -> None:
    path = folder / "town.toml"
    path.write_text(file, encoding="utf-8")
    apply_programme(database.engine(), path, NOW)


def begin_june(database: Database, code: str = "cashback", month: int = 202606) -> None:
    """Somebody has been paid from a budget."""
    with database.engine().begin() as connection:
        connection.execute(
            text(
                "INSERT INTO budget_month (budget_no, month, amount, free)"
                " SELECT budget_no, :month, 1000000, 1000000 FROM budget WHERE code = :code"
            ),
            {"code": code, "month": month},
        )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"youth", "senior"', '"senior", "youth"', "begin with youth, senior"),
        ("monthly = 1_000_000", "monthly = 2_000_000", "202606 has begun with 1,000,000 won"),
        ("monthly = 1_000_000", "whole = 1_000_000", "a pot cannot become months, nor months a pot"),
        ("monthly = 1_000_000", "monthly = 1_000_000\nreopen = false", "set reopen back"),
        ('code = "cashback"', 'code = "other"', "has been paid from and is missing here"),
        ('code = "gift"', 'code = "present"', 'campaign "gift": is in force and missing here'),
        ('rate = "1 %"\nshares = { city = "1 %" }', 'rate = "2 %"\nshares = { city = "2 %" }', "has begun"),
    ],
)
def test_what_has_begun_is_not_changed(
    database: Database, tmp_path: Path, old: str, new: str, told: str
) -> None:
    apply(database, tmp_path)
    begin_june(database)
    assert TOWN.count(old) >= 1
    with pytest.raises(ApplyRefusedError, match=told):
        apply(database, tmp_path, TOWN.replace(old, new, 1))
    apply(database, tmp_path)  # nothing of it was put in force


def test_what_has_not_begun_may_change(database: Database, tmp_path: Path) -> None:
    """Another month's amount, a grant that nobody has, a tag more."""
    apply(database, tmp_path)
    begin_june(database)
    changed = TOWN.replace("monthly = 1_000_000", 'monthly = 1_000_000\nmonths = { "2026-07" = 5 }')
    changed = changed.replace('"senior"]', '"senior", "new"]').replace("won = 10_000", "won = 20_000")
    apply(database, tmp_path, changed)


def test_a_grants_terms_stay_once_its_pot_was_asked(database: Database, tmp_path: Path) -> None:
    apply(database, tmp_path)
    begin_june(database, "campaign:gift", 0)
    with pytest.raises(ApplyRefusedError, match='campaign "gift": has begun'):
        apply(database, tmp_path, TOWN.replace("won = 10_000", "won = 20_000"))
