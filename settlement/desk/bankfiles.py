"""A file for the bank, from its frozen rows to its bytes on the disk: made, read back, kept, put out.

The archive keeps every file for good (archive/out/2026/11/20/NAME); the outbox is where it is fetched from,
with NAME.sha256 and, last of all, NAME.done beside it. Nothing is ever overwritten by other bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from settlement.disk import READ_BYTES, draft_of, leave, make_folder, publish, sha256_of, write_draft
from settlement.domain.bankfiles import FileState
from settlement.errors import ConfigurationError, ControlMismatchError, RetryLaterError
from settlement.files.fixed_layout import LAYOUT_BYTES_MAX
from settlement.files.orders import ControlError, OrderError, admitted
from settlement.files.profiles import Profile, ProfileError, by_layout, packaged
from settlement.settings import Settings
from settlement.store.files import FileRow, transfers_of

_IN_OUTBOX = frozenset({FileState.EMITTED.value, FileState.APPROVED.value})


def archive_path(settings: Settings, row: FileRow) -> Path:
    """Where a file stays."""
    return settings.files.archived(row.business_date, row.name)


def outbox_path(settings: Settings, row: FileRow) -> Path:
    """Where a file is fetched from."""
    return settings.files.outbox / row.name


def profile_of(name: str) -> Profile:
    """The form that the settings, or a frozen file, name: one of ours, or the path of a layout.

    Raises ConfigurationError.
    """
    try:
        if not name.endswith(".toml"):
            return packaged(name)
        with Path(name).open("rb") as source:
            text = source.read(LAYOUT_BYTES_MAX + 1)
        if len(text) > LAYOUT_BYTES_MAX:
            raise ConfigurationError(f"layout {name}: is larger than {LAYOUT_BYTES_MAX:,} bytes: no layout")
        return by_layout(text.decode("utf-8-sig"), name)
    except OSError as error:
        raise ConfigurationError(
            f"layout {name}: cannot be read ({error.strerror}): files made by it need it too"
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"layout {name}: is not UTF-8: save it as UTF-8 text") from None
    except ProfileError as error:
        raise ConfigurationError(str(error)) from error


@contextmanager
def on_disk(settings: Settings) -> Iterator[None]:
    """Faults of the disk as what they mean to whoever runs the night: the next run goes on from there."""
    try:
        yield
    except OSError as error:
        where = error.filename or settings.files.outbox
        raise RetryLaterError(
            f"{where}: cannot be read or written ({error.strerror}): mend its rights or free its disk,"
            " run again"
        ) from error


def draft(connection: Connection, row: FileRow, path: Path) -> str:
    """Write the draft of `path` from the rows, read it back, and return the SHA-256 of its bytes.

    Reads in the caller's transaction. Raises ControlMismatchError, without leaving a draft, where what was
    read is not what was to be paid.
    """
    profile, order = profile_of(row.profile), row.order()

    def fill(sink: BinaryIO) -> None:
        profile.write(sink, order, admitted(order, transfers_of(connection, row)))

    make_folder(path.parent)
    written = draft_of(path)
    try:
        write_draft(path, fill)
        with written.open("rb") as source:
            profile.check(source, order, transfers_of(connection, row))
    except (OrderError, ControlError) as error:
        written.unlink(missing_ok=True)
        raise ControlMismatchError(f"{row.name}: {error}") from error
    digest = sha256_of(written)
    if row.sha256 is not None and digest != row.sha256:
        written.unlink()
        raise ControlMismatchError(
            f"{row.name}: its rows make other bytes (sha256 {digest}) than were emitted ({row.sha256}):"
            " a row, the layout or the program has changed; restore what it was"
        )
    return digest


def settle(path: Path, digest: str) -> None:
    """Give the checked draft of `path` its name, once. Raises ControlMismatchError for other bytes there."""
    if path.exists():
        draft_of(path).unlink(missing_ok=True)
        _hold(path, digest)
    else:
        publish(draft_of(path), path)


def put_out(settings: Settings, row: FileRow, digest: str) -> None:
    """Copy an archived file into the outbox, then its .sha256; `finish` says that it is ready."""
    path = outbox_path(settings, row)
    make_folder(path.parent)
    if not path.exists():
        with archive_path(settings, row).open("rb") as source:
            copy = write_draft(path, lambda sink: _copy(source, sink))
        if sha256_of(copy) != digest:
            copy.unlink()
            raise ControlMismatchError(f"{archive_path(settings, row)} is not the file that was emitted")
        publish(copy, path)
    _hold(path, digest)
    leave(path.with_name(f"{row.name}.sha256"), f"{digest}  {row.name}\n".encode())


def finish(settings: Settings, row: FileRow) -> None:
    """Leave the .done that whoever fetches files waits for."""
    leave(outbox_path(settings, row).with_name(f"{row.name}.done"), b"")


def keep(connection: Connection, settings: Settings, row: FileRow, *, restore: bool = False) -> list[str]:
    """Hold an emitted file's copies against its hash, make again what was lost, and say what that was.

    The archive's copy is always made again; the outbox's while the file has not left, unless it is fetched
    by hand (delivery.channel = "none"): then only on `restore`, for what is gone may have been fetched.
    Raises ControlMismatchError for a copy with other bytes.
    """
    assert row.sha256 is not None  # noqa: S101 (the caller's file is emitted)
    restored: list[str] = []
    archived, out = archive_path(settings, row), outbox_path(settings, row)
    if archived.exists():
        _hold(archived, row.sha256)
    else:
        with connection.begin():
            draft(connection, row, archived)
        settle(archived, row.sha256)
        restored.append(str(archived))
    wanted = row.state in _IN_OUTBOX and (restore or settings.delivery.channel != "none")
    if out.exists():
        _hold(out, row.sha256)
    if wanted and not (out.exists() and out.with_name(f"{row.name}.done").exists()):
        put_out(settings, row, row.sha256)
        finish(settings, row)
        restored.append(str(out))
    return restored


def _hold(path: Path, digest: str) -> None:
    if sha256_of(path) != digest:
        raise ControlMismatchError(
            f"{path} is not the file that was emitted (sha256 {digest}): find out who changed it,"
            " move it away, run again"
        )


def _copy(source: BinaryIO, sink: BinaryIO) -> None:
    while chunk := source.read(READ_BYTES):
        sink.write(chunk)
