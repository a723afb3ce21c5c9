"""The bank's answers into our inbox: each once, whole or not at all; nothing is removed at the bank."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select

from settlement.delivery.channel import (
    FILE_BYTES_MAX,
    AwayError,
    Channel,
    ChannelError,
    Listed,
    LostError,
    RefusedError,
    is_answer,
)
from settlement.delivery.folder import FolderChannel
from settlement.delivery.sftp import SftpChannel
from settlement.disk import leave, make_folder, publish, sha256_of, write_draft
from settlement.frame import Frame, Observer
from settlement.settings import Delivery, Settings
from settlement.store.schema_bank import inbound_file

SEEN = ".fetched"
"""In the inbox: what was fetched before, so that an untouched file is not copied again every time. Whoever
removes it loses nothing: files are copied once more and known by their hash."""


SHOWN_MAX = 60
LOCK_SPACE = 0x46455443  # "FETC": the first key of the lock that lets one program fetch


class Fetched(msgspec.Struct, frozen=True):
    """The names that were put into the inbox, and a line for each answer that could not be."""

    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class _Seen(msgspec.Struct, frozen=True):
    size: int
    changed: int
    sha256: str


@contextmanager
def line(settings: Delivery) -> Iterator[Channel]:
    """The channel of the settings, open. Raises AwayError or ConfigurationError.

    Not for channel "none", where people carry the files.
    """
    channel: Channel = FolderChannel(settings) if settings.channel == "folder" else SftpChannel(settings)
    try:
        yield channel
    finally:
        channel.close()


def fetch_answers(frame: Frame) -> Fetched:
    """Fetch over the line of the settings; a line that is down is a problem's line, like a lost answer.

    Raises ConfigurationError.
    """
    settings = frame.settings
    if settings.delivery.channel == "none":
        return Fetched()
    try:
        with line(settings.delivery) as channel:
            return fetch(frame.connection, channel, settings, frame.observer)
    except ChannelError as error:
        return Fetched((), (f"no answers could be fetched: {error}: run again",))


def fetch(connection: Connection, channel: Channel, settings: Settings, observer: Observer) -> Fetched:
    """Copy what the bank has left for us and we do not have. Works in transactions of its own.

    One answer that cannot be copied is a problem's line and keeps no other back. Raises ChannelError where
    the line itself is gone, or the list cannot be had.
    """
    with _alone(connection) as alone:
        if not alone:
            return Fetched((), ("another program fetches the bank's answers just now: run again",))
        return _fetch(connection, channel, settings.files.inbox, observer)


@contextmanager
def _alone(connection: Connection) -> Iterator[bool]:
    """Whether nobody else fetches now: programmes have one inbox, and its drafts have one name."""
    with connection.begin():
        had = connection.execute(select(func.pg_try_advisory_lock(LOCK_SPACE, 0))).scalar_one()
    try:
        yield had
    finally:
        if had and not connection.invalidated:
            connection.rollback()
            with connection.begin():
                connection.execute(select(func.pg_advisory_unlock(LOCK_SPACE, 0)))


def _fetch(connection: Connection, channel: Channel, inbox: Path, observer: Observer) -> Fetched:
    make_folder(inbox)
    seen = _recall(inbox)
    names: list[str] = []
    problems: list[str] = []
    now_seen: dict[str, _Seen] = {}
    for one in channel.answers():
        if not is_answer(one.name):
            shown = "".join(sign if sign.isprintable() else "?" for sign in one.name[:SHOWN_MAX])
            problems.append(f"{shown}: no file can have this name here: have the bank send it under another")
            continue
        before = seen.get(one.name)
        untouched = before is not None and (before.size, before.changed) == (one.size, one.changed)
        if before is not None and untouched and _have(connection, inbox, one.name, before.sha256):
            now_seen[one.name] = before
            continue
        if one.size > FILE_BYTES_MAX:
            problems.append(
                f"{one.name}: {one.size:,} bytes are more than {FILE_BYTES_MAX:,}: ask the bank what it is"
            )
            continue
        try:
            put, sha256 = _take(connection, channel, inbox, one)
        except (AwayError, LostError):
            raise
        except ChannelError as error:
            problems.append(str(error))
            continue
        now_seen[one.name] = _Seen(one.size, one.changed, sha256)
        if put:
            names.append(put)
            observer.reached("fetch:put")
    _remember(inbox, now_seen)
    return Fetched(tuple(names), tuple(problems))


def _take(connection: Connection, channel: Channel, inbox: Path, one: Listed) -> tuple[str, str]:
    """Copy one answer; returns the name it got in the inbox, "" where it was there before, and its hash."""
    path = inbox / one.name
    hashes: list[str] = []
    draft = write_draft(path, lambda sink: hashes.append(channel.read(one.name, sink)))
    sha256 = hashes[0]
    if (
        draft.stat().st_size != one.size
    ):  # it is still being written, or was replaced: the next fetch takes it
        draft.unlink()
        raise RefusedError(f"{one.name}: changed while it was copied; it is taken next time")
    if _have(connection, inbox, one.name, sha256):
        draft.unlink()
        return "", sha256
    if path.exists():  # the bank uses a name again before its first file was taken in
        path = path.with_name(f"{path.stem}-{sha256[:12]}{path.suffix}")
    publish(draft, path)
    return path.name, sha256


def _have(connection: Connection, inbox: Path, name: str, sha256: str) -> bool:
    """Whether these very bytes were taken in before, or wait in the inbox."""
    with connection.begin():
        known = connection.execute(select(inbound_file.c.inbound_no).where(inbound_file.c.sha256 == sha256))
        if known.first() is not None:
            return True
    plain = inbox / name
    return any(
        path.is_file() and sha256_of(path) == sha256
        for path in (plain, plain.with_name(f"{plain.stem}-{sha256[:12]}{plain.suffix}"))
    )


def _recall(inbox: Path) -> dict[str, _Seen]:
    try:
        return msgspec.json.decode((inbox / SEEN).read_bytes(), type=dict[str, _Seen])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def _remember(inbox: Path, seen: dict[str, _Seen]) -> None:
    leave(inbox / SEEN, msgspec.json.encode(seen, order="sorted"))
