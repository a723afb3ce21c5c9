"""The desk's commands as people have them: who may, what they are told, what they see."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from typer.testing import CliRunner

from settlement.cli import app
from settlement.cli.runtime import PASSWORD_FILE
from settlement.people import passwords
from tests.integration.settlement.conftest import ConfigAt
from tests.integration.settlement.merchants.nights import Nights

D = date(2026, 11, 16)
SECRET = "correct horse battery staple"
MORE = """
[people]
identity = "password"
[calendar]
extra_closed = [2026-11-27]
"""

Command = Callable[..., Any]
Make = Callable[..., Nights]


@pytest.fixture
def call(tmp_path: Path, config_at: ConfigAt, make: Make, monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command by maria the maker, or another; `code` is the exit code that it must have."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    config = config_at("2026-11-19T12:00:00+09:00", MORE)
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "secret"))
    # What a password costs is the people's tests' matter; here each command would pay for it.
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", cheap)

    def run(*arguments: object, code: int = 0, by: str | None = "maria", reads: bool = False) -> str:
        who = [] if reads or by is None else ["--operator", by]
        found = CliRunner().invoke(app, [*map(str, arguments), *who, "--config", str(config)])
        assert found.exit_code == code, found.output
        assert len(found.stderr.splitlines()) <= 1
        assert all(len(line) <= 120 for line in found.stdout.splitlines())
        return found.stderr if code else found.stdout

    secret = ("--password-file", tmp_path / "secret")
    run("operator", "add", "root", "--role", "admin", *secret, by=None)
    for name, role in (("maria", "maker"), ("anna", "approver")):
        run("operator", "add", name, "--role", role, *secret, by="root")
    return run


@pytest.fixture
def city(make: Make) -> Nights:
    """Two shops: one sold, one owes."""
    city = make(fee_vat_ppm=100_000)
    city.merchant(1, 900_000_000)
    city.merchant(2, None, payout_days=3)
    city.trade(D, 1, 100_000)
    city.trade(D, 2, 0, 20_000)
    return city


def test_a_hold_is_placed_listed_obeyed_and_released(city: Nights, call: Command) -> None:
    assert "needs a reason" in call("hold", "M00001", code=2)
    assert "printable" in call("hold", "M00001", "--reason", "two\nlines", code=2)
    assert "lacks the role maker" in call("hold", "M00001", "--reason", "x", by="anna", code=77)
    assert "there is no merchant" in call("hold", "M99999", "--reason", "x", code=2)
    call("hold", "M00001", "--reason", "complaints")
    assert "release that one first" in call("hold", "M00001", "--reason", "again", code=2)
    told = call("hold", "M00002", "--reserve", "10%", "--max", "1000000", "--reason", "new shop")
    assert told == "M00002: the next run keeps back 10 % of each day's net, 1,000,000 won at most\n"
    assert "is no rate" in call("hold", "M00002", "--reserve", "ten", "--reason", "x", code=2)
    assert "complaints" in call("hold", reads=True)
    city.pay(D)
    page = call("ages", reads=True)
    assert "payouts are held" in page
    assert "owes: set off" in page
    [seoro] = json.loads(call("ages", "--json", reads=True))
    assert [(one["merchant"], one["won"], one["days"]) for one in seoro["carried"]] == [
        ("M00001", 99_010, 3),
        ("M00002", -19_670, 3),
    ]
    assert (seoro["classes"][0]["owed"], seoro["classes"][0]["held"]) == (-19_670, 99_010)
    call("release", "M00001")
    assert "has no hold" in call("release", "M00001", code=2)
    call("release", "M00002", "--reserve")
    assert call("hold", reads=True) == "nothing is held\n"
    acts = [
        act
        for (act,) in city.all(
            "SELECT act FROM settlement_audit WHERE act LIKE 'merchant%' ORDER BY audit_no"
        )
    ]
    assert acts == ["merchant:hold", "merchant:reserve", "merchant:release hold", "merchant:release reserve"]


def test_an_account_is_corrected_and_shown_by_its_last_digits(city: Nights, call: Command) -> None:
    wanted = ("--bank", "004", "--account", "999888777666", "--holder", "김 사장")
    told = call("account", "M00001", *wanted)
    assert told == "M00001: paid to 004 …7666 김 사장 from now on\n"
    assert "already" in call("account", "M00001", *wanted)
    assert "account: cannot be right" in call(
        "account", "M00001", "--bank", "004", "--account", "12/34", "--holder", "x", code=2
    )
    assert city.all("SELECT bank_code, account_no FROM merchant WHERE merchant_no = 1") == [
        ("004", "999888777666")
    ]


def test_rebates_need_two_people_and_are_given_once(city: Nights, call: Command) -> None:
    city.trade(D, 2, 50_000)
    city.pay(D)
    city.classed(1, date(2026, 11, 17), 200_000_000)  # 0.90 % was charged, 0.15 % is right
    city.classed(2, date(2026, 11, 18), 100_000_000)
    span = ("rebate", "propose", "--since", "2026-11-01", "--until", "2026-11-18")
    assert "proposed" in call(*span)
    assert "nothing is proposed" in call(*span)
    waiting = json.loads(call("rebate", "list", "--json", reads=True))["seoro"]
    # 900 - 150 and its tax; the other's net is 30,000: 450 - 45 and its tax
    assert [(one["merchant"], one["won"], one["vat"]) for one in waiting] == [
        ("M00001", 750, 75),
        ("M00002", 405, 41),
    ]
    assert "rebates that wait for approval: 1,271 won" in call("rebate", "list", reads=True)
    assert "lacks the role approver" in call("rebate", "approve", "--won", 1_271, code=77)
    assert "comes to 1,271 won, not to 99" in call("rebate", "approve", "--won", 99, by="anna", code=2)
    call("rebate", "approve", "--won", 825, "--merchant", "M00001", by="anna")
    call("rebate", "approve", "--won", 446, by="anna")
    told = city.pay(date(2026, 11, 17))
    assert (told.rebates, told.paid) == (1_271, 1_271)
    assert "nothing is proposed" in call(*span)
    assert city.pay(date(2026, 11, 18)).rebates == 0


def test_whoever_proposes_never_approves(city: Nights, call: Command) -> None:
    call("operator", "set", "maria", "--role", "maker", "--role", "approver", by="root")
    file = city.settings.files.outbox.parent / "gifts.csv"
    file.write_text(
        "reference,merchant,funder,won,about\ng-1,M00001,city,5000,market day\n", encoding="utf-8"
    )
    call("subsidy", "import", file)
    assert "no subsidy of another person's waits" in call("subsidy", "approve", "--won", 5_000, code=2)
    call("subsidy", "approve", "--won", 5_000, by="anna")


def test_a_file_of_subsidies_is_taken_whole_or_not_at_all(city: Nights, call: Command) -> None:
    file = city.settings.files.outbox.parent / "gifts.csv"
    head = "reference,merchant,funder,won,about\n"
    file.write_text(head + "g-1,M00001,city,5000,시장의 날\ng-2,M00009,city,1,x\n", encoding="utf-8")
    assert "g-2: seoro has no merchant 'M00009'" in call("subsidy", "import", file, code=2)
    assert city.all("SELECT count(*) FROM merchant_subsidy") == [(0,)]
    for line, fault in (
        ("g-1,M00001,city,0,x", "line 2: won '0'"),
        ("g-1,M00001,city,1", "line 2: has 4 fields"),
        ("g 1,M00001,city,1,x", "line 2: reference"),
        ("g-1,M00001,city,1,", "line 2: about"),
        ("g-1,M00001,nobody,1,x", "no funder 'nobody'"),
        ("g-1,M00001,city,1,x\ng-1,M00001,city,1,x", "line 3: reference g-1 is in line 2 too"),
    ):
        file.write_text(head + line + "\n", encoding="utf-8")
        assert fault in call("subsidy", "import", file, code=2)
    file.write_text(head + "g-1,M00001,city,5000,시장의 날\ng-2,M00002,district,300,x\n", encoding="utf-8")
    assert "2 gifts of 5,300 won proposed" in call("subsidy", "import", file)
    assert "0 gifts of 0 won proposed, 2 were there before" in call("subsidy", "import", file)
    file.write_text(head + "g-1,M00001,city,5001,시장의 날\n", encoding="utf-8")
    assert "was imported before with other content" in call("subsidy", "import", file, code=2)
    assert "시장의 날" in call("subsidy", "list", reads=True)
    call("subsidy", "approve", "--won", 300, "--reference", "g-2", by="anna")
    assert city.pay(D).subsidies == 300


def test_the_calendar_tells_pay_days_and_names_the_holidays(city: Nights, call: Command) -> None:
    page = call("calendar", "--from", "2026-11-24", "--days", "3", reads=True).splitlines()
    assert page[2:] == [
        "  2026-11-24 Tue 2026-11-26 Thu T+2",
        "  2026-11-25 Wed 2026-11-30 Mon T+2   11-27 closed by the settings",
        "  2026-11-26 Thu 2026-12-01 Tue T+2   11-27 closed by the settings",
    ]
    own = json.loads(call("calendar", "M00002", "--from", "2025-01-22", "--days", "1", "--json", reads=True))
    assert own["M00002"][0]["pay_on"] == "2025-01-31"
    assert "Korean New Year" in str(own["M00002"][0]["closed"])
    assert call("calendar", "check", reads=True) == "nothing is on its way\n"
    city.pay(D)
    city.sql("UPDATE payout SET pay_on = '2026-11-27'")
    assert "the next run moves them to 2026-11-30" in call("calendar", "check", reads=True)
