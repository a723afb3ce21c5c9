"""`dure-terminal-sim bank` as its user meets it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from terminal_sim.cli import app
from tests.unit.bank.orders import HOUSE, MONDAY, order, put, script

DAYS = ("--date", "2026-11-20", "--until", "2026-11-23")


def call(folder: Path, *options: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["bank", "--folder", str(folder), *options])
    return found.exit_code, found.output


def test_a_page_of_what_happened_and_what_is_there(tmp_path: Path) -> None:
    script(tmp_path)
    put(tmp_path, "pay.xml", order("M-1", MONDAY, [("A-1", 300_000, "111-1")]))
    code, page = call(tmp_path, *DAYS)
    assert code == 0
    assert all(word in page for word in ("taken", "pain.002", "executed", "300,000", "700,000", HOUSE))
    assert "closed through 2026-11-23" in page
    assert max(map(len, page.splitlines())) <= 120
    code, page = call(tmp_path)  # the next day, by itself
    assert (code, "nothing happened" in page) == (0, True)


def test_as_json(tmp_path: Path) -> None:
    script(tmp_path)
    code, page = call(tmp_path, *DAYS, "--json")
    told = json.loads(page)
    assert (code, told["closed_through"]) == (0, "2026-11-23")
    assert told["accounts"][0] == {"number": HOUSE, "name": "house", "won": 1_000_000}


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    code, page = call(tmp_path, *DAYS)
    assert (code, "bank.toml" in page) == (2, True)
    script(tmp_path)
    for options, word in ((("--date", "tomorrow"), "2026-11-20"), (("--answer", "M-9"), "M-9")):
        code, page = call(tmp_path, *options)
        assert (code, word in page) == (2, True), page
