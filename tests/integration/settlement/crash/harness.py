"""Plays a story once and keeps what was before each act; then acts are cut off there, and done again."""

import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Engine, NullPool, create_engine, text

from settlement.people.audit import verify
from tests.integration.settlement.conftest import Server
from tests.integration.settlement.crash.story import Act, World, settings_at
from tests.integration.settlement.crash.writes import AFTER, BEFORE, MIDDLE, Point, Watch, Write, die

GONE_WAIT_S = 20.0
SHOWN_MAX = 300
Begin = Callable[[Engine, World], None]
State = dict[str, list[str]]
"""Rows by table, and the bytes (as hexadecimals) of each file by its path."""


# A delivery that was cut off stays on record: as a try that did not arrive before another one that did, or as
# one that was found at the bank. Where tries differ so, what tells of them is compared apart from that.
_TELLS_OF_TRIES = {
    "file_delivery": (
        "SELECT concat_ws('|', programme_no, file_no, channel, by, ended_at, outcome) FROM file_delivery"
        " WHERE outcome <> 'absent'"
    ),
    "settlement_audit": (
        "SELECT concat_ws('|', at, actor, act, subject, detail::jsonb - 'try' - 'told')"
        " FROM settlement_audit WHERE act NOT LIKE 'file:send%'"
    ),
    "settlement_step": (
        """SELECT regexp_replace(row::text, '""about"":""[^"]*""', '', 'g') FROM settlement_step AS row"""
    ),
}
_APART = ", apart from tries"


class Place(msgspec.Struct, frozen=True):
    """One point at which one act is cut off."""

    act: int
    name: str
    point: Point
    what: str

    def __str__(self) -> str:
        return f"{self.name}: killed {self.point.how} write {self.point.number}, {self.what}"


class Stage:
    """The databases and folders of one played story."""

    def __init__(
        self, server: Server, database: str, folder: Path, story: Sequence[Act], begin: Begin
    ) -> None:
        self._server, self._folder, self._story, self._begin = server, folder, story, begin
        self._before: list[str] = []  # a database per act, and after the last
        self._states: list[State] = []
        self.places: list[Place] = []
        self._play(database)

    def _play(self, database: str) -> None:
        server, world = self._server, self._folder / "world"
        world.mkdir()
        owner = server.engine(database, "postgres")
        engine = server.engine(database)
        self._begin(owner, World(engine, world))
        owner.dispose()
        engine.dispose()
        for number, act in enumerate(self._story):
            self._keep(database, number)
            writes = self._act(database, act, None)
            assert writes, f"{act.name} writes nothing: it has no place in this story"
            self.places += _places(number, act.name, writes)
            self._states.append(self._state(database))
            with self._open(database) as stage:
                act.then(stage, settings_at(stage.folder, act.now))
        self._before.append(database)

    def _keep(self, database: str, number: int) -> None:
        self._before.append(self._server.clone(database))
        shutil.copytree(self._folder / "world", self._folder / f"before{number}")

    def _act(self, database: str, act: Act, at: Point | None) -> list[Write]:
        """Do an act in a child that counts its writes, or dies at one of them."""
        told = self._folder / "told"
        told.unlink(missing_ok=True)
        world = self._folder / "world"
        settings = settings_at(world, act.now)
        child = os.fork()
        if not child:
            code = 1
            try:
                watch = Watch(world, at)
                with self._open(database) as stage:
                    act.do(stage, settings)
                if at is not None and at.how == AFTER:
                    die()
                told.write_bytes(msgspec.json.encode(watch.writes))
                code = 0
            except BaseException:  # noqa: BLE001 (a child must never go on as its parent)
                traceback.print_exc()
            finally:
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        if at is None:
            assert status == 0, f"{act.name} failed"
            return msgspec.json.decode(told.read_bytes(), type=list[Write])
        assert os.WIFSIGNALED(status), f"{act.name} came to an end instead of dying at {at}"
        assert os.WTERMSIG(status) == signal.SIGKILL
        return []

    @contextmanager
    def _open(self, database: str) -> Iterator[World]:
        url = self._server.engine(database).url
        engine = create_engine(url, poolclass=NullPool, connect_args={"options": "-c timezone=Asia/Seoul"})
        yield World(engine, self._folder / "world")
        engine.dispose()

    @contextmanager
    def at_the_end(self) -> Iterator[World]:
        """The story's last state."""
        with self._open(self._before[-1]) as world:
            yield world

    def differences(self, place: Place) -> list[str]:
        """Cut an act off, do it again, and say what is not as it was when nobody cut it off."""
        act, world = self._story[place.act], self._folder / "world"
        database = self._server.clone(self._before[place.act])
        shutil.rmtree(world)
        shutil.copytree(self._folder / f"before{place.act}", world)
        try:
            self._act(database, act, place.point)
            self._wait_until_gone(database)
            with self._open(database) as stage:
                act.do(stage, settings_at(stage.folder, act.now))
                with stage.engine.connect() as connection:
                    verify(connection)
            return _differences(self._states[place.act], self._state(database))
        finally:
            self._server.drop(database)

    def _wait_until_gone(self, database: str) -> None:
        """A server process whose client was killed ends by itself, once it has noticed."""
        deadline = time.monotonic() + GONE_WAIT_S
        while self._server.sessions(database):
            assert time.monotonic() < deadline, "the server keeps a dead client's session"
            time.sleep(0.002)

    def _state(self, database: str) -> State:
        with self._open(database) as stage:
            found = _rows(stage.engine)
        world = self._folder / "world"
        for path in sorted(world.rglob("*")):
            if path.is_file():
                found[f"file {path.relative_to(world)}"] = [path.read_bytes().hex()]
        return found


def _places(act: int, name: str, writes: list[Write]) -> Iterator[Place]:
    for number, write in enumerate(writes):
        yield Place(act, name, Point(number, BEFORE), write.label)
        if write.divisible:
            yield Place(act, name, Point(number, MIDDLE), write.label)
    yield Place(act, name, Point(len(writes), AFTER), "the last")


def _rows(engine: Engine) -> State:
    tables = text(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace AND has_table_privilege(oid, 'SELECT') ORDER BY relname"
    )
    with engine.connect() as connection:
        found = {
            table: f"SELECT row::text FROM {table} AS row" for table in connection.execute(tables).scalars()
        }
        found |= {f"{name}{_APART}": query for name, query in _TELLS_OF_TRIES.items()}
        return {
            name: list(connection.execute(text(f"SELECT * FROM ({query}) AS found ORDER BY 1")).scalars())
            for name, query in found.items()
        }


def _differences(wanted: State, found: State) -> list[str]:
    names = wanted.keys() | found.keys()
    if found["file_delivery"] != wanted["file_delivery"]:
        names -= _TELLS_OF_TRIES.keys()
    told: list[str] = []
    for name in sorted(names):
        before, after = wanted.get(name, []), found.get(name, [])
        if before != after:
            lost = [row[:SHOWN_MAX] for row in before if row not in after]
            new = [row[:SHOWN_MAX] for row in after if row not in before]
            told.append(f"{name}: lost {lost[:5]}, new {new[:5]}")
    return told
