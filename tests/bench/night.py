"""The night after a full day: seconds and peak memory of settling it."""

import json
import os
import resource
import subprocess
import time
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from switch.domain.calendar import SEOUL
from switch.service.proofs import run as prove
from tests.bench.auth import load
from tests.support.stage import BIN, ROOT, Stage, hsm, start_switch

IN_FLIGHT = 1024


def measure(stage: Stage, payments: int) -> dict[str, Any]:
    """Fill the day up to `payments` through the switch, go to the next day, settle."""
    with stage.engine.connect() as connection:
        there = int(connection.execute(text("SELECT count(*) FROM payment")).scalar_one())
    if there < payments:
        with hsm(stage.directory) as security_module:
            switch = start_switch(stage.config(security_module.port))
            try:
                load(stage, switch, in_flight=IN_FLIGHT, payments=payments - there)
            finally:
                switch.stop()
    day = datetime.fromisoformat(stage.clock.read_text().strip()).date()
    stage.set_clock(datetime.combine(day + timedelta(days=1), datetime.min.time(), SEOUL).isoformat())
    config = stage.directory / "settlement.toml"
    config.write_text(
        f"""
[database]
url = "{stage.url}"
[clock]
mode = "simulated"
file = "{stage.clock}"
[files]
outbox = "{stage.directory / "outbox"}"
[originator.seoro]
name = "인천광역시 서구"
account = "1005000000017"
bank = "020"
"""
    )
    started = time.monotonic()
    process = subprocess.Popen(
        [str(BIN / "dure-settlement"), "run", "--date", day.isoformat(), "--config", str(config), "--json"],
        stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    assert os.waitstatus_to_exitcode(status) == 0, told
    started = time.monotonic()
    proof = prove(stage.engine)
    return {
        "payments": proof.payments,
        "entries": proof.entries,
        "seconds": seconds,
        "peak_python_mib": used.ru_maxrss / 1024,
        "steps": json.dumps(_seconds(told)),
        "proof_ok": proof.ok,
        "proof_seconds": time.monotonic() - started,
        "bench_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _seconds(told: dict[str, Any]) -> dict[str, float]:
    """Seconds by step, over all programmes."""
    found: dict[str, float] = {}
    for programme in told["programmes"]:
        for name, milliseconds in programme["step_ms"].items():
            found[name] = round(found.get(name, 0) + milliseconds / 1000, 2)
    return found
