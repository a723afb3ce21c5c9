"""One run from its business date to the bank's file and on to its statement: which steps are left, and what
each of them told."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from settlement.desk import moves, netted
from settlement.domain.bankdays import CalendarFacts
from settlement.domain.bankdays import facts as bank_facts
from settlement.domain.run import LATER, State, Step, StepError, remaining
from settlement.errors import (
    ConfigurationError,
    ControlMismatchError,
    ExitCode,
    RetryLaterError,
    SettlementError,
    UsageError,
    gravest,
)
from settlement.frame import Frame, Observer, Silent
from settlement.people.audit import note as note_audit
from settlement.reference import Facts, load_all
from settlement.report import (
    CreditOutcome,
    DayOutcome,
    EmitOutcome,
    ExpireOutcome,
    PayOutcome,
    ProgrammeReport,
    RunReport,
)
from settlement.settings import Settings
from settlement.steps import close_day, credit_cashback, emit_files, expire_lots, fund, later, pay_merchants
from settlement.store.runs import (
    CYCLE,
    Run,
    RunKey,
    begin_step,
    closed_through,
    create_run,
    earliest_unclosed,
    earliest_unfinished,
    end_step,
    find_run,
    last_cycle,
    release_run_lock,
    steps_of,
    take_run_lock,
)
from switch.clock import Clock, ClockError, open_clock
from switch.store.schema import business_day, control

EXCEPTIONS_SHOWN_MAX = 20

_OUTCOME: dict[Step, type[Any]] = {
    Step.CLOSE_DAY: DayOutcome,
    Step.EXPIRE_LOTS: ExpireOutcome,
    Step.CREDIT_CASHBACK: CreditOutcome,
    Step.PAY_MERCHANTS: PayOutcome,
    Step.EMIT_FILES: EmitOutcome,
}
_FIELD = {
    Step.CLOSE_DAY: "day",
    Step.EXPIRE_LOTS: "expire",
    Step.CREDIT_CASHBACK: "credit",
    Step.PAY_MERCHANTS: "pay",
    Step.EMIT_FILES: "emit",
}
_WORK: dict[Step, Any] = {
    Step.CLOSE_DAY: close_day.run,
    Step.EXPIRE_LOTS: expire_lots.run,
    Step.CREDIT_CASHBACK: credit_cashback.run,
    Step.PAY_MERCHANTS: pay_merchants.run,
    Step.EMIT_FILES: emit_files.run,
}


def run(
    engine: Engine,
    settings: Settings,
    day: date | None = None,
    programme: str | None = None,
    *,
    dry_run: bool = False,
    until: Step | None = None,
    again: bool = False,
    actor: str = "system",
    observer: Observer | None = None,
) -> RunReport:
    """Settle a business date (default: the last one that is over), for one programme or for all.

    `again` opens a later cycle of a date that is settled: it pays what has become payable since.

    What stops one programme is in its report and does not stop the others; `exit_code` is the gravest.
    Raises UsageError, ConfigurationError or RetryLaterError where nothing could be begun at all.
    """
    with _translated(), engine.connect() as connection:
        clock = clock_of(connection, settings)
        with connection.begin():
            found = load_all(connection, programme)
        call = _Call(settings, clock, day, dry_run, until, again, actor, observer or Silent())
        reports = [_programme(connection, facts, call) for facts in found]
    code = gravest([ExitCode(report.code) for report in reports])
    return RunReport(reports, code, dry_run)


def clock_of(connection: Connection, settings: Settings) -> Clock:
    """The clock of the settings, if this database may be settled by it. Raises ConfigurationError."""
    with connection.begin():
        if connection.execute(text("SELECT to_regclass('settlement_run') IS NULL")).scalar_one():
            raise ConfigurationError(
                "the database lacks settlement's tables: run dure-switch init (or migrate), then again"
            )
        simulation = connection.execute(select(control.c.simulation)).scalar()
    if simulation is None:
        raise ConfigurationError("the database was never initialised: run dure-switch init, then again")
    try:
        return open_clock(settings.clock.mode, settings.clock.file, simulation=simulation)
    except ClockError as error:
        raise ConfigurationError(str(error)) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Faults of the database as what they mean to whoever started the run."""
    try:
        yield
    except ClockError as error:
        raise ConfigurationError(str(error)) from error
    except OperationalError as error:
        raise RetryLaterError(f"the database is locked or away, run again: {_first_line(error)}") from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise RetryLaterError(f"the database went away, run again: {_first_line(error)}") from error


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__


class _Call(msgspec.Struct, frozen=True):
    """What was asked for, for every programme alike."""

    settings: Settings
    clock: Clock
    day: date | None
    dry_run: bool
    until: Step | None
    again: bool
    actor: str
    observer: Observer


def _programme(connection: Connection, facts: Facts, call: _Call) -> ProgrammeReport:
    report = ProgrammeReport(facts.programme_id)
    try:
        open_date = facts.open_date(call.clock.now())
        report.business_date = wanted = call.day or open_date - timedelta(days=1)
        if wanted >= open_date:
            when = "still open" if wanted == open_date else "in the future"
            last = open_date - timedelta(days=1)
            raise UsageError(f"business date {wanted} is {when}: settle {last} or an earlier one")
        with _translated():
            if call.dry_run:
                _preview(connection, facts, call, wanted, report)
            else:
                with run_lock(connection, facts.programme_no):
                    _settle(connection, facts, call, wanted, report)
    except SettlementError as error:
        report.code, report.problem = int(error.code), str(error)
    return report


@contextmanager
def run_lock(connection: Connection, programme_no: int) -> Iterator[None]:
    """Hold the right to settle a programme; it ends with the block, or with the session that dies.

    Raises RetryLaterError (through the database's own time-out) while somebody else holds it.
    """
    take_run_lock(connection, programme_no)
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            release_run_lock(connection, programme_no)


def _settle(connection: Connection, facts: Facts, call: _Call, day: date, report: ProgrammeReport) -> None:
    key = RunKey(facts.programme_no, day)
    emit_files.ready(call.settings, facts)
    fund.check(call.settings, facts)
    with connection.begin():
        key = _cycle(connection, key, again=call.again)
        report.cycle = key.cycle
        _admit(connection, key, report)
        if report.already_done:
            return
        known = find_run(connection, key)
        calendar = _calendar(call.settings, day)
        run = known or create_run(connection, key, call.clock.now(), calendar)
        if known is None:
            detail: dict[str, object] = {"programme": facts.programme_id, "cycle": key.cycle}
            note_audit(connection, call.clock.now(), call.actor, "run", day.isoformat(), detail)
    call.observer.reached("run:created")
    frame = Frame(connection, facts, run, call.settings, call.clock, call.observer, call.actor)
    with connection.begin():
        _recall(connection, key, report)
    try:
        steps = remaining([Step(name) for name in report.steps_done], call.until, key.cycle)
    except StepError as error:
        raise ControlMismatchError(f"the record of the run of {day} is damaged: {error}") from error
    night = [step for step in steps if step not in LATER]
    report.already_done = not night
    told = later.Later()
    if Step.CREDIT_CASHBACK in night:  # a prepayment that is there covers this night already
        later.take_in(frame, told)
    for step in night:
        _do(frame, step, report)
    if report.emit is not None and report.already_done:
        emit_files.confirm(frame, report.emit)
    if call.until is None or call.until in LATER:
        if Step.EMIT_FILES not in night:
            report.exceptions += moves.move_pending(frame).exceptions
        report.later = later.advance(frame, call.until or Step.RECONCILE, told).runs
    report.exceptions += dict.fromkeys(told.problems)
    report.code = int(gravest([ExitCode(report.code), told.code]))
    with connection.begin():
        _exceptions(frame, report)


def _calendar(settings: Settings, day: date) -> CalendarFacts:
    return bank_facts(day, settings.calendar.extra_closed, settings.calendar.extra_open)


def _cycle(connection: Connection, key: RunKey, *, again: bool) -> RunKey:
    """The cycle that is meant: the first; or, for `again`, the next one once the last has made its files.

    Raises UsageError where the night itself is not through.
    """
    last = last_cycle(connection, key)
    if last is None:
        if again:
            raise UsageError(f"{key.business_date} is not settled yet: run it without --again first")
        return key
    of_last = RunKey(key.programme_no, key.business_date, last)
    done = steps_of(connection, of_last).get(Step.EMIT_FILES)
    if done is None or done.state is not State.DONE:
        if again and last == 1:
            raise UsageError(f"{key.business_date} is not settled yet: run it without --again first")
        return of_last
    return RunKey(key.programme_no, key.business_date, last + 1) if again else key


def _do(frame: Frame, step: Step, report: ProgrammeReport) -> None:
    """One step, timed; a refusal is put on record before it goes on its way."""
    started = time.monotonic()
    if step is Step.EMIT_FILES:
        fund.order(frame)
        report.exceptions += moves.move_pending(frame).exceptions
    try:
        outcome = _WORK[step](frame)
    except ControlMismatchError as error:
        frame.connection.rollback()
        with frame.connection.begin():
            begin_step(frame.connection, frame.key, step, frame.now(), "")
            end_step(frame.connection, frame.key, step, frame.now(), State.REFUSED, {"problem": str(error)})
        raise
    setattr(report, _FIELD[step], outcome)
    report.steps_done.append(step.value)
    report.step_ms[step.value] = round((time.monotonic() - started) * 1000)
    frame.observer.reached(f"{step.value}:done")


def _admit(connection: Connection, key: RunKey, report: ProgrammeReport) -> None:
    """Dates are settled in their order, each once. Raises UsageError for one that comes too early."""
    day = key.business_date
    earlier = earliest_unclosed(connection, key.programme_no, day)
    if earlier is not None:
        raise UsageError(f"business date {earlier} has postings and is not closed: settle {earlier} first")
    unfinished = earliest_unfinished(connection, key.programme_no, day)
    if unfinished is not None:
        raise UsageError(f"the run of {unfinished} is not finished: settle {unfinished} first")
    paid = steps_of(connection, key).get(Step.PAY_MERCHANTS)
    if key.cycle > CYCLE and (paid is None or paid.state is not State.DONE):
        # Before the run is begun: one that can never pay would stop every later night.
        netted.refuse_before_a_later_one(connection, key)
    closed = closed_through(connection, key.programme_no)
    if closed is None or day > closed:
        return
    known = connection.execute(
        select(business_day.c.business_date).where(
            business_day.c.programme_no == key.programme_no, business_day.c.business_date == day
        )
    ).first()
    if known is None:
        report.already_done = True
        report.exceptions.append(f"{day} had no postings; it was closed together with a later date")


def _recall(connection: Connection, key: RunKey, report: ProgrammeReport) -> None:
    """What the steps that are done have told before."""
    for step, record in steps_of(connection, key).items():
        if record.state is State.DONE and step not in LATER:
            setattr(report, _FIELD[step], msgspec.json.decode(record.outcome, type=_OUTCOME[step]))
            report.steps_done.append(step.value)


def _exceptions(frame: Frame, report: ProgrammeReport) -> None:
    if report.credit is not None and report.credit.exceptions:
        report.exceptions.append(
            f"{report.credit.exceptions} reversals of {frame.day} could not be carried out:"
            " find them by outcome EXCEPTION, settle them with their merchants"
        )
    report.exceptions += fund.alarms(frame)
    if report.pay is not None and report.pay.held_merchants:
        report.exceptions += pay_merchants.held_merchants(frame, EXCEPTIONS_SHOWN_MAX)
    if report.exceptions:
        report.code = int(gravest([ExitCode(report.code), ExitCode.EXCEPTIONS]))


def _preview(connection: Connection, facts: Facts, call: _Call, day: date, report: ProgrammeReport) -> None:
    """The whole run computed on one position of the books, in a transaction that cannot write."""
    key = RunKey(facts.programme_no, day)
    with connection.begin():
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        key = _cycle(connection, key, again=call.again)
        report.cycle = key.cycle
        _admit(connection, key, report)
        if report.already_done:
            return
        run = find_run(connection, key)
        if run is None:
            run = Run(key, call.clock.now().replace(microsecond=0), _calendar(call.settings, day))
        frame = Frame(connection, facts, run, call.settings, call.clock, call.observer, call.actor)
        emit_files.ready(call.settings, facts)
        fund.check(call.settings, facts)
        _recall(connection, key, report)
        if key.cycle == 1:
            report.day = report.day or close_day.preview(frame)
            report.expire = report.expire or expire_lots.preview(frame)
            report.credit = report.credit or credit_cashback.preview(frame)
        outcome, report.preview = pay_merchants.preview(frame)
        report.pay = report.pay or outcome
