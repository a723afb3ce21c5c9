"""What an export folder holds, as manifest.json says it, and whether the folder is what it was written as.

`.done` is written last and holds the manifest's SHA-256: a folder without it was broken off.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from switch.ledger.proof import Proof
from switch.service.admin import RefusedError
from switch.service.import_files import Progress

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DONE: Final = ".done"
MANIFEST_BYTES_MAX: Final = 64_000_000  # of a hundred years of days there is still less
_READ: Final = 1 << 20
_FILE = re.compile(r"[a-z_]{1,40}(/[0-9]{4}-[0-9]{2}-[0-9]{2})?\.(csv\.gz|parquet)")
_AGAIN: Final = "export it anew, or copy it again"

Storage = Literal["csv", "parquet"]


class FileOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file below the folder: how many rows are in it, and what it must be to the byte."""

    name: str
    rows: int
    bytes: int
    sha256: str


class TableOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table: its columns as (name, PostgreSQL type), and the files that its rows are in, in order."""

    name: str
    columns: tuple[tuple[str, str], ...]
    files: tuple[FileOf, ...]

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One programme at one position of the books. `revision` is the schema's, `proof` the programme's own."""

    format: int
    programme_id: str
    programme_no: int
    name: str
    made_at: str
    storage: Storage
    revision: str
    simulation: bool
    vault_version: int
    proof: Proof
    tables: tuple[TableOf, ...]
    needs: tuple[str, ...]


class DamagedError(RefusedError):
    """A folder that is not a finished export, or not any more."""


@contextmanager
def said_plainly(path: Path) -> Iterator[None]:
    """Turns an error of the disk into one line. Raises RefusedError."""
    try:
        yield
    except OSError as error:
        raise RefusedError(
            f"{error.filename or path}: {error.strerror or type(error).__name__}: give a folder with"
            " room that this user may use"
        ) from error


def sync_folder(path: Path) -> None:
    """Make sure that names in a folder survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_synced(path: Path, content: bytes) -> None:
    """A new file, readable by this user alone, on the disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def finish(folder: Path, manifest: Manifest) -> None:
    """Write the manifest and, last of all, the mark that the folder is whole."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    write_synced(folder / MANIFEST, content)
    for path in {(folder / file.name).parent for table in manifest.tables for file in table.files}:
        sync_folder(path)
    sync_folder(folder)
    write_synced(folder / DONE, hashlib.sha256(content).hexdigest().encode() + b"\n")
    sync_folder(folder)


def read(folder: Path) -> Manifest:
    """The manifest of a finished export. Raises DamagedError."""
    try:
        content = (folder / MANIFEST).read_bytes()[: MANIFEST_BYTES_MAX + 1]
        mark = (folder / DONE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise DamagedError(f"{folder}: is no finished export (no {MANIFEST} with {DONE}): {_AGAIN}") from None
    if len(content) > MANIFEST_BYTES_MAX or hashlib.sha256(content).hexdigest() != mark:
        raise DamagedError(f"{folder / MANIFEST}: is not what was written: {_AGAIN}")
    try:
        found = msgspec.json.decode(content, type=Manifest)
    except msgspec.ValidationError as error:
        raise DamagedError(f"{folder / MANIFEST}: is not of this program's version ({error})") from None
    if found.format != FORMAT:
        raise DamagedError(
            f"{folder / MANIFEST}: format {found.format}, this program reads {FORMAT}: use"
            " the program that wrote it"
        )
    for table in found.tables:
        for file in table.files:
            if not _FILE.fullmatch(file.name):
                raise DamagedError(f"{folder / MANIFEST}: names a file that no export has: {_AGAIN}")
    return found


def check_files(folder: Path, manifest: Manifest, progress: Progress) -> None:
    """Read every file once and compare. Raises DamagedError."""
    files = [file for table in manifest.tables for file in table.files]
    for done, file in enumerate(files):
        progress("checking", done, len(files))
        path = folder / file.name
        digest = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                while block := stream.read(_READ):
                    digest.update(block)
        except OSError as error:
            raise DamagedError(f"{path}: cannot be read ({type(error).__name__}): {_AGAIN}") from None
        if digest.hexdigest() != file.sha256:
            raise DamagedError(f"{path}: is not what was written: {_AGAIN}")
