"""Files for the bank from frozen rows: numbers, debtors, sizes, forms; what is refused, what comes back."""

import hashlib
import re
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import Engine, text

from settlement.domain.run import Step
from settlement.errors import ConfigurationError
from settlement.files.fixed import records
from settlement.files.fixed_layout import parse
from settlement.pipeline import run
from settlement.settings import Settings
from tests.integration.settlement.books import Books
from tests.support.many_payouts import add_payouts

SettingsAt = Callable[..., Settings]
D = date(2026, 11, 20)  # a Friday
NEXT = "2026-11-21T00:30:00+09:00"
N = "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}"
ROOT = Path(__file__).resolve().parents[4]
TRANSFER = """
    INSERT INTO house_transfer (programme_no, business_date, cycle, purpose, funder_no, attempt, pay_on, won,
        end_to_end_id, debtor, payee, bank_code, account_no, account_holder)
    VALUES (1, '2026-11-19', 1, :purpose, :funder, 1, '2026-11-24', :won, :name, :debtor, :payee, :bank,
        :account, :holder)"""


def _all(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def _do(engine: Engine, statement: str, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def _books(owner: Engine, shops: int = 1) -> Books:
    books = Books(owner)
    member = books.wallet(7, D)
    for number in range(1, shops + 1):
        books.buy(member, books.merchant(number), 10_000 * number, D)
    return books


def _with_files(settings: Settings, **more: object) -> Settings:
    return settings.model_copy(update={"files": settings.files.model_copy(update=more)})


def _problem(report: Any) -> str:
    assert report.exit_code == 4
    return str(report.programmes[0].problem)


def test_a_file_is_frozen_archived_put_out_and_hashed(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    _books(owner, 2)
    settings = settings_at(NEXT)
    report = run(engine, settings, actor="kim")
    assert report.exit_code == 0, report.programmes[0].problem
    [file] = report.programmes[0].emit.files  # type: ignore[union-attr]
    name = "seoro_20261120_01_000001_pay20261124.pain.001.xml"
    assert (file.name, file.file_no, file.debtor, file.payouts) == (name, 1, "safeguarded", 2)
    raw = (settings.files.outbox / name).read_bytes()
    assert (settings.files.archive / "out/2026/11/20" / name).read_bytes() == raw
    assert hashlib.sha256(raw).hexdigest() == file.sha256
    assert _all(owner, "SELECT file_no, message_id, made_by, sha256, state, payments FROM bank_file") == [
        (1, "DURE00001-20261120-01-000001", "kim", file.sha256, "emitted", 2)
    ]
    assert _all(owner, "SELECT line, end_to_end_id FROM bank_file_line ORDER BY line") == [
        (1, "DURE00001-20261120-01-1-01"),
        (2, "DURE00001-20261120-01-2-01"),
    ]
    assert ("kim", "file:make", name) in _all(owner, "SELECT actor, act, subject FROM settlement_audit")


@pytest.mark.slow
def test_files_are_numbered_without_a_gap_and_split_by_size(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    """5,001 payouts at 2,000 a file; the payouts stand there as an earlier night would have left them."""
    _books(owner)
    settings = _with_files(settings_at(NEXT), transfers_max=2_000)
    assert run(engine, settings, until=Step.PAY_MERCHANTS).exit_code == 0
    with owner.begin() as connection:
        add_payouts(connection, 5_000)
    report = run(engine, settings, until=Step.EMIT_FILES)
    assert report.exit_code == 0, report.programmes[0].problem
    files = report.programmes[0].emit.files  # type: ignore[union-attr]
    assert [(file.file_no, file.payouts) for file in files] == [(1, 2_000), (2, 2_000), (3, 1_001)]
    lines = _all(owner, "SELECT end_to_end_id FROM bank_file_line ORDER BY file_no, line")
    assert len({name for (name,) in lines}) == 5_001
    assert [int(name.split("-")[3]) for (name,) in lines] == [1, *range(1_001, 6_001)]
    assert sum(file.won for file in files) == _all(owner, "SELECT sum(won) FROM payout")[0][0]
    again = run(engine, settings, until=Step.EMIT_FILES)
    assert again.programmes[0].emit == report.programmes[0].emit
    assert _all(owner, "SELECT count(*) FROM bank_file") == [(3,)]


def test_own_transfers_leave_from_their_own_account(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    _books(owner)
    account = {"name": "국가", "account": "990-1", "bank": "011"}
    settings = settings_at(
        NEXT, funding={"seoro": {"national": account}},
        operator={"seoro": {"name": "운영사", "account": "880-1", "bank": "004"}},
    )  # fmt: skip
    funding = {
        "purpose": "funding", "funder": 11, "won": 700_000, "name": "DURE00001-20261119-01-FUNDING-11-01",
        "debtor": "funder:national", "payee": "safeguarded", "bank": "020", "account": "1005000000017",
        "holder": "인천광역시 서구",
    }  # fmt: skip
    fees = {
        "purpose": "fees", "funder": 0, "won": 900, "name": "DURE00001-20261119-01-FEES-0-01",
        "debtor": "safeguarded", "payee": "operator", "bank": "004", "account": "880-1", "holder": "운영사",
    }  # fmt: skip
    _do(owner, TRANSFER, **funding)
    _do(owner, TRANSFER, **fees)
    report = run(engine, settings)
    assert report.programmes[0].problem == ""
    emit = report.programmes[0].emit
    assert emit is not None
    assert [(file.debtor, file.payouts) for file in emit.files] == [
        ("funder:national", 1),
        ("safeguarded", 2),
    ]
    roots = [etree.parse(str(settings.files.outbox / file.name)).getroot() for file in emit.files]
    debtors = [root.findtext(f".//{N}DbtrAcct/{N}Id/{N}Othr/{N}Id") for root in roots]
    assert debtors == ["990-1", "1005000000017"]
    assert [found.text for found in roots[1].iter(f"{N}EndToEndId")] == [
        "DURE00001-20261119-01-FEES-0-01",  # own transfers lead
        "DURE00001-20261120-01-1-01",
    ]


def test_a_voided_files_payouts_come_into_a_new_one(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    books = _books(owner)
    assert run(engine, settings_at(NEXT)).exit_code == 0
    _do(owner, "UPDATE bank_file SET state = 'voided'")
    books.buy(books.wallet(8, date(2026, 11, 21)), 1, 20_000, date(2026, 11, 21))
    settings = settings_at("2026-11-22T00:30:00+09:00")
    report = run(engine, settings)
    assert report.exit_code == 0, report.programmes[0].problem
    assert [(file.file_no, file.pay_on, file.payouts) for file in report.programmes[0].emit.files] == [  # type: ignore[union-attr]
        (2, date(2026, 11, 24), 2),
    ]
    numbers = [row[0] for row in _all(owner, "SELECT file_no FROM bank_file ORDER BY 1")]
    assert all(b == a + 1 for a, b in pairwise(numbers))


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("UPDATE payout SET account_no = 'x y'", "payee's account … is no account number"),
        ("UPDATE payout SET account_no = ''", "no account number"),
        ("UPDATE payout SET bank_code = ''", "no clearing code"),
        ("UPDATE payout SET account_holder = E'\\x01 '", "has no name"),
        ("UPDATE payout SET account_no = '1005-000000017', bank_code = '020'", "that it comes from"),
        ("UPDATE payout SET pay_on = '2026-12-25'", "banks are closed"),
        ("UPDATE payout SET end_to_end_id = 'not an id'", "not 1 to 35 letters|booked 0"),
    ],
)
def test_what_no_bank_may_get_is_refused_before_anything_is_frozen(
    owner: Engine, engine: Engine, settings_at: SettingsAt, tampering: str, said: str
) -> None:
    _books(owner)
    settings = settings_at(NEXT)
    assert run(engine, settings, until=Step.PAY_MERCHANTS).exit_code == 0
    before = _all(owner, "SELECT pay_on, account_no, bank_code, account_holder, end_to_end_id FROM payout")
    _do(owner, tampering)
    if "2026-12-25" in tampering:  # as if Christmas had been open when it was ordered, and the move failed
        settings = settings_at(NEXT, calendar={"extra_open": ["2026-12-25"]})
    problem = _problem(run(engine, settings))
    assert re.search(said, problem), problem
    assert _all(owner, "SELECT count(*) FROM bank_file") == [(0,)]
    assert list(settings.files.outbox.iterdir()) == []
    assert not list(settings.files.archive.glob("out/**/*"))
    [row] = before
    _do(
        owner,
        "UPDATE payout SET pay_on = :p, account_no = :a, bank_code = :b, account_holder = :h,"
        " end_to_end_id = :e",
        **dict(zip("pabhe", row, strict=True)),
    )
    assert run(engine, settings_at(NEXT)).exit_code == 0
    assert _all(owner, "SELECT file_no FROM bank_file") == [(1,)]


def test_a_represented_payout_must_be_booked(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    _books(owner)
    settings = settings_at(NEXT)
    assert run(engine, settings, until=Step.PAY_MERCHANTS).exit_code == 0
    _do(
        owner,
        "INSERT INTO payout SELECT programme_no, business_date, cycle, merchant_no, 2, pay_on, won,"
        " 'DURE00001-20261120-01-1-02', bank_code, account_no, account_holder FROM payout",
    )
    problem = _problem(run(engine, settings))
    assert "DURE00001-20261120-01-1-02 pays 9,985, booked 0" in problem


def test_rows_that_change_after_they_were_frozen_make_no_file(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    """The files are written from the rows alone: the sums frozen with the file must be the rows'."""
    _books(owner)
    settings = settings_at(NEXT)
    settings.files.archive.parent.joinpath("archive").write_text("in the way")
    assert run(engine, settings).exit_code == 75  # frozen, and not written
    _do(owner, "UPDATE payout SET won = won + 1")
    settings.files.archive.unlink()
    assert "announces 1 transfers of 9,985 won, has 1 of 9,986" in _refused_after_prove(
        engine, settings, owner
    )


def _refused_after_prove(engine: Engine, settings: Settings, owner: Engine) -> str:
    for table, column in (("house_entry", "won"), ("merchant_net", "paid")):
        _do(owner, f"UPDATE {table} SET {column} = {column} + 1 " + (
            "WHERE credit = 231" if table == "house_entry" else ", sales = sales + 1"))  # fmt: skip
    _do(owner, "UPDATE entry SET won = won + 1 WHERE credit = 221")
    _do(owner, "UPDATE lot SET balance = balance - 1 WHERE lot_no = 1")
    problem = _problem(run(engine, settings))
    assert not list(settings.files.outbox.iterdir())
    return problem


def test_an_outbox_that_is_a_file_is_told_and_the_next_run_goes_on(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    _books(owner)
    settings = settings_at(NEXT)
    settings.files.outbox.write_text("in the way")
    report = run(engine, settings)
    problem = report.programmes[0].problem
    assert (report.exit_code, str(settings.files.outbox) in problem, "run again" in problem) == (
        75,
        True,
        True,
    )
    settings.files.outbox.unlink()
    assert run(engine, settings).exit_code == 0
    assert _all(owner, "SELECT file_no, state FROM bank_file") == [(1, "emitted")]


def test_what_was_lost_comes_back_and_what_was_changed_is_told(
    owner: Engine, engine: Engine, settings_at: SettingsAt, tmp_path: Path
) -> None:
    _books(owner)
    dropped = settings_at(NEXT, delivery={"channel": "folder", "folder": str(tmp_path / "bank")})
    by_hand = settings_at(NEXT)
    report = run(engine, by_hand)
    [file] = report.programmes[0].emit.files  # type: ignore[union-attr]
    out, kept = by_hand.files.outbox / file.name, by_hand.files.archive / "out/2026/11/20" / file.name
    raw = out.read_bytes()
    for path in (out, out.with_name(f"{file.name}.done"), kept):
        path.unlink()
    assert run(engine, by_hand, D, until=Step.EMIT_FILES).exit_code == 0
    assert kept.read_bytes() == raw
    assert not out.exists()  # somebody may have fetched it: it is not offered twice
    assert run(engine, dropped, D, until=Step.EMIT_FILES).exit_code == 0
    assert out.read_bytes() == raw
    assert out.with_name(f"{file.name}.done").exists()
    _do(owner, "UPDATE bank_file SET state = 'delivered'")
    out.unlink()
    assert run(engine, dropped, D, until=Step.EMIT_FILES).exit_code == 0
    assert not out.exists()
    kept.write_bytes(raw.replace(b"9985", b"9986"))
    assert "is not the file that was emitted" in _problem(run(engine, dropped, D, until=Step.EMIT_FILES))
    kept.unlink()
    _do(owner, "UPDATE payout SET account_holder = 'someone else'")
    assert "make other bytes" in _problem(run(engine, dropped, D, until=Step.EMIT_FILES))
    assert not list(kept.parent.iterdir())


def test_the_fixed_form_goes_the_whole_way(owner: Engine, engine: Engine, settings_at: SettingsAt) -> None:
    _books(owner, 3)
    settings = _with_files(settings_at(NEXT), profile="kr-bulk-sample")
    report = run(engine, settings)
    assert report.exit_code == 0, report.programmes[0].problem
    [file] = report.programmes[0].emit.files  # type: ignore[union-attr]
    assert file.name == "seoro_20261120_01_000001_pay20261124.kr-bulk.dat"
    summed = (settings.files.outbox / f"{file.name}.sha256").read_text()
    assert summed == f"{file.sha256}  {file.name}\n"
    layout = parse((ROOT / "config/profiles/kr-bulk-sample.toml").read_text("utf-8"))
    with (settings.files.outbox / file.name).open("rb") as source:
        found = list(records(source, layout))
    assert [kind for kind, _ in found] == ["header", "data", "data", "data", "trailer"]
    assert found[-1][1] == {"records": 5, "count": 3, "won": file.won}
    assert found[1][1]["payee_name"] == "김사장 & Sohne <주>"
    assert found[1][1]["payee_account"] == "110222333333"
    assert _all(owner, "SELECT profile FROM bank_file") == [("kr-bulk-sample",)]


def test_a_layout_of_ones_own_and_a_bad_one(
    owner: Engine, engine: Engine, settings_at: SettingsAt, tmp_path: Path
) -> None:
    _books(owner)
    sample = (ROOT / "config/profiles/kr-bulk-sample.toml").read_text("utf-8")
    own = tmp_path / "own.toml"
    settings = _with_files(settings_at(NEXT), profile=str(own))
    for content, said in (
        (None, "cannot be read"),
        (sample.replace("bytes = 13", "bytes = 12"), "fields come to 199 bytes"),
        ("x" * 200_000, "is larger than 100,000 bytes"),
    ):
        if content is not None:
            own.write_text(content)
        report = run(engine, settings)
        assert (report.exit_code, said in report.programmes[0].problem) == (78, True)
        assert _all(owner, "SELECT count(*) FROM settlement_run") == [(0,)]
    own.write_text(sample.replace('".kr-bulk.dat"', '".own.dat"').replace('"crlf"', '"none"'))
    report = run(engine, settings)
    assert report.exit_code == 0, report.programmes[0].problem
    [file] = report.programmes[0].emit.files  # type: ignore[union-attr]
    assert (settings.files.outbox / file.name).stat().st_size == 3 * 200
    assert file.name.endswith(".own.dat")


def test_a_debtor_that_the_settings_do_not_know_is_bad_configuration(
    owner: Engine, engine: Engine, settings_at: SettingsAt
) -> None:
    _books(owner)
    transfer = {"purpose": "fees", "funder": 0, "won": 900, "name": "X-1", "debtor": "operator", "payee": "x",
                "bank": "004", "account": "880-1", "holder": "운영사"}  # fmt: skip
    _do(owner, TRANSFER, **transfer)
    report = run(engine, settings_at(NEXT))
    assert report.exit_code == ConfigurationError.code
    assert "settings have no [operator.seoro]" in report.programmes[0].problem
