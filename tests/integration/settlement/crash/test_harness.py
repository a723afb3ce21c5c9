"""The harness sees what it is for: an act that is not safe to cut off is found, one that is safe is not."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from settlement.disk import leave
from settlement.settings import Settings
from tests.integration.settlement.books import Books
from tests.integration.settlement.conftest import Server
from tests.integration.settlement.crash.harness import Place, Stage
from tests.integration.settlement.crash.story import Act, World
from tests.integration.settlement.crash.writes import AFTER, BEFORE, MIDDLE

_FILE = "kept"


def _begin(owner: Engine, world: World) -> None:
    Books(owner).merchant(1)
    assert world.folder.is_dir()


def _sales(day: int, *, once: bool = False) -> str:
    insert = f"INSERT INTO merchant_sales VALUES (1, '2026-11-{day:02d}', 1)"
    return f"{insert} ON CONFLICT DO NOTHING" if once else insert


def _safe(world: World, _: Settings) -> None:
    with world.engine.begin() as connection:
        for day in (1, 2):
            connection.execute(text(_sales(day, once=True)))
    leave(world.folder / _FILE, b"whole")


def _two_transactions(world: World, _: Settings) -> None:
    with world.engine.begin() as connection:
        if connection.execute(text("SELECT count(*) FROM merchant_sales")).scalar_one() > 1:
            return
        connection.execute(text(_sales(1)))
    with world.engine.begin() as connection:
        connection.execute(text(_sales(2)))


def _in_place(world: World, _: Settings) -> None:
    path = world.folder / _FILE
    if path.exists():
        return
    with path.open("wb") as file:
        file.write(b"whole")
        file.flush()
        os.fsync(file.fileno())


@pytest.fixture
def found(
    request: pytest.FixtureRequest, server: Server, database: str, tmp_path: Path
) -> dict[tuple[str, str], list[str]]:
    """What the harness says of an act, by how and at which write it was cut off."""
    stage = Stage(server, database, tmp_path, [Act("act", "2026-11-19T00:30", request.param)], _begin)

    def key(place: Place) -> tuple[str, str]:
        return place.point.how, place.what

    return {key(place): stage.differences(place) for place in stage.places}


@pytest.mark.parametrize("found", [_safe], indirect=True)
def test_a_safe_act_is_cut_off_everywhere_and_nothing_differs(
    found: dict[tuple[str, str], list[str]],
) -> None:
    assert set(found) == {
        *((how, what) for how in (BEFORE, MIDDLE) for what in ("INSERT merchant_sales", "COMMIT")),
        *((BEFORE, f"{act} .{_FILE}.tmp") for act in ("open", "fsync")),
        (MIDDLE, f"fsync .{_FILE}.tmp"),
        (BEFORE, f"rename .{_FILE}.tmp to {_FILE}"),
        (BEFORE, "fsync ."),
        (AFTER, "the last"),
    }
    assert not any(found.values())


@pytest.mark.parametrize("found", [_two_transactions], indirect=True)
def test_what_belongs_together_and_is_not_is_found(found: dict[tuple[str, str], list[str]]) -> None:
    told = {where for where, differing in found.items() if differing}
    assert (BEFORE, "INSERT merchant_sales") in told  # of the second transaction
    assert "merchant_sales" in str(found[BEFORE, "INSERT merchant_sales"])
    assert (AFTER, "the last") not in told


@pytest.mark.parametrize("found", [_in_place], indirect=True)
def test_a_file_written_in_its_place_is_found(found: dict[tuple[str, str], list[str]]) -> None:
    told = {where for where, differing in found.items() if differing}
    assert told == {(MIDDLE, f"fsync {_FILE}")}
