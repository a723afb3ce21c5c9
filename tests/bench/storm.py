"""`python -m tests.bench.storm`: every terminal of an estate dials again at the same moment.

After a power cut or a new lease of the network, all terminals connect at once, each on a line of its own,
sign on, fetch session keys and pay one purchase. Every one must be served; the report says how fast it was.
"""

import argparse
import asyncio
import json
import resource
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import psutil
import uvloop

from switch.store.engine import stop_embedded
from terminal_sim.connection import ConnectionLostError, LineSettings, ReplyTimeoutError, TerminalConnection
from terminal_sim.load import LoadCard
from terminal_sim.terminal import Terminal
from tests.support.pki import Authority, listener_tls
from tests.support.stage import Stage, hsm, start_switch

TIMEOUT_S = 60.0
NOON = "2026-11-18T12:00:00+09:00"
TERMINALS_A_SHOP = 50


class StormReport(msgspec.Struct, frozen=True):
    """What became of the terminals; seconds from the first dial."""

    terminals: int
    outcomes: dict[str, int]
    connected_s: float
    served_s: float
    first_payment_s: float
    slowest_payment_ms: int


async def storm(
    port: int,
    terminals: Sequence[Terminal],
    cards: Sequence[LoadCard],
    now: datetime,
    tls: ssl.SSLContext | None = None,
) -> StormReport:
    """All at once against a running switch. Lines stay open until everybody is done."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, len(terminals) + 256)), hard))
    started = time.monotonic()
    outcomes: Counter[str] = Counter()
    connected: list[float] = []
    paid: list[float] = []
    waited: list[float] = []
    lines: list[TerminalConnection] = []

    async def one(terminal: Terminal, card: LoadCard) -> str:
        try:
            line = await TerminalConnection.open(
                "127.0.0.1", port, timeout_s=TIMEOUT_S, settings=LineSettings(tls=tls)
            )
        except (OSError, TimeoutError) as error:
            return f"not connected: {type(error).__name__}"
        connected.append(time.monotonic() - started)
        lines.append(line)
        try:
            for build in (terminal.sign_on, terminal.key_exchange):
                reply = await line.exchange(terminal, build(now), TIMEOUT_S)
                if not reply.approved:
                    return f"sign-on {reply.code}"
            began = time.monotonic()
            reply = await line.exchange(terminal, terminal.purchase(now, card.pan, 1_000), TIMEOUT_S)
        except (ReplyTimeoutError, ConnectionLostError) as error:
            return type(error).__name__
        paid.append(time.monotonic() - started)
        waited.append(time.monotonic() - began)
        return reply.code if reply.mac_ok else f"{reply.code} without a MAC"

    cards_of = [cards[n % len(cards)] for n in range(len(terminals))]
    for code in await asyncio.gather(*map(one, terminals, cards_of)):
        outcomes[code] += 1
    for line in lines:
        line.abort()
    return StormReport(
        terminals=len(terminals),
        outcomes=dict(outcomes),
        connected_s=round(max(connected, default=0.0), 2),
        served_s=round(max(paid, default=0.0), 2),
        first_payment_s=round(min(paid, default=0.0), 2),
        slowest_payment_ms=round(1000 * max(waited, default=0.0)),
    )


def main() -> int:
    """Build an installation in a temporary folder, let the storm come, say what happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.storm", description=__doc__)
    parser.add_argument("--terminals", type=int, default=5_000)
    parser.add_argument("--tls", action="store_true", help="each with a client certificate")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dure-storm-") as folder:
        stage = Stage(Path(folder))
        stage.set_clock(NOON)
        stage.programme()
        stage.shops(-(-chosen.terminals // TERMINALS_A_SHOP), TERMINALS_A_SHOP)
        stage.people(min(2_000, chosen.terminals), 500_000)
        try:
            with hsm(stage.directory) as security:
                config = stage.config(security.port)
                context = None
                if chosen.tls:
                    authority = Authority(stage.directory / "tls")
                    table = listener_tls(
                        authority, authority.issue("switch", server=True), clients="required"
                    )
                    config.write_text(config.read_text().replace("[hsm]", table + "\n[hsm]", 1))
                    context = authority.client_context(authority.issue("all", uris=["dure:terminal:T*"]))
                switch = start_switch(config)
                try:
                    terminals = stage.make_terminals(chosen.terminals)
                    report = uvloop.run(storm(switch.port, terminals, stage.cards(), stage.now(), context))
                    memory = psutil.Process(switch.process.pid).memory_info().rss >> 20
                    spent = {
                        name: round(sum(psutil.Process(one.process.pid).cpu_times()[:2]), 2)
                        for name, one in (("switch", switch), ("hsm", security))
                    }
                finally:
                    switch.stop()
        finally:
            stage.engine.dispose()
            stop_embedded(stage.url)
    told = {**msgspec.to_builtins(report), "switch_memory_mib": memory, "cpu_s": spent}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0 if report.outcomes == {"00": chosen.terminals} else 1


if __name__ == "__main__":
    sys.exit(main())
