"""A folder of the bank's: a share that is mounted here."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from settlement.delivery.channel import (
    ANSWERS_MAX,
    BLOCK_BYTES,
    AwayError,
    Found,
    Listed,
    LostError,
    Meter,
    RefusedError,
    is_finished,
)
from settlement.disk import sync_folder
from settlement.settings import Delivery

_GONE = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV}
"""A share that has broken off: what was asked last may have been done."""


class FolderChannel:
    """The three folders below `delivery.folder`; see settlement.delivery.channel.Channel."""

    name = "folder"

    def __init__(self, settings: Delivery) -> None:
        self._outbox = settings.folder / settings.remote_outbox
        self._inbox = settings.folder / settings.remote_inbox
        self._taken = settings.folder / settings.remote_taken if settings.remote_taken else None
        for folder in (self._outbox, self._inbox, *((self._taken,) if self._taken else ())):
            if not folder.is_dir():
                raise AwayError(f"{folder} is not there: is the bank's share mounted?")

    def look(self, name: str) -> Found | None:
        found = self._read_back(self._outbox / name, "outbox")
        if found is None and self._taken is not None:
            found = self._read_back(self._taken / name, "taken")
        return found

    def look_part(self, part: str) -> Found | None:
        return self._read_back(self._outbox / part, "part")

    def upload(self, source: Path, part: str) -> Found:
        meter = Meter(part)
        with _told(part), source.open("rb") as file, (self._outbox / part).open("xb") as sink:
            while block := file.read(BLOCK_BYTES):
                meter.count(block)
                sink.write(block)
            sink.flush()
            os.fsync(sink.fileno())
        with _told(part):
            sync_folder(self._outbox)
        found = self.look_part(part)
        if found is None:
            raise RefusedError(f"{part} was written and is not there")
        return found

    def rename(self, part: str, name: str) -> None:
        with _told(name):
            (self._outbox / part).rename(self._outbox / name)
            sync_folder(self._outbox)

    def remove(self, part: str) -> None:
        with _told(part):
            (self._outbox / part).unlink(missing_ok=True)
            sync_folder(self._outbox)

    def answers(self) -> list[Listed]:
        with _told(self._inbox.name), os.scandir(self._inbox) as items:
            listed = [_listed(one) for one in items if _finished(one)]
        if len(listed) > ANSWERS_MAX:
            raise RefusedError(f"{self._inbox} holds more than {ANSWERS_MAX:,} files: have the bank clear it")
        return sorted(listed, key=lambda one: one.name)

    def read(self, name: str, sink: BinaryIO) -> str:
        meter = Meter(name)
        with _told(name), (self._inbox / name).open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                meter.count(block)
                sink.write(block)
        return meter.found().sha256

    def close(self) -> None:
        pass

    def _read_back(self, path: Path, place: str) -> Found | None:
        meter = Meter(path.name, place)
        with _told(path.name):
            try:
                with path.open("rb") as file:
                    while block := file.read(BLOCK_BYTES):
                        meter.count(block)
            except FileNotFoundError:
                return None
        return meter.found()


def _finished(item: "os.DirEntry[str]") -> bool:
    return item.is_file(follow_symlinks=False) and is_finished(item.name)


def _listed(item: "os.DirEntry[str]") -> Listed:
    about = item.stat(follow_symlinks=False)
    return Listed(item.name, about.st_size, int(about.st_mtime))


@contextmanager
def _told(name: str) -> Iterator[None]:
    """An operating system's error as what it means."""
    try:
        yield
    except OSError as error:
        kind = LostError if error.errno in _GONE else RefusedError
        raise kind(f"{name}: {error.strerror or type(error).__name__}") from None
