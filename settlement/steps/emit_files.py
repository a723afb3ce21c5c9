"""Step 5: the bank's files: frozen as rows first, then written from those rows alone, read back, named.

Everything of the programme that is ordered and stands in no live file is frozen in one transaction, per
debtor account and bank day, with gapless numbers. A file appears whole or not at all: draft, fsync, read
back, archive, outbox, .sha256, and .done last of all. Whoever fetches files waits for .done.
"""

import hashlib
from typing import BinaryIO, cast

from sqlalchemy import text

from settlement.desk import bankfiles
from settlement.disk import make_folder, sha256_of
from settlement.domain.run import State, Step
from settlement.errors import ConfigurationError, ControlMismatchError
from settlement.files import naming
from settlement.files.orders import OrderError, Party, admit_order, admitted
from settlement.frame import Frame
from settlement.people.audit import note
from settlement.reference import Facts
from settlement.report import EmitOutcome, FileReport
from settlement.settings import Originator, Settings
from settlement.steps.prove import prove
from settlement.store.files import (
    FileRow,
    Part,
    files_of_run,
    freeze,
    last_file_no,
    note_written,
    transfers_of,
    unfiled,
)
from settlement.store.runs import begin_step, end_step
from switch.ledger.chart import Account

FUNDER = "funder:"

# What the books hold as sent of each payout that stands in its first file. A payout of a voided file was held
# against them before. Nothing is booked for own transfers until the bank has moved them. Grouped, not joined:
# what has just been written has no statistics, and a join by guess takes minutes.
_UNBOOKED = text(f"""
    WITH open AS (
        SELECT min(s.booked_on) AS since FROM settlement_step s
        WHERE s.programme_no = :programme_no AND s.step = 'pay_merchants' AND NOT EXISTS (
            SELECT FROM settlement_step e WHERE e.programme_no = s.programme_no AND e.step = 'emit_files'
            AND (e.business_date, e.cycle) = (s.business_date, s.cycle) AND e.state = 'done')
    ), one AS (
        SELECT CASE WHEN p.attempt = 1
                    THEN 'pay_merchants:' || to_char(p.business_date, 'YYYY-MM-DD') || ':' || p.cycle
                    ELSE 'represent:' || p.end_to_end_id END AS posting,
               p.merchant_no, p.end_to_end_id, p.won AS filed, 0 AS booked
        FROM bank_file_line l JOIN payout p USING (end_to_end_id)
        WHERE l.programme_no = :programme_no AND l.file_no >= :first AND NOT EXISTS (
            SELECT FROM bank_file_line o WHERE o.programme_no = l.programme_no
            AND o.end_to_end_id = l.end_to_end_id AND o.file_no < :first)
        UNION ALL
        SELECT posting, merchant_no, NULL, NULL, won FROM house_entry, open
        WHERE programme_no = :programme_no AND business_date >= since AND credit = {Account.PAYOUT_SENT:d}
    )
    SELECT min(end_to_end_id) AS end_to_end_id, sum(filed)::bigint AS won, sum(booked)::bigint AS booked
    FROM one GROUP BY posting, merchant_no
    HAVING count(end_to_end_id) > 0 AND sum(filed) <> sum(booked) ORDER BY 1 LIMIT 5
""")  # noqa: S608 (a number of our own enumeration)


def ready(settings: Settings, facts: Facts) -> None:
    """Raise ConfigurationError where the settings do not say who pays the merchants, or in what form."""
    debtor(settings, facts, "safeguarded")
    bankfiles.profile_of(settings.files.profile)


def debtor(settings: Settings, facts: Facts, code: str) -> Party:
    """The account that a code names: safeguarded, operator or funder:ID. Raises ConfigurationError."""
    programme = facts.programme_id
    found: Originator | None
    if code.startswith(FUNDER):
        found = settings.funding.get(programme, {}).get(code.removeprefix(FUNDER))
        table = f"funding.{programme}.{code.removeprefix(FUNDER)}"
    elif code == "operator":
        found, table = settings.operator.get(programme), f"operator.{programme}"
    else:
        found, table = settings.originator.get(programme), f"originator.{programme}"
    if found is None:
        raise ConfigurationError(f"settings have no [{table}]: add its name, account and bank")
    return Party(found.name, found.account, found.bank)


def run(frame: Frame) -> EmitOutcome:
    """Prove the books, freeze what is to be paid, then leave one file after the other in the outbox.

    Raises ControlMismatchError: nothing then carries a final name that did not before.
    """
    connection, key = frame.connection, frame.key
    with bankfiles.on_disk(frame.settings):
        make_folder(frame.outbox)
    with connection.begin():
        begin_step(connection, key, Step.EMIT_FILES, frame.now(), "")
    with connection.begin():
        prove(frame)
        _freeze(frame)
        rows = files_of_run(connection, key)
        begin_step(connection, key, Step.EMIT_FILES, frame.now(), _inputs(frame, rows))
    frame.observer.reached("emit_files:frozen")
    with bankfiles.on_disk(frame.settings):
        reports = _write(frame, rows)
    outcome = EmitOutcome(tuple(reports))
    with connection.begin():
        end_step(connection, key, Step.EMIT_FILES, frame.now(), State.DONE, outcome)
    return outcome


def confirm(frame: Frame, outcome: EmitOutcome) -> None:
    """Hold a finished run's files against their hashes, and make again what was lost before it left.

    Raises ControlMismatchError for a file that was changed.
    """
    with frame.connection.begin():
        rows = files_of_run(frame.connection, frame.key)
    with bankfiles.on_disk(frame.settings):
        for row in rows:
            bankfiles.keep(frame.connection, frame.settings, row)
        for file in outcome.files:
            path = frame.outbox / file.name
            if not file.file_no and path.exists() and sha256_of(path) != file.sha256:
                raise ControlMismatchError(
                    f"{path} is not the file that was emitted (sha256 {file.sha256}): find out who changed it"
                )


def _freeze(frame: Frame) -> None:
    """Turn what waits for a file into rows, judged as a whole before they stand."""
    connection, most = frame.connection, frame.settings.files.transfers_max
    first = last_file_no(connection, frame.key.programme_no) + 1
    parts = unfiled(connection, frame.key.programme_no, most)
    rows = [_row(frame, part, number) for number, part in enumerate(parts, first)]
    freeze(connection, list(zip(parts, rows, strict=True)), most)
    _hold_against_books(frame, first)
    calendar = frame.run.facts.calendar()
    for row in rows:
        order = row.order()
        try:
            admit_order(order, calendar.is_open)
            rehearsal = cast("BinaryIO", _Nowhere())
            write = bankfiles.profile_of(row.profile).write
            write(rehearsal, order, admitted(order, transfers_of(connection, row)))
        except OrderError as error:
            raise ControlMismatchError(
                f"no file for {frame.day}: {error}: correct it, or finish an earlier run first (status)"
            ) from error


def _hold_against_books(frame: Frame, first: int) -> None:
    rows = frame.connection.execute(_UNBOOKED, {"programme_no": frame.key.programme_no, "first": first}).all()
    if rows:
        shown = "; ".join(f"{row.end_to_end_id} pays {row.won:,}, booked {row.booked:,}" for row in rows)
        raise ControlMismatchError(
            f"no file for {frame.day}: payouts against what the books hold as sent: {shown}:"
            " run dure-switch proof"
        )


def _row(frame: Frame, part: Part, file_no: int) -> FileRow:
    number, day, cycle = frame.key.programme_no, frame.day, frame.key.cycle
    profile = bankfiles.profile_of(frame.settings.files.profile)
    payer = debtor(frame.settings, frame.facts, part.debtor)
    return FileRow(
        programme_no=number,
        file_no=file_no,
        business_date=day,
        cycle=cycle,
        profile=frame.settings.files.profile,
        debtor=part.debtor,
        debtor_name=payer.name,
        debtor_account=payer.account,
        debtor_bank=payer.bank,
        pay_on=part.pay_on,
        message_id=naming.message_id(number, day, cycle, file_no),
        payment_information_id=naming.payment_information_id(number, day, cycle, file_no),
        name=naming.file_name(frame.facts.programme_id, day, cycle, file_no, part.pay_on, profile.suffix),
        remittance=f"{frame.facts.programme.name} {day.isoformat()}",
        created_at=frame.run.created_at,
        made_by=frame.actor,
        payments=part.payments,
        won=part.won,
    )


def _inputs(frame: Frame, rows: list[FileRow]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.message_id}\t{row.pay_on}\t{row.debtor}\t{row.debtor_account}\n".encode())
        for one in transfers_of(frame.connection, row):
            payee = one.payee
            line = (one.end_to_end_id, str(one.won), payee.name, payee.account, payee.bank)
            digest.update(("\t".join(line) + "\n").encode())
    return digest.hexdigest()


def _write(frame: Frame, rows: list[FileRow]) -> list[FileReport]:
    """All drafts first, each read back: what a control refuses leaves no file of the run behind."""
    connection, settings, observer = frame.connection, frame.settings, frame.observer
    digests: list[str] = []
    for row in rows:
        if row.sha256 is None:
            with connection.begin():
                digests.append(bankfiles.draft(connection, row, bankfiles.archive_path(settings, row)))
            observer.reached("emit_files:written")
        else:
            digests.append(row.sha256)
        observer.progress(Step.EMIT_FILES.value, len(digests), len(rows))
    for row, digest in zip(rows, digests, strict=True):
        if row.sha256 is None:
            _leave(frame, row, digest)
        else:
            bankfiles.keep(connection, settings, row, restore=True)
    return [
        FileReport(row.name, digest, row.pay_on, row.payments, row.won, row.file_no, row.debtor)
        for row, digest in zip(rows, digests, strict=True)
    ]


def _leave(frame: Frame, row: FileRow, digest: str) -> None:
    """Give a file its names and its hash; its .done comes last."""
    connection, settings, observer = frame.connection, frame.settings, frame.observer
    bankfiles.settle(bankfiles.archive_path(settings, row), digest)
    observer.reached("emit_files:archived")
    bankfiles.put_out(settings, row, digest)
    observer.reached("emit_files:summed")
    with connection.begin():
        if note_written(connection, row, digest):
            made: dict[str, object] = {"sha256": digest, "payments": row.payments, "won": row.won}
            note(connection, frame.now(), row.made_by, "file:make", row.name, made)
    observer.reached("emit_files:noted")
    bankfiles.finish(settings, row)
    observer.reached("emit_files:marked")


class _Nowhere:
    """A sink that forgets: an order is written to it once to see that its form can hold it."""

    def write(self, data: bytes) -> int:
        return len(data)
