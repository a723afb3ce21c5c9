"""The night after a full day: seconds and peak memory of settling it."""

import json
import re
import subprocess
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
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
    config = stage.settlement_config()
    started = time.monotonic()
    process = subprocess.Popen(
        [str(BIN / "dure-settlement"), "run", "--date", day.isoformat(), "--config", str(config), "--json"],
        stdout=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    peak = _Peak(process.pid)
    told = json.loads(process.stdout.read())
    peak_kib = peak.stop()
    code = process.wait()
    seconds = time.monotonic() - started
    assert code == 0, told
    started = time.monotonic()
    proof = prove(stage.engine)
    return {
        "payments": proof.payments,
        "entries": proof.entries,
        "seconds": seconds,
        "peak_python_mib": peak_kib / 1024,
        "steps": json.dumps(_seconds(told)),
        "proof_ok": proof.ok,
        "proof_seconds": time.monotonic() - started,
    }


class _Peak(threading.Thread):
    """The highest resident memory of a process (KiB), read while it lives.

    What the system tells at its end would count the memory of the parent that it was forked from.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._ended = threading.Event()
        self._peak = 0
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.02):
            try:
                found = re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text())
            except OSError:
                return
            if found is not None and self._is_python():
                self._peak = max(self._peak, int(found.group(1)))

    def _is_python(self) -> bool:
        """Not the fork of ourselves that it is for a moment: its name changes when it becomes the program."""
        return b"dure-settlement" in self._status.with_name("cmdline").read_bytes()

    def stop(self) -> int:
        """The peak so far; the watching ends."""
        self._ended.set()
        self.join()
        return self._peak


def _seconds(told: dict[str, Any]) -> dict[str, float]:
    """Seconds by step, over all programmes."""
    found: dict[str, float] = {}
    for programme in told["programmes"]:
        for name, milliseconds in programme["step_ms"].items():
            found[name] = round(found.get(name, 0) + milliseconds / 1000, 2)
    return found
