"""The demonstration, small: it ends well, leaves nothing running, and its seed decides every byte."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.killing import own_directory

PROGRAM = Path(sys.executable).parent / "dure-terminal-sim"


def demo(directory: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), "demo", "--dir", str(directory), "--payments", "150", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def played() -> Iterator[Path]:
    with own_directory() as folder:
        directory = folder / "one"
        finished = demo(directory)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert "the books balance" in finished.stdout
        assert str(directory / "outbox") in finished.stdout
        yield directory


def summary(directory: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((directory / "summary.json").read_text("utf-8"))
    return told


def bank_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((directory / "outbox").rglob("*.xml"))}


def test_same_seed_same_file_bytes_and_summary(played: Path) -> None:
    first, bank = summary(played), bank_files(played)
    with own_directory() as folder:
        finished = demo(folder / "two")
        assert finished.returncode == 0, finished.stdout + finished.stderr
        second = summary(folder / "two")
        assert bank_files(folder / "two") == bank
    assert len(bank) == 1
    for told in (first, second):
        del told["seconds"], told["proof"]
        for file in told["bank_files"]:
            del file["path"]
    assert first == second


def test_the_summary_adds_up(played: Path) -> None:
    told = summary(played)
    assert told["problems"] == []
    assert told["proof"]["holds"]
    assert told["won_sold"] > told["won_returned"] >= 0
    assert sum(share["granted"] for share in told["cashback"]) == told["cashback_told"]
    paid = sum(line["won"] for line in told["payouts"])
    assert paid == sum(file["won"] for file in told["bank_files"])
    # What shops are paid is what was sold, less what was given back and the fees.
    assert paid <= told["won_sold"] - told["won_returned"]


def test_no_card_number_and_no_pin_is_left_behind(played: Path) -> None:
    from terminal_sim.town_plan import make_plan

    pans = [member.pan.encode() for member in make_plan(1, 150).members]
    left = [path for path in played.rglob("*") if path.is_file()]
    assert left
    for path in left:
        data = path.read_bytes()
        assert not [pan for pan in pans if pan in data], path


def test_nothing_is_left_running(played: Path) -> None:
    running = [
        path.read_bytes()
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists() and str(played).encode() in path.read_bytes()
    ]
    assert running == []


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear", "utf-8")
    refused = demo(tmp_path)
    assert refused.returncode == 2
    assert "--dir" in refused.stderr
    assert (tmp_path / "letter.txt").read_text("utf-8") == "dear"
