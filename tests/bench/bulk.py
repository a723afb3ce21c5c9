"""`python -m tests.bench.bulk`: a city's members, cards and merchants through the operator's commands.

    python -m tests.bench.bulk --cards 1000000 --merchants 100000

Each import is the command itself, `dure-switch import …`, as a process of its own; its seconds and the most
memory that it held are measured (`ru_maxrss`: never less than what this bench held when it began it), then
the same file once more, which must change nothing. At last the reference data are loaded as a starting
switch loads them. The database is the embedded one.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from switch.service.vault import new_key_file
from switch.store.engine import open_engine, stop_embedded
from switch.store.migrate import mark, upgrade
from tests.support.stage import ROOT, business_no, pan

NOTES = Console(stderr=True)
MIB = 1024  # KiB, in which Linux tells ru_maxrss
_LOAD = """
import json, resource, sys, time
from switch.store.engine import open_engine
from switch.store.reference import load_reference
engine = open_engine(sys.argv[1])
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
kept = load_reference(engine)
took = time.perf_counter() - began
print(json.dumps([took, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


class Measured(msgspec.Struct, frozen=True):
    """What one command took: seconds, and MiB at the most."""

    what: str
    rows: int
    seconds: float
    mib: int


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """A CSV file as an operator has it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def members(path: Path, count: int) -> Path:
    """Members of seoro; every second one spends points."""
    rows = ((f"M{n:07d}", "seoro", "yes" if n % 2 else "no") for n in range(count))
    return write(path, ("member_id", "programme", "points_on"), rows)


def cards(path: Path, count: int) -> Path:
    """A card for each member."""
    header = ("programme", "member_id", "pan", "expiry", "pvki", "pvv", "state")
    rows = (
        ("seoro", f"M{n:07d}", pan(n), "3112", "1", f"{n * 7919 % 10_000:04d}", "active")
        for n in range(count)
    )
    return write(path, header, rows)


def merchants(path: Path, count: int) -> Path:
    """Shops; every fifth stands in a market."""
    header = (
        *("merchant_id", "programme", "name", "category", "region", "head_region", "size", "channels"),
        *("opened", "annual_sales", "sales_from", "business_no", "bank_code", "account_no"),
        *("account_holder", "payout_days", "groups"),
    )
    rows = (
        (
            *(
                f"SHOP{n:06d}",
                "seoro",
                f"가게 {n}",
                "restaurant",
                "incheon_seo",
                "incheon_seo",
                "small",
                "pos",
            ),
            *("2020-03-02", 100_000_000 + n, "2025-01-01", business_no(n), "088", f"110-{n:06d}-01"),
            *(f"가게 {n}", "", "" if n % 5 else "market:2025-01-01"),
        )
        for n in range(count)
    )
    return write(path, header, rows)


def run_command(what: str, rows: int, command: Sequence[str]) -> Measured:
    """Run a command to its good end; the memory is its own, the database's server is another process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{what}: exit code {process.returncode}")
    return Measured(what, rows, round(time.perf_counter() - began, 1), usage.ru_maxrss // MIB)


def measure(directory: Path, card_count: int, merchant_count: int) -> list[Measured]:
    """Import all of it into a fresh installation, each file twice, and load the reference data."""
    url = f"embedded:{directory / 'db'}"
    owner = open_engine(url, role=None, size="large")
    upgrade(owner)
    mark(owner, simulation=True)
    owner.dispose()
    new_key_file(directory / "vault.keys")
    config = directory / "switch.toml"
    config.write_text(
        f'[database]\nurl = "{url}"\nsize = "large"\n[vault]\nkey_file = "{directory / "vault.keys"}"\n'
    )
    dure = [str(Path(sys.executable).with_name("dure-switch")), "--config", str(config)]
    try:
        subprocess.run(
            [*dure, "programme", "apply", "config/programmes/seoro.toml"], cwd=ROOT, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        found: list[Measured] = []
        for kind, count, make in (
            ("members", card_count, members),
            ("cards", card_count, cards),
            ("merchants", merchant_count, merchants),
        ):
            path = make(directory / f"{kind}.csv", count)
            for what in (f"import {kind}", f"import {kind} again"):
                found.append(run_command(what, count, [*dure, "import", kind, str(path)]))
                NOTES.print(f"{what}: {found[-1].seconds} s, {found[-1].mib} MiB")
            path.unlink()
        loaded = subprocess.run(
            [sys.executable, "-c", _LOAD, url], cwd=ROOT, check=True, capture_output=True, text=True
        )
        took, before, after = json.loads(loaded.stdout)
        found.append(
            Measured("load of reference data", merchant_count, round(took, 1), (after - before) // MIB)
        )
        return found
    finally:
        stop_embedded(url)


def main() -> int:
    """Measure and print; JSON with --json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bulk", description=__doc__)
    parser.add_argument("--cards", type=int, default=1_000_000, help="and as many members")
    parser.add_argument("--merchants", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dure-bulk-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        found = measure(Path(name), chosen.cards, chosen.merchants)
    if chosen.json:
        shown: list[Any] = msgspec.to_builtins(found)
        Console(soft_wrap=True).print_json(json.dumps(shown))
        return 0
    table = Table("command", "rows", "seconds", "MiB")
    for one in found:
        table.add_row(one.what, f"{one.rows:,}", f"{one.seconds:.1f}", f"{one.mib:,}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
