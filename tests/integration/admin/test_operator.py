"""What operators do beside imports: programmes, cards, clock, looking, and errors that are no traceback."""
# ruff: noqa: E501 - tables of cases, one a line

import json
from pathlib import Path

import pytest

from tests.integration.admin.conftest import SEORO, Desk, MakeDesk

DAY_SQL = "SELECT dure_ensure_day('2026-11-01')"
PAYMENT_SQL = """
INSERT INTO payment SELECT m.bucket, '2026-11-01', 120000, 'T0000001', 7, 1, m.wallet_id, 9, 1, 1, 1, p.policy_no,
 '2026-11-01', '1101030000', 42, 20000, 20000, 1, 0, '123456', '630503000007', 'pos', 20000, 202611, 0, 2000, 0, 0,
 0, 0, '{"uses":[[1,20000]],"funders":[[1,800],[2,400],[3,800]]}'
FROM member m, policy p WHERE m.member_id = 'M-1' AND p.version = '2025-09'
"""


def _pay(town: Desk) -> None:
    town.execute(DAY_SQL)
    town.execute(PAYMENT_SQL)


def _edited(town: Desk, *changes: tuple[str, str]) -> Path:
    content = SEORO.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in content
        content = content.replace(old, new)
    return town.file("edited.toml", content)


def test_apply_again_is_nothing_to_do(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert town.dure("programme", "apply", str(SEORO)) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert town.dure("programme", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["programme"] for one in listed] == ["seoro"]
    assert town.dure("programme", "show", "seoro") == 0
    assert json.loads(capsys.readouterr().out)["programme_id"] == "seoro"


def test_a_broken_programme_is_told_whole_and_not_applied(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _edited(desk, ("payout_days", "payuot_days"))
    assert desk.dure("programme", "apply", str(path)) == 2
    assert "payout_days" in capsys.readouterr().err
    assert desk.scalar("SELECT count(*) FROM programme") == 0


def test_a_version_without_payments_may_change(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    epoch = town.scalar("SELECT reference_epoch FROM control")
    numbers = town.scalar("SELECT string_agg(policy_no || version, ',' ORDER BY policy_no) FROM policy")
    path = _edited(town, ("payout_days = 2", "payout_days = 3"))
    capsys.readouterr()
    assert town.dure("programme", "apply", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["changed_versions"]
    assert town.scalar("SELECT reference_epoch FROM control") != epoch
    assert (
        town.scalar("SELECT string_agg(policy_no || version, ',' ORDER BY policy_no) FROM policy") == numbers
    )


def test_a_version_that_judged_payments_stays(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    _pay(town)
    before = town.scalar("SELECT string_agg(sha256, ',' ORDER BY policy_no) FROM policy")
    path = _edited(town, ("payout_days = 2", "payout_days = 3"))
    assert town.dure("programme", "apply", str(path)) == 2
    assert 'policy version "2025-09": differs from what payments were judged by' in capsys.readouterr().err
    assert town.scalar("SELECT string_agg(sha256, ',' ORDER BY policy_no) FROM policy") == before


def test_a_version_cannot_start_before_payments(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    _pay(town)
    late = '\n[[policy]]\nversion = "2026-10"\nbased_on = "2025-09"\neffective_from = 2026-10-01T00:00:00+09:00\n'
    path = town.file("late.toml", SEORO.read_text(encoding="utf-8") + late)
    assert town.dure("programme", "apply", str(path)) == 2
    assert "let it start in the future" in capsys.readouterr().err


def test_versions_and_funders_cannot_be_left_out(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    content = SEORO.read_text(encoding="utf-8")
    last = content.rindex("[[policy]]")
    assert town.dure("programme", "apply", str(town.file("short.toml", content[:last]))) == 2
    assert 'policy version "2026-01": is in force and missing here' in capsys.readouterr().err


def test_cards_follow_their_table(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    mine = ("--programme", "seoro", "--member", "M-1", "--card-no", "1")
    town.execute("UPDATE card SET pin_tries = 3, cvv_tries = 9, state = 'blocked' WHERE wallet_id = 1")
    assert town.dure("card", "unblock", *mine) == 0
    assert town.scalar("SELECT state || pin_tries || cvv_tries FROM card WHERE wallet_id = 1") == "active00"
    assert town.dure("card", "lost", *mine) == 0
    assert town.dure("card", "unblock", *mine) == 2
    assert "card 1 is lost" in capsys.readouterr().err
    assert town.dure("card", "block", *mine[:-1], "5") == 2


def test_looking(town: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    _pay(town)
    capsys.readouterr()
    assert town.dure("wallet", "show", "--programme", "seoro", "--member", "M-1", "--json") == 0
    wallet = json.loads(capsys.readouterr().out)
    assert wallet["balance_by_kind"] == {"charged": 100_000, "points": 5_000, "grant": 0, "coupon": 0}
    assert wallet["cards"][0]["card"] == "941061******0019"
    assert wallet["payments"][0]["cashback_by_funder"] == {"national": 800, "city": 400, "district": 800}
    assert town.dure("payment", "list", "--terminal", "T0000001", "--date", "2026-11-01", "--json") == 0
    (payment,) = json.loads(capsys.readouterr().out)
    assert (payment["member"], payment["merchant"], payment["code"], payment["stan"]) == (
        "M-1",
        "S-1",
        "00",
        "000007",
    )
    assert town.dure("entries", "--programme", "seoro", "--member", "M-1", "--json") == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(one["debit"], one["credit"], one["won"], one["funder"]) for one in entries] == [
        ("SAFEGUARDED", "CARD_MONEY", 100_000, ""),
        ("FUNDER_DUE", "POINTS", 5_000, "district"),
    ]
    assert town.dure("merchant", "show", "S-1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["terminals"] == ["T0000001"]
    for command in (
        ("wallet", "show", "--programme", "seoro", "--member", "M-1"),
        ("payment", "list", "--date", "2026-11-01"),
        ("entries", "--programme", "seoro", "--member", "M-1"),
        ("merchant", "show", "S-1"),
    ):
        assert town.dure(*command) == 0
        assert "\x1b" not in capsys.readouterr().out


def test_a_whole_day_is_listed_without_a_limit(
    town: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switch.service.inspect_payments.PAYMENTS_MAX", 1)
    monkeypatch.setattr("switch.service.inspect_payments.ROWS_AT_A_TIME", 2)
    _pay(town)
    town.execute(
        "INSERT INTO payment SELECT (jsonb_populate_record(p, jsonb_build_object('stan', p.stan + n))).*"
        " FROM payment p, generate_series(1, 4) n"
    )
    day = "2026-11-01"
    capsys.readouterr()
    assert town.dure("payment", "list", "--date", day, "--all", "--json") == 0
    listed = capsys.readouterr().out
    assert len(json.loads(listed)) == 5
    assert len(listed.splitlines()) == 7
    assert town.dure("payment", "list", "--date", "2020-01-01", "--all", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert town.dure("payment", "list", "--date", day, "--all") == 2
    assert "--all needs --json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (("wallet", "show", "--programme", "seoro", "--member", "M-9"), 2, 'has no member "M-9"'),
        (("wallet", "show", "--programme", "x", "--member", "M-1"), 2, 'no programme "x"'),
        (("merchant", "show", "S-9"), 2, 'no merchant "S-9"'),
        (("payment", "list"), 2, "name --member, --terminal or --date"),
        (("payment", "list", "--date", "yesterday"), 2, "is no day"),
        (("import", "members", "/nowhere.csv"), 2, "there is no such file"),
        (("programme", "apply", "/nowhere.toml"), 2, "there is no such file"),
        (("clock", "set", "2026-11-20T12:00:00+09:00"), 78, 'clock.mode is "system"'),
        (("clock", "set", "noon"), 78, "is no instant"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_errors_are_one_clear_line(
    town: Desk, command: tuple[str, ...], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert town.dure(*command) == code
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_simulated_clock(make_desk: MakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    desk = make_desk('[clock]\nmode = "simulated"\nfile = "clock.txt"\n')
    assert desk.dure("clock", "show") == 78
    assert desk.dure("clock", "set", "2025-06-30T23:59:59.800+09:00") == 0
    capsys.readouterr()
    assert desk.dure("clock", "show") == 0
    assert capsys.readouterr().out == "2025-06-30T23:59:59.800000+09:00\n"
    desk.execute("UPDATE control SET simulation = false")
    for command in (
        ("clock", "show"),
        ("clock", "set", "2025-07-01T00:00:00+09:00"),
        ("programme", "apply", str(SEORO)),
    ):
        assert desk.dure(*command) == 78
        assert "not marked as a simulation" in capsys.readouterr().err
    assert (desk.folder / "clock.txt").read_text().startswith("2025-06-30")


def test_a_database_that_is_away_or_not_ready(
    make_desk: MakeDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = make_desk()
    desk.config.write_text(
        '[database]\nurl = "postgresql://dure_app@127.0.0.1:1/none"\n[vault]\nkey_file = "vault.keys"\n'
    )
    assert desk.dure("programme", "list") == 75
    assert "try again" in capsys.readouterr().err


def test_proof_holds_after_imports_and_finds_a_changed_lot(
    town: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert town.dure("proof") == 0
    assert "3 entries, 0 payments: the books balance" in capsys.readouterr().out
    town.execute("UPDATE lot SET balance = balance + 1 WHERE wallet_id = 1 AND lot_no = 1")
    assert town.dure("proof", "--json") == 4
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert "lots_equal_entries" in [one["name"] for one in report["checks"] if one["broken"]]
    assert town.dure("proof") == 4
    assert "THE BOOKS DO NOT BALANCE" in capsys.readouterr().out


def test_init_makes_ready_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "switch.toml").write_text(
        '[database]\nurl = "embedded:db"\n[vault]\nkey_file = "vault.keys"\n'
    )
    from switch.cli import run

    def dure(*arguments: str) -> int:
        return run(["--config", str(tmp_path / "switch.toml"), *arguments])

    try:
        assert dure("programme", "list") == 78
        assert "run `dure-switch init` once" in capsys.readouterr().err
        assert dure("check-config") == 78
        assert dure("vault", "new", str(tmp_path / "vault.keys")) == 0
        assert dure("check-config") == 0
        assert dure("init") == 0
        assert dure("init") == 0
        assert "nothing to apply; the database is marked as real" in capsys.readouterr().out
        assert dure("init", "--simulation") == 2
        assert "for good" in capsys.readouterr().err
        assert dure("programme", "list") == 0
    finally:
        assert dure("stop-database") == 0
