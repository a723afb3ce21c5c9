"""Approved files of one run, built by SQL, and both ways to a bank: a folder and a real SFTP server."""

import hashlib
import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, text

from settlement.domain.bankdays import facts as bank_facts
from settlement.frame import Frame, Observer, Silent
from settlement.reference import load_all
from settlement.report import DeliverOutcome
from settlement.settings import Settings
from settlement.steps import deliver
from settlement.store.runs import RunKey, create_run
from switch.clock import open_clock
from switch.domain.calendar import SEOUL
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import SettingsAt
from tests.support.sftp import Bank

DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 21, 3, tzinfo=SEOUL)
_USERS = itertools.count(1)
_ROWS = (
    """INSERT INTO payout (programme_no, business_date, cycle, merchant_no, attempt, pay_on, won,
     end_to_end_id, bank_code, account_no, account_holder)
     VALUES (1, '2026-11-20', 1, :no, 1, '2026-11-24', 1000, :id || '-P', '088', '110', '김사장')""",
    """INSERT INTO bank_file VALUES (1, :no, '2026-11-20', 1, 'pain.001', 'safeguarded', 'd', '1', '020',
     '2026-11-24', :id, :id || '-B1', :name, 'r', now(), 'maker', 1, 1000, :sha, :state)""",
    "INSERT INTO bank_file_line VALUES (1, :no, 1, :id || '-P')",
    "INSERT INTO file_approval VALUES (1, :no, 1, :sha, 'maker', 'checker', now(), NULL, '')",
)


class Post:
    """One run's files, and the bank that they are for."""

    def __init__(self, engine: Engine, settings: Settings, root: Path, bank: Bank | None, user: str) -> None:
        self.engine, self.settings, self.root, self.bank, self.user = engine, settings, root, bank, user

    @property
    def outbox(self) -> Path:
        """Where the bank takes files from."""
        return self.root / "in"

    def file(self, number: int, content: bytes | None = None, state: str = "approved") -> str:
        """A file with one payout, approved; returns its name."""
        content = content or b"<pay>" + bytes(str(number), "ascii") * 400_000 + b"</pay>"
        name = f"seoro_20261120_01_{number:06d}_pay20261124.pain.001.xml"
        sha256 = hashlib.sha256(content).hexdigest()
        archived = self.settings.files.archive / "out/2026/11/20" / name
        for path in (self.settings.files.outbox / name, archived):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        row = {"no": number, "name": name, "sha": sha256, "state": state, "id": f"DURE00001-{number:06d}"}
        with self.engine.begin() as connection:
            for statement in _ROWS if state == "approved" else _ROWS[:-1]:
                connection.execute(text(statement), row)
        return name

    def deliver(self, observer: Observer | None = None, *names: str) -> DeliverOutcome:
        return self.act(lambda frame: deliver.run(frame, names), observer)

    def act(self, work: Callable[[Frame], Any], observer: Observer | None = None) -> Any:
        """What a step does, with a session of its own."""
        engine = self.engine
        with engine.connect() as connection:
            with connection.begin():
                facts = load_all(connection, None)[0]
                run = create_run(connection, RunKey(1, DAY), NOW, bank_facts(DAY, (), ()))
            clock = open_clock("simulated", self.settings.clock.file, simulation=True)
            return work(Frame(connection, facts, run, self.settings, clock, observer or Silent(), "여운전"))

    def killed(self, work: Callable[[Frame], Any], observer: Observer | None = None) -> int | None:
        """Do it in a child that may be killed; returns its exit code, below 0 for a signal."""
        self.engine.dispose()
        child = multiprocessing.get_context("fork").Process(target=self.act, args=(work, observer))
        child.start()
        if self.bank is not None and (self.bank.where / f"{self.user}.wanted").exists():
            at = (self.bank.where / f"{self.user}.wanted").read_text()
            self.bank.fault(self.user, at, "kill", child.pid or 0)
        child.join(30)
        return child.exitcode

    def states(self) -> dict[int, str]:
        return dict(self.rows("SELECT file_no, state FROM bank_file"))

    def payouts(self) -> dict[int, str]:
        return dict(self.rows("SELECT merchant_no, state FROM payout"))

    def tries(self, number: int = 1) -> list[tuple[str, str]]:
        query = f"SELECT outcome, told FROM file_delivery WHERE file_no = {number} ORDER BY try_no"
        return [(row[0], row[1]) for row in self.rows(query)]

    def rows(self, query: str) -> list[Any]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def with_delivery(self, **changes: object) -> "Post":
        delivery = self.settings.delivery.model_copy(update=changes)
        settings = self.settings.model_copy(update={"delivery": delivery})
        return Post(self.engine, settings, self.root, self.bank, self.user)


class Told(msgspec.Struct):
    """An observer that keeps the points reached, and acts at one of them."""

    at: str = ""
    act: Callable[[], None] | None = None
    points: list[str] = []

    def reached(self, point: str) -> None:
        self.points.append(point)
        if point == self.at and self.act is not None:
            self.act()

    def progress(self, step: str, done: int, total: int) -> None:
        pass


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    found = Bank(tmp_path_factory.mktemp("bank"))
    yield found
    found.stop()


@pytest.fixture
def sftp(bank: Bank, owner: Engine, engine: Engine, settings_at: SettingsAt) -> Post:
    if not bank.alive():
        bank.start()
    user = f"u{next(_USERS)}"
    root = bank.root(user)
    delivery = {
        "channel": "sftp",
        "host": "127.0.0.1",
        "port": bank.port,
        "user": user,
        "key_file": str(bank.key_file),
        "known_hosts": str(bank.known_hosts),
        "timeout_s": 2,
    }
    return _post(owner, engine, settings_at(NOW.isoformat(), delivery=delivery), root, bank, user)


@pytest.fixture
def folder(owner: Engine, engine: Engine, settings_at: SettingsAt, tmp_path: Path) -> Post:
    root = tmp_path / "bank"
    for name in ("in", "out", "taken"):
        (root / name).mkdir(parents=True)
    delivery = {"channel": "folder", "folder": str(root)}
    return _post(owner, engine, settings_at(NOW.isoformat(), delivery=delivery), root, None, "")


@pytest.fixture(params=["folder", "sftp"])
def post(request: pytest.FixtureRequest) -> Post:
    """Either way to the bank."""
    found: Post = request.getfixturevalue(request.param)
    return found


def _post(
    owner: Engine, engine: Engine, settings: Settings, root: Path, bank: Bank | None, user: str
) -> Post:
    Books(owner)
    with owner.begin() as connection:
        create_run(connection, RunKey(1, DAY), NOW, bank_facts(DAY, (), ()))
    return Post(engine, settings, root, bank, user)
