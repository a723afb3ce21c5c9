"""The race for a budget's last won: eight processes, two hundred members, kills in between.

However it goes, the whole budget is granted where the demand suffices, and never a won more; at every instant
that another connection can see, every won of it is in exactly one place.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest
from sqlalchemy import Engine

from switch.domain.budget import Budget
from tests.integration.authorizer.ground import Ground
from tests.integration.budgets.town import check_pools, granted, left, members, programme
from tests.support.postgres import Database
from tests.support.stage import ROOT

PROCESSES, MEMBERS, LAST_WON = 8, 200, 10_000
_READY_S = 60.0


class Racer:
    """One process of the race."""

    def __init__(self, database: Database, number: int) -> None:
        self._arguments = [
            *(sys.executable, "-m", "tests.integration.budgets.worker"),
            *(database.app_url.render_as_string(hide_password=False), f"T{number:07d}"),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # killed: it gets the line again once it is back

    def read(self) -> str:
        out: IO[str] | None = self.process.stdout
        assert out is not None
        return out.readline().strip()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def watched(engine: Engine) -> Iterator[list[str]]:
    """Look at the books all the time; what was ever wrong is in the list at the end."""
    wrong: list[str] = []
    over = threading.Event()

    def look() -> None:
        try:
            while not over.wait(0.02):
                wrong.extend(str(pool) for pool in check_pools(engine))
                wrong.extend(f"{month}: {won}" for month, won in granted(engine).items() if won > LAST_WON)
        except Exception as error:  # noqa: BLE001 - whoever cannot look has seen nothing right
            wrong.append(repr(error))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


def race(database: Database, rounds: int, seed: int) -> int:
    """Run the rounds; returns how many processes were killed."""
    draw = random.Random(seed)
    ground = Ground(database, programme(Budget(code="cashback", funder="city", monthly=LAST_WON)))
    ground.add(members(range(1, MEMBERS + 1)))
    racers = [Racer(database, number) for number in range(PROCESSES)]
    killed = 0
    try:
        for racer in racers:
            assert racer.read() == "ready"
        with watched(ground.engine) as wrong:
            for number in range(rounds):
                month = (2027 + number // 12) * 100 + number % 12 + 1
                killed += _round(racers, draw, number, month)
                assert granted(ground.engine)[month] == LAST_WON, f"round {number}, seed {seed}"
                assert left(ground.engine, month=month) == 0, f"round {number}, seed {seed}"
        assert wrong == [], f"seed {seed}"
    finally:
        for racer in racers:
            racer.stop()
    assert ground.count() == rounds * PROCESSES * MEMBERS
    ground.check_books()
    return killed


def _round(racers: list[Racer], draw: random.Random, number: int, month: int) -> int:
    lines = []
    for _ in racers:
        order = draw.sample(range(1, MEMBERS + 1), MEMBERS)
        payments = [[member, draw.randint(1, 3_000)] for member in order]
        lines.append(json.dumps([number, month, payments]))
    for racer, line in zip(racers, lines, strict=True):
        racer.send(line)
    victims = draw.sample(range(len(racers)), draw.randint(0, 2))
    for victim in victims:
        time.sleep(draw.uniform(0, 0.08))
        racers[victim].stop()
    for victim in victims:
        racers[victim].start()
    for index, (racer, line) in enumerate(zip(racers, lines, strict=True)):
        if index in victims:
            assert racer.read() == "ready"
            racer.send(line)
        assert racer.read() == str(number)
    return len(victims)


@pytest.mark.slow
def test_the_last_won_is_granted_once_whoever_dies(database: Database) -> None:
    assert race(database, rounds=4, seed=1) >= 1


@pytest.mark.endure
@pytest.mark.timeout(900)
def test_a_hundred_races(database: Database) -> None:
    assert race(database, rounds=100, seed=20260629) >= 50
