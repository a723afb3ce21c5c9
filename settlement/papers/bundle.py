"""The auditor's bundle: everything that a period's money can be checked by, in files that need no database.

One snapshot of the books, streamed to the disk; the same books give the same bytes. MANIFEST.sha256 names
every file with its size and its SHA-256; verify_bundle.py, which lies in the bundle and needs nothing but
Python, checks all of it (README.md says what).
"""

import hashlib
import shutil
import tarfile
from collections.abc import Callable, Iterator
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Connection, text

from settlement.disk import sha256_of, sync_folder
from settlement.errors import ControlMismatchError, UsageError
from settlement.papers import bundle_tables as tables
from settlement.papers.period import Period
from settlement.settings import Settings
from switch.service.proofs import prove

MANIFEST = "MANIFEST.sha256"
VERIFIER = "verify_bundle.py"
TAR = ".tar"


class Bundle(msgspec.Struct, frozen=True):
    """What was written: `sha256` is the manifest's, to be told to the auditor by another way."""

    path: str
    files: int
    size: int
    entries: int
    sha256: str


def write_bundle(
    connection: Connection,
    settings: Settings,
    programme_no: int,
    period: Period,
    to: Path,
    progress: Callable[[int, int], None],
) -> Bundle:
    """Write the bundle of a programme's closed dates to a new folder, or a new file that ends in .tar.

    The caller's transaction is one snapshot of the books. Raises UsageError where the period is not closed or
    `to` exists, ControlMismatchError where a file or an entry that belongs into it is not what it was.
    """
    if to.exists():
        raise UsageError(f"{to} exists: a bundle is never written over another: name a new one with --to")
    draft = to.with_name(f".{to.name}.tmp")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            made = _Maker(connection, settings, programme_no, period, draft).fill(progress)
            if to.suffix == TAR:
                _as_tar(draft, to)
            else:
                draft.rename(to)
            sync_folder(to.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"{error.filename or to}: cannot be read or written ({error.strerror}): free the disk or name"
            " another place with --to"
        ) from None
    return msgspec.structs.replace(made, path=str(to))


class _Maker:
    """Fills the folder of one bundle."""

    def __init__(
        self, connection: Connection, settings: Settings, programme_no: int, period: Period, folder: Path
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._at = {"programme_no": programme_no, "first": period.first, "last": period.last}
        self._folder = folder
        self._period = period
        self._entries = 0

    def fill(self, progress: Callable[[int, int], None]) -> Bundle:
        driver: Any = self._connection.connection.driver_connection
        with driver.cursor() as cursor:
            cursor.execute("SET LOCAL datestyle = 'ISO, YMD'")
            days = self._connection.execute(text(tables.DAYS), self._at).all()
            if not days:
                raise UsageError(f"no date from {self._period.first} to {self._period.last} is closed")
            steps = len(days) + len(tables.TABLES) + 2
            for done, (day, entries) in enumerate(days, 1):
                self._journal(cursor, day, entries)
                progress(done, steps)
            for done, (name, query) in enumerate(tables.TABLES.items(), len(days) + 1):
                self._copy(cursor, query, self._at, name)
                progress(done, steps)
        self._files()
        progress(steps - 1, steps)
        self._texts()
        found = self._manifest()
        progress(steps, steps)
        return found

    def _journal(self, cursor: Any, day: date, entries: int) -> None:
        at = {**self._at, "day": day}
        rows = self._copy(cursor, tables.ENTRIES, at, f"journal/{day}.entry.csv")
        rows += self._copy(cursor, tables.HOUSE, at, f"journal/{day}.house.csv")
        if rows != entries:
            raise ControlMismatchError(
                f"{day} was closed with {entries:,} entries, the database has {rows:,}: if the date has been"
                " archived, restore it first; else run dure-switch proof"
            )
        self._entries += rows

    def _copy(self, cursor: Any, query: str, at: dict[str, Any], name: str) -> int:
        """The rows of a query into a CSV file; returns their number."""
        path = self._path(name)
        used = {key: value for key, value in at.items() if f":{key}" in query}
        sql = query
        for key in sorted(used, key=len, reverse=True):
            sql = sql.replace(f":{key}", f"%({key})s")
        statement = psycopg.ClientCursor(cursor.connection).mogrify(sql, used)
        with (
            path.open("wb") as sink,
            cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv, HEADER)") as out,
        ):
            for block in out:
                sink.write(block)
        return int(cursor.rowcount)

    def _files(self) -> None:
        """The bytes of every file that left and came, as the archive keeps them."""
        files = self._settings.files
        for row in self._connection.execute(text(tables.FILES), self._at):
            if row.sha256 is None:
                continue
            self._keep(files.archived(row.business_date, row.name), f"out/{row.name}", row.sha256)
        for row in self._connection.execute(text(tables.INBOUND), self._at):
            self._keep(files.archive / row.archived, f"in/{Path(row.archived).name}", row.sha256)

    def _keep(self, kept: Path, name: str, sha256: str) -> None:
        if not kept.is_file():
            raise ControlMismatchError(f"{kept} is not in the archive: restore it from a backup")
        path = self._path(name)
        shutil.copyfile(kept, path)
        if sha256_of(path) != sha256:
            raise ControlMismatchError(f"{kept} is not what it was (its sha256 differs): restore it")

    def _texts(self) -> None:
        room = files(__package__)
        for name, origin in (("README.md", "bundle_readme.md"), (VERIFIER, VERIFIER)):
            self._path(name).write_bytes(room.joinpath(origin).read_bytes())
        found = prove(self._connection)
        self._path("proof.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
        )
        head = {
            "format": 1,
            "programme_no": self._at["programme_no"],
            "first": self._period.first,
            "last": self._period.last,
        }
        self._path("bundle.json").write_bytes(msgspec.json.encode(head) + b"\n")

    def _manifest(self) -> Bundle:
        lines = []
        size = 0
        for name in sorted(_names(self._folder)):
            path = self._folder / name
            size += path.stat().st_size
            lines.append(f"{sha256_of(path)} {path.stat().st_size} {name}\n")
        content = "".join(lines).encode()
        self._path(MANIFEST).write_bytes(content)
        return Bundle("", len(lines) + 1, size, self._entries, hashlib.sha256(content).hexdigest())

    def _path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        return path


def _names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _as_tar(folder: Path, to: Path) -> None:
    """The folder as one tar file, in the order of its names, without owners or times."""
    draft = to.with_name(f".{to.name}.part")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)  # it holds account numbers: for who made it alone
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as sink:
            for name in sorted(_names(folder)):
                info = tarfile.TarInfo(name)
                info.size, info.mode = (folder / name).stat().st_size, 0o644
                with (folder / name).open("rb") as source:
                    sink.addfile(info, source)
        draft.rename(to)
    finally:
        draft.unlink(missing_ok=True)
