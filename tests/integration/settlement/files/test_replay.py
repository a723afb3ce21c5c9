"""`replay` and `files`, by the command: what agrees, what differs and where, what was lost and comes back."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from settlement.cli import app
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import ConfigAt

D = date(2026, 11, 20)
NAME = "seoro_20261120_01_000001_pay20261124.pain.001.xml"


@pytest.fixture
def config(config_at: ConfigAt) -> Path:
    return config_at("2026-11-21T00:30:00+09:00")


def _call(config: Path, *arguments: object) -> Any:
    return CliRunner().invoke(app, [*map(str, arguments), "--config", str(config)])


@pytest.fixture
def night(owner: Engine, config: Path) -> Path:
    """A night that is over: three shops, one of them with a refund."""
    books = Books(owner)
    member = books.wallet(7, D)
    paid = [books.buy(member, books.merchant(number), 10_000 * number, D) for number in (1, 2, 3)]
    books.refund(paid[2], 5_000, D)
    done = _call(config, "run", "--date", D, "--until", "emit_files")
    assert done.exit_code == 0, done.output
    return config


def _do(owner: Engine, statement: str) -> None:
    with owner.begin() as connection:
        connection.execute(text(statement))


def test_a_past_run_agrees_and_nothing_is_written(owner: Engine, night: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in night.parent.rglob("*")}
    told = _call(night, "replay", "--date", D)
    assert told.exit_code == 0, told.output
    assert "everything agrees" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 120
    assert {path: path.stat().st_mtime_ns for path in night.parent.rglob("*")} == before
    found = json.loads(_call(night, "replay", "--date", D, "--cycle", 1, "--json").stdout)
    assert [(part["what"], part["count"]) for part in found[0]["parts"]] == [
        ("netting", 3),
        ("payouts", 3),
        (NAME, 3),
    ]
    assert found[0]["agrees"]


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        (
            "UPDATE merchant_net SET fee = fee + 1, paid = paid - 1 WHERE merchant_no = 2",
            "merchant 2: fee 30",
        ),
        ("UPDATE entry SET won = won + 7 WHERE merchant_no = 1 AND credit = 221", "merchant 1: sales 10007"),
        ("DELETE FROM merchant_net WHERE merchant_no = 3", "merchant 3: is not stored"),
        (
            "UPDATE payout SET won = won + 1 WHERE merchant_no = 1",
            "merchant 1: its net pays 9,985 won, its payout",
        ),
        ("UPDATE payout SET account_no = '999-9' WHERE merchant_no = 1", "its rows make sha256"),
        ("DELETE FROM bank_file_line WHERE line = 2", "its lines are 2 of"),
    ],
)
def test_every_difference_is_named(owner: Engine, night: Path, tampering: str, said: str) -> None:
    _do(owner, tampering)
    told = _call(night, "replay", "--date", D)
    assert told.exit_code == 4, told.output
    assert said in told.stdout
    assert "NOT EVERYTHING AGREES" in told.stdout


def test_bytes_that_changed_are_found_where_they_changed(night: Path) -> None:
    kept = night.parent / "archive/out/2026/11/20" / NAME
    raw = kept.read_bytes()
    kept.write_bytes(raw.replace(b"9985", b"9986"))
    told = _call(night, "replay", "--date", D)
    at = raw.index(b"9985") + 3
    assert (told.exit_code, f"differs from byte {at:,} on" in told.stdout) == (4, True)
    kept.unlink()
    told = _call(night, "replay", "--date", D)
    assert (told.exit_code, "is not there: dure-settlement files regenerate" in told.stdout) == (4, True)


def test_a_run_that_there_was_not(night: Path) -> None:
    for arguments in (("--date", "2026-11-19"), ("--date", D, "--cycle", 2)):
        told = _call(night, "replay", *arguments)
        assert (told.exit_code, "has paid its merchants" in told.output) == (2, True)


def test_files_are_listed_and_shown_with_masked_accounts(owner: Engine, night: Path) -> None:
    listed = _call(night, "files", "list")
    assert listed.exit_code == 0, listed.output
    head, row = listed.stdout.splitlines()
    assert max(len(head), len(row)) <= 120
    assert row.split()[:2] == [NAME, "safeguarded"]
    assert "emitted" in row
    shown = _call(night, "files", "show", 1)
    assert shown.exit_code == 0, shown.output
    assert f"file     {NAME}  (pain.001)" in shown.stdout
    assert "safeguarded: 인천광역시 서구, 020 …0017" in shown.stdout
    assert "…3333" in shown.stdout
    assert "110-222" not in shown.stdout + _call(night, "files", "show", NAME, "--json").stdout
    assert json.loads(_call(night, "files", "list", "--json").stdout)[0]["name"] == NAME
    for wrong in ("2", "nothing.xml"):
        told = _call(night, "files", "show", wrong)
        assert (told.exit_code, "there is no file" in told.output) == (2, True)


def test_lost_bytes_come_back_from_the_rows(owner: Engine, night: Path) -> None:
    out, kept = night.parent / "out" / NAME, night.parent / "archive/out/2026/11/20" / NAME
    raw = out.read_bytes()
    for path in (out, kept):
        path.unlink()
    told = _call(night, "files", "regenerate", NAME)
    assert told.exit_code == 0, told.output
    assert [line.split()[0] for line in told.stdout.splitlines()] == ["restored", "restored"]
    assert (out.read_bytes(), kept.read_bytes()) == (raw, raw)
    assert "nothing was lost" in _call(night, "files", "regenerate", 1).stdout
    with owner.connect() as connection:
        noted = connection.execute(text("SELECT count(*) FROM settlement_audit WHERE act = 'file:restore'"))
        assert noted.scalar_one() == 1
    kept.unlink()
    _do(owner, "UPDATE payout SET account_holder = 'another'")
    refused = _call(night, "files", "regenerate", 1)
    assert (refused.exit_code, "make other bytes" in refused.output, kept.exists()) == (4, True, False)
