"""The settings file: what it means, and how its faults are told."""

import tomllib
from pathlib import Path

import pytest

from settlement.errors import ConfigurationError, ExitCode, gravest
from settlement.settings import load

GOOD = """
[database]
url = "embedded:db"
[files]
outbox = "../out"
[originator.seoro]
name = "서구"
account = "1005000000017"
bank = "020"
[calendar]
extra_closed = [2026-11-26]
"""


def _write(folder: Path, text: str) -> Path:
    file = folder / "settlement.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_paths_count_from_the_file(tmp_path: Path) -> None:
    found = load(_write(tmp_path, GOOD))
    assert found.database.url == f"embedded:{tmp_path}/db"
    assert found.files.outbox == tmp_path / "../out"


def test_the_example_is_good() -> None:
    example = Path(__file__).parents[3] / "config/settlement.toml"
    assert set(load(example).originator) == set(tomllib.loads(example.read_text())["originator"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("outbox", "outbux", "files.outbux: there is no such key"),
        ('url = "embedded:db"', 'url = "mysql://x"', "database.url: must be embedded"),
        ('url = "embedded:db"', 'url = "postgresql://u:secret@h/d"', "must hold no password"),
        ("[database]", '[clock]\nmode = "simulated"\n[database]', 'clock: mode = "simulated" needs file'),
        ("2026-11-26]", "2026-11-26]\nextra_open = [2026-11-26]", "both in extra_closed"),
        ("2026-11-26]", "2026-11-26]\nextra_open = [2026-11-28]", "a week-end"),
        ('bank = "020"', "", "originator.seoro.bank: is missing"),
        ('bank = "020"', 'bank = "국민"', "originator.seoro.bank"),
        ("[files]", "[files", ": correct the TOML there"),
    ],
)
def test_faults_name_their_key_in_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        load(_write(tmp_path, GOOD.replace(old, new)))
    assert said in str(found.value)
    assert "secret" not in str(found.value)
    assert "\n" not in str(found.value)


def test_other_encodings_and_folders_are_told_and_a_byte_order_mark_is_not(tmp_path: Path) -> None:
    load(_write(tmp_path, "\ufeff" + GOOD))
    (tmp_path / "korean.toml").write_bytes(GOOD.encode("cp949"))
    with pytest.raises(ConfigurationError, match=r"korean\.toml: is not UTF-8: save it as UTF-8 text"):
        load(tmp_path / "korean.toml")
    with pytest.raises(ConfigurationError, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path)


def test_the_password_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hush\n")
    text = GOOD.replace('url = "embedded:db"', 'url = "postgresql://u@h/d"\npassword_file = "pw"')
    database = load(_write(tmp_path, text)).database
    assert database.address() == "postgresql://u:hush@h/d"
    assert "hush" not in repr(database)


def test_the_gravest_code_is_told() -> None:
    assert gravest([]) == ExitCode.DONE
    assert gravest([ExitCode.EXCEPTIONS, ExitCode.MISMATCH, ExitCode.RETRY]) == ExitCode.MISMATCH
    assert gravest([ExitCode.DONE, ExitCode.EXCEPTIONS]) == ExitCode.EXCEPTIONS
