"""`ack`, `reconcile`, `open`: what the bank says, and what is open between it and the books."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Connection

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    exits,
    look,
    observer,
    one_programme,
    opened,
    show_json,
)
from settlement.cli.standing import frame_of_today
from settlement.desk.open_items import OpenItem, OpenList, open_items
from settlement.domain.roles import Role
from settlement.domain.run import Step
from settlement.domain.statement import StatementError
from settlement.errors import ConfigurationError, ExitCode, UsageError, gravest
from settlement.frame import Frame, Silent
from settlement.pipeline import clock_of, run_lock
from settlement.reference import load_all
from settlement.report import LaterRun
from settlement.settings import Settings
from settlement.steps import later
from settlement.steps.accounts import own_accounts
from settlement.steps.assign import TARGETS, assign, close
from settlement.steps.balances import Balance, balance_of
from settlement.steps.inbox import take, take_pending
from settlement.steps.taken import InboxOutcome, TakenFile
from switch.clock import Clock
from switch.domain.calendar import SEOUL

OPEN_SHOWN = 60
PROBLEMS_SHOWN = 40
COLUMNS = 120

_Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]…", help="Files of the bank. Default: the inbox.")
]
_Programme = Annotated[str | None, typer.Option(help="One programme's id. Default: all of them.")]


class _Part(msgspec.Struct):
    """What one programme's part of a call came to."""

    programme: str
    files: list[TakenFile] = []
    resolved: list[str] = []
    runs: list[LaterRun] = []
    balances: list[Balance] = []


class _Report(msgspec.Struct):
    programmes: list[_Part]
    exit_code: int = ExitCode.DONE


@app.command()
def ack(
    files: _Files = None,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take in the bank's answers (pain.002, camt.053, camt.054, pacs.004). Safe to repeat.

    Each file is archived as it came before anything is read in it, and counts once, whatever its name. One
    that cannot be right is refused with the reason and put into inbox/refused; the others go on. Named files
    stay where they are.
    """
    with exits():
        report = _each(config, as_operator, Role.DELIVERER, lambda frame, first: _ack(frame, files, first))
    _show(report, as_json=as_json)


@app.command()
def reconcile(
    files: _Files = None,
    entry: Annotated[
        str | None, typer.Option("--assign", metavar="STATEMENT/ENTRY", help="Name an entry in suspense.")
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="WHAT", help=f"What it is: {TARGETS}.")] = None,
    account: Annotated[
        str | None, typer.Option(help="Its account, where several have such an entry.")
    ] = None,
    settled: Annotated[
        str | None, typer.Option("--close", metavar="ENDTOENDID", help="A contradiction was cleared up.")
    ] = None,
    because: Annotated[str | None, typer.Option(metavar="TEXT", help="How, for --close.")] = None,
    programme: _Programme = None,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Hold the bank's statements against the books; or say what an entry is that nothing names.

    Without --assign: takes in what lies in the inbox, then shows for each account what the bank and the
    ledger have, and what is on its way. An entry is matched by what it carries (EndToEndId, PmtInfId, MsgId,
    a reference in its words, TOPUP-date, PREPAY-funder, CLAIM-funder), never by its amount alone.
    """
    with exits():
        if (entry is None) != (to is None):
            raise UsageError("--assign STATEMENT/ENTRY and --to WHAT belong together")
        if (settled is None) != (because is None):
            raise UsageError("--close ENDTOENDID and --because TEXT belong together")
        if entry is not None and to is not None:
            _one(config, as_operator, programme, lambda frame: _assign(frame, entry, to, account))
            return
        if settled is not None and because is not None:
            _one(config, as_operator, programme, lambda frame: _close(frame, settled, because))
            return

        def work(frame: Frame, first: bool) -> _Part:
            part = _ack(frame, files, first)
            part.balances = _balances(frame)
            return part

        report = _each(config, as_operator, Role.RECONCILER, work, programme)
    _show(report, as_json=as_json)


@app.command("open")
def open_(
    programme: _Programme = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List what is open between the books and the bank, oldest first: unanswered, unbooked, not paid again,
    in suspense, contradictory, not collected, half seen."""

    def read(connection: Connection, clock: Clock, _: Settings) -> list[OpenList]:
        today = clock.now().astimezone(SEOUL).date()
        return [
            open_items(connection, facts.programme_id, facts.programme_no, today)
            for facts in load_all(connection, programme)
        ]

    with exits():
        found = look(config, read)
    if as_json:
        show_json(found)
        return
    typer.echo("\n\n".join(_open_text(one) for one in found) or "no programme has been applied yet")


def _each(
    config: Path,
    as_operator: str | None,
    role: Role,
    work: Callable[[Frame, bool], _Part],
    programme: str | None = None,
) -> _Report:
    """Do the work for each programme, as the only one at it. The first one takes the files in."""
    parts: list[_Part] = []
    with opened(config) as (settings, connection), observer() as watching:
        clock = clock_of(connection, settings)
        actor = acting(settings, connection, as_operator, role)
        with connection.begin():
            found = load_all(connection, programme)
        for index, facts in enumerate(found):
            with run_lock(connection, facts.programme_no):
                frame = frame_of_today(connection, settings, facts, clock, actor, watching)
                parts.append(work(frame, index == 0))
    code = gravest([ExitCode(file.code) for part in parts for file in part.files])
    return _Report(parts, code)


def _one(config: Path, as_operator: str | None, programme: str | None, work: Callable[[Frame], None]) -> None:
    """Do the work for the one programme that is meant."""
    with opened(config) as (settings, connection):
        clock = clock_of(connection, settings)
        actor = acting(settings, connection, as_operator, Role.RECONCILER)
        with connection.begin():
            facts = one_programme(connection, programme)
        with run_lock(connection, facts.programme_no):
            work(frame_of_today(connection, settings, facts, clock, actor, Silent()))


def _ack(frame: Frame, files: list[Path] | None, first: bool) -> _Part:
    taken: InboxOutcome = take(frame, files or ()) if first or not files else take_pending(frame)
    looked = later.look(frame, Step.ACKNOWLEDGE, Step.RECONCILE)
    return _Part(frame.facts.programme_id, list(taken.files), list(taken.resolved), looked.runs)


def _assign(frame: Frame, entry: str, to: str, account: str | None) -> None:
    done = assign(frame, entry, to, account)
    later.look(frame, Step.ACKNOWLEDGE, Step.RECONCILE)
    typer.echo(f"{done.account} {done.statement}/{done.entry}: {done.won:,} won are {done.to}")


def _close(frame: Frame, name: str, because: str) -> None:
    close(frame, name, because)
    typer.echo(f"the contradiction about {name} is closed: {because}")


def _balances(frame: Frame) -> list[Balance]:
    mine = frame.facts.programme_id
    with frame.connection.begin():
        codes = [one.code for one in own_accounts(frame.settings) if one.programme_id == mine]
        try:
            return [balance_of(frame, code) for code in codes]
        except StatementError as error:
            raise ConfigurationError(f"the settings' account {error}") from None


def _show(report: _Report, *, as_json: bool) -> None:
    if as_json:
        show_json(report)
    else:
        typer.echo("\n\n".join(_part_text(part) for part in report.programmes) or "there is no programme yet")
    for part in report.programmes:
        lines = [line for file in part.files for line in file.conflicts]
        for line in lines[:PROBLEMS_SHOWN]:
            typer.echo(f"dure-settlement: {line}", err=True)
        if len(lines) > PROBLEMS_SHOWN:
            typer.echo(f"dure-settlement: and {len(lines) - PROBLEMS_SHOWN:,} more: see `open`", err=True)
    sys.stdout.flush()
    raise typer.Exit(int(report.exit_code))


def _part_text(part: _Part) -> str:
    lines = [part.programme]
    lines += [f"  {file.state:<9} {file.kind:<9} {file.name}\n            {file.told}" for file in part.files]
    if not part.files:
        lines.append("  no new file of the bank")
    lines += [f"  resolved  {line}" for line in part.resolved]
    for run in part.runs:
        for step, state in run.states.items():
            waits = run.waits.get(step, "")
            lines.append(
                f"  {run.business_date} cycle {run.cycle}  {step} {state}{f': {waits}' if waits else ''}"
            )
    if part.balances:
        lines.append(
            f"  {'account':<20} {'statement':<20} {'bank':>15} {'ledger':>15} {'on its way':>15} {'days':>5}"
        )
    lines += [
        f"  {one.account:<20.20} {one.statement or '(none yet)':<20.20} {one.bank:>15,} {one.ledger:>15,}"
        f" {one.outstanding:>15,} {one.outstanding_days:>5}"
        for one in part.balances
    ]
    return "\n".join(lines)


def _open_text(one: OpenList) -> str:
    if not one.items:
        return f"{one.programme}: nothing is open"
    lines = [f"{one.programme}: {len(one.items):,} open"]
    lines += [
        f"  {age.age:<14} {age.items:>5,} items {age.payments:>9,} payments {age.won:>17,} won"
        for age in one.ages
    ]
    lines += ["", f"  {'kind':<15} {'since':<10} {'days':>4} {'won':>15} {'pays':>6}  name"]
    for item in one.items[:OPEN_SHOWN]:
        lines += _item_text(item)
    if len(one.items) > OPEN_SHOWN:
        lines.append(f"  and {len(one.items) - OPEN_SHOWN:,} more: --json has them all")
    return "\n".join(lines)


def _item_text(item: OpenItem) -> list[str]:
    head = f"  {item.kind:<15} {item.since} {item.days:>4} {item.won:>15,} {item.payments:>6,}  {item.name}"
    return [head, f"{'':<18}{item.about[: COLUMNS - 20]}"]
