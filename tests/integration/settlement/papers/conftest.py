"""A settled month of a small programme, as merchants, the city and the auditor ask about it.

It is settled once; each test has a database and folders of its own, cloned from that one.
"""

import copy
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from settlement.cli import app
from settlement.pipeline import run
from settlement.settings import Settings
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import Server

FRIDAY, SATURDAY, SUNDAY = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)
# What the switch keeps beside a payment and these books leave out: the proof of the whole looks at it.
_WHOLE = (
    "UPDATE payment SET amount = 10000000, approved = 10000000, usage_month = 202611 WHERE kind = 3",
    "UPDATE payment SET returned = 200000, outcome = 3 WHERE kind = 1 AND approved = 270000",
    """UPDATE wallet w SET month = 202611, month_basis = p.basis, month_spent = p.spent, month_topup = p.topup
    FROM (SELECT wallet_id, sum(basis) AS basis, sum(approved - returned) FILTER (WHERE kind = 1) AS spent,
          sum(approved) FILTER (WHERE kind = 3) AS topup FROM payment GROUP BY wallet_id) p
    WHERE p.wallet_id = w.wallet_id""",
)


def _settings(address: str, folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": address},
            "clock": {"mode": "simulated", "file": str(folder / "clock")},
            "files": {"outbox": str(folder / "out")},
            "originator": {"seoro": {"name": "인천광역시 서구", "account": "1005000000017", "bank": "020"}},
        }
    )


class Month:
    """Three settled dates: shop 1 sells, gives back more than it sells, sells; shop 2 has no account."""

    def __init__(self, books: Books, engine: Engine, settings: Settings) -> None:
        self.books, self.owner, self.engine, self.settings = books, books.engine, engine, settings
        self.shop, self.poor, self.market = 1, 2, 3

    def settle(self) -> None:
        """Let the three days happen."""
        books = self.books
        books.merchant(self.shop, 800_000_000)
        books.merchant(self.poor, account="")
        books.merchant(self.market, group="traditional_market")
        member, other = books.wallet(7, FRIDAY), books.wallet(8, FRIDAY)
        paid = books.buy(member, self.shop, 270_000, FRIDAY)
        books.buy(other, self.poor, 12_345, FRIDAY)
        self._night(FRIDAY, "2026-11-21T00:30:00+09:00")
        books.refund(paid, 200_000, SATURDAY)
        books.buy(other, self.shop, 30_000, SATURDAY)
        books.buy(other, self.market, 10_000, SATURDAY)
        self._night(SATURDAY, "2026-11-22T00:30:00+09:00")
        books.buy(member, self.shop, 500_000, SUNDAY)
        self._night(SUNDAY, "2026-11-23T00:30:00+09:00")
        for statement in _WHOLE:
            self.sql(statement)

    def _night(self, day: date, now: str) -> None:
        Path(self.settings.clock.file).write_text(now)
        report = run(self.engine, self.settings, day)
        problems = [one.problem for one in report.programmes if one.problem]
        assert not problems

    def sql(self, statement: str, **values: Any) -> None:
        """Something that the owner of the database does by hand."""
        with self.owner.begin() as connection:
            connection.execute(text(statement), values)


@pytest.fixture(scope="session")
def settled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Books]:
    """The month, once: its database, its folder, and the books that made it."""
    folder = tmp_path_factory.mktemp("settled")
    database = server.clone(server.template)
    owner, engine = server.engine(database, "postgres"), server.engine(database)
    books = Books(owner)
    Month(books, engine, _settings(server.address(database), folder)).settle()
    owner.dispose()
    engine.dispose()
    return database, folder, books


@pytest.fixture
def month(server: Server, settled: tuple[str, Path, Books], tmp_path: Path) -> Iterator[Month]:
    template, folder, made = settled
    database = server.clone(template)
    shutil.copytree(folder, tmp_path / "month")
    books = copy.copy(made)
    books.engine = server.engine(database, "postgres")
    engine = server.engine(database)
    yield Month(books, engine, _settings(server.address(database), tmp_path / "month"))
    books.engine.dispose()
    engine.dispose()


Tell = Callable[..., tuple[int, str]]


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Gives a command to the program with a month's settings; returns the exit code and what was said."""

    def command(month: Month, line: str, *more: str) -> tuple[int, str]:
        settings = month.settings
        config = tmp_path / "settlement.toml"
        config.write_text(
            f"""
            [database]
            url = "{settings.database.url}"
            [clock]
            mode = "simulated"
            file = "{settings.clock.file}"
            [files]
            outbox = "{settings.files.outbox}"
            [originator.seoro]
            name = "서구"
            account = "1005000000017"
            bank = "020"
            """
        )
        done = CliRunner().invoke(app, [*line.split(), *more, "--config", str(config)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return command
