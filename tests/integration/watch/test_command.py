"""dure-switch watch: what an operator reads and does, and the process itself, killed and started again."""

import csv
import hashlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.cli import run
from switch.domain.reasons import REASONS
from switch.service.vault import new_key_file
from tests.integration.watch.beat import Beat
from tests.support.stage import Program

WON = 350_000


@pytest.fixture
def config(beat: Beat, tmp_path: Path) -> Path:
    """The settings of an operator's desk, with the simulated clock."""
    new_key_file(tmp_path / "vault.keys")
    (tmp_path / "clock").write_text(beat.time.isoformat() + "\n")
    url = beat.database.app_url.set(drivername="postgresql").render_as_string()
    file = tmp_path / "switch.toml"
    file.write_text(
        f'[database]\nurl = "{url}"\n[vault]\nkey_file = "vault.keys"\n'
        '[clock]\nmode = "simulated"\nfile = "clock"\n'
    )
    return file


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    running: list[Program] = []
    yield running
    for one in running:
        one.stop(signal.SIGKILL)


def dure(config: Path, *arguments: str) -> int:
    return run(["--config", str(config), "watch", *arguments])


async def test_scan_list_show_judge_and_export(
    beat: Beat,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = [beat.payment(2, 30_000, 115_910 + n) for n in range(3)]
    await beat.pay(beat.payment(1, WON, 115_900), *same)
    span = ("--programme", "test", "--from", "2026-06-29", "--to", "2026-06-29")
    assert dure(config, "scan", *span) == 0
    assert "flags opened by again" in capsys.readouterr().out
    assert dure(config, "scan", *span, "--json") == 0
    assert json.loads(capsys.readouterr().out)["opened"] == {}

    assert dure(config, "list", "--programme", "test", "--state", "open") == 0
    told = capsys.readouterr().out
    assert "M-1" in told
    assert "350,000" in told
    assert dure(config, "list", "--json") == 0
    by_rule = {one["detector"]: one for one in json.loads(capsys.readouterr().out)}
    assert {name: one["subject"] for name, one in by_rule.items()} == {"much": "M-1", "again": "M-2"}
    assert by_rule["again"]["stopped_until"] == 20260701
    number = str(by_rule["again"]["flag_no"])

    assert dure(config, "show", number, "--programme", "test") == 0
    told = capsys.readouterr().out
    assert (
        "the same member at the same shop 3 times within 600 seconds, amounts no more than 10 % apart" in told
    )
    assert told.count("30,000") == 3
    assert "payments declined until  2026-07-01" in told

    (refused,) = await beat.told([beat.payment(2, 1_000, 115_930)])
    assert refused.stored.reason == REASONS["stopped_by_watch"].number
    key = refused.stored.key
    named = f"{key.terminal_id}/{key.stan:06d}/2026-06-29"
    assert run(["--config", str(config), "explain", named]) == 0
    told = capsys.readouterr().out
    assert f"flag {number} of the watch" in told

    assert dure(config, "clear", number, "--programme", "test", "--by", "kim", "--note", "a birthday") == 0
    assert capsys.readouterr().out == f"flag {number} on member M-2: cleared\n"
    assert dure(config, "clear", number, "--programme", "test", "--note", "again") == 2
    assert "cleared already, by kim" in capsys.readouterr().err
    other = str(by_rule["much"]["flag_no"])
    assert dure(config, "confirm", other, "--programme", "test", "--by", "lee", "--note", "admitted") == 0
    assert dure(config, "show", "99", "--programme", "test") == 2
    assert dure(config, "list", "--state", "closed") == 2
    capsys.readouterr()

    out = tmp_path / "evidence"
    assert dure(config, "export", "--programme", "test", "--out", str(out)) == 0
    sums = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in ("flags.csv", "payments.csv", "rules.txt")
    }
    flags = list(csv.DictReader((out / "flags.csv").open()))
    assert [(one["subject"], one["state"], one["judged_by"]) for one in flags] == [
        ("M-2", "cleared", "kim"), ("M-1", "confirmed", "lee")
    ]  # fmt: skip
    payments = list(csv.DictReader((out / "payments.csv").open()))
    assert sorted((one["flag_no"], one["member"], one["won"]) for one in payments) == sorted(
        [(other, "M-1", "350000"), *[(number, "M-2", "30000")] * 3]
    )
    assert "a member with 300,000 won or more within 2 local days" in (out / "rules.txt").read_text()
    assert dure(config, "export", "--programme", "test", "--out", str(out)) == 2
    assert dure(config, "export", "--programme", "test", "--flag", "9", "--out", str(tmp_path / "x")) == 2
    assert not (tmp_path / "x").exists()
    monkeypatch.setattr("switch.service.watch.export.FLAGS_MAX", 1)
    assert dure(config, "export", "--programme", "test", "--out", str(tmp_path / "x")) == 2
    assert "more than 1 flags: name one --state" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    beat.check_books()


async def test_the_process_is_killed_and_started_again(
    beat: Beat, config: Path, programs: list[Program]
) -> None:
    def started() -> Program:
        arguments = ["dure-switch", "--config", str(config), "watch", "run", "--poll", "0.1"]
        programs.append(Program(arguments, config.parent / "watch.log"))
        return programs[-1]

    def wait_for(flags: int) -> None:
        until = time.monotonic() + 20
        while len(beat.flags()) < flags:
            assert time.monotonic() < until, config.with_name("watch.log").read_text()[-2000:]
            time.sleep(0.05)

    first = started()
    await beat.pay(beat.payment(1, WON, 115_900))
    wait_for(1)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    await beat.pay(beat.payment(2, WON, 115_901), beat.payment(3, WON, 113_000))
    second = started()
    wait_for(3)
    assert second.stop() == 0
    assert [one["wallet_id"] for one in beat.flags()] == [1, 2, 3]
    assert [one["payments"] for one in beat.flags()] == [1, 1, 1]
