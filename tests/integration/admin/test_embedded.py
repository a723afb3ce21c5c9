"""The embedded server: folders of any name, several programs at once, and folders that cannot be had."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from switch.store import engine
from switch.store.engine import DatabaseUnavailableError, conninfo, open_engine, resolve, stop_embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="dure-pg it's-"))  # outside pytest's folders, as tests/support says
    yield made
    stop_embedded(f"embedded:{made / 'a db'}")
    shutil.rmtree(made, ignore_errors=True)


def test_a_folder_with_spaces_and_quotes_opened_by_several_at_once(folder: Path) -> None:
    url = f"embedded:{folder / 'a db'}"
    with ThreadPoolExecutor(3) as several:
        found = list(several.map(lambda _: resolve(url), range(3)))
    assert len(set(found)) == 1
    own = open_engine(url, role=None)
    with own.connect() as connection:
        assert connection.scalar(text("SHOW fsync")) == "on"
    own.dispose()
    with psycopg.connect(conninfo(found[0])) as raw:
        assert raw.execute("SELECT 1").fetchone() == (1,)
    stop_embedded(url)
    stop_embedded(url)
    assert not (folder / "a db" / "postmaster.pid").exists()


def test_a_server_that_another_program_holds_is_waited_for_and_then_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "START_TIMEOUT_S", 0.1)
    (folder / "a db").mkdir()
    held = os.open(folder / "a db", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(DatabaseUnavailableError, match="is being started or stopped by another program"):
        resolve(f"embedded:{folder / 'a db'}")
    os.close(held)


def test_a_folder_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnavailableError, match=r"cannot be opened: .*file.*: give a folder"):
        resolve(f"embedded:{tmp_path / 'file' / 'db'}")
