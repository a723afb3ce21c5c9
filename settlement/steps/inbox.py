"""Takes in what the bank has sent: archived raw, known by its content, and only then read.

A file counts as whole when NAME.done lies beside it, or it ends as a message ends, or nobody has written to
it for a minute; while there is a NAME.part it does not. A refused one is moved to inbox/refused, and the
archive has it all the same. Every piece can be broken off and entered again: a file leaves the inbox when its
row and its copy stand, and what the rows call archived is read at the next time.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from settlement import disk
from settlement.domain.answers import AnswerError
from settlement.domain.statement import StatementError
from settlement.errors import ControlMismatchError, ExitCode, UsageError
from settlement.files import camt, pacs004, pain002
from settlement.files.xml import UnsafeXmlError, check_size, root_of
from settlement.frame import Frame
from settlement.steps import again, returns, statements, statuses
from settlement.steps.taken import APPLIED, REFUSED, REPEATED, THEIRS, WAITS, Applied, InboxOutcome, TakenFile
from settlement.store import inbound
from settlement.store.inbound import Inbound

FILES_MAX = 10_000
NAME_BYTES_MAX = 120
SETTLED_S = 60
TAIL_BYTES = 200
_BESIDE = (".done", ".part", ".tmp", ".sha256")
_ENDS = (b"Document>",)

Apply = Callable[[Frame, Inbound, BinaryIO], Applied]

FORMATS: dict[str, tuple[str, Apply]] = {
    pain002.NAMESPACE: (statuses.KIND, statuses.apply),
    camt.STATEMENT: (statements.KIND, statements.apply),
    camt.NOTICE: (returns.CAMT, returns.apply_camt),
    pacs004.NAMESPACE: (returns.PACS, returns.apply_pacs),
}
"""By namespace: what the format is called, and what applies it."""


def take(frame: Frame, given: Sequence[Path] = ()) -> InboxOutcome:
    """Take in what lies in the inbox, or the `given` files, and apply all that is the programme's.

    The caller holds the programme's run lock. One bad file does not hinder the others. Raises UsageError for
    a given file that cannot be read.
    """
    told: list[TakenFile] = []
    fresh: list[tuple[int, Path]] = []  # the same bytes may lie there twice
    for path in given or _lying(frame.settings.files.inbox):
        one = _receive(frame, path, told, given=bool(given))
        if one is not None:
            fresh.append((one.inbound_no, path))
    told += _apply_all(frame)
    resolved = again.look_again(frame)
    if not given:
        for number, path in fresh:
            with frame.connection.begin():
                row = inbound.find(frame.connection, number)
            _clear(path, row)
            frame.observer.reached("inbox:cleared")
    return InboxOutcome(tuple(told), tuple(resolved))


def take_pending(frame: Frame) -> InboxOutcome:
    """Apply what is the programme's of the files that are archived; the inbox is not looked at."""
    told = _apply_all(frame)
    return InboxOutcome(tuple(told), tuple(again.look_again(frame)))


def _lying(folder: Path) -> list[Path]:
    """The whole files of the inbox, by name."""
    if not folder.is_dir():
        return []
    found = sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.suffix not in _BESIDE
    )
    if len(found) > FILES_MAX:
        raise UsageError(f"{folder} holds {len(found):,} files, more than {FILES_MAX:,}: clear it")
    return [path for path in found if stat.S_ISREG(path.lstat().st_mode) and _is_whole(path)]


def _is_whole(path: Path) -> bool:
    if path.with_name(f"{path.name}.part").exists():
        return False
    if path.with_name(f"{path.name}.done").exists():
        return True
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - TAIL_BYTES, 0))
        if file.read().rstrip().endswith(_ENDS):
            return True
    return time.time() - path.stat().st_mtime > SETTLED_S


def _receive(frame: Frame, path: Path, told: list[TakenFile], *, given: bool) -> Inbound | None:
    """Number and archive one file; None if there is nothing to do with it, `told` then says why.

    What is numbered is a copy of it: whoever changes the file meanwhile has sent another one.
    """
    try:
        source = open(path, "rb", opener=_plain if given else _own)  # noqa: SIM115 (how it is opened matters)
    except OSError as error:
        if given:
            why = error.strerror or "it is no plain file"
            raise UsageError(f"{path}: cannot be read ({why}): name another") from None
        return None  # another process has taken it meanwhile
    try:
        with source:
            check_size(os.fstat(source.fileno()).st_size)
            copied = _Copied(source)
            draft = disk.write_draft(_place_of_copy(frame), copied.write_to)
    except UnsafeXmlError as error:
        if not given:
            _move_aside(path, path.name)
        told.append(TakenFile(0, path.name, "", REFUSED, str(error), code=ExitCode.EXCEPTIONS))
        return None
    frame.observer.reached("inbox:copied")
    with frame.connection.begin():
        size = draft.stat().st_size
        one, new = inbound.receive(frame.connection, _name(path), copied.sha256, size, frame.now())
        archived = frame.settings.files.archive / one.archived
        if not archived.exists():  # before others see the row, for they read what it names
            disk.make_folder(archived.parent)
            disk.publish(draft, archived)
            frame.observer.reached("inbox:archived")
        else:
            draft.unlink()
    frame.observer.reached("inbox:received")
    if not new and one.state == inbound.APPLIED:
        told.append(
            TakenFile(one.inbound_no, path.name, "", REPEATED, "was taken in before: it changes nothing")
        )
    return one


def _place_of_copy(frame: Frame) -> Path:
    """Where a file is copied before its number is known: each programme has a place, for all copy at once."""
    folder = frame.settings.files.archive / "in"
    disk.make_folder(folder)
    return folder / f"taken-{frame.key.programme_no}"


def _plain(name: str, flags: int) -> int:
    """Open a plain file and nothing else: a pipe would never end, a device neither."""
    handle = os.open(name, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{name} is no plain file")
    return handle


def _own(name: str, flags: int) -> int:
    """As above; and no link, for it leads out of the inbox."""
    return _plain(name, flags | os.O_NOFOLLOW)


class _Copied:
    """Copies a file; knows the SHA-256 of what it has copied. Raises UnsafeXmlError where it has no end."""

    def __init__(self, source: BinaryIO) -> None:
        self._source, self._digest = source, hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write_to(self, sink: BinaryIO) -> None:
        size = 0
        while block := self._source.read(disk.READ_BYTES):
            size += len(block)
            check_size(size)
            self._digest.update(block)
            sink.write(block)


def _name(path: Path) -> str:
    """The file's name as the archive takes it."""
    plain = "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in path.name)
    return plain.encode()[:NAME_BYTES_MAX].decode(errors="ignore")


def _apply_all(frame: Frame) -> list[TakenFile]:
    """Apply what is archived, in the order of its coming; what waits for another is tried again after it."""
    told: dict[int, TakenFile] = {}
    while True:
        with frame.connection.begin():
            waiting = inbound.pending(frame.connection, frame.key.programme_no)
        went_on = False
        for file in waiting:
            told[file.inbound_no] = one = _apply(frame, file)
            went_on = went_on or one.state == APPLIED
        if not went_on or all(one.state != WAITS for one in told.values()):
            return [one for one in told.values() if one.state != THEIRS]


def _apply(frame: Frame, file: Inbound) -> TakenFile:
    kind, code = "", ExitCode.EXCEPTIONS
    try:
        kind, done = _read(frame, file)
    except (AnswerError, StatementError, UnsafeXmlError) as error:
        problem = str(error)
    except ControlMismatchError as error:
        problem, code = str(error), error.code
    else:
        frame.observer.reached("inbox:applied")
        if done.state != WAITS and not done.conflicts:
            code = ExitCode.DONE
        return TakenFile(file.inbound_no, file.name, kind, done.state, done.told, done.conflicts, code)
    frame.connection.rollback()
    with frame.connection.begin():
        inbound.settle(frame.connection, file.inbound_no, inbound.REFUSED, problem)
    frame.observer.reached("inbox:refused")
    return TakenFile(file.inbound_no, file.name, kind, REFUSED, problem, code=code)


def _read(frame: Frame, file: Inbound) -> tuple[str, Applied]:
    path = frame.settings.files.archive / file.archived
    try:
        if disk.sha256_of(path) != file.sha256:
            raise ControlMismatchError(f"{path} is not what came from the bank: find out who changed it")
        with path.open("rb") as source:
            namespace, root = root_of(source)
            kind, apply = FORMATS.get(namespace, ("", None))
            if apply is None:
                raise UnsafeXmlError(
                    f"is {namespace[:100] or 'no namespace'} ({root[:40]}): read are"
                    f" {', '.join(one.rpartition(':')[2] for one in sorted(FORMATS))}"
                )
            return kind, apply(frame, file, source)
    except FileNotFoundError:
        raise ControlMismatchError(
            f"{path} is not in the archive: give the file again (ack FILE), or restore it from a backup"
        ) from None


def _clear(path: Path, row: Inbound) -> None:
    """Let a file that stands in the archive go from the inbox; a refused one stays to be looked at."""
    if row.state == inbound.REFUSED:
        _move_aside(path, f"{row.inbound_no}_{row.name}")
    else:
        path.unlink(missing_ok=True)
    for suffix in (".done", ".sha256"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    disk.sync_folder(path.parent)


def _move_aside(path: Path, name: str) -> None:
    folder = path.parent / "refused"
    if folder.is_file():  # somebody has called a file so: it is taken in next time, under another name
        folder = folder.rename(path.with_name("refused.file")).with_name("refused")
    disk.make_folder(folder)
    if path.is_file():
        path.replace(folder / name)
    disk.sync_folder(folder)
