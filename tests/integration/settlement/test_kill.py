"""Killed between any two writings and run again: the same entries, the same files, byte for byte."""

import os
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from settlement.frame import Silent
from settlement.pipeline import run
from settlement.settings import Settings
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import Server

D = date(2026, 11, 20)
NEXT = "2026-11-21T00:30:00+09:00"
TABLES = (
    "entry",
    "house_entry",
    "lot",
    "wallet",
    "merchant_net",
    "payout",
    "business_day",
    "credit_mark",
    "expiry",
    "expiry_mark",
    "settlement_run",
    "settlement_step",
)


class Recorder(Silent):
    """Notes every point that a run passes."""

    def __init__(self) -> None:
        self.points: list[str] = []

    def reached(self, point: str) -> None:
        self.points.append(point)


class Killer(Silent):
    """Ends its own process without any farewell at one point."""

    def __init__(self, point: str) -> None:
        self._point = point

    def reached(self, point: str) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


def _state(engine: Engine, outbox: Path) -> dict[str, object]:
    with engine.connect() as connection:
        rows: dict[str, object] = {
            table: connection.execute(text(f"SELECT * FROM {table} AS row ORDER BY row::text")).all()
            for table in TABLES
        }
    return rows | {path.name: path.read_bytes() for path in outbox.iterdir() if path.suffix != ".tmp"}


def _killed_run(address: str, settings: Settings, point: str) -> None:
    """Run in a process of its own that dies at the point."""
    child = os.fork()
    if not child:
        try:
            engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
            run(engine, settings, D, observer=Killer(point))
        finally:
            os._exit(1)  # it should not have come this far
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def test_killed_at_every_point_and_run_again(
    owner: Engine, server: Server, database: str, settings_at: Callable[..., Settings]
) -> None:
    books = Books(owner)
    shops = [books.merchant(1), books.merchant(2, payout_days=3)]
    paid = [
        books.buy(books.wallet(number, D), shops[number % 2], 20_000 + number, D) for number in range(1, 11)
    ]
    books.refund(paid[0], 5_000, D)
    with owner.begin() as connection:  # some lots end today, in buckets of several transactions
        connection.execute(text("UPDATE lot SET expires = 20261120 WHERE wallet_id > 4"))
    owner.dispose()

    engine = server.engine(server.clone(database))
    settings = settings_at(NEXT, "reference")
    recorder = Recorder()
    assert run(engine, settings, D, observer=recorder).exit_code == 0
    reference = _state(engine, settings.files.outbox)
    engine.dispose()
    points = list(dict.fromkeys(recorder.points))
    assert {point.split(":")[0] for point in points} >= {
        *("run", "close_day", "expire_lots", "credit_cashback", "emit_files")
    }

    for number, point in enumerate(points):
        name = server.clone(database)
        settings = settings_at(NEXT, f"killed{number}")
        _killed_run(server.address(name), settings, point)
        engine = server.engine(name)
        assert run(engine, settings, D).exit_code == 0, point
        assert _state(engine, settings.files.outbox) == reference, point
        assert not list(settings.files.outbox.glob("*.tmp")), point
        engine.dispose()
    assert len(points) >= 14


@pytest.mark.parametrize("now", ["2026-11-22T01:00:00+09:00"])
def test_killed_in_the_night_and_finished_after_midnight_gives_the_same_file(
    owner: Engine, server: Server, database: str, settings_at: Callable[..., Settings], now: str
) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 20_000, D)
    owner.dispose()
    reference = settings_at(NEXT, "reference")
    engine = server.engine(server.clone(database))
    assert run(engine, reference, D).exit_code == 0
    engine.dispose()
    name = server.clone(database)
    _killed_run(server.address(name), settings_at(NEXT, "killed"), "credit_cashback:verified")
    engine = server.engine(name)
    late = settings_at(now, "killed")
    assert run(engine, late, D).exit_code == 0
    assert {path.name: path.read_bytes() for path in late.files.outbox.iterdir()} == {
        path.name: path.read_bytes() for path in reference.files.outbox.iterdir()
    }
    with engine.connect() as connection:
        booked = connection.execute(
            text("SELECT DISTINCT business_date FROM entry WHERE source = 3")
        ).scalars()
        assert list(booked) == [date(2026, 11, 22)]
    engine.dispose()
