"""Step 6: nothing leaves that a second person has not approved; and whether approvals still hold."""

from typing import Any

from sqlalchemy import select

from settlement.domain.bankfiles import FileState
from settlement.frame import Frame
from settlement.people.approvals import changed, void
from settlement.report import ApproveOutcome
from settlement.report import FileState as FileLine
from settlement.store.schema_bank import bank_file


def run(frame: Frame) -> ApproveOutcome:
    """Which of the run's files are approved; an approval of bytes that are no longer there is voided."""
    with frame.connection.begin():
        files = [_look(frame, row) for row in _files(frame)]
    waiting = [file for file in files if file.state == FileState.EMITTED]
    waits = ""
    if waiting:
        one = "1 file waits" if len(waiting) == 1 else f"{len(waiting)} files wait"
        waits = f"{one} for approval by somebody else than the maker: dure-settlement approve"
    return ApproveOutcome(tuple(files), waits)


def _files(frame: Frame) -> list[Any]:
    key = frame.key
    query = (
        select(bank_file)
        .where(
            bank_file.c.programme_no == key.programme_no,
            bank_file.c.business_date == key.business_date,
            bank_file.c.cycle == key.cycle,
            bank_file.c.state != FileState.VOIDED.value,
        )
        .order_by(bank_file.c.file_no)
    )
    return list(frame.connection.execute(query))


def _look(frame: Frame, file: Any) -> FileLine:
    wrong = ""
    if file.state in (FileState.EMITTED, FileState.APPROVED):
        wrong = changed(frame.settings, file)
    if file.state == FileState.EMITTED:
        return FileLine(file.name, file.state, wrong or f"made by {file.made_by}, waits for approval")
    if wrong and file.state == FileState.APPROVED:
        void(frame.connection, file.programme_no, file.file_no, frame.now(), frame.actor, wrong)
        return FileLine(file.name, FileState.EMITTED.value, f"its approval is void: {wrong}")
    return FileLine(file.name, file.state)
