"""`deliver` as an operator types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from settlement.cli import app
from tests.integration.settlement.delivery.conftest import Post


@pytest.fixture
def config(folder: Post, tmp_path: Path) -> Path:
    settings = folder.settings
    path = tmp_path / "settlement.toml"
    path.write_text(
        f"""
[database]
url = "{settings.database.url}"
[clock]
mode = "simulated"
file = "{settings.clock.file}"
[files]
outbox = "{settings.files.outbox}"
[delivery]
channel = "folder"
folder = "{folder.root}"
[originator.seoro]
name = "인천광역시 서구"
account = "1005000000017"
bank = "020"
"""
    )
    return path


def _call(config: Path, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["deliver", "--config", str(config), *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_table_or_json(folder: Post, config: Path) -> None:
    assert _call(config) == (0, "no file waits to be delivered\n", "")
    name = folder.file(1)
    folder.file(2, state="emitted")
    code, told, _ = _call(config)
    assert code == 0
    assert told.splitlines()[1] == f"{name}  delivered"
    assert told.splitlines()[-1] == "waits: the approval of 1 files: run approve"
    assert max(map(len, told.splitlines())) <= 120
    code, told, _ = _call(config, "--json")
    assert [file["state"] for file in json.loads(told)[0]["files"]] == ["delivered", "emitted"]


def test_what_needs_a_person_is_3_and_what_is_away_75(folder: Post, config: Path) -> None:
    name = folder.file(1)
    (folder.outbox / name).write_bytes(b"not ours")
    code, _, problem = _call(config)
    assert code == 3
    assert problem.startswith(f"dure-settlement: {name}: the bank holds another file of this name")
    (folder.outbox / name).unlink()
    folder.outbox.rename(folder.root / "elsewhere")
    code, told, _ = _call(config)
    assert code == 75
    assert "is the bank's share mounted?" in told


def test_words_that_do_not_go_together(folder: Post, config: Path) -> None:
    name = folder.file(1)
    for arguments, problem in (
        (["--fetched"], "name the files that you mean"),
        (["--fetched", "--resend", name], "keep one"),
        (["nothing.xml"], "nothing.xml: no such file was made"),
        (["--resend", name], "only a file whose delivery is not known"),
    ):
        code, _, told = _call(config, *arguments)
        assert (code, problem in told) == (2, True), told
    code, _, _ = _call(config, "--fetched", name)
    assert code == 0
    assert folder.states() == {1: "delivered"}
