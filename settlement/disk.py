"""Files that are there whole or not at all, and stay after a power cut."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

READ_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, on the disk before anything is put into it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def draft_of(path: Path) -> Path:
    """The name under which a file is written before it is complete."""
    return path.with_name(f".{path.name}.tmp")


def write_draft(path: Path, fill: Callable[[BinaryIO], None]) -> Path:
    """Write the draft of a file, down to the disk, and return the draft's path."""
    draft = draft_of(path)
    with draft.open("wb") as sink:
        fill(sink)
        sink.flush()
        os.fsync(sink.fileno())
    return draft


def publish(draft: Path, path: Path) -> None:
    """Give a draft its final name."""
    draft.rename(path)
    sync_folder(path.parent)


def leave(path: Path, content: bytes) -> None:
    """Put a small file there, once; the same content there already is as good."""
    if path.exists() and path.read_bytes() == content:
        return
    publish(write_draft(path, lambda sink: _all(sink, content)), path)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _all(sink: BinaryIO, content: bytes) -> None:
    sink.write(content)
