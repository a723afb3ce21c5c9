"""Approvals: of the bytes of one file, by somebody who did not make it, until anything about it changes.

Every function works in the caller's transaction and leaves its line in the audit log there.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from settlement.disk import sha256_of
from settlement.domain.bankfiles import FileState, FileStateError, move
from settlement.domain.roles import Role, same_person
from settlement.errors import ControlMismatchError, NotAllowedError, UsageError
from settlement.people.audit import note
from settlement.people.identity import Actor
from settlement.settings import Settings
from settlement.store.schema_bank import bank_file, file_approval

REASON_MAX = 200


def places(settings: Settings, business_date: date, name: str) -> tuple[Path, Path]:
    """Where a file for the bank lies: in the outbox, and for good in the archive's tree by date."""
    return settings.files.outbox / name, settings.files.archived(business_date, name)


def changed(settings: Settings, file: Any) -> str:
    """Why a copy on the disk is not what the file's row says, in one line; empty where all copies are.

    A copy that is not there has not changed.
    """
    for path in places(settings, file.business_date, file.name):
        try:
            if sha256_of(path) != file.sha256:
                made = f"(sha256 {file.sha256[:16]}…)"
                return f"{path} is not the file that was made {made}: find out who changed it"
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{path} cannot be read ({error.strerror}): see to its rights"
    return ""


def missing(settings: Settings, file: Any) -> str:
    """Which copy of a file is not where it should be, in one line. One fetched by hand may be gone."""
    outbox, archived = places(settings, file.business_date, file.name)
    for path in (archived,) if settings.delivery.channel == "none" else (archived, outbox):
        if not path.exists():
            return f"{path} is not there: dure-settlement files regenerate {file.name}"
    return ""


def approve(
    connection: Connection, settings: Settings, file_name: str, sha256: str, actor: Actor, at: datetime
) -> None:
    """Approve the file of which the actor has seen this hash.

    Raises NotAllowedError (no approver, or the file's maker), UsageError (not waiting, or another hash),
    ControlMismatchError (the bytes on the disk are not the file's).
    """
    actor.demand(Role.APPROVER)
    file = _locked(connection, file_name)
    if same_person(file.made_by, actor.name):
        raise NotAllowedError(f"{file_name}: {actor.name} made it: another approver must look at it")
    if FileState(file.state) is not FileState.EMITTED or file.sha256 is None:
        raise UsageError(f"{file_name}: is {file.state}, nothing waits for approval there")
    if file.sha256 != sha256:
        raise UsageError(f"{file_name}: has the sha256 {file.sha256}, not the one that was looked at")
    wrong = changed(settings, file) or missing(settings, file)
    if wrong:
        raise ControlMismatchError(wrong)
    last = connection.execute(
        select(func.coalesce(func.max(file_approval.c.approval_no), 0)).where(_of(file_approval, file))
    ).scalar_one()
    connection.execute(
        insert(file_approval).values(
            programme_no=file.programme_no,
            file_no=file.file_no,
            approval_no=last + 1,
            sha256=sha256,
            made_by=file.made_by,
            approved_by=actor.name,
            approved_at=at,
        )
    )
    _go(connection, file, FileState.APPROVED)
    note(connection, at, actor.name, "file:approve", file_name, {"sha256": sha256, "made_by": file.made_by})


def withdraw(connection: Connection, file_name: str, actor: Actor, at: datetime) -> None:
    """Take an approval back before the file has left. Raises NotAllowedError, UsageError."""
    actor.demand(Role.APPROVER)
    file = _locked(connection, file_name)
    if FileState(file.state) is not FileState.APPROVED:
        raise UsageError(f"{file_name}: is {file.state}: there is no approval to take back")
    _void(connection, file, at, actor.name, "withdrawn")


def void(connection: Connection, programme_no: int, file_no: int, at: datetime, actor: str, why: str) -> None:
    """End the approval of a file that is approved and has not left: it must be approved anew.

    For whoever finds that something about the file has changed. Raises FileStateError.
    """
    file = connection.execute(
        select(bank_file)
        .where(bank_file.c.programme_no == programme_no, bank_file.c.file_no == file_no)
        .with_for_update()
    ).one()
    _void(connection, file, at, actor, why)


def approved_sha256(connection: Connection, programme_no: int, file_no: int) -> str | None:
    """The hash that an approval in force is of; None without one."""
    table = file_approval.c
    found: str | None = connection.execute(
        select(table.sha256).where(
            table.programme_no == programme_no, table.file_no == file_no, table.voided_at.is_(None)
        )
    ).scalar()
    return found


def _void(connection: Connection, file: Any, at: datetime, actor: str, why: str) -> None:
    reason = why[:REASON_MAX]
    _go(connection, file, FileState.EMITTED)
    connection.execute(
        update(file_approval)
        .where(_of(file_approval, file), file_approval.c.voided_at.is_(None))
        .values(voided_at=at, void_reason=reason)
    )
    note(connection, at, actor, "file:void", file.name, {"sha256": file.sha256, "reason": reason})


def _locked(connection: Connection, file_name: str) -> Any:
    file = connection.execute(
        select(bank_file).where(bank_file.c.name == file_name).with_for_update()
    ).first()
    if file is None:
        raise UsageError(
            f"{file_name}: no such file was made: `dure-settlement approve` shows those that wait"
        )
    return file


def _of(table: Any, file: Any) -> Any:
    return (table.c.programme_no == file.programme_no) & (table.c.file_no == file.file_no)


def _go(connection: Connection, file: Any, to: FileState) -> None:
    state = FileState(file.state)
    done = connection.execute(
        update(bank_file)
        .where(_of(bank_file, file), bank_file.c.state == state.value)
        .values(state=move(state, to).value)
    )
    if done.rowcount != 1:
        raise FileStateError(f"{file.name} is no longer {state.value}")
