"""A file of 50,000 payouts: seconds to freeze, build, check and read it back, and of another parser.

    python -m tests.bench.payout_file [--payouts 50000]

The payouts stand in a real database (PostgreSQL, embedded); both forms are measured, whole step and parts.
"""

import argparse
import json
import resource
import sys
import time
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyiso20022.pain.pain_001_001_09 import Document
from sqlalchemy import Engine
from xsdata.formats.dataclass.parsers import XmlParser

from settlement.domain.run import Step
from settlement.files.orders import Order, admitted
from settlement.files.profiles import packaged
from settlement.pipeline import run
from settlement.settings import Settings
from settlement.store.files import file_of, transfers_of
from tests.bench.__main__ import OUT, machine
from tests.integration.settlement.books import Books
from tests.support.many_payouts import add_payouts
from tests.support.postgres import shared_server

DAY = date(2026, 11, 20)
GOAL_S = 20


def _settings(folder: Path, profile: str, url: str) -> Settings:
    clock = folder / "clock"
    clock.write_text("2026-11-21T00:30:00+09:00")
    return Settings.model_validate(
        {
            "database": {"url": url},
            "clock": {"mode": "simulated", "file": str(clock)},
            "files": {"outbox": str(folder / "out"), "profile": profile, "transfers_max": 100_000},
            "originator": {"seoro": {"name": "인천광역시 서구", "account": "1005000000017", "bank": "020"}},
        }
    )


def _timed(act: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = act()
    return round(time.perf_counter() - started, 2), result


def measure(profile: str, payouts: int) -> dict[str, Any]:
    """One form: the whole step of the night, then its parts on the same rows."""
    database = shared_server().migrated()
    owner, engine = database.engine(owner=True), database.engine()
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            settings = _settings(folder, profile, "postgresql://unused/unused")
            books = Books(owner)
            books.buy(books.wallet(7, DAY), books.merchant(1), 50_000, DAY)
            report = run(engine, settings, DAY, until=Step.PAY_MERCHANTS)
            assert report.exit_code == 0, report.programmes[0].problem
            with owner.begin() as connection:
                add_payouts(connection, payouts - 1)
            step_s, report = _timed(lambda: run(engine, settings, DAY, until=Step.EMIT_FILES))
            assert report.exit_code == 0, report.programmes[0].problem
            [file] = report.programmes[0].emit.files
            assert file.payouts == payouts
            parts = _parts(engine, profile, file.file_no, settings.files.outbox / file.name)
            return {"payouts": payouts, "whole_step_s": step_s, **parts}
    finally:
        database.dispose()


def _parts(engine: Engine, profile: str, file_no: int, path: Path) -> dict[str, Any]:
    form = packaged(profile)
    with engine.connect() as connection, connection.begin():
        row = file_of(connection, 1, file_no)
        assert row is not None
        order: Order = row.order()
        copy = path.with_name("copy")
        with copy.open("wb") as sink:
            build_s, _ = _timed(
                lambda: form.write(sink, order, admitted(order, transfers_of(connection, row)))
            )
        with copy.open("rb") as source:
            check_s, _ = _timed(lambda: form.check(source, order, transfers_of(connection, row)))
    assert copy.read_bytes() == path.read_bytes()
    told = {"build_s": build_s, "check_s": check_s, "bytes": path.stat().st_size}
    if profile == "pain.001":
        other_s, message = _timed(lambda: XmlParser().from_bytes(path.read_bytes(), Document))
        [batch] = message.cstmr_cdt_trf_initn.pmt_inf
        assert sum(int(one.amt.instd_amt.value) for one in batch.cdt_trf_tx_inf) == order.won
        told["other_parser_s"] = other_s
    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.payout_file", description=__doc__)
    parser.add_argument("--payouts", type=int, default=50_000)
    chosen = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "goal_s": GOAL_S}
    for profile in ("kr-bulk-sample", "pain.001"):
        result[profile] = measure(profile, chosen.payouts)
        result[profile]["peak_mb_so_far"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "payout_file.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    return 0 if all(result[one]["whole_step_s"] <= GOAL_S for one in ("kr-bulk-sample", "pain.001")) else 1


if __name__ == "__main__":
    sys.exit(main())
