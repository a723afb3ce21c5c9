"""Scenarios and load against an installation that is there already, as people use them."""

import asyncio
import csv
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from terminal_sim.sandbox import Sandbox, ThrowAway
from terminal_sim.scenario import DAY_ONE
from terminal_sim.scenario_file import read_scenario
from terminal_sim.scenario_stage import build_stage
from terminal_sim.terminal import KOREA
from terminal_sim.town_plan import make_plan

SCENARIOS = Path(__file__).parents[1] / "scenarios"
PROGRAM = Path(sys.executable).parent / "dure-terminal-sim"


async def simulator(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), *map(str, arguments)]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=120, check=False
    )


async def test_run_and_load_against_a_running_switch(tmp_path: Path) -> None:
    async with Sandbox.open() as sandbox, sandbox.installation("town") as town:
        path = SCENARIOS / "repeats.yaml"
        await build_stage(read_scenario(path), town, tmp_path / "before", base=SCENARIOS, tag=path.stem)
        await town.serve()
        address = f"{town.host}:{town.port}"
        where = ("--switch", address, "--config", town.config, "--settlement-config", town.settlement_config)
        first = await simulator("run", *where, "--keep", tmp_path / "files", path)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "holds " in first.stdout

        await load_it(town, tmp_path)
        assert (await town.switch("proof")).code == 0


@pytest.mark.endure
async def test_another_cast_joins_a_running_switch(tmp_path: Path) -> None:
    """Members, shops and terminals that are imported while the switch runs are known at once."""
    async with Sandbox.open() as sandbox, sandbox.installation("town") as town:
        await town.set_clock(DAY_ONE)
        await town.serve()
        address = ("--switch", f"{town.host}:{town.port}", "--config", town.config)
        for tag in ("a", "b"):
            finished = await simulator(
                "run", *address, "--keep", tmp_path / tag, "--tag", tag, SCENARIOS / "topup.yaml"
            )
            assert finished.returncode == 0, finished.stdout + finished.stderr


async def load_it(town: ThrowAway, folder: Path) -> None:
    """`keys` makes terminals for the shop of a scenario; `load` pays there with its card."""
    terminals = folder / "terminals.csv"
    shop = next(csv.DictReader((folder / "files/repeats/terminals.csv").open(encoding="utf-8")))
    made = await simulator(
        "keys", terminals, "--merchant", shop["merchant_id"], "--count", 4, "--prefix", "L"
    )
    assert made.returncode == 0, made.stderr
    (await town.switch("import", "terminals", str(terminals))).check()
    # The scenarios stand in June 2025, load pays now.
    await town.set_clock(datetime.now(KOREA))
    arguments = ("--switch", f"{town.host}:{town.port}", "--terminals", terminals)
    cards = ("--cards", folder / "files/repeats/cards.csv", "--amount-max", 1_000, "--config", town.config)
    report = await simulator("load", *arguments, *cards, "--rate", 50, "--seconds", 1, "--json")
    assert report.returncode == 0, report.stderr
    told = json.loads(report.stdout)
    assert told["sent"] == told["answered"] == told["mac_verified"] >= 40
    assert told["outcomes"].get("00", 0) > 0


async def test_load_needs_a_switch_that_is_there(tmp_path: Path) -> None:
    plan = make_plan(1, 10)
    cards, terminals = tmp_path / "cards.csv", tmp_path / "terminals.csv"
    cards.write_text(f"pan\n{plan.members[0].pan}\n", "utf-8")
    terminals.write_text("terminal_id,merchant_id\nT0000001,M1\nT0000002,M1\n", "utf-8")
    options = ("--terminals", terminals, "--cards", cards)
    gone = await simulator("load", "--switch", "127.0.0.1:1", *options)
    assert gone.returncode == 75
    assert "cannot be reached" in gone.stderr
    both = await simulator("load", "--switch", "127.0.0.1:1", *options, "--rate", 1, "--in-flight", 1)
    assert both.returncode == 2
    no_file = await simulator("load", "--switch", "127.0.0.1:1", "--terminals", cards, "--cards", cards)
    assert no_file.returncode == 2
    assert "terminal_id" in no_file.stderr
