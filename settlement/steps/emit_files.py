"""Step 5: the bank's files, from the frozen payouts: written, read back, re-totalled, then named.

A file appears whole or not at all: temporary name, fsync, check, rename, fsync of the folder, then .sha256,
and .done last of all. Whoever fetches files waits for .done.
"""

import hashlib
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from settlement.domain.run import State, Step
from settlement.errors import ConfigurationError, ControlMismatchError
from settlement.files import naming
from settlement.files.control import ControlError, Expected, Head, check
from settlement.files.pain001 import Order, OrderError, Party, Transfer, write
from settlement.frame import Frame
from settlement.reference import Facts
from settlement.report import EmitOutcome, FileReport
from settlement.settings import Settings
from settlement.steps.prove import prove
from settlement.store.runs import begin_step, end_step
from settlement.store.schema import payout
from switch.domain.calendar import SEOUL

CHUNK_ROWS = 2_000


def originator(settings: Settings, facts: Facts) -> Party:
    """Who orders the programme's payouts. Raises ConfigurationError where the settings do not say."""
    found = settings.originator.get(facts.programme_id)
    if found is None:
        raise ConfigurationError(
            f"settings have no [originator.{facts.programme_id}]: add its name, account and bank"
        )
    return Party(found.name, found.account, found.bank)


def run(frame: Frame) -> EmitOutcome:
    """Prove the books, then leave one file per bank day in the outbox.

    Raises ControlMismatchError: nothing then carries a final name that did not before.
    """
    connection, key = frame.connection, frame.key
    frame.outbox.mkdir(parents=True, exist_ok=True)
    with connection.begin():
        begin_step(connection, key, Step.EMIT_FILES, frame.now(), _inputs(frame))
    with connection.begin():
        prove(frame)
        orders = _orders(frame)
    frame.observer.reached("emit_files:proved")
    reports: list[FileReport] = []
    for order in orders:
        reports.append(_emit(frame, order))
        frame.observer.progress(Step.EMIT_FILES.value, len(reports), len(orders))
    outcome = EmitOutcome(tuple(reports))
    with connection.begin():
        end_step(connection, key, Step.EMIT_FILES, frame.now(), State.DONE, outcome)
    return outcome


def confirm(frame: Frame, outcome: EmitOutcome) -> None:
    """Hold files still in the outbox against what was emitted. One fetched away is not made again."""
    for file in outcome.files:
        path = frame.outbox / file.name
        if path.exists() and sha256_of(path) != file.sha256:
            raise ControlMismatchError(
                f"{path} is not the file that was emitted (sha256 {file.sha256}): find out who changed it"
            )


def _inputs(frame: Frame) -> str:
    digest = hashlib.sha256()
    for rows in _payouts(frame, None):
        for row in rows:
            digest.update("\t".join(map(str, row)).encode() + b"\n")
    return digest.hexdigest()


def _of_run(frame: Frame) -> Any:
    key = frame.key
    return (
        (payout.c.programme_no == key.programme_no)
        & (payout.c.business_date == key.business_date)
        & (payout.c.cycle == key.cycle)
    )


def _payouts(frame: Frame, on: date | None) -> Iterator[Any]:
    """The frozen payouts by merchant, in chunks; those of one bank day, or all."""
    query = select(
        payout.c.pay_on,
        payout.c.end_to_end_id,
        payout.c.won,
        payout.c.account_holder,
        payout.c.account_no,
        payout.c.bank_code,
    ).where(_of_run(frame))
    if on is not None:
        query = query.where(payout.c.pay_on == on)
    query = query.order_by(payout.c.merchant_no, payout.c.attempt)
    result = frame.connection.execute(query, execution_options={"yield_per": CHUNK_ROWS})
    yield from result.partitions(CHUNK_ROWS)


def _orders(frame: Frame) -> list[Order]:
    """One order per bank day of the run."""
    rows = frame.connection.execute(
        select(payout.c.pay_on, func.count(), func.sum(payout.c.won))
        .where(_of_run(frame))
        .group_by(payout.c.pay_on)
        .order_by(payout.c.pay_on)
    ).all()
    number, cycle, day = frame.key.programme_no, frame.key.cycle, frame.day
    payer = originator(frame.settings, frame.facts)
    return [
        Order(
            naming.message_id(number, day, cycle, pay_on),
            naming.payment_information_id(number, day, cycle, pay_on),
            frame.run.created_at.astimezone(SEOUL),
            pay_on,
            payer,
            count,
            int(won),
            f"{frame.facts.programme.name} {day.isoformat()}"[:140],
        )
        for pay_on, count, won in rows
    ]


def _transfers(frame: Frame, on: date) -> Iterator[Transfer]:
    for rows in _payouts(frame, on):
        for _, name, won, holder, account, bank in rows:
            yield Transfer(name, won, Party(holder, account, bank))


def _expected(transfer: Transfer) -> Expected:
    return Expected(transfer.end_to_end_id, transfer.won, transfer.payee.account, transfer.payee.bank)


def _emit(frame: Frame, order: Order) -> FileReport:
    name = naming.file_name(frame.facts.programme_id, frame.day, frame.key.cycle, order.pay_on)
    path = frame.outbox / name
    draft = path.with_name(f".{name}.tmp")
    try:
        with frame.connection.begin(), draft.open("wb") as sink:
            write(sink, order, _transfers(frame, order.pay_on))
            sink.flush()
            os.fsync(sink.fileno())
        frame.observer.reached("emit_files:written")
        head = Head(order.message_id, order.pay_on, order.count, order.won)
        with frame.connection.begin(), draft.open("rb") as source:
            transfers = _transfers(frame, order.pay_on)
            check(source, head, (_expected(transfer) for transfer in transfers))
    except (OrderError, ControlError) as error:
        draft.unlink(missing_ok=True)
        raise ControlMismatchError(f"{name}: {error}") from error
    digest = sha256_of(draft)
    _settle(draft, path, digest)
    frame.observer.reached("emit_files:renamed")
    _leave(path.with_name(f"{name}.sha256"), f"{digest}  {name}\n")
    frame.observer.reached("emit_files:summed")
    _leave(path.with_name(f"{name}.done"), "")
    frame.observer.reached("emit_files:marked")
    return FileReport(name, digest, order.pay_on, order.count, order.won)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settle(draft: Path, path: Path, digest: str) -> None:
    """Give a checked draft its final name, once; the same file there already is as good."""
    if path.exists():
        if sha256_of(path) != digest:
            draft.unlink(missing_ok=True)
            raise ControlMismatchError(
                f"{path} exists with other content: compare it with the payouts, move it away, run again"
            )
        draft.unlink(missing_ok=True)
    else:
        draft.rename(path)
    _sync_folder(path.parent)


def _leave(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="ascii") == text:
        return
    draft = path.with_name(f".{path.name}.tmp")
    with draft.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
