"""`python -m tests.bench.settle`: a full day's books settled by the real command, next to plain sums.

    python -m tests.bench.settle                                  300,000 and 10,000,000 payments
    python -m tests.bench.settle --payments 1000000 --merchants 100000

For each size a fresh installation with an embedded database (fsync on) is filled with one business date
(`settle_books`), `dure-settlement run` settles it as a process of its own, and a few bare sums over the same
rows are timed as a floor. What is told goes to var/bench/settlement.json as well.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

from switch.domain.calendar import SEOUL
from switch.domain.payment import Kind
from switch.ledger.chart import Account
from switch.store.engine import stop_embedded
from tests.bench.settle_books import BEFORE, DAY, Size, Teller, build
from tests.bench.settle_memory import Memory
from tests.support.stage import BIN, ROOT, Stage

NOTES = Console(stderr=True)
OUT = ROOT / "var/bench/settlement.json"
SIZES = (Size(300_000, 20_000), Size(10_000_000, 200_000))
_OF_DAY = f"programme_no = 1 AND business_date = '{DAY}'"
_FLOOR = {
    "count of payments": f"SELECT count(*) FROM payment WHERE {_OF_DAY} AND local_day = '{DAY}'",
    "count and sum of entries": f"SELECT count(*), sum(won) FROM entry WHERE {_OF_DAY}",
    "sales by merchant": (
        f"SELECT count(*) FROM (SELECT merchant_no, sum(won) FROM entry WHERE {_OF_DAY}"
        f" AND credit = {Account.MERCHANT_PAYABLE:d} GROUP BY merchant_no) x"
    ),
    "accruals by wallet": (
        f"SELECT count(*) FROM (SELECT bucket, wallet_id, sum(won) FROM entry WHERE {_OF_DAY}"
        f" AND credit = {Account.CASHBACK_ACCRUED:d} GROUP BY bucket, wallet_id) x"
    ),
    "cashback by payment": (
        "SELECT count(*) FROM (SELECT bucket, wallet_id, seq, sum(won) FROM entry"
        f" WHERE {_OF_DAY} AND credit = {Account.CASHBACK_ACCRUED:d} GROUP BY bucket, wallet_id, seq) x"
    ),
}
"""Bare sums over the date's rows: what reading them costs, whatever is made of it."""


def measure(directory: Path, size: Size) -> dict[str, Any]:
    """Build, settle and sum one size in `directory`."""
    stage = Stage(directory, size="large")
    NOTES.print(f"{size.payments:,} payments, {size.wallets:,} wallets, {size.merchants:,} merchants")
    began = time.monotonic()
    try:
        build(stage, size, Teller(NOTES.print))
        generated = time.monotonic() - began
        _at_night_of(stage, BEFORE)
        _settle(stage, BEFORE)
        _at_night_of(stage, DAY)
        rows = _rows(stage.engine)
        floor = _floor(stage.engine)
        wal_before = _wal(stage.engine)
        told, seconds, memory = _settle(stage, DAY)
        wal = _wal(stage.engine) - wal_before
    finally:
        stage.engine.dispose()
        stop_embedded(stage.url)
    [programme] = told["programmes"]
    return {
        "payments": size.payments,
        "wallets": size.wallets,
        "merchants": size.merchants,
        **rows,
        "generated_seconds": round(generated, 1),
        "seconds": round(seconds, 2),
        "step_seconds": {name: round(ms / 1000, 2) for name, ms in programme["step_ms"].items()},
        "floor_seconds": floor,
        **memory,
        "wal_mib": wal >> 20,
        "credited_won": programme["credit"]["credited"],
        "payouts": programme["pay"]["payouts"],
    }


def _at_night_of(stage: Stage, day: Any) -> None:
    stage.set_clock(datetime(*(day + timedelta(days=1)).timetuple()[:3], 0, 30, tzinfo=SEOUL).isoformat())


def _settle(stage: Stage, day: Any) -> tuple[dict[str, Any], float, dict[str, Any]]:
    """Settle a date with the real command. Returns what it told, its seconds, the memory it took."""
    config = stage.settlement_config()
    command = [str(BIN / "dure-settlement"), "run", "--date", day.isoformat(), "--config", str(config)]
    started = time.monotonic()
    with (stage.directory / "told.json").open("w+b") as told:
        process = subprocess.Popen([*command, "--json", "--until", "emit_files"], stdout=told, cwd=ROOT)
        memory = Memory(process.pid, _server(stage))
        code = process.wait()
        seconds = time.monotonic() - started
        found = memory.stop()
        told.seek(0)
        report = json.load(told)
    if code:
        raise SystemExit(f"the run of {day} ended with {code}: {report['programmes'][0]['problem']}")
    return report, seconds, found


def _server(stage: Stage) -> int:
    lines = (stage.directory / "db/postmaster.pid").read_text().splitlines()
    return int(lines[0])


def _rows(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        one = connection.execute(
            text(
                f"SELECT (SELECT count(*) FROM payment WHERE local_day = '{DAY}'),"
                f" (SELECT count(*) FROM entry WHERE business_date = '{DAY}'),"
                f" (SELECT count(*) FROM payment WHERE local_day = '{DAY}' AND kind = {Kind.REFUND:d}),"
                f" pg_total_relation_size('payment_{DAY:%Y%m%d}'),"
                f" pg_total_relation_size('entry_{DAY:%Y%m%d}')"
            )
        ).one()
    names = ("payment_rows", "entry_rows", "refunds", "payment_mib", "entry_mib")
    return {
        name: int(value) >> (20 if name.endswith("mib") else 0)
        for name, value in zip(names, one, strict=True)
    }


def _wal(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")).scalar_one())


def _floor(engine: Engine) -> dict[str, float]:
    """Seconds of each bare sum, with the memory for sorting that the run gives itself."""
    found: dict[str, float] = {}
    with engine.connect() as connection, connection.begin():
        connection.execute(text("SET LOCAL work_mem = '256MB'"))
        for what, query in _FLOOR.items():
            began = time.monotonic()
            connection.execute(text(query)).all()
            found[what] = round(time.monotonic() - began, 2)
    return found


def _shown(results: list[dict[str, Any]]) -> None:
    table = Table("", *(f"{one['payments']:,} payments" for one in results))
    steps = list(dict.fromkeys(step for one in results for step in one["step_seconds"]))
    for step in steps:
        table.add_row(step, *(f"{one['step_seconds'].get(step, 0):.1f} s" for one in results))
    table.add_row("whole run", *(f"{one['seconds']:.1f} s" for one in results))
    for what in _FLOOR:
        table.add_row(f"floor: {what}", *(f"{one['floor_seconds'][what]:.1f} s" for one in results))
    for name in ("python_peak_mib", "database_peak_mib", "entry_rows", "payment_mib", "entry_mib", "wal_mib"):
        table.add_row(name, *(f"{one[name]:,}" for one in results))
    Console().print(table)


def main() -> int:
    """Measure and print; JSON to var/bench/settlement.json, or to --out."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.settle", description=__doc__)
    parser.add_argument("--payments", type=int, help="one size alone")
    parser.add_argument("--merchants", type=int, default=20_000, help="of that size")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--keep", type=Path, help="work there, and leave it there")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    sizes = (Size(chosen.payments, chosen.merchants),) if chosen.payments else SIZES
    results = []
    for size in sizes:
        folder = chosen.keep or Path(tempfile.mkdtemp(prefix="dure-settle-"))
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        try:
            results.append(measure(folder, size))
        finally:
            if chosen.keep is None:
                shutil.rmtree(folder, ignore_errors=True)
    told = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": platform.platform(),
            "load_before": os.getloadavg(),
        },
        "sizes": results,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if chosen.json:
        Console(soft_wrap=True).print_json(json.dumps(told))
    else:
        _shown(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
