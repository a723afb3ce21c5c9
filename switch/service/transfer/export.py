"""Export of one programme: everything of it, at one position of the books, while payments go on."""

import gzip
import hashlib
import os
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Connection, Engine, text

from switch.ledger.proof import Proof
from switch.service.admin import NotFoundError, RefusedError
from switch.service.import_files import Progress, no_progress
from switch.service.proofs import prove
from switch.service.transfer import columnar
from switch.service.transfer.manifest import (
    FORMAT,
    FileOf,
    Manifest,
    Storage,
    TableOf,
    finish,
    said_plainly,
)
from switch.service.transfer.tables import PARTS, Part, Shape, only, shapes
from switch.store.copying import CopyOut
from switch.store.keystore_cards import vault_version
from switch.store.reference_write import ProgrammeAt, find_programmes

LEVEL: Final = 4  # of gzip: half the time of 6 for a twentieth more bytes
NEEDS: Final = (
    "the vault's key file, handed over apart from this folder: card numbers in it are encrypted",
    "an HSM with the same LMK, or new master keys: terminals' keys in it are under the LMK",
)


class Exported(msgspec.Struct, frozen=True):
    """What an export wrote."""

    programme_id: str
    folder: str
    files: int
    rows: int
    bytes: int
    proof_ok: bool
    needs: tuple[str, ...]


def export_programme(
    engine: Engine,
    programme_id: str,
    folder: Path,
    now: datetime,
    storage: Storage = "csv",
    progress: Progress = no_progress,
) -> Exported:
    """Write a folder of a file a table, a file a day for payments and entries, and a manifest.

    It reads one snapshot and blocks nobody. The folder must be new or empty; a broken-off one has no `.done`.
    Raises NotFoundError, RefusedError.
    """
    columnar.check(storage)
    with said_plainly(folder):
        make_folder(folder)
        with (
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
            connection.begin() as transaction,
        ):
            manifest = _written(connection, programme_id, folder, now, storage, progress)
            transaction.rollback()  # of the views, the only thing that was made
        finish(folder, manifest)
    files = [file for table in manifest.tables for file in table.files]
    return Exported(
        programme_id,
        str(folder),
        len(files),
        sum(file.rows for file in files),
        sum(file.bytes for file in files),
        manifest.proof.ok,
        manifest.needs,
    )


def make_folder(folder: Path) -> None:
    """A folder of our own, for this user's eyes: what goes into it is personal. Raises RefusedError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise RefusedError(f"{folder}: is not empty: name a new folder, or empty this one")


def find_programme(connection: Connection, programme_id: str) -> ProgrammeAt:
    """The stored programme. Raises NotFoundError."""
    found = find_programmes(connection).get(programme_id)
    if found is None:
        raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
    return found


def revision_of(connection: Connection) -> str:
    """The schema's revision."""
    return str(connection.scalar(text("SELECT version_num FROM public.alembic_version")))


def is_marked_simulation(connection: Connection) -> bool:
    """Whether these books are a simulation's."""
    return bool(connection.scalar(text("SELECT simulation FROM public.control")))


def prove_one(connection: Connection, programme_no: int) -> Proof:
    """The proof of one programme alone; afterwards every table's name means that programme's rows."""
    only(connection, programme_no)
    return prove(connection)


def _written(
    connection: Connection,
    programme_id: str,
    folder: Path,
    now: datetime,
    storage: Storage,
    progress: Progress,
) -> Manifest:
    known = shapes(connection)
    programme = find_programme(connection, programme_id)
    version = vault_version(connection)
    progress("proving", 0, 0)
    proof = prove_one(connection, programme.programme_no)
    tables = []
    for done, part in enumerate(PARTS):
        progress("writing", done, len(PARTS))
        tables.append(_table(connection, part, known[part.table], folder, storage))
    return Manifest(
        format=FORMAT,
        programme_id=programme_id,
        programme_no=programme.programme_no,
        name=programme.programme.name,
        made_at=now.isoformat(timespec="seconds"),
        storage=storage,
        revision=revision_of(connection),
        simulation=is_marked_simulation(connection),
        vault_version=version,
        proof=proof,
        tables=tuple(tables),
        needs=NEEDS,
    )


def _table(connection: Connection, part: Part, shape: Shape, folder: Path, storage: Storage) -> TableOf:
    if not part.by_day:
        files = [_file(connection, part, shape, folder, part.table, None, storage)]
        return TableOf(part.table, shape.columns, tuple(files))
    (folder / part.table).mkdir(mode=0o700)
    days: Iterable[date] = connection.scalars(
        text(f"SELECT DISTINCT {part.by_day} FROM {part.table} ORDER BY 1")  # noqa: S608 - names of our own
    ).all()
    files = [
        _file(connection, part, shape, folder, f"{part.table}/{day.isoformat()}", day, storage)
        for day in days
    ]
    return TableOf(part.table, shape.columns, tuple(files))


def _file(
    connection: Connection,
    part: Part,
    shape: Shape,
    folder: Path,
    name: str,
    day: date | None,
    storage: Storage,
) -> FileOf:
    columns = [column for column, _ in shape.columns]
    rows = CopyOut(connection, part.table, columns, shape.order, (part.by_day, day) if day else None)
    size, sha256 = write_gzip(folder / f"{name}.csv.gz", rows)
    if storage == "csv":
        return FileOf(f"{name}.csv.gz", rows.rows, size, sha256)
    size, sha256 = columnar.to_parquet(folder / f"{name}.csv.gz", folder / f"{name}.parquet", shape.columns)
    return FileOf(f"{name}.parquet", rows.rows, size, sha256)


class _Hashed:
    """A file that knows the digest of what was written to it."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.file = os.fdopen(handle, "wb")
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def write_gzip(path: Path, blocks: Iterable[bytes]) -> tuple[int, str]:
    """Write compressed blocks to a new file, onto the disk. The same blocks give the same bytes.

    Returns (bytes, SHA-256) of the file. Raises OSError.
    """
    out = _Hashed(path)
    with out.file:
        with gzip.GzipFile("", "wb", LEVEL, cast("Any", out), mtime=0) as packed:
            for block in blocks:
                packed.write(block)
        out.flush()
        os.fsync(out.file.fileno())
    return out.size, out.digest.hexdigest()
