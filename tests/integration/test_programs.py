"""Every program says what it is and what is in force, and answers wrong use with one line."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
PROGRAMS = ("dure-switch", "dure-settlement", "dure-hsm-sim", "dure-terminal-sim")
LOAD = ("load", "--terminals", str(EXAMPLES / "terminals.csv"), "--cards", str(EXAMPLES / "cards.csv"))


def run(program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / program), *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_and_help(program: str) -> None:
    assert run(program, "--version").stdout == f"{program} {version('dure')}\n"
    told = run(program, "--help")
    assert told.returncode == 0
    assert "check-config" in told.stdout
    assert program in told.stdout.split("Options")[0]


def test_the_terminal_simulator_shows_what_is_in_force(tmp_path: Path) -> None:
    told = run("dure-terminal-sim", "check-config", cwd=tmp_path)
    assert told.returncode == 0
    shown = json.loads(told.stdout)
    assert shown["programs"]["dure-switch"] == str(BIN / "dure-switch")
    assert shown["folders"]["demo"] == str(tmp_path / "var" / "demo")
    assert shown["seeds"] == {"demo": 1, "keys": 1, "load": 1}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((*LOAD, "--switch", "127.0.0.1:99999"), 2, "--switch 127.0.0.1:99999: write HOST:PORT"),
        ((*LOAD, "--switch", "127.0.0.1"), 2, "--switch 127.0.0.1: write HOST:PORT"),
        ((*LOAD, "--switch", "127.0.0.1:1"), 75, "the switch cannot be reached"),
        (
            ("load", "--switch", "h:1", "--terminals", "/", "--cards", "c"),
            2,
            "/: cannot be read: Is a directory",
        ),
        (("demo", "--dir", "taken"), 2, "taken holds something else: name another folder with --dir"),
        (("demo", "--dir", "taken/file"), 2, "taken/file is a file: name a folder with --dir"),
        (("demo", "--dir", "taken/file/below"), 2, "Not a directory: "),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    found = run("dure-terminal-sim", *arguments, cwd=tmp_path)
    assert found.returncode == code
    assert told in found.stderr
    assert found.stderr.count("\n") == 1
    assert (tmp_path / "taken" / "file").read_text() == "mine"


def test_a_programme_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("title: t\nabout: a\nprogramme: nosuch\nsteps:\n  - echo: all\n")
    found = run("dure-terminal-sim", "run", "--sandbox", "one.yaml", cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith("one.yaml: there is no programme nosuch: give a path")


@pytest.mark.parametrize("program", ["dure-switch", "dure-settlement"])
def test_an_interruption_is_told(program: str) -> None:
    module = {"dure-switch": "switch.cli", "dure-settlement": "settlement.cli"}[program]
    text = (
        f"import sys, {module} as program\n"
        "def stop(): raise KeyboardInterrupt\n"
        "for command in program.app.registered_commands:\n"
        "    if command.name == 'check-config':\n"
        "        command.callback = stop\n"
        f"sys.argv = ['{program}', 'check-config']\n"
        "program.main()\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 130
    assert "interrupted: what was finished stands, the rest was undone; run the same command" in found.stderr


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "title: t\nabout: a\nprogramme: seoro\nsteps:\n  - assert: {proof: holds}\n"
    )
    run_it = ("run", "one.yaml", "--switch", "127.0.0.1:1", "--config")
    found = run("dure-terminal-sim", *run_it, "none.toml", cwd=tmp_path)
    assert found.returncode == 2
    assert "none.toml: cannot be read: No such file or directory" in found.stderr
