"""What an operator does to keys by the command line: loaded in bulk, listed, ended, checked; all noted."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from hsm_sim.crypto.lmk import TEST_LMK, wrap
from hsm_sim.crypto.tdes import odd_parity
from switch.cli import run
from switch.store.engine import stop_embedded
from terminal_sim.keys import tmk, tmk_check_value
from tests.integration.hsm_harness import client
from tests.support.killing import own_directory
from tests.support.stage import Stage, hsm

ZMK = odd_parity(bytes(range(100, 116)))
ZMK_TEXT = TEST_LMK.encrypt("000", "U", ZMK)
NEW = {f"T{n:04d}000": tmk(99, f"T{n:04d}000") for n in range(4)}


class Office:
    """An installation with an HSM, and its command line."""

    def __init__(self, directory: Path, hsm_port: int) -> None:
        self.stage = Stage(directory)
        self.stage.set_clock("2026-11-18T12:00:00+09:00")
        self.stage.programme()
        self.stage.shops(4)
        self.hsm_port = hsm_port
        self.config = self.stage.config(hsm_port)

    def dure(self, *arguments: str) -> int:
        return run(["--config", str(self.config), *arguments])

    def file(self, rows: list[tuple[str, str, str]]) -> str:
        path = self.stage.directory / "master.csv"
        path.write_text("terminal_id,tmk,kcv\n" + "".join(",".join(row) + "\n" for row in rows))
        return str(path)

    def good_rows(self) -> list[tuple[str, str, str]]:
        return [(name, wrap(ZMK, "X", key), tmk_check_value(key)) for name, key in NEW.items()]

    def states(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
        capsys.readouterr()
        assert self.dure("key", "list", *arguments, "--json") == 0
        return {one["terminal_id"]: one for one in json.loads(capsys.readouterr().out)}


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with own_directory() as directory, hsm(directory) as security:
        office = Office(directory, security.port)
        try:
            yield office
        finally:
            office.stage.engine.dispose()
            stop_embedded(office.stage.url)


def test_master_keys_are_loaded_all_or_none(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    rows = office.good_rows()
    before = office.states(capsys)
    bad = [
        rows[0],
        (rows[1][0], rows[1][1], "ABCDEF"),  # another check value
        (rows[2][0], "X" + "0" * 32, rows[2][2]),  # no key: its parity is wrong
        rows[3],
    ]
    assert office.dure("key", "load-terminals", office.file(bad), "--zmk", ZMK_TEXT) == 2
    told = capsys.readouterr().err
    assert f"master.csv:3: kcv: the key's check value is {rows[1][2]}, not ABCDEF" in told
    assert "master.csv:4: tmk: the HSM refuses it" in told
    assert office.states(capsys) == before
    unknown = [("T9999999", *rows[0][1:])]
    assert office.dure("key", "load-terminals", office.file(unknown), "--zmk", ZMK_TEXT) == 2
    assert 'no terminal "T9999999"' in capsys.readouterr().err
    assert office.dure("key", "load-terminals", office.file(rows), "--zmk", "secret") == 2
    assert "secret" not in capsys.readouterr().err
    office.stage.set_clock("2026-11-18T13:00:00+09:00")
    assert office.dure("key", "load-terminals", office.file(rows), "--zmk", ZMK_TEXT) == 0
    assert "4 changed" in capsys.readouterr().out
    after = office.states(capsys)
    assert {name: after[name]["tmk_kcv"] for name in NEW} == {r[0]: r[2] for r in rows}
    assert {str(after[name]["tmk_at"])[:13] for name in NEW} == {"2026-11-18T13"}
    assert office.dure("key", "load-terminals", office.file(rows), "--zmk", ZMK_TEXT) == 0
    assert "0 changed" in capsys.readouterr().out


def test_a_key_block_brings_a_master_key_too(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    name = "T0000000"

    async def block(usage: str) -> tuple[str, str, str]:
        async with client(office.hsm_port) as at:
            made = await at.generate_key(
                "002", scheme="S", usage=usage, under_zmk=ZMK_TEXT, exported_scheme="R"
            )
            return name, str(made.exported), made.kcv

    pin_key = [asyncio.run(block("P0"))]
    assert office.dure("key", "load-terminals", office.file(pin_key), "--zmk", ZMK_TEXT) == 2
    assert "its key block is for another use (P0)" in capsys.readouterr().err
    rows = [asyncio.run(block("K0"))]
    assert rows[0][1][0] == "R"
    assert office.dure("key", "load-terminals", office.file(rows), "--zmk", ZMK_TEXT) == 0
    flipped = rows[0][1][:40] + ("0" if rows[0][1][40] != "0" else "1") + rows[0][1][41:]
    assert (
        office.dure("key", "load-terminals", office.file([(name, flipped, rows[0][2])]), "--zmk", ZMK_TEXT)
        == 2
    )
    assert "the HSM refuses it" in capsys.readouterr().err


def test_without_an_hsm_nothing_is_loaded(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switch.cli.key.HSM_READY_S", 0.2)
    config = office.stage.directory / "away.toml"
    config.write_text(office.config.read_text().replace(f"port = {office.hsm_port}\n", "port = 1\n"))
    arguments = ["key", "load-terminals", office.file(office.good_rows()), "--zmk", ZMK_TEXT]
    assert run(["--config", str(config), *arguments]) == 75
    assert "nothing was changed" in capsys.readouterr().err


def test_keys_are_checked_by_the_hsm(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert office.dure("key", "check", "--json") == 0
    found = {one["subject"]: one for one in json.loads(capsys.readouterr().out)}
    assert found.keys() == {"keys.pvk", *office.states(capsys)}
    assert all(one["ok"] and len(one["check_value"]) == 6 for one in found.values())
    with office.stage.engine.begin() as connection:
        connection.execute(text("UPDATE terminal SET tmk_kcv = 'FFFFFF' WHERE terminal_id = 'T0003000'"))
    capsys.readouterr()
    assert office.dure("key", "check") == 78
    assert "noted as FFFFFF" in capsys.readouterr().out
    with office.stage.engine.begin() as connection:
        kcv = tmk_check_value(NEW["T0003000"])
        connection.execute(text(f"UPDATE terminal SET tmk_kcv = '{kcv}' WHERE terminal_id = 'T0003000'"))


def test_ends_of_keys_are_listed_and_set_and_every_act_is_noted(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    now = office.stage.now()
    with office.stage.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE terminal SET tpk = 'U1', tak = 'U2', tpk_old = 'U3', tak_old = 'U4', keys_at = :now,"
                " keys_until = :until, old_until = :until WHERE terminal_id = 'T0000000'"
            ),
            {"now": now, "until": now + timedelta(hours=10)},
        )
        connection.execute(
            text("UPDATE terminal SET tmk_at = :long_ago WHERE terminal_id = 'T0001000'"),
            {"long_ago": now - timedelta(days=1_095)},
        )
    assert office.states(capsys, "--expiring", "12h").keys() == {"T0000000", "T0001000"}
    assert office.states(capsys, "--expiring", "9h").keys() == {"T0001000"}
    assert office.dure("key", "list", "--expiring", "soon") == 2
    epoch = reference_epoch(office)
    assert office.dure("key", "retire-old", "T0000000") == 0
    assert office.dure("key", "retire-old", "T0000000") == 2
    assert office.dure("key", "expire", "T0000000") == 0
    state = office.states(capsys)["T0000000"]
    assert (state["old_until"], str(state["keys_until"])[:16]) == (None, "2026-11-18T13:15")
    assert office.dure("key", "expire", "T0000000", "--now") == 0
    assert str(office.states(capsys)["T0000000"]["keys_until"])[:16] == "2026-11-18T13:00"
    assert reference_epoch(office) == epoch + 3  # running switches read the terminal anew
    assert office.dure("key", "expire", "T0002000") == 2
    assert "nothing to end" in capsys.readouterr().err
    assert office.dure("key", "show", "T0000000", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["act"] for one in shown["acts"]][:3] == ["expire", "expire", "retire_old"]
    assert all(one["actor"] for one in shown["acts"])
    assert office.dure("key", "audit", "--last", "1000") == 0
    assert "U1" not in json.dumps(shown)
    assert office.dure("key", "show", "T7777777") == 2


def reference_epoch(office: Office) -> int:
    with office.stage.engine.connect() as connection:
        return int(connection.scalar(text("SELECT reference_epoch FROM control")) or 0)


TERMINALS = "terminal_id,merchant_id,tmk,kcv,key_mode,key_form,bdk,ksn_id,notify"
BDK = TEST_LMK.encrypt("009", "U", odd_parity(bytes(range(60, 76))))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("D0000001,SHOP000000,,,dukpt_tdes,,,FFFF9876543210E00000,", "needs a base derivation key"),
        (f"D0000001,SHOP000000,,,dukpt_tdes,,{BDK},,", "write its 20 hex digits"),
        (
            f"D0000001,SHOP000000,,,dukpt_tdes,,{BDK},FFFF9876543210E00001,",
            "with the counter (the last 21 bits)",
        ),
        (f"D0000001,SHOP000000,,,dukpt_aes,,{BDK},FFFF9876543210E00000,", "write its 24 hex digits"),
        ("D0000001,SHOP000000,,,,,,,", "needs its master key"),
        (f"D0000001,SHOP000000,{BDK},,,,,,", "tmk and kcv go together"),
        ("D0000001,SHOP000000,,,session,paper,,,", "write one of block, x917"),
    ],
)
def test_terminals_with_keys_that_cannot_work_are_told(
    office: Office, capsys: pytest.CaptureFixture[str], row: str, fault: str
) -> None:
    path = office.stage.directory / "terminals.csv"
    path.write_text(f"{TERMINALS}\n{row}\n")
    capsys.readouterr()
    assert office.dure("import", "terminals", str(path)) == 2
    told = capsys.readouterr().err
    assert fault in told
    assert BDK not in told


def test_terminals_keep_what_a_file_leaves_open(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    path = office.stage.directory / "terminals.csv"
    path.write_text(f"{TERMINALS}\nD0000009,SHOP000000,,,dukpt_tdes,,{BDK},FFFF9876543210E00000,yes\n")
    assert office.dure("import", "terminals", str(path)) == 0
    assert "1 new" in capsys.readouterr().out
    with office.stage.engine.begin() as connection:
        connection.execute(text("UPDATE terminal SET ksn_counter = 9 WHERE terminal_id = 'D0000009'"))
    path.write_text("terminal_id,merchant_id,tmk,kcv\nD0000009,SHOP000000,,\n")
    assert office.dure("import", "terminals", str(path)) == 0
    assert "0 new, 0 changed" in capsys.readouterr().out
    path.write_text("terminal_id,merchant_id,tmk,kcv\nD0000009,SHOP000001,,\n")  # sold to another shop
    assert office.dure("import", "terminals", str(path)) == 0
    capsys.readouterr()
    state = office.states(capsys)["D0000009"]
    assert (state["key_mode"], state["ksn_counter"]) == ("dukpt_tdes", 9)  # no old serial number comes back
    path.write_text("terminal_id,merchant_id,tmk,kcv,ksn_id\nD0000009,SHOP000001,,,FFFF9876543220E00000\n")
    assert office.dure("import", "terminals", str(path)) == 0
    assert office.states(capsys)["D0000009"]["ksn_counter"] == -1
    with office.stage.engine.begin() as connection:
        connection.execute(text("UPDATE terminal SET state = 'stopped' WHERE terminal_id = 'D0000009'"))
