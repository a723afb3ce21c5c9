"""Nothing leaves that a second person has not looked at; what changes afterwards is looked at again."""

import hashlib
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from settlement.domain.bankfiles import FileStateError
from settlement.domain.roles import Role
from settlement.errors import ControlMismatchError, NotAllowedError, SettlementError, UsageError
from settlement.frame import Frame, Silent
from settlement.people.approvals import approve, approved_sha256, changed, places, void, withdraw
from settlement.people.audit import latest, verify
from settlement.people.identity import Actor
from settlement.people.review import review, waiting
from settlement.reference import load_all
from settlement.settings import Settings
from settlement.steps import approve as step
from settlement.store.runs import Run, RunKey
from switch.clock import SimulatedClock
from tests.integration.settlement.books import Books
from tests.integration.settlement.people.files import MAKER, NOW, D, leave_file, pay, states

APPROVER = Actor("anna", frozenset({Role.APPROVER}))


@pytest.fixture
def settings(settings_at: Callable[..., Settings]) -> Settings:
    return settings_at(NOW.isoformat(), delivery={"channel": "folder", "folder": "/nowhere"})


@pytest.fixture
def books(owner: Engine) -> Books:
    return Books(owner)


def _file(books: Books, settings: Settings, number: int = 1, won: int = 50_000) -> str:
    merchant = books.merchant(number)
    return leave_file(books.engine, settings, number, [(pay(books.engine, merchant, won), won)])


def _sha256(number: int = 1) -> str:
    return hashlib.sha256(f"file {number}".encode()).hexdigest()


def _step(connection: Connection, settings: Settings) -> object:
    with connection.begin():
        (facts,) = load_all(connection, None)
    key = RunKey(1, D)
    run = Run(key, NOW, None)  # type: ignore[arg-type]
    clock = SimulatedClock(Path(settings.clock.file))
    return step.run(Frame(connection, facts, run, settings, clock, Silent(), "system"))


def test_another_than_the_maker_approves_the_bytes_that_were_seen(
    engine: Engine, books: Books, settings: Settings
) -> None:
    name = _file(books, settings)
    with engine.connect() as connection:
        with connection.begin():
            approve(connection, settings, name, _sha256(), APPROVER, NOW)
        with connection.begin():
            assert approved_sha256(connection, 1, 1) == _sha256()
            (line,) = latest(connection, 1)
    assert (line.actor, line.act, line.subject) == ("anna", "file:approve", name)
    assert states(engine) == {name: "approved"}


@pytest.mark.parametrize("name", [MAKER, MAKER.upper()])
def test_nobody_approves_what_they_have_made(
    engine: Engine, books: Books, settings: Settings, name: str
) -> None:
    file = _file(books, settings)
    everything = Actor(name, frozenset(Role))
    refused = pytest.raises(NotAllowedError, match="another approver")
    with engine.connect() as connection, connection.begin(), refused:
        approve(connection, settings, file, _sha256(), everything, NOW)
    statement = text("INSERT INTO file_approval VALUES (1, 1, 1, :sha, :maker, :name, now(), NULL, '')")
    with engine.connect() as connection, pytest.raises(IntegrityError, match="file_approval_two_people"):
        connection.execute(statement, {"sha": _sha256(), "maker": MAKER, "name": name})
    with engine.connect() as connection, pytest.raises(IntegrityError, match="foreign key"):
        connection.execute(statement, {"sha": _sha256(), "maker": "somebody", "name": MAKER})
    assert states(engine) == {file: "emitted"}


def test_who_lacks_the_role_approves_nothing(engine: Engine, books: Books, settings: Settings) -> None:
    name = _file(books, settings)
    lacking = Actor("anna", frozenset(Role) - {Role.APPROVER})
    with engine.connect() as connection, connection.begin(), pytest.raises(NotAllowedError, match="approver"):
        approve(connection, settings, name, _sha256(), lacking, NOW)


def test_only_the_hash_that_was_looked_at(engine: Engine, books: Books, settings: Settings) -> None:
    name = _file(books, settings)
    with engine.connect() as connection, connection.begin(), pytest.raises(UsageError, match="looked at"):
        approve(connection, settings, name, "0" * 64, APPROVER, NOW)


@pytest.mark.parametrize("copy", [0, 1])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_bytes_that_are_not_the_files_are_not_approved(
    engine: Engine, books: Books, settings: Settings, copy: int, how: str
) -> None:
    name = _file(books, settings)
    path = places(settings, D, name)[copy]
    path.write_bytes(b"file 2") if how == "changed" else path.unlink()
    refused = pytest.raises(
        ControlMismatchError, match="who changed it" if how == "changed" else "files regenerate"
    )
    with engine.connect() as connection, connection.begin(), refused:
        approve(connection, settings, name, _sha256(), APPROVER, NOW)
    assert states(engine) == {name: "emitted"}


def test_an_approval_is_taken_back_and_given_again(engine: Engine, books: Books, settings: Settings) -> None:
    name = _file(books, settings)
    with engine.connect() as connection:
        for _ in range(2):
            with connection.begin():
                approve(connection, settings, name, _sha256(), APPROVER, NOW)
            with connection.begin():
                withdraw(connection, name, APPROVER, NOW)
        with connection.begin(), pytest.raises(UsageError, match="no approval to take back"):
            withdraw(connection, name, APPROVER, NOW)
        with connection.begin():
            assert approved_sha256(connection, 1, 1) is None
            rows = connection.execute(text("SELECT approval_no, void_reason FROM file_approval")).all()
            assert sorted(map(tuple, rows)) == [(1, "withdrawn"), (2, "withdrawn")]
            assert verify(connection).audit_no == 4  # type: ignore[union-attr]


def test_a_log_that_was_cut_off_after_an_approval_is_damaged(
    engine: Engine, books: Books, settings: Settings
) -> None:
    name = _file(books, settings)
    with engine.connect() as connection, connection.begin():
        approve(connection, settings, name, _sha256(), APPROVER, NOW)
        last = verify(connection)
    assert last is not None
    with books.engine.begin() as connection:
        connection.execute(text("DELETE FROM settlement_audit WHERE audit_no = :no"), {"no": last.audit_no})
    with engine.connect() as connection, pytest.raises(ControlMismatchError, match=f"anna approved {name}"):
        verify(connection)


def test_a_file_that_has_left_keeps_its_approval(engine: Engine, books: Books, settings: Settings) -> None:
    name = _file(books, settings)
    with engine.connect() as connection:
        with connection.begin():
            approve(connection, settings, name, _sha256(), APPROVER, NOW)
            connection.execute(text("UPDATE bank_file SET state = 'delivering'"))
        with connection.begin(), pytest.raises(UsageError, match="is delivering"):
            withdraw(connection, name, APPROVER, NOW)
        with connection.begin(), pytest.raises(FileStateError):
            void(connection, 1, 1, NOW, "system", "changed")
        with connection.begin():
            assert approved_sha256(connection, 1, 1) == _sha256()


def test_two_approvers_at_once_make_one_approval(engine: Engine, books: Books, settings: Settings) -> None:
    name = _file(books, settings)
    refused: list[SettlementError] = []

    def one(actor: str) -> None:
        try:
            with engine.begin() as connection:
                who = Actor(actor, frozenset({Role.APPROVER}))
                approve(connection, settings, name, _sha256(), who, NOW)
        except SettlementError as error:
            refused.append(error)

    threads = [threading.Thread(target=one, args=(f"a{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [type(error) for error in refused] == [UsageError] * 3
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM file_approval")).scalar_one() == 1


def test_what_was_approved_cannot_be_rewritten_by_the_programs(
    engine: Engine, books: Books, settings: Settings
) -> None:
    name = _file(books, settings)
    with engine.begin() as connection:
        approve(connection, settings, name, _sha256(), APPROVER, NOW)
    for statement in (
        "UPDATE file_approval SET approved_by = 'other'",
        "UPDATE bank_file SET made_by = 'other'",
        "DELETE FROM file_approval",
        "UPDATE bank_file SET sha256 = 'other'",
    ):
        with engine.connect() as connection, pytest.raises(DBAPIError):
            connection.execute(text(statement))


def test_the_step_waits_for_a_person_and_goes_on_by_itself(
    engine: Engine, books: Books, settings: Settings
) -> None:
    one, two = _file(books, settings), _file(books, settings, 2)
    with engine.connect() as connection:
        told = _step(connection, settings)
        assert told.waits.startswith("2 files wait for approval")  # type: ignore[attr-defined]
        for number, name in enumerate((one, two), 1):
            with connection.begin():
                approve(connection, settings, name, _sha256(number), APPROVER, NOW)
        told = _step(connection, settings)
        assert [(file.name, file.state) for file in told.files] == [  # type: ignore[attr-defined]
            (one, "approved"),
            (two, "approved"),
        ]
        assert told.waits == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize("copy", [0, 1])
def test_the_step_voids_the_approval_of_bytes_that_have_changed(
    engine: Engine, books: Books, settings: Settings, copy: int
) -> None:
    name = _file(books, settings)
    path = places(settings, D, name)[copy]
    with engine.connect() as connection:
        with connection.begin():
            approve(connection, settings, name, _sha256(), APPROVER, NOW)
        path.write_bytes(b"more for me")
        told = _step(connection, settings)
        assert "waits for approval" in told.waits  # type: ignore[attr-defined]
        assert "its approval is void" in told.files[0].about  # type: ignore[attr-defined]
        with connection.begin():
            assert approved_sha256(connection, 1, 1) is None
            (line,) = latest(connection, 1)
            assert (line.act, line.actor) == ("file:void", "system")
    assert states(engine) == {name: "emitted"}


def test_a_file_fetched_by_hand_from_the_outbox_stays_approved(
    engine: Engine, books: Books, settings: Settings
) -> None:
    name = _file(books, settings)
    with engine.connect() as connection:
        with connection.begin():
            approve(connection, settings, name, _sha256(), APPROVER, NOW)
        places(settings, D, name)[0].unlink()
        assert _step(connection, settings).waits == ""  # type: ignore[attr-defined]
    assert states(engine) == {name: "approved"}


def test_a_run_without_a_file_waits_for_nobody(engine: Engine, books: Books, settings: Settings) -> None:
    with engine.connect() as connection:
        assert _step(connection, settings).waits == ""  # type: ignore[attr-defined]


def test_an_approver_is_shown_what_is_unusual(engine: Engine, books: Books, settings: Settings) -> None:
    for number in range(1, 9):
        books.merchant(number)
    usual = [date(2026, 11, day) for day in (16, 17, 18)]
    for day in usual:
        pay(books.engine, 1, 10_000, day)
        pay(books.engine, 2, 10_000, day)
        pay(books.engine, 3, 10_000, day)
    pay(books.engine, 5, 10_000, D, "110000999", attempt=1)
    today = [
        (pay(books.engine, 1, 12_000), 12_000),
        (pay(books.engine, 2, 100_000), 100_000),
        (pay(books.engine, 3, 99_999, account="110555556666"), 99_999),
        (pay(books.engine, 4, 700), 700),
        (pay(books.engine, 5, 10_000, attempt=2), 10_000),
        *((pay(books.engine, number, 30_000), 30_000) for number in (6, 7, 8)),
    ]
    name = leave_file(books.engine, settings, 1, today)
    with engine.connect() as connection:
        (row,) = waiting(connection, [name])
        shown = review(connection, row, NOW, changed(settings, row))
    assert (shown.payments, shown.won, shown.days_ahead, shown.problem) == (8, 312_699, 3, "")
    assert [line.merchant for line in shown.largest] == ["M00002", "M00003", "M00006", "M00007", "M00008"]
    odd = {line.merchant: line.odd for line in shown.odd}
    assert odd == {
        "M00002": ("10 times its usual 10,000",),
        "M00003": ("account changed since its last payout, from 088 …3333",),
        "M00004": ("first payout",),
        "M00005": ("account changed since its last payout, from 088 …0999",),
        **{f"M0000{number}": ("first payout",) for number in (6, 7, 8)},
    }
    assert shown.odd_payouts == 7
    assert [line.merchant for line in shown.odd][:2] == ["M00002", "M00003"]
    assert "110555556666" not in repr(shown)
    assert "1005000000017" not in repr(shown)
