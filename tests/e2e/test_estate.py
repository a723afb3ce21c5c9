"""Terminals on a bad day: whatever goes wrong on the way, every journal agrees with the books in the end."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from terminal_sim.processes import Finished, run_command
from terminal_sim.sandbox import Sandbox, ThrowAway
from terminal_sim.scenario import Scenario
from terminal_sim.scenario_file import parse_scenario
from terminal_sim.scenario_stage import Stage, build_stage
from terminal_sim.terminal import KOREA

MEMBERS = 12
SHOPS = 6
TOWN = """\
title: A town for a bad day
about: Everybody has money
programme: seoro
lines: {binary: {dialect: bcd, tpdu: yes, inclusive: yes, tls: yes}}
members: {MEMBERS}
merchants: {SHOPS}
lots: [LOTS]
steps: [{clock: 2025-06-10T12:00:00+09:00}]
"""


def town() -> Scenario:
    people = [f"m{number}" for number in range(MEMBERS)]
    text = TOWN.replace("{MEMBERS}", "{" + ", ".join(f"{name}: " for name in people) + "}")
    text = text.replace("{SHOPS}", "{" + ", ".join(f"s{number}: " for number in range(SHOPS)) + "}")
    text = text.replace(
        "[LOTS]", "[" + ", ".join(f"{{member: {name}, won: 1_900_000}}" for name in people) + "]"
    )
    return parse_scenario(text, "town.yaml")


@asynccontextmanager
async def built(folder: Path) -> AsyncIterator[tuple[ThrowAway, Stage]]:
    scenario = town()
    async with (
        Sandbox.open(folder) as sandbox,
        sandbox.installation("estate", scenario.lines) as installation,
    ):
        stage = await build_stage(scenario, installation, installation.directory / "files", base=folder)
        await installation.set_clock(datetime.now(KOREA))
        await installation.serve()
        yield installation, stage


def files(stage: Stage, folder: Path) -> tuple[Path, Path]:
    terminals, cards = folder / "t.csv", folder / "c.csv"
    with terminals.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("terminal_id", "merchant_id"))
        writer.writerows((one.terminal_id, one.merchant_id) for one in stage.terminals.values())
    with cards.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("pan", "pin", "expiry"))
        writer.writerows((one.pan, one.pin, one.expiry) for one in stage.cards.values())
    return terminals, cards


async def load(
    installation: ThrowAway, stage: Stage, folder: Path, *options: str, line: str = ""
) -> Finished:
    terminals, cards = files(stage, folder)
    host, port = installation.addresses[line]
    return await run_command(
        *("dure-terminal-sim", "load", "--switch", f"{host}:{port}", "--json"),
        *("--terminals", str(terminals), "--cards", str(cards), "--config", str(installation.config)),
        *options,
    )


FAULTS = (
    *(
        "--fault",
        "drop=0.04",
        "--fault",
        "duplicate=0.05",
        "--fault",
        "truncate=0.02",
        "--fault",
        "late=0.05",
    ),
    *(
        "--fault",
        "deaf=0.02",
        "--fault",
        "corrupt_mac=0.04",
        "--fault",
        "delay=0.02",
        "--fault",
        "storm=0.01",
    ),
    *("--fault", "offline=0.02", "--fault", "clock_skew=0.05", "--fault", "batch_mismatch=0.5"),
)
KINDS = ("--kind", "preauth=0.15", "--kind", "refund=0.05", "--kind", "void=0.05", "--kind", "part=0.1")
MORE = ("--kind", "topup=0.02", "--kind", "inquiry=0.05", "--entry", "chip=0.3", "--entry", "contactless=0.2")


@pytest.mark.endure
async def test_journals_and_books_agree_after_a_bad_day_whatever_the_line(tmp_path: Path) -> None:
    async with built(tmp_path) as (installation, stage):
        options = ("--seconds", "4", "--pin-percent", "30", "--seed", "7", "--batches", "--compare")
        done = await load(installation, stage, tmp_path, *FAULTS, *KINDS, *MORE, *options)
        assert done.code == 0, done.output + done.complaint
        told = json.loads(done.output)
        assert told["differences"] == []
        assert told["compared"] > told["turns"] > 50
        assert sum(told["faults"].values()) > 10
        assert told["did"]["closed in balance"] == SHOPS
        assert "closed with differences" not in told["did"]

        # BCD, TPDU, inclusive lengths, TLS with the terminals' certificate; without it none is let in.
        pki = installation.directory / "pki"
        wire = ("--dialect", "bcd", "--tpdu", "--inclusive", "--tls-ca", str(pki / "ca.pem"))
        own = ("--tls-certificate", str(pki / "terminals.pem"), "--tls-key", str(pki / "terminals.key"))
        options = ("--fault", "truncate=0.05", "--fault", "late=0.05", "--seconds", "1", "--compare")
        done = await load(installation, stage, tmp_path, *wire, *own, *options, line="binary")
        assert done.code == 0, done.output + done.complaint
        assert json.loads(done.output)["turns"] > 5
        refused = await load(installation, stage, tmp_path, *wire, *options, line="binary")
        assert refused.code == 75

        # Two estates of the same terminals at once: each finds what it has not made in the books.
        both = await asyncio.gather(
            *(load(installation, stage, tmp_path, "--compare", "--seconds", "1.5") for _ in "ab")
        )
        assert 3 in [done.code for done in both], [done.complaint for done in both]


async def test_wrong_chances_are_wrong_use(tmp_path: Path) -> None:
    for name in ("t.csv", "c.csv"):
        (tmp_path / name).write_text("terminal_id,merchant_id,pan\nT0000001,M1,9410619058273149\n")
    options = ("--terminals", str(tmp_path / "t.csv"), "--cards", str(tmp_path / "c.csv"))
    done = await run_command(
        "dure-terminal-sim", "load", "--switch", "127.0.0.1:1", *options, "--fault", "drip=0.1"
    )
    assert (done.code, "there is no drip; known are drop" in done.complaint) == (2, True)
