"""Everybody dials at once: each is served. `python -m tests.bench.storm` says how fast."""

import csv
import tempfile
from pathlib import Path

import pytest
import uvloop

from switch.service.import_terminals import import_terminals
from terminal_sim.keys import tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.load import LoadCard
from terminal_sim.terminal import Terminal
from tests.bench.storm import storm
from tests.integration.switch.house import House
from tests.support.pki import Authority, listener_tls
from tests.support.stage import SEED

pytestmark = pytest.mark.endure

TERMINALS = 5_000
TLS_TERMINALS = 300


def _estate(house: House, count: int, prefix: str) -> list[Terminal]:
    """Fresh terminals of one shop."""
    merchant = house.till().merchant_id
    names = [f"{prefix}{n:06d}" for n in range(count)]
    path = house.stage.directory / f"{prefix}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("terminal_id", "merchant_id", "tmk", "kcv"))
        writer.writerows(
            (one, merchant, tmk_under_lmk(tmk(SEED, one)), tmk_check_value(tmk(SEED, one))) for one in names
        )
    import_terminals(house.stage.engine, path, house.now)
    return [Terminal(one, merchant, tmk(SEED, one), journal_max=0) for one in names]


def test_five_thousand_terminals_that_dial_at_once_are_all_served(house: House) -> None:
    terminals = _estate(house, TERMINALS, "ST")
    cards = [LoadCard(house.card()) for _ in range(16)]
    with house.other_switch("storm", "in_flight_max = 256") as program:
        report = uvloop.run(storm(program.port, terminals, cards, house.now))
    assert report.outcomes == {"00": TERMINALS}
    assert sum(500_000 - house.balance(card.pan) for card in cards) == 1_000 * TERMINALS


def test_three_hundred_handshakes_at_once_are_all_served(house: House) -> None:
    terminals = _estate(house, TLS_TERMINALS, "SS")
    cards = [LoadCard(house.card()) for _ in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        table = listener_tls(authority, authority.issue("switch", server=True), clients="required")
        tls = authority.client_context(authority.issue("estate", uris=["dure:terminal:SS*"]))
        with house.other_switch("tls-storm", "in_flight_max = 256", "handshakes_max = 64", table) as program:
            report = uvloop.run(storm(program.port, terminals, cards, house.now, tls))
    assert report.outcomes == {"00": TLS_TERMINALS}
