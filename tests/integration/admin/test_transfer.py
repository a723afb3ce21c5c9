"""A programme handed over: out of one system with payments, nights and neighbours, into an empty one."""

import csv
import gzip
import hashlib
import importlib
import io
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from settlement.pipeline import run as settle
from settlement.settings import load as settlement_settings
from switch.cli import run
from switch.service.vault import new_key_file
from switch.store.engine import open_engine
from tests.integration.switch.house import House
from tests.support.killing import own_directory
from tests.support.postgres import Database, shared_server
from tests.support.stage import hsm, start_switch
from tests.support.wire_client import Line

TODAY, TOMORROW = "2026-11-18T12:00:00+09:00", "2026-11-19T12:00:00+09:00"
NEIGHBOUR = "X900"  # a member of the other programme in the same system


class Handover:
    """Two programmes in one system: seoro with a settled day, a hold and an open day, and ontong."""

    def __init__(self, directory: Path, hsm_port: int) -> None:
        self.directory = directory
        self.house = House(directory, hsm_port, people=8, shops=6)
        house = self.house
        self.neighbour = house.special_card(900, programme="ontong")
        with house.line() as line:
            self.till = house.till(line)
            self.card = house.card()
            bought = self.till.purchase(house.now, self.card, 30_000)
            assert line.exchange(self.till, bought).approved
            assert line.exchange(self.till, self.till.refund(house.now, bought, 10_000)).approved
            other = house.card()
            assert line.exchange(self.till, self.till.purchase(house.now, other, 7_700)).approved
            assert line.exchange(self.till, self.till.purchase(house.now, other, 9_000_000)).code != "00"
            assert line.exchange(self.till, self.till.preauth(house.now, other, 20_000)).approved
        house.stage.set_clock(TOMORROW)
        self._settle()
        with house.line() as line:
            self.last = self.till.purchase(house.now, self.card, 5_000)
            self.answer = line.exchange(self.till, self.last)
            assert self.answer.approved
        house.switch.stop()
        self.config = house.configure()
        self.folder = directory / "out"
        assert self.dure("export", "--programme", "seoro", "--out", str(self.folder)) == 0

    def dure(self, *arguments: str) -> int:
        return run(["--config", str(self.config), *arguments])

    def _settle(self) -> None:
        file = self.directory / "settlement.toml"
        file.write_text(
            f'[database]\nurl = "{self.house.stage.url}"\n[clock]\nmode = "simulated"\n'
            f'file = "{self.house.stage.clock}"\n[files]\noutbox = "{self.directory / "bank"}"\n'
            '[originator.seoro]\nname = "서구"\naccount = "1005000000017"\nbank = "020"\n'
        )
        engine = open_engine(self.house.stage.url)
        settle(engine, settlement_settings(file), date(2026, 11, 18), "seoro")
        engine.dispose()

    def rows(self, table: str, folder: Path | None = None) -> list[dict[str, str]]:
        """The rows of an exported table, from all of its files."""
        found = []
        for file in self.files(table, folder):
            with gzip.open(file, "rt", encoding="utf-8", newline="") as stream:
                found += list(csv.DictReader(stream))
        return found

    def files(self, table: str, folder: Path | None = None) -> list[Path]:
        base = folder or self.folder
        return sorted((base / table).glob("*")) or [base / f"{table}.csv.gz"]


@pytest.fixture(scope="module")
def handed() -> Iterator[Handover]:
    with own_directory() as directory, hsm(directory) as security:
        made = Handover(directory, security.port)
        try:
            yield made
        finally:
            made.house.close()


class Receiver:
    """An empty system: a migrated database and a configuration of its own."""

    def __init__(self, handed: Handover, folder: Path, *, keys: Path | None = None) -> None:
        self.database: Database = shared_server().migrated()
        self.engine = self.database.engine(owner=True)
        self.keys = keys or handed.house.stage.vault_file
        url = self.database.app_url.set(drivername="postgresql").render_as_string(hide_password=False)
        self.config = folder / "switch.toml"
        self.config.write_text(
            handed.config.read_text()
            .replace(handed.house.stage.url, url)
            .replace(str(handed.house.stage.vault_file), str(self.keys))
        )

    def take(self, folder: Path, *more: str) -> int:
        return run(["--config", str(self.config), "import-programme", str(folder), *more])

    def scalar(self, query: str) -> object:
        with self.engine.connect() as connection:
            return connection.scalar(text(query))

    def is_empty(self) -> bool:
        names = ("programme", "wallet", "card", "payment", "entry", "merchant", "terminal", "funder")
        return all(self.scalar(f"SELECT count(*) FROM {name}") == 0 for name in names)


@pytest.fixture
def receiver(handed: Handover, tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(handed, tmp_path)
    yield made
    shared_server().drop(made.database)


def test_an_export_holds_the_whole_programme_and_nothing_of_its_neighbour(handed: Handover) -> None:
    count = handed.house.count
    programme_no = next(row["programme_no"] for row in handed.rows("programme"))
    assert [row["programme_id"] for row in handed.rows("programme")] == ["seoro"]
    assert len(handed.rows("payment")) == count("payment") == 6
    assert len(handed.rows("entry")) == count("entry") > 10
    assert len(handed.rows("hold")) == 1
    assert len(handed.rows("business_day")) == 1
    assert len(handed.rows("merchant_net")) == count("merchant_net") == 1
    assert len(handed.rows("card")) == count("card") - 1
    assert len(handed.rows("card_index")) == count("card_index") - 1
    assert NEIGHBOUR not in {row["member_id"] for row in handed.rows("member")}
    assert {path.name for path in handed.files("payment")} == {"2026-11-18.csv.gz", "2026-11-19.csv.gz"}
    for path in handed.folder.rglob("*.csv.gz"):
        table = path.relative_to(handed.folder).parts[0].split(".")[0]
        assert {row.get("programme_no", programme_no) for row in handed.rows(table)} <= {programme_no}, table
        content = gzip.decompress(path.read_bytes()).decode()
        for secret in (handed.card, handed.neighbour):
            assert secret not in content, "a card number in the clear"


def test_a_manifest_says_what_each_file_is_and_who_may_read_it_is_one(handed: Handover) -> None:
    content = (handed.folder / "manifest.json").read_bytes()
    assert (handed.folder / ".done").read_text().strip() == hashlib.sha256(content).hexdigest()
    manifest = json.loads(content)
    assert manifest["proof"]["ok"]
    assert manifest["proof"]["payments"] == 6
    listed = {file["name"]: file for table in manifest["tables"] for file in table["files"]}
    there = {str(p.relative_to(handed.folder)) for p in handed.folder.rglob("*.gz")}
    assert listed.keys() == there
    for name, file in listed.items():
        path = handed.folder / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
        assert path.stat().st_size == file["bytes"]
        assert path.stat().st_mode & 0o077 == 0


def test_the_same_books_give_the_same_bytes(handed: Handover, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert handed.dure("export", "--programme", "seoro", "--out", str(again)) == 0
    for path in handed.folder.rglob("*.gz"):
        assert (again / path.relative_to(handed.folder)).read_bytes() == path.read_bytes(), path.name


def test_an_empty_system_takes_it_proves_it_alike_and_goes_on_paying(
    handed: Handover, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    epoch = receiver.scalar("SELECT reference_epoch FROM control")
    capsys.readouterr()
    assert receiver.take(handed.folder, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    manifest = json.loads((handed.folder / "manifest.json").read_text())
    assert told["cards_opened"] == 1
    assert told["rows"] == sum(f["rows"] for table in manifest["tables"] for f in table["files"])
    assert run(["--config", str(receiver.config), "proof", "--json"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert msgspec.json.encode(proof) == msgspec.json.encode(manifest["proof"])
    assert receiver.scalar("SELECT reference_epoch FROM control") != epoch

    switch = start_switch(receiver.config)
    try:
        with Line(switch.port) as line:
            # The till goes on under the keys that it had; a repeat of before is answered as it was.
            told_again = line.exchange(handed.till, handed.till.repeat_of(handed.last))
            assert (told_again.code, told_again.approval) == (handed.answer.code, handed.answer.approval)
            handed.house.ready(line, handed.till)
            before = receiver.scalar("SELECT sum(balance) FROM lot")
            assert line.exchange(
                handed.till, handed.till.purchase(handed.house.now, handed.card, 4_000)
            ).approved
            assert receiver.scalar("SELECT sum(balance) FROM lot") == int(str(before)) - 4_000
    finally:
        switch.stop()
    assert run(["--config", str(receiver.config), "proof"]) == 0


def test_parquet_holds_the_same_rows_and_comes_back(
    handed: Handover, receiver: Receiver, tmp_path: Path
) -> None:
    parquet = importlib.import_module("pyarrow.parquet")
    out = tmp_path / "columns"
    assert handed.dure("export", "--programme", "seoro", "--out", str(out), "--format", "parquet") == 0
    assert not list(out.rglob("*.gz"))
    lots = parquet.read_table(out / "lot.parquet")
    assert str(lots.schema.field("balance").type) == "int64"
    assert sum(lots.column("balance").to_pylist()) == sum(int(row["balance"]) for row in handed.rows("lot"))
    days = parquet.read_table(out / "payment" / "2026-11-18.parquet")
    assert str(days.schema.field("local_day").type) == "date32[day]"
    assert receiver.take(out) == 0
    back = tmp_path / "back"
    assert run(["--config", str(receiver.config), "export", "--programme", "seoro", "--out", str(back)]) == 0
    for path in handed.folder.rglob("*.gz"):
        assert (back / path.relative_to(handed.folder)).read_bytes() == path.read_bytes(), path.name


def test_parquet_without_its_library_is_refused_and_says_how(
    handed: Handover, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    out = tmp_path / "columns"
    assert handed.dure("export", "--programme", "seoro", "--out", str(out), "--format", "parquet") == 2
    assert "dure[parquet]" in capsys.readouterr().err
    assert not out.exists()


def test_what_is_no_empty_folder_or_no_programme_is_refused(
    handed: Handover, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    assert handed.dure("export", "--programme", "seoro", "--out", str(tmp_path)) == 2
    assert "is not empty" in capsys.readouterr().err
    assert handed.dure("export", "--programme", "serro", "--out", str(tmp_path / "new")) == 2
    assert 'no programme "serro"' in capsys.readouterr().err
    assert not list((tmp_path / "new").glob("*"))


def _copy(handed: Handover, tmp_path: Path) -> Path:
    return Path(shutil.copytree(handed.folder, tmp_path / "copy"))


def _rewrite(folder: Path, table: str, old: str, new: str, *, rows: int = 0) -> None:
    """Change a table's file and make manifest and mark agree with it: what a forger would do."""
    path = folder / f"{table}.csv.gz"
    content = gzip.decompress(path.read_bytes()).decode()
    assert old in content
    path.write_bytes(gzip.compress(content.replace(old, new, 1).encode(), mtime=0))
    manifest = json.loads((folder / "manifest.json").read_text())
    for one in manifest["tables"]:
        for file in one["files"]:
            if file["name"] == path.name:
                file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
                file["rows"] += rows
    told = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(told)
    (folder / ".done").write_text(hashlib.sha256(told).hexdigest())


def test_a_broken_off_or_damaged_folder_is_refused_before_anything_is_read(
    handed: Handover, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _copy(handed, tmp_path)
    (folder / ".done").unlink()
    assert receiver.take(folder) == 2
    assert "is no finished export" in capsys.readouterr().err
    shutil.copy(handed.folder / ".done", folder / ".done")
    damaged = bytearray((folder / "lot.csv.gz").read_bytes())
    damaged[-9] ^= 1
    (folder / "lot.csv.gz").write_bytes(damaged)
    assert receiver.take(folder) == 2
    assert "lot.csv.gz: is not what was written" in capsys.readouterr().err
    (folder / "manifest.json").write_text("{}")
    assert receiver.take(folder) == 2
    assert receiver.is_empty()


FORGERIES = {
    "won that no entry says": ("lot", ",500000,", ",500001,", 0, "do not prove as the exported ones did"),
    "a row of another programme": (
        "funder", "\n", "\n90,2,mayor,시장\n", 1, "rows of another programme"),
    "a number twice": ("funder", "\n", "\n1,1,again,again\n", 1, "is taken in these books"),
    "a row that the manifest does not count": ("funder", "\n", "\n91,1,more,more\n", 0, "its manifest says"),
    "no number where one belongs": ("funder", "\n", "\nx,1,more,more\n", 1, "do not fit the table"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FORGERIES))
def test_rows_that_are_not_the_exported_books_are_refused_and_nothing_stays(
    handed: Handover, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    table, old, new, rows, told = FORGERIES[name]
    folder = _copy(handed, tmp_path)
    _rewrite(folder, table, old, new, rows=rows)
    assert receiver.take(folder) == 2
    assert told in capsys.readouterr().err
    assert receiver.is_empty()


def test_a_system_that_has_the_programme_or_is_of_another_kind_takes_nothing(
    handed: Handover, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiver.engine.begin() as connection:
        connection.execute(text("UPDATE control SET simulation = false"))
    assert receiver.take(handed.folder) == 2
    assert "simulated books and real ones do not mix" in capsys.readouterr().err
    with receiver.engine.begin() as connection:
        connection.execute(text("UPDATE control SET simulation = true"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0006'"))
    assert receiver.take(handed.folder) == 2
    assert "schema revision" in capsys.readouterr().err
    with receiver.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0016'"))
    assert receiver.take(handed.folder) == 0
    capsys.readouterr()
    assert receiver.take(handed.folder) == 2
    assert "is in these books already" in capsys.readouterr().err


def test_another_vaults_key_file_is_found_out_before_anything_stands(
    handed: Handover, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "strange.keys"
    new_key_file(strange)
    receiver = Receiver(handed, tmp_path, keys=strange)
    try:
        assert receiver.take(handed.folder) == 78
        told = capsys.readouterr()
        assert "sealed with another key" in told.err
        assert handed.card not in told.err + told.out
        own = handed.house.stage.vault_file.read_text().splitlines()
        other = strange.read_text().splitlines()
        mixed = [line for line in other if line.startswith("index")]
        mixed += [line for line in own if line.startswith("seal")]
        strange.write_text("\n".join(mixed) + "\n")
        assert receiver.take(handed.folder) == 78
        assert "does not find them" in capsys.readouterr().err
        assert receiver.is_empty()
    finally:
        shared_server().drop(receiver.database)


def test_research_gets_payments_and_nobody_in_them(
    handed: Handover, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        assert handed.dure("export", "--programme", "seoro", "--out", str(folder), "--anonymous") == 0
    told = capsys.readouterr().out
    assert "6 payments" in told
    found = []
    for folder in folders:
        rows: list[dict[str, str]] = []
        for path in sorted((folder / "payments").iterdir()):
            plain = gzip.decompress(path.read_bytes()).decode()
            for secret in ("SHOP", "M0000", "T0000", handed.card[:12], "가게"):
                assert secret not in plain
            rows += list(csv.DictReader(io.StringIO(plain)))
        found.append(rows)
        assert (folder / ".done").exists()
    one, two = found
    assert sorted((row["day"], row["hour"], row["amount"], row["category"]) for row in one) == sorted(
        (row["day"], row["hour"], row["amount"], row["category"]) for row in two
    )
    assert {row["hour"] for row in one} == {"12"}
    assert {row["category"] for row in one} == {"restaurant"}, "six shops share it"
    people = {row["member"] for row in one}
    assert len(people) == 2
    assert not people & {row["member"] for row in two}, "each export has a key of its own"
    ids = {row["wallet_id"] for row in handed.rows("wallet")}
    assert not people & {hashlib.sha256(one_id.encode()).hexdigest()[:16] for one_id in ids}


def test_the_only_shop_of_its_kind_is_left_unsaid(handed: Handover, tmp_path: Path) -> None:
    engine = open_engine(handed.house.stage.url, role=None)
    paid_at = handed.rows("payment")[0]["merchant_no"]
    try:
        for category in ("bookshop", "restaurant"):
            with engine.begin() as connection:
                connection.execute(
                    text("UPDATE merchant SET category = :category WHERE merchant_no = :number"),
                    {"category": category, "number": int(paid_at)},
                )
            if category == "bookshop":
                out = tmp_path / "few"
                assert handed.dure("export", "--programme", "seoro", "--out", str(out), "--anonymous") == 0
                rows = [
                    row
                    for path in (out / "payments").iterdir()
                    for row in csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode()))
                ]
                assert {(row["category"], row["region"], row["size"]) for row in rows} == {("", "", "")}
    finally:
        engine.dispose()
