"""Killed before midnight and finished after the next: the same file. Every write: see crash."""

import os
import signal
from collections.abc import Callable
from datetime import date

from sqlalchemy import Engine, create_engine, text

from settlement.frame import Silent
from settlement.pipeline import run
from settlement.settings import Settings
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import Server

D = date(2026, 11, 20)
NEXT, LATE = "2026-11-21T00:30:00+09:00", "2026-11-22T01:00:00+09:00"


class Killer(Silent):
    """Ends its own process without any farewell at one point."""

    def __init__(self, point: str) -> None:
        self._point = point

    def reached(self, point: str) -> None:
        if point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


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


def test_killed_in_the_night_and_finished_after_midnight_gives_the_same_file(
    owner: Engine, server: Server, database: str, settings_at: Callable[..., Settings]
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
    late = settings_at(LATE, "killed")
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
