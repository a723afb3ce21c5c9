"""Every file of tests/scenarios, played by the simulator's own command against a switch of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))
PROGRAM = Path(sys.executable).parent / "dure-terminal-sim"
PLAYED_S = 290
"""All files together, on a machine that is busy with other things."""
pytestmark = pytest.mark.timeout(PLAYED_S + 10)  # the first test waits for all files

ACKNOWLEDGED_ONLY = frozenset(
    {"case_07_other_amount", "case_18_duplicate_completion", "reversal", "topup_reference"}
)

WRONG = """\
title: Wrong expectations
about: Nothing; this file must fail.
programme: seoro
members: {kim: }
merchants: {cafe: }
lots:
  - {member: kim, won: 10_000}
steps:
  - purchase: {card: kim, terminal: cafe, won: 1_000, expect: {code: 00, cashback: 100}}
  - EXPECTATION
"""
WRONG_STEPS = {
    "code": (
        "purchase: {card: kim, terminal: cafe, won: 1, expect: {code: 51}}",
        "code: expected 51, got 00",
    ),
    "cashback": (
        "purchase: {card: kim, terminal: cafe, won: 1_000, expect: {cashback: 99}}",
        "cashback: expected 99, got 100",
    ),
    "balance": (
        "inquiry: {card: kim, terminal: cafe, expect: {balance: 1}}",
        "balance: expected 1, got 9,000",
    ),
    "wallet": (
        "assert: {wallets: {kim: {charged: 8_999}}}",
        "kim's charged money: expected 8,999, got 9,000",
    ),
    "funders": ("assert: {cashback: {kim: {city: 100}}}", "kim's cashback from city: expected 100, got 20"),
    "entries": ("assert: {entries: {kim: {CARD_MONEY: 0}}}", "expected 0, got -9,000"),
    "settle": ("settle: 2025-06-10", "expected exit code 0, got 2"),
}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PLAYED_S, check=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All files in one sandbox: those that must hold, and those that must fail."""
    folder = tmp_path_factory.mktemp("wrong")
    for name, (step, _) in WRONG_STEPS.items():
        (folder / f"wrong_{name}.yaml").write_text(WRONG.replace("EXPECTATION", step), "utf-8")
    files = (*SCENARIOS, *sorted(folder.glob("*.yaml")))
    finished = run("--sandbox", "--shared", "--compare", "--json", *files)
    assert finished.returncode == 1, finished.stderr  # the wrong ones failed
    return {Path(result["file"]).stem: result for result in json.loads(finished.stdout)}


@pytest.mark.parametrize("name", [path.stem for path in SCENARIOS])
def test_scenario_holds(results: dict[str, dict[str, Any]], name: str) -> None:
    assert results[name]["holds"], results[name]["problem"]


@pytest.mark.parametrize("name", [path.stem for path in SCENARIOS])
def test_the_journals_of_a_scenario_agree_with_the_books(
    results: dict[str, dict[str, Any]], name: str
) -> None:
    """Where the answer was 00 and no money moved ("acknowledged", or a top-up that was booked before), the
    two must differ: that is found too."""
    assert bool(results[name]["differences"]) == (name in ACKNOWLEDGED_ONLY), results[name]["differences"]


def test_each_of_the_32_cases_has_its_file() -> None:
    numbers = [path.stem[5:7] for path in SCENARIOS if path.stem.startswith("case_")]
    assert numbers == [f"{number:02d}" for number in range(1, 33)]


@pytest.mark.parametrize("name", sorted(WRONG_STEPS))
def test_a_wrong_expectation_fails_and_tells_where(results: dict[str, dict[str, Any]], name: str) -> None:
    result = results[f"wrong_{name}"]
    assert not result["holds"]
    assert (result["step"], result["line"]) == (2, 10)
    assert WRONG_STEPS[name][1] in result["problem"]


def test_a_bad_file_is_exit_2_and_nothing_is_started(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(WRONG.replace("EXPECTATION", "purchse: {}"), "utf-8")
    finished = run("--sandbox", SCENARIOS[0], bad)
    assert finished.returncode == 2
    assert f"{bad}:10: step 2: unknown step purchse: did you mean purchase?" in finished.stderr
    assert finished.stdout == ""


def test_without_sandbox_or_switch_it_says_what_to_give() -> None:
    finished = run(SCENARIOS[0])
    assert finished.returncode == 2
    assert "--sandbox" in finished.stderr
