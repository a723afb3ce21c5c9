"""Old days leave the database: their sums stay, and their files say what the books said."""

import gzip
import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from settlement.cli import app
from settlement.errors import ControlMismatchError, RetryLaterError, UsageError
from settlement.frame import Silent
from settlement.pipeline import run as settle
from settlement.settings import Settings
from settlement.upkeep import archive, dayfiles
from settlement.upkeep.archive import DayDone, DayPlan, Verified
from switch.clock import open_clock
from switch.ledger.proof import Proof
from switch.service import proofs
from switch.service.transfer.tables import only
from switch.store.reference_write import policy_in_use
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import SettingsAt

DAY = date(2025, 10, 1)
NEXT = DAY + timedelta(days=1)
RECENT = date(2026, 11, 20)
NOW = "2026-11-21T03:00:00+09:00"


class Old:
    """A programme with two old dates and a recent one, all settled to the end."""

    def __init__(self, owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
        self.owner, self.engine = owner, engine
        books = Books(owner)
        for merchant in (1, 2):
            books.merchant(merchant)
        for wallet in (7, 8, 9):
            books.wallet(wallet, DAY)
        first = books.buy(7, 1, 30_000, DAY)
        books.buy(7, 2, 5_000, DAY)
        books.refund(first, 10_000, DAY)
        later = books.buy(8, 1, 40_000, DAY)
        books.buy(9, 2, 7_000, DAY)
        _settle(engine, settings_at(f"{NEXT}T03:00:00+09:00"), DAY)
        books.refund(later, 40_000, NEXT, credited=True)
        books.buy(7, 1, 9_000, NEXT)
        for day in (NEXT, *(NEXT + timedelta(days=more) for more in (1, 2))):  # what a night books is settled
            _settle(engine, settings_at(f"{day + timedelta(days=1)}T03:00:00+09:00"), day)
        books.buy(7, 1, 11_000, RECENT)
        self.settings = settings_at(NOW)
        _settle(engine, self.settings, RECENT)
        with owner.begin() as connection:
            for statement in _AS_THE_SWITCH_KEEPS_IT:
                connection.execute(text(statement))
        self.clock = open_clock("simulated", self.settings.clock.file, simulation=True)

    def take(self, day: date = DAY, observer: object = None) -> DayDone:
        with self.engine.connect() as connection:
            return archive.run_day(
                connection,
                self.settings,
                day,
                self.clock.now,
                "관리자",
                observer or Silent(),  # type: ignore[arg-type]
            )

    def plan(self) -> list[DayPlan]:
        with self.engine.begin() as connection:
            return archive.plan(connection, self.settings, self.clock.now())

    def verify(self, day: date = DAY) -> Verified:
        with self.engine.begin() as connection:
            return archive.verify(connection, self.settings, day)

    def proof(self) -> Proof:
        return proofs.run(self.engine)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.owner.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def do(self, statement: str) -> None:
        with self.owner.begin() as connection:
            assert connection.execute(text(statement)).rowcount != 0

    @property
    def files(self) -> dict[str, bytes]:
        folder = self.settings.files.archive / "days"
        return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


_AS_THE_SWITCH_KEEPS_IT = (
    """UPDATE payment p SET amount = e.won, approved = e.won FROM entry e
       WHERE p.kind = 3 AND e.bucket = p.bucket AND e.wallet_id = p.wallet_id AND e.seq = p.seq""",
    """UPDATE payment p SET returned = b.won, outcome = CASE WHEN b.won = p.approved THEN 4 ELSE 3 END
       FROM (SELECT bucket, wallet_id, original_seq, sum(approved) AS won FROM payment
             WHERE kind = 2 GROUP BY 1, 2, 3) b
       WHERE b.bucket = p.bucket AND b.wallet_id = p.wallet_id AND b.original_seq = p.seq""",
    """INSERT INTO usage_month (bucket, wallet_id, month, basis, spent, topup)
       SELECT bucket, wallet_id, usage_month, sum(basis),
              coalesce(sum(approved - returned) FILTER (WHERE kind = 1), 0),
              coalesce(sum(approved - returned) FILTER (WHERE kind = 3), 0)
       FROM payment GROUP BY 1, 2, 3""",
    """UPDATE wallet w SET day = d.day, day_spent = d.spent FROM (
         SELECT bucket, wallet_id, to_char(local_day, 'YYYYMMDD')::int AS day,
                sum(approved - returned) AS spent
         FROM payment WHERE kind = 1 GROUP BY 1, 2, 3) d
       WHERE d.bucket = w.bucket AND d.wallet_id = w.wallet_id
         AND d.day = (SELECT max(to_char(local_day, 'YYYYMMDD')::int) FROM payment m
                      WHERE m.kind = 1 AND m.bucket = w.bucket AND m.wallet_id = w.wallet_id)""",
    "DELETE FROM settlement_step WHERE step IN ('approve', 'deliver', 'acknowledge', 'reconcile')",
    """INSERT INTO settlement_step (programme_no, business_date, cycle, step, state, started_at)
       SELECT programme_no, business_date, cycle, 'reconcile', 'done', now() FROM settlement_run""",
)


def _settle(engine: Engine, settings: Settings, day: date) -> None:
    report = settle(engine, settings, day)
    assert report.programmes[0].problem == ""


@pytest.fixture
def old(owner: Engine, engine: Engine, settings_at: SettingsAt) -> Old:
    return Old(owner, engine, settings_at)


def _broken(proof: Proof) -> list[object]:
    return [check for check in proof.checks if check.broken]


THIRD = NEXT + timedelta(days=1)  # what the night before has booked


def test_days_leave_and_every_proof_holds(old: Old) -> None:
    assert _broken(old.proof()) == []
    before = old.proof().balances
    assert [one.day for one in old.plan()] == [DAY, NEXT, THIRD]
    for day in (DAY, NEXT, THIRD):
        assert old.take(day).entries > 0
        assert _broken(old.proof()) == []
        assert old.proof().balances == before
    assert old.plan() == []
    assert old.rows(f"SELECT count(*) FROM entry WHERE business_date <= '{THIRD}'") == [(0,)]
    assert old.rows(f"SELECT count(*) FROM payment WHERE local_day <= '{THIRD}'") == [(0,)]
    assert [old.verify(day).problem for day in (DAY, NEXT, THIRD)] == ["", "", ""]
    with pytest.raises(UsageError, match="no day that may leave"):
        old.take()
    with old.owner.connect() as connection, connection.begin() as transaction:
        only(connection, 1)  # as an export proves one programme: its sums go along
        assert [check for check in proofs.prove(connection).checks if check.broken] == []
        connection.exec_driver_sql(
            "CREATE OR REPLACE TEMPORARY VIEW opening_entry AS"
            " SELECT * FROM public.opening_entry WHERE wallet_id <> 7"
        )
        assert [check.name for check in proofs.prove(connection).checks if check.broken]
        transaction.rollback()
    with old.owner.connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql("DELETE FROM payment")
        assert policy_in_use(connection, 1), "payments of it have left"
        transaction.rollback()
    # What is not old goes on: a later night is settled over what is left.
    later = Settings.model_validate(old.settings.model_dump())
    Path(later.clock.file).write_text("2026-11-22T03:00:00+09:00")
    _settle(old.engine, later, RECENT + timedelta(days=1))
    # A won changed in what is left, or in the sums, is found.
    for wrong, name in (
        ("UPDATE entry SET won = won + 1 WHERE lot_no > 0", "lots_equal_entries"),
        ("UPDATE opening_entry SET won = won + 1 WHERE lot_no > 0 AND wallet_id = 7", "lots_equal_entries"),
        ("UPDATE opening_entry SET won = won + 1 WHERE 211 IN (debit, credit)", "accrued_equals_credited"),
        ("UPDATE opening_wallet SET postings = postings + 1", "wallet_sequence"),
        ("UPDATE opening_usage SET basis = basis + 1", "usage_equals_payments"),
        ("UPDATE opening_wallet SET day_spent = day_spent + 1 WHERE day > 0", "usage_equals_payments"),
        ("UPDATE archived_date SET won = won + 1", "closed_dates"),
        ("UPDATE archived_date SET content_sha256 = md5('x')", "closed_dates"),
        ("UPDATE business_day SET won = won + 1 WHERE business_date = '2025-10-01'", "closed_dates"),
    ):
        with old.owner.connect() as connection, connection.begin() as transaction:
            assert connection.execute(text(wrong)).rowcount > 0
            assert name in {check.name for check in proofs.prove(connection).checks if check.broken}, wrong
            transaction.rollback()


class _Stop(Exception):
    pass


class _At:
    def __init__(self, point: str) -> None:
        self._point = point

    def reached(self, point: str) -> None:
        if point == self._point:
            raise _Stop

    def progress(self, step: str, done: int, total: int) -> None:
        pass


def test_a_crash_anywhere_ends_in_the_same_files_and_rows(old: Old) -> None:
    tables = "(SELECT array_agg(o ORDER BY o) FROM opening_entry o)"
    for point in ("payments", "entries", "booked"):
        with pytest.raises(_Stop):
            old.take(DAY, _At(f"archive:{point}"))
        assert old.rows("SELECT count(*) FROM archived_day") == [(0,)]
        assert _broken(old.proof()) == []
    written = old.files
    with pytest.raises(_Stop):
        old.take(DAY, _At("archive:done"))
    assert old.files == written, "the same bytes, whenever they are written"
    sums = old.rows(f"SELECT {tables}")
    assert [one.day for one in old.plan()] == [NEXT, THIRD]
    old.take(NEXT)
    assert old.rows(f"SELECT {tables}") != sums
    assert _broken(old.proof()) == []


def test_what_something_speaks_of_stays(old: Old) -> None:
    """A flag's evidence with what gave it back; a top-up with an outside reference; a payment of two days."""
    old.do(
        "INSERT INTO watch_evidence (programme_no, flag_no, bucket, local_day, local_time, terminal_id, stan,"
        " kind) SELECT 1, 1, bucket, local_day, local_time, terminal_id, stan, kind FROM payment"
        " WHERE wallet_id = 7 AND kind = 1 AND approved = 30000"
    )
    done = old.take()
    stayed = old.rows(
        "SELECT wallet_id, kind, approved FROM payment WHERE local_day = '2025-10-01' ORDER BY 2"
    )
    assert stayed == [(7, 1, 30_000), (7, 2, 10_000)]
    assert done.kept == 2 + old.rows("SELECT count(*) FROM entry WHERE business_date = '2025-10-01'")[0][0]  # type: ignore[operator]
    assert {check.name for check in _broken(old.proof())} <= {"flags_have_evidence"}  # it has no flag here
    assert old.verify().problem == ""


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (
            "UPDATE settlement_step SET state = 'waiting' WHERE step = 'reconcile'",
            "is not settled to the end",
        ),
        ("UPDATE credit_mark SET credited_through = '2025-09-30'", "has cashback that is not credited"),
    ],
)
def test_what_is_not_through_stays(old: Old, statement: str, why: str) -> None:
    old.do(statement)
    assert old.plan()[0] == DayPlan(DAY, f"seoro {why}")
    with pytest.raises(UsageError, match=why):
        old.take()


def test_books_that_are_not_as_they_were_closed_do_not_leave(old: Old) -> None:
    old.do(
        "UPDATE entry SET won = won + 1 WHERE business_date = '2025-10-01' AND wallet_id = 9 AND debit = 201"
    )
    with pytest.raises(ControlMismatchError, match="is not as it was closed"):
        old.take()
    assert old.rows("SELECT count(*) FROM opening_entry") == [(0,)]


def test_a_row_that_comes_after_the_files_keeps_the_day(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    write = dayfiles.write

    def and_then(connection: object, folder: Path, table: str, day: date) -> object:
        told = write(connection, folder, table, day)  # type: ignore[arg-type]
        if table == dayfiles.ENTRY:
            old.do("UPDATE entry SET won = won + 1 WHERE business_date = '2025-10-01' AND wallet_id = 9")
        return told

    monkeypatch.setattr(dayfiles, "write", and_then)
    with pytest.raises(RetryLaterError, match="has changed since"):
        old.take()
    assert old.rows("SELECT count(*) FROM archived_day") == [(0,)]


def test_the_programs_role_takes_out_no_young_day(old: Old) -> None:
    """The database itself holds to the year of refunds, whatever the program says."""
    with old.engine.connect() as connection, pytest.raises(DBAPIError, match="is not to be archived"):
        connection.execute(
            text("SELECT dure_archive_day(:day, now(), 'x', '', 0, 0, '', 0, 0)"), {"day": RECENT}
        )


def test_files_that_were_changed_are_told_and_not_put_back(old: Old) -> None:
    old.take()
    path = dayfiles.path_of(old.settings.files.archive, dayfiles.ENTRY, DAY)
    content = path.read_bytes()
    changed = gzip.decompress(content).replace(b",7000,", b",7001,", 1)
    assert changed != gzip.decompress(content)
    for wrong in (gzip.compress(changed), content[:-9], b""):
        path.write_bytes(wrong)
        assert old.verify().problem
        with old.engine.begin() as connection, pytest.raises(ControlMismatchError, match="is not put back"):
            archive.restore(connection, old.settings, DAY)
    path.unlink()
    assert "bring it back from a backup" in old.verify().problem


def test_the_command(old: Old, tmp_path: Path) -> None:
    config = tmp_path / "settlement.toml"
    one = old.settings
    config.write_text(
        f"""database = {{ url = "{one.database.url}" }}
clock = {{ mode = "simulated", file = "{one.clock.file}" }}
files = {{ outbox = "{one.files.outbox}" }}
originator.seoro = {{ name = "서구", account = "1", bank = "020" }}
"""
    )

    def call(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["archive", *arguments, "--config", str(config)])
        assert max(map(len, result.stdout.splitlines()), default=0) <= 120
        return result.exit_code, result.stdout

    assert call("plan")[1].count("may leave") == 3
    code, told = call("run", "--days", "2", "--json")
    assert (code, [day["day"] for day in json.loads(told)]) == (0, ["2025-10-01", "2025-10-02"])
    assert "archived" in call("plan")[1]
    assert call("verify") == (0, call("verify")[1])
    assert call("verify")[1].count("as they were closed") == 2
    assert call("restore", "2025-10-01")[0] == 0
    assert call("restore", "2025-10-01")[0] == 0, "again is the same"
    rows = old.rows("SELECT count(*) FROM restored.entry_20251001")
    assert rows == old.rows("SELECT entries FROM archived_day WHERE day = '2025-10-01'")
    assert _broken(old.proof()) == [], "what is put back for looking is in no books"
    dayfiles.path_of(one.files.archive, dayfiles.PAYMENT, DAY).write_bytes(b"")
    assert call("verify")[0] == 4
    assert old.rows("SELECT act FROM settlement_audit WHERE act LIKE 'archive:%' ORDER BY audit_no") == [
        ("archive:day",),
        ("archive:day",),
        ("archive:restore",),
        ("archive:restore",),
    ]
