"""One file on its way to the bank. The rule: nothing is sent again before it is known not to be there.

    try begun (committed) ─▶ bytes under NAME.n.part ─▶ read back ─▶ noted as uploaded (committed)
    ─▶ renamed, in one act ─▶ looked at ─▶ delivered (committed)

The bank takes a file by its final name only, so a try that was not noted as uploaded cannot have reached it:
what is left of it is removed, and the file goes again. After that note the bank is asked: a file that is
there, or that the bank has put among those taken, or that one of its answers names, is delivered. A part that
still stands whole is renamed now: a rename moves it once, whoever asks. Where nothing of it is found, it was
taken or lost, and nobody here can tell: it stays, until a person has asked the bank.
"""

from pathlib import Path

import msgspec

from settlement.delivery import receipts, tries
from settlement.delivery.channel import (
    AwayError,
    Channel,
    Found,
    LostError,
    RefusedError,
    part_of,
)
from settlement.delivery.tries import BankFile, Outcome, Try
from settlement.disk import sha256_of
from settlement.domain.bankfiles import FileState
from settlement.errors import UsageError
from settlement.frame import Frame
from settlement.people import approvals

ROUNDS_MAX = 4
"""What one pass does for a file at most: send, ask, send, ask."""

BY_HAND = "none"
ASK_THE_BANK = (
    "handed over and not there: taken or lost. Ask the bank, then deliver --fetched FILE or --resend FILE"
)


class Result(msgspec.Struct, frozen=True):
    """How a file stands after a pass. `problem`: a person must look. `away`: the line to the bank is gone."""

    file: BankFile
    about: str = ""
    problem: bool = False
    away: bool = False


class Sender:
    """Takes files over one channel, for one run and in one operator's name."""

    def __init__(self, frame: Frame, channel: Channel) -> None:
        self._frame = frame
        self._channel = channel

    def take_on(self, file: BankFile) -> Result:
        """Do what can be done for a file that is approved or being delivered."""
        about = ""
        try:
            for _ in range(ROUNDS_MAX):
                try:
                    result = self._ask(file) if file.state is FileState.DELIVERING else self._attempt(file)
                except LostError as error:
                    file, about = self._broken(file, error), f"not known yet: {error}"
                    continue
                if result.file.state is not FileState.APPROVED or result.problem:
                    return result
                file, about = result.file, result.about
        except AwayError as error:
            return Result(self._now(file), f"not known yet: {error}", away=True)
        return Result(file, about)

    def resend(self, file: BankFile) -> BankFile:
        """Free a file that nothing is found of, at the word of a person who has asked the bank.

        Raises UsageError where the file is in no such state.
        """
        result = self._ask(file)
        if result.file.state is not FileState.DELIVERING:
            return result.file
        with self._frame.connection.begin():
            attempt = tries.open_try(self._frame.connection, file)
        if attempt.outcome is not Outcome.UPLOADED or self._channel.look(file.name) is not None:
            raise UsageError(f"{file.name} is not sent again: {result.about}")
        told = "the bank was asked and does not have it: sent again"
        return self._back(file, attempt, Outcome.UNKNOWN, told)

    # A try that was begun before.

    def _ask(self, file: BankFile) -> Result:
        """What became of a file whose last try has no known end."""
        with self._frame.connection.begin():
            attempt = tries.open_try(self._frame.connection, file)
        part = part_of(file.name, attempt.try_no)
        found = self._channel.look(file.name)
        if found is not None:
            return self._found(file, found, "found there")
        left = self._channel.look_part(part)
        if attempt.outcome is Outcome.STARTED:
            return self._undone(file, attempt, Outcome.ABSENT, "asked: it is not there")
        if left is not None and _same(left, file):
            self._frame.observer.reached("deliver:rename")
            return self._name(file, attempt)
        return self._unfound(file, attempt, left)

    def _unfound(self, file: BankFile, attempt: Try, left: Found | None) -> Result:
        """Nothing has the final name of a file whose final name may have been given."""
        frame = self._frame
        with frame.connection.begin():
            answer = receipts.naming(
                frame.connection, frame.settings.files, file.message_id, attempt.started_at
            )
        if answer:
            return self._arrived(file, f"the bank names it in {answer}")
        if left is not None:
            part = part_of(file.name, attempt.try_no)
            return Result(file, f"{part} at the bank holds other bytes: find out who wrote it", problem=True)
        return Result(file, ASK_THE_BANK, problem=True)

    # A new try.

    def _attempt(self, file: BankFile) -> Result:
        source, result = checked(self._frame, file)
        if result is not None:
            return result
        found = self._channel.look(file.name)
        if found is not None and not _same(found, file):
            return _foreign(file, found)
        with self._frame.connection.begin():
            attempt = tries.begin(
                self._frame.connection, file, self._channel.name, self._frame.now(), self._frame.actor
            )
        file = msgspec.structs.replace(file, state=FileState.DELIVERING)
        self._frame.observer.reached("deliver:begun")
        if found is not None:
            return self._found(file, found, "was there before")
        try:
            there = self._channel.upload(source, part_of(file.name, attempt.try_no))
            if not _same(there, file):
                raise RefusedError("what was read back is not what was sent")
        except RefusedError as error:
            return self._undone(file, attempt, Outcome.REFUSED, str(error))
        self._frame.observer.reached("deliver:bytes")
        with self._frame.connection.begin():
            attempt = tries.uploaded(self._frame.connection, file, attempt)
        self._frame.observer.reached("deliver:uploaded")
        return self._name(file, attempt)

    def _name(self, file: BankFile, attempt: Try) -> Result:
        """Ask for the final name, and look what has come of it."""
        part, refused = part_of(file.name, attempt.try_no), ""
        try:
            self._channel.rename(part, file.name)
        except RefusedError as error:
            refused = str(error)
        self._frame.observer.reached("deliver:renamed")
        found = self._channel.look(file.name)
        if found is not None:
            return self._found(file, found, "")
        if not refused:
            return self._arrived(file, "handed over; the bank took it at once")
        left = self._channel.look_part(part)
        if left is not None and _same(left, file):
            return self._undone(file, attempt, Outcome.REFUSED, refused)
        return self._unfound(file, attempt, left)

    # Ends.

    def _broken(self, file: BankFile, error: LostError) -> BankFile:
        """Note that the line broke; the file as it stands."""
        connection = self._frame.connection
        file = self._now(file)
        if file.state is FileState.DELIVERING:
            with connection.begin():
                tries.told(connection, file, tries.open_try(connection, file), str(error))
        self._frame.observer.reached("deliver:lost")
        return file

    def _now(self, file: BankFile) -> BankFile:
        with self._frame.connection.begin():
            return tries.find(self._frame.connection, file.key.programme_no, file.file_no)

    def _found(self, file: BankFile, found: Found, told: str) -> Result:
        if not _same(found, file):
            return _foreign(file, found)
        where = "taken by the bank" if found.place == "taken" else ""
        return self._arrived(file, "; ".join(filter(None, (told, where))))

    def _arrived(self, file: BankFile, told: str) -> Result:
        with self._frame.connection.begin():
            file = tries.arrived(self._frame.connection, file, self._frame.now(), self._frame.actor, told)
        self._frame.observer.reached("deliver:delivered")
        return Result(file, told)

    def _undone(self, file: BankFile, attempt: Try, outcome: Outcome, told: str) -> Result:
        """Remove what is left of a try that gave nothing to the bank, then end it."""
        try:
            self._channel.remove(part_of(file.name, attempt.try_no))
        except RefusedError as error:
            return Result(file, f"{told}; what is left of it cannot be removed: {error}", problem=True)
        self._frame.observer.reached("deliver:removed")
        return Result(self._back(file, attempt, outcome, told), told, problem=outcome is Outcome.REFUSED)

    def _back(self, file: BankFile, attempt: Try, outcome: Outcome, told: str) -> BankFile:
        frame = self._frame
        with frame.connection.begin():
            file = tries.back(frame.connection, file, attempt, outcome, frame.now(), frame.actor, told)
        frame.observer.reached("deliver:back")
        return file


def taken_by_hand(frame: Frame, file: BankFile) -> Result:
    """Note, at a person's word, that the bank has a file: it was carried there, or the bank was asked.

    Raises UsageError where the file is in no such state.
    """
    connection, now, who = frame.connection, frame.now(), frame.actor
    if file.state is FileState.APPROVED:
        _, result = checked(frame, file)
        if result is not None:
            return result
        with connection.begin():
            tries.begin(connection, file, BY_HAND, now, who)
            file = msgspec.structs.replace(file, state=FileState.DELIVERING)
            return Result(tries.arrived(connection, file, now, who, "fetched by hand"))
    if file.state is not FileState.DELIVERING:
        raise UsageError(f"{file.name} is {file.state.value}: only an approved file can be noted as fetched")
    with connection.begin():
        return Result(tries.arrived(connection, file, now, who, "the bank was asked and has it"))


def checked(frame: Frame, file: BankFile) -> tuple[Path, Result | None]:
    """The file to send, if its bytes are those that were approved; else what became of it instead.

    Bytes that differ void the approval. Bytes that are not there void nothing: they can be made again. One
    that people fetch from the outbox may be gone from it.
    """
    outbox, archived = approvals.places(frame.settings, frame.day, file.name)
    by_hand = frame.settings.delivery.channel == BY_HAND
    for path in (archived,) if by_hand and not outbox.exists() else (archived, outbox):
        try:
            held = sha256_of(path)
        except OSError as error:
            again = f"files regenerate {file.file_no}, then deliver"
            return outbox, Result(file, f"{path}: {error.strerror}: {again}", problem=True)
        if held != file.sha256:
            return outbox, _voided(frame, file, f"{path} is not what was approved")
    with frame.connection.begin():
        sha256 = approvals.approved_sha256(frame.connection, file.key.programme_no, file.file_no)
    return outbox, None if sha256 == file.sha256 else _voided(frame, file, "no approval of its bytes stands")


def _voided(frame: Frame, file: BankFile, reason: str) -> Result:
    with frame.connection.begin():
        approvals.void(
            frame.connection, file.key.programme_no, file.file_no, frame.now(), frame.actor, reason
        )
    frame.observer.reached("deliver:voided")
    file = msgspec.structs.replace(file, state=FileState.EMITTED)
    return Result(file, f"approval voided: {reason}: find out who changed it", problem=True)


def _same(found: Found, file: BankFile) -> bool:
    return found.sha256 == file.sha256


def _foreign(file: BankFile, found: Found) -> Result:
    what = f"{found.size:,} bytes, sha256 {found.sha256[:16]}…"
    return Result(
        file, f"the bank holds another file of this name ({found.place}: {what}): ask the bank", problem=True
    )
