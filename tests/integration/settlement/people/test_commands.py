"""operator, audit and approve as people have them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from settlement.cli import app
from settlement.cli.runtime import PASSWORD_FILE
from settlement.people.approvals import places
from settlement.people.identity import login
from settlement.settings import load
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import Server
from tests.integration.settlement.people.files import NOW, D, leave_file, pay, states

SECRET = "correct horse 구름"
Command = Callable[..., Any]


def _settings(tmp_path: Path, server: Server, database: str, identity: str) -> Path:
    (tmp_path / "clock").write_text(NOW.isoformat())
    file = tmp_path / "settlement.toml"
    file.write_text(
        f"""
[database]
url = "{server.address(database)}"
[clock]
mode = "simulated"
file = "clock"
[files]
outbox = "out"
[people]
identity = "{identity}"
[originator.seoro]
name = "인천광역시 서구"
account = "1005000000017"
bank = "020"
""",
        encoding="utf-8",
    )
    return file


@pytest.fixture
def config(tmp_path: Path, server: Server, database: str) -> Path:
    """People are known by their passwords."""
    return _settings(tmp_path, server, database, "password")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    return file


@pytest.fixture
def call(config: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command with everybody's password in a file; `code` is the exit code that it must have."""
    monkeypatch.setenv(PASSWORD_FILE, str(secret))

    def run(*arguments: object, code: int = 0) -> Any:
        found = CliRunner().invoke(app, [*map(str, arguments), "--config", str(config)])
        assert found.exit_code == code, found.output
        assert SECRET not in found.output
        assert len(found.stderr.splitlines()) <= 1
        assert all(len(line) <= 120 for line in found.stdout.splitlines() if str(config.parent) not in line)
        return found

    return run


@pytest.fixture
def people(call: Command, secret: Path, owner: Engine) -> None:
    """root the admin, maria who makes, anna who approves."""
    call("operator", "add", "root", "--role", "admin", "--password-file", secret)
    for name, roles in (("maria", ["maker", "approver"]), ("anna", ["approver"])):
        wanted = [part for role in roles for part in ("--role", role)]
        call("operator", "add", name, *wanted, "--password-file", secret, "--operator", "root")


def test_the_first_operator_is_an_admin(call: Command, secret: Path) -> None:
    told = call("operator", "add", "kim", "--role", "maker", "--password-file", secret, code=2)
    assert "the first operator must be an admin" in told.stderr
    assert "no operator yet" in call("operator", "list").stdout
    call("operator", "add", "kim", "--role", "admin", "--role", "maker", "--password-file", secret)
    (line,) = json.loads(call("operator", "list", "--json").stdout)
    assert (line["name"], line["roles"], line["changed_by"]) == ("kim", ["maker", "admin"], login())
    told = call("operator", "add", "lee", "--role", "maker", "--password-file", secret, code=77)
    assert "--operator NAME" in told.stderr


@pytest.mark.usefixtures("people")
def test_operators_are_kept_by_admins_alone(call: Command, secret: Path, engine: Engine) -> None:
    lee = ("operator", "add", "lee", "--role", "maker", "--password-file", secret, "--operator")
    assert "lacks the role admin" in call(*lee, "maria", code=77).stderr
    call(*lee, "root")
    assert "is an operator already" in call(*lee, "root", code=2).stderr
    call("operator", "set", "lee", "--role", "auditor", "--operator", "root")
    call("operator", "bar", "lee", "--operator", "root")
    assert "lee is barred" in call("approve", "--operator", "lee", code=77).stderr
    call("operator", "set", "lee", "--active", "--operator", "root")
    listed = call("operator", "list").stdout.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["anna", "active", "approver"],
        ["lee", "active", "auditor"],
        ["maria", "active", "maker,"],
        ["root", "active", "admin"],
    ]
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT password FROM operator")).scalars().all()
    assert all(one.startswith("$argon2id$") for one in stored)
    assert len(set(stored)) == 4
    assert "7 lines, none missing" in call("audit", "verify").stdout
    assert "operator:lee" in call("audit", "show", "--subject", "operator:lee").stdout


@pytest.mark.usefixtures("people")
def test_nobody_gives_themselves_a_role_and_one_admin_stays(call: Command, secret: Path) -> None:
    told = call("operator", "set", "root", "--role", "approver", "--operator", "root", code=2)
    assert "another admin does" in told.stderr
    assert "another admin does" in call("operator", "bar", "root", "--operator", "root", code=2).stderr
    call("operator", "set", "anna", "--role", "admin", "--operator", "root")
    call("operator", "set", "root", "--role", "maker", "--operator", "anna")
    assert "lacks the role admin" in call("operator", "bar", "anna", "--operator", "root", code=77).stderr
    call("operator", "set", "maria", "--password-file", secret, "--operator", "maria")
    assert (
        "lacks"
        in call("operator", "set", "maria", "--password-file", secret, "--operator", "root", code=77).stderr
    )


@pytest.mark.usefixtures("people")
def test_a_short_password_is_refused(call: Command, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("password")
    told = call(
        *("operator", "set", "anna", "--password-file", tmp_path / "short", "--operator", "root"), code=2
    )
    assert "12 to 1,024 characters" in told.stderr
    told = call(*("operator", "set", "anna", "--password", "--operator", "root"), code=2)
    assert "--password-file" in told.stderr


@pytest.mark.usefixtures("people")
def test_a_wrong_password_opens_nothing(call: Command, secret: Path) -> None:
    secret.write_text("wrong")
    told = call("approve", "--operator", "anna", code=77)
    assert "the name or the password is wrong" in told.stderr
    assert "password:wrong" in call("audit", "show", "--last", "1").stdout


def _leave(owner: Engine, config: Path, numbers: range = range(1, 3)) -> list[str]:
    books, settings = Books(owner), load(config)
    names = []
    for number in numbers:
        merchant = books.merchant(number)
        names.append(leave_file(owner, settings, number, [(pay(owner, merchant, 50_000), 50_000)]))
    return names


@pytest.mark.usefixtures("people")
def test_one_makes_and_another_approves(call: Command, owner: Engine, config: Path) -> None:
    one, two = _leave(owner, config)
    shown = call("approve", "--operator", "anna").stdout
    assert "50,000 won in 1 payments on 2026-11-24 (in 3 days)" in shown
    assert "first payout" in shown
    assert set(states(owner).values()) == {"emitted"}
    refused = call("approve", one, "--yes", "--operator", "maria", code=77)
    assert "another approver must look at it" in refused.stderr
    done = call("approve", one, "--yes", "--json", "--operator", "anna")
    assert json.loads(done.stdout)["results"] == [{"file": one, "result": "approved", "problem": ""}]
    assert states(owner) == {one: "approved", two: "emitted"}
    call("approve", "--withdraw", one, "--operator", "anna")
    assert states(owner) == {one: "emitted", two: "emitted"}
    call("approve", "--date", D, "--programme", "seoro", "--yes", "--operator", "anna")
    assert set(states(owner).values()) == {"approved"}
    assert "no file waits" in call("approve", "--operator", "anna").stdout
    assert "does not wait for approval" in call("approve", one, "--operator", "anna", code=2).stderr
    assert (
        "no programme 'nowhere'"
        in call("approve", "--programme", "nowhere", "--operator", "anna", code=2).stderr
    )


@pytest.mark.usefixtures("people")
def test_one_bad_file_does_not_hold_up_the_other(call: Command, owner: Engine, config: Path) -> None:
    one, two = _leave(owner, config)
    places(load(config), D, one)[1].write_bytes(b"changed")
    told = call("approve", "--yes", "--operator", "anna", code=4)
    assert "problem" in told.stdout
    assert "find out who changed it" in told.stderr
    assert states(owner) == {one: "emitted", two: "approved"}


def test_while_nobody_is_listed_the_login_approves_nothing(
    tmp_path: Path, server: Server, database: str, owner: Engine
) -> None:
    config = _settings(tmp_path, server, database, "system")
    (one,) = _leave(owner, config, range(1, 2))
    told = CliRunner().invoke(app, ["approve", "--yes", "--config", str(config)])
    assert (told.exit_code, "lacks the role approver" in told.stderr) == (77, True)
    assert states(owner) == {one: "emitted"}


def test_verify_says_what_to_keep_and_finds_what_was_kept(call: Command, people: None) -> None:
    last = json.loads(call("audit", "verify", "--json").stdout)
    kept = f"{last['lines']}:{last['sha256']}"
    assert kept in call("audit", "verify", "--known", kept).stdout
    assert "damaged" in call("audit", "verify", "--known", f"9:{'0' * 64}", code=4).stderr
    assert "NO:SHA256" in call("audit", "verify", "--known", "x", code=2).stderr


@pytest.mark.usefixtures("people")
def test_status_says_at_once_what_people_have_done(call: Command, owner: Engine, config: Path) -> None:
    books = Books(owner)
    books.buy(books.wallet(7, D), books.merchant(1), 50_000, D)
    ran = CliRunner().invoke(app, ["run", "--operator", "maria", "--config", str(config)])
    assert ran.exit_code == 0, ran.output

    def told() -> tuple[str, str, str]:
        (run,) = json.loads(call("status", "--json").stdout)[0]["runs"]
        return run["steps"]["approve"], run["steps"]["deliver"], run["told"].get("deliver", "")

    assert told() == ("waiting", "waiting", "the approval of 1 files: run approve")
    call("approve", "--yes", "--operator", "anna")
    waits = "1 files to be fetched from the outbox: then deliver --fetched FILE"
    assert told() == ("done", "waiting", waits)
    (file,) = json.loads(call("files", "list", "--json").stdout)
    call("operator", "set", "maria", "--role", "maker", "--role", "deliverer", "--operator", "root")
    call("deliver", "--fetched", file["name"], "--operator", "maria")
    assert told() == ("done", "done", "")
