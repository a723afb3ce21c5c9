"""The command as an operator has it: a process, its two streams, its exit code."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from settlement.cli import app
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import ConfigAt

D = date(2026, 11, 20)


@pytest.fixture
def config(config_at: ConfigAt) -> Path:
    return config_at("2026-11-21T00:30:00+09:00")


def _process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "settlement.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _call(*arguments: object) -> Any:
    """The same command inside this process: quicker where only its words and its code count."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_night_by_command_line(owner: Engine, config: Path) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    dry = _call("run", "--config", config, "--dry-run")
    assert (dry.exit_code, (config.parent / "out").exists()) == (0, False)
    assert "M00001" in dry.stdout
    assert "49,925  2026-11-24" in dry.stdout
    wet = _process("run", "--config", config, "--date", D, "--json")
    assert wet.returncode == 0, wet.stderr
    told = json.loads(wet.stdout)
    assert told["programmes"][0]["pay"]["paid"] == 49_925
    assert "emit_files done" in wet.stderr
    again = _call("run", "--config", config)
    assert (again.exit_code, "already done" in again.stdout) == (0, True)
    status = _call("status", "--config", config)
    assert "closed through 2026-11-20" in status.stdout
    assert "2026-11-20     1  done " in status.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--date", "2026-11-21"], 2, "business date 2026-11-21 is still open"),
        (["--date", "tomorrow"], 2, "write it as 2026-11-20"),
        (["--until", "lunch"], 2, "one of close_day, expire_lots, credit_cashback"),
        (["--programme", "nowhere"], 2, "no programme 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    owner: Engine, config: Path, arguments: list[str], code: int, said: str
) -> None:
    Books(owner)
    done = _call("run", "--config", config, *arguments)
    assert (done.exit_code, len(done.stderr.splitlines())) == (code, 1)
    assert said in done.stderr


def test_a_database_that_is_away_is_worth_another_try(config: Path) -> None:
    config.write_text(config.read_text().replace('url = "', 'url = "postgresql://nobody@127.0.0.1:9/x" #'))
    done = _call("run", "--config", config)
    assert done.exit_code == 75
    assert "run again" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_bad_settings_are_refused_before_anything_happens(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("outbox =", "outbux ="))
    done = _call("run", "--config", config)
    assert (done.exit_code, len(done.stderr.splitlines())) == (78, 1)
    assert "files.outbux: there is no such key" in done.stderr
    assert _call("check-config", "--config", tmp_path / "none.toml").exit_code == 78


def test_help_teaches() -> None:
    shown = _call("run", "--help").stdout
    assert "credit_cashback" in shown
    assert "--dry-run" in shown
    assert "Exit codes" in _call("--help").stdout
