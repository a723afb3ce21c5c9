"""`ack`, `reconcile`, `open` as an operator has them: words, codes, and what a person may say of an entry."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from settlement.cli import app
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import ConfigAt
from tests.integration.settlement.sent import D, Sent, balances, message, name, states
from tests.support.bank_messages import camt053, details, ntry, pain002, statement

FUNDING = """
[funding.seoro.city]
name = "시"
account = "200-300"
bank = "020"
"""


@pytest.fixture
def config(config_at: ConfigAt) -> Path:
    return config_at("2026-11-25T10:00:00+09:00", FUNDING)


@pytest.fixture
def sent(owner: Engine) -> Sent:
    books = Books(owner)
    for merchant in (1, 2, 3):
        books.merchant(merchant)
    books.wallet(7, D, 10_000)
    found = Sent(owner)
    found.file(1, {1: 1_000, 2: 2_000})
    return found


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _file(config: Path, file: str, content: bytes) -> Path:
    path = config.parent / file
    path.write_bytes(content)
    return path


COLLECTED = ntry(10_000, details(remittance="TOPUP-20261120"))


def _statement(*entries: str, closing: int, opening: int = 0, account: str = "1005000000017") -> bytes:
    return camt053(statement("S1", opening, closing, entries, account=account))


def test_answers_by_command_line(engine: Engine, sent: Sent, config: Path) -> None:
    assert sent.no == 1
    before = _call("open", "--config", config)
    assert before.exit_code == 0
    assert "no answer" in before.stdout
    assert "collection" in before.stdout
    answer = pain002(message(1), group="PART", payments=[(name(1), "ACSC"), (name(2), "RJCT", "AC04")])
    done = _call("ack", _file(config, "a.xml", answer), "--config", config)
    assert done.exit_code == 0, done.output
    assert "1 newly accepted, 1 newly rejected" in done.stdout
    listed = _call("open", "--config", config)
    assert "M00002: AC04 (the account is closed); correct the account" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 120
    told = json.loads(_call("open", "--config", config, "--json").stdout)[0]
    assert {one["kind"] for one in told["items"]} == {"no statement", "rejected", "collection"}
    assert sum(age["won"] for age in told["ages"]) == 13_000
    booked = _statement(COLLECTED, ntry(-1_000, details(end_to_end_id=name(1))), closing=9_000)
    done = _call("reconcile", _file(config, "s.xml", booked), "--config", config)
    assert done.exit_code == 0, done.output
    assert "2 of 2 entries matched" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120
    told = json.loads(_call("reconcile", "--config", config, "--json").stdout)["programmes"][0]["balances"]
    assert told[0] == {
        "account": "safeguarded",
        "statement": "S1",
        "bank": 9_000,
        "ledger": 9_000,
        "outstanding": 0,
        "outstanding_days": 0,
    }
    left = json.loads(_call("open", "--config", config, "--json").stdout)[0]["items"]
    assert [one["kind"] for one in left] == ["rejected"]


def test_a_refused_file_is_exit_3_and_one_line(sent: Sent, config: Path) -> None:
    assert sent.no == 1
    done = _call("ack", _file(config, "bad.xml", b"<!DOCTYPE d []><d/>"), "--config", config)
    assert done.exit_code == 3
    assert "DOCTYPE" in done.stdout
    assert _call("ack", config.parent / "none.xml", "--config", config).exit_code == 2


@pytest.mark.parametrize(
    ("entry", "to", "after"),
    [
        (ntry(-1_000), f"payout:{name(1)}", {"SAFEGUARDED": -1_000, "PAYOUT_SENT": -2_000}),
        (ntry(-70), "charge", {"SAFEGUARDED": -70, "BANK_CHARGES": 70}),
        (ntry(70), "claim:city", {"SAFEGUARDED": 70, "FUNDER_DUE": -70}),
        (ntry(4_000), "topup:20261120", {}),
    ],
)
def test_a_person_names_an_entry(
    engine: Engine, sent: Sent, config: Path, entry: str, to: str, after: dict[str, int]
) -> None:
    assert sent.no == 1
    untouched = {"MERCHANT_PAYABLE": 3_000, "PAYOUT_SENT": -3_000}
    won = int(entry.split('KRW">')[1].split("<")[0]) * (1 if "CRDT" in entry else -1)
    got = _call("ack", _file(config, "s.xml", _statement(entry, closing=won)), "--config", config)
    assert got.exit_code == 3
    assert balances(engine)["SUSPENSE"] == -won
    done = _call("reconcile", "--assign", "S1/1", "--to", to, "--config", config)
    assert done.exit_code == 0, done.output
    assert balances(engine) == untouched | after
    with engine.connect() as connection:
        row = connection.execute(text("SELECT state, resolved_by <> '' FROM bank_entry")).one()
        assert tuple(row) == ("resolved", True)
        acts = connection.execute(text("SELECT act FROM settlement_audit ORDER BY audit_no")).scalars().all()
        assert acts[-1] == "entry assigned"
    again = _call("reconcile", "--assign", "S1/1", "--to", to, "--config", config)
    assert (again.exit_code, "already" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("where", "to", "why"),
    [
        ("S1/1", f"payout:{name(1)}", "the bank says 70 won, ordered are 1,000"),
        ("S1/1", "payout:X", "no payment X"),
        ("S1/1", "charge", "came in"),
        ("S1/1", "prepayment:city", "comes in on funder:city"),
        ("S1/1", "topup:20261121", "0 won are outstanding"),
        ("S1/1", "nonsense", "one of prepayment:FUNDER"),
        ("S1/1", "merchant:M00003", "one of prepayment:FUNDER"),  # no run would ever pay it or set it off
        ("S1/9", "charge", "no entry"),
        ("S1", "charge", "STATEMENT/ENTRY"),
    ],
)
def test_what_an_entry_cannot_be(
    engine: Engine, sent: Sent, config: Path, where: str, to: str, why: str
) -> None:
    assert sent.no == 1
    _call("ack", _file(config, "s.xml", _statement(ntry(70), closing=70)), "--config", config)
    before = balances(engine)
    done = _call("reconcile", "--assign", where, "--to", to, "--config", config)
    assert done.exit_code == 2
    assert why in done.stderr
    assert balances(engine) == before


def test_a_prepayment_that_carried_no_name(engine: Engine, sent: Sent, config: Path) -> None:
    assert sent.no == 1
    content = _statement(ntry(500), closing=500, account="200300")
    assert _call("ack", _file(config, "s.xml", content), "--config", config).exit_code == 3
    done = _call("reconcile", "--assign", "S1/1", "--to", "prepayment:city", "--config", config)
    assert done.exit_code == 0, done.output
    assert balances(engine)["FUNDER_PREPAID"] == -500
    assert balances(engine)["FUNDER_BANK"] == 500


def test_what_the_bank_booked_by_mistake_and_took_back(engine: Engine, sent: Sent, config: Path) -> None:
    assert sent.no == 1
    _call("ack", _file(config, "a.xml", pain002(message(1), group="RJCT")), "--config", config)
    one = details(end_to_end_id=name(1))
    booked = _statement(COLLECTED, ntry(-1_000, one), ntry(1_000, one, reversal=True), closing=10_000)
    done = _call("ack", _file(config, "s.xml", booked), "--config", config)
    assert done.exit_code == 3
    assert "the bank has paid it, and it is rejected" in _call("open", "--config", config).stdout
    wrong = _call("reconcile", "--assign", "S1/2", "--to", "entry:S1/2", "--config", config)
    assert (wrong.exit_code, "do not cancel" in wrong.stderr) == (2, True)
    done = _call("reconcile", "--assign", "S1/2", "--to", "entry:S1/3", "--config", config)
    assert done.exit_code == 0, done.output
    assert balances(engine) == {}
    assert states(engine) == {name(1): "rejected", name(2): "rejected"}
    assert "suspense" not in _call("open", "--config", config).stdout


def test_a_contradiction_is_closed_by_a_person(sent: Sent, config: Path) -> None:
    assert sent.no == 1
    booked = _statement(COLLECTED, ntry(-1_000, details(end_to_end_id=name(1))), closing=9_000)
    assert _call("ack", _file(config, "s.xml", booked), "--config", config).exit_code == 0
    against = pain002(message(1), payments=[(name(1), "RJCT", "AC01")])
    done = _call("ack", _file(config, "b.xml", against), "--config", config)
    assert done.exit_code == 3
    assert "ask the bank which is true" in done.stderr
    assert "contradiction" in _call("open", "--config", config).stdout
    nobody = _call("reconcile", "--close", name(2), "--because", "x", "--config", config)
    assert nobody.exit_code == 2
    done = _call("reconcile", "--close", name(1), "--because", "확인함, 은행 전화", "--config", config)
    assert done.exit_code == 0, done.output
    assert "contradiction" not in _call("open", "--config", config).stdout
