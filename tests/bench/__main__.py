"""`make bench`: what one machine does, as a table and as JSON in var/bench/.

The authorisations are whole ones: a terminal client with MACs over TCP, the HSM in its own process,
PostgreSQL with fsync, rules, lots, cashback, entries, the MACed answer checked by the client – client and
all on this machine. They are compared with `pgbench -N -c32` on the same server in the same run, before and
after, because machines differ and a machine differs from itself an hour later.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from switch.domain.calendar import SEOUL
from tests.bench import auth, codec, night
from tests.support.stage import ROOT, Stage

OUT = ROOT / "var" / "bench"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, cwd=ROOT
    ).stdout.strip()
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "commit": commit,
        "when": datetime.now(SEOUL).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30,
        "python": platform.python_version(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--members", type=int, default=60_000)
    parser.add_argument("--shops", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=20, help="of each load")
    parser.add_argument("--day", type=int, default=300_000, help="payments of the day that is settled")
    parser.add_argument("--only", choices=("codec", "auth", "night"), help="one part")
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"machine": machine()}
    if chosen.only in (None, "codec"):
        result["codec"] = codec.measure()
    if chosen.only in (None, "auth", "night"):
        directory = OUT / "stage"
        shutil.rmtree(directory, ignore_errors=True)
        stage = auth.build(directory, chosen.members, chosen.shops)
        try:
            _with_switch(stage, chosen, result)
        finally:
            stage.engine.dispose()
            auth.stop_database(stage)
            shutil.rmtree(directory, ignore_errors=True)
    (OUT / "bench.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    _show(result)
    return 0


def _with_switch(stage: Stage, chosen: argparse.Namespace, result: dict[str, Any]) -> None:
    if chosen.only in (None, "auth"):
        result["authorisations"] = auth.measure(stage, chosen.seconds)
    if chosen.only in (None, "night"):
        result["settlement"] = night.measure(stage, chosen.day)


def _show(result: dict[str, Any]) -> None:
    told = result["machine"]
    table = Table(title=f"Dure at {told['commit']} – {told['cpu']}, {told['cores']} cores")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for part, figures in result.items():
        if part == "machine":
            continue
        for name, value in figures.items():
            shown = (
                f"{value:,.2f}"
                if isinstance(value, float)
                else f"{value:,}"
                if isinstance(value, int)
                else str(value)
            )
            table.add_row(f"{part}: {name}", shown)
    Console(file=sys.stdout).print(table)
    Console(file=sys.stderr).print(f"JSON: {OUT / 'bench.json'}")


if __name__ == "__main__":
    sys.exit(main())
