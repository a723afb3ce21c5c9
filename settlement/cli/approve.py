"""`approve`: a second person looks at what is to leave, and lets it."""

from datetime import datetime
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Connection, select

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    exits,
    opened,
    read_date,
    show_json,
)
from settlement.cli.standing import note_standing
from settlement.domain.roles import Role
from settlement.errors import ExitCode, SettlementError, UsageError, gravest
from settlement.people.approvals import approve as approve_file
from settlement.people.approvals import changed, missing, withdraw
from settlement.people.identity import Actor
from settlement.people.review import PayoutLine, Review, review, waiting
from settlement.pipeline import clock_of
from settlement.settings import Settings
from switch.store.schema import programme as programme_table


class _Told(msgspec.Struct):
    """What came of one file: approved, withdrawn, refused, or only shown."""

    file: str
    result: str
    problem: str = ""


class _Report(msgspec.Struct):
    waiting: list[Review]
    results: list[_Told]


@app.command()
def approve(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]…", help="Names of files. Default: all that wait.")
    ] = None,
    date_text: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Those of one business date.")
    ] = None,
    programme: Annotated[str | None, typer.Option(help="Those of one programme.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Approve what is shown without being asked.")] = False,
    take_back: Annotated[
        bool, typer.Option("--withdraw", help="Take back the approval of the named files, before they leave.")
    ] = False,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the files that wait for approval, with what in them is unusual; then approve them, or not.

    Who approves needs the role approver and must not have made the file. The approval is of the file's hash:
    whatever changes afterwards voids it. Without --yes you are asked; where nobody can be, it only shows.
    """
    with exits(), opened(config) as (settings, connection):
        actor = acting(settings, connection, as_operator)
        now = clock_of(connection, settings).now()
        if take_back:
            report, code = _take_back(connection, files or [], actor, now)
        else:
            chosen = _Chosen(files or [], date_text, programme)
            report, code = _approve(connection, settings, chosen, actor, now, yes=yes, quiet=as_json)
        if any(not one.problem for one in report.results):
            note_standing(connection, settings, actor)
    if as_json:
        show_json(report)
    for one in report.results:
        if not as_json:
            typer.echo(f"{one.result:<10} {one.file}")
        if one.problem:
            typer.echo(f"dure-settlement: {one.problem}", err=True)
    raise typer.Exit(int(code))


class _Chosen(msgspec.Struct, frozen=True):
    names: list[str]
    date_text: str | None
    programme: str | None


def _take_back(
    connection: Connection, files: list[str], actor: Actor, now: datetime
) -> tuple[_Report, ExitCode]:
    if not files:
        raise UsageError("--withdraw needs the name of the file")
    told: list[_Told] = []
    codes: list[ExitCode] = []
    for file in files:
        try:
            with connection.begin():
                withdraw(connection, file, actor, now)
            told.append(_Told(file, "withdrawn"))
        except SettlementError as error:
            codes.append(error.code)
            told.append(_Told(file, "refused", str(error)))
    return _Report([], told), gravest(codes)


def _approve(
    connection: Connection,
    settings: Settings,
    chosen: _Chosen,
    actor: Actor,
    now: datetime,
    *,
    yes: bool,
    quiet: bool,
) -> tuple[_Report, ExitCode]:
    shown = _reviews(connection, settings, chosen, now)
    if not quiet:
        typer.echo("\n\n".join(map(_page, shown)) if shown else "no file waits for approval")
    report = _Report(shown, [])
    if not shown or not (yes or _asked(len(shown), quiet=quiet)):
        return report, ExitCode.DONE
    actor.demand(Role.APPROVER)
    codes: list[ExitCode] = []
    for one in shown:
        try:
            with connection.begin():
                approve_file(connection, settings, one.name, one.sha256, actor, now)
            report.results.append(_Told(one.name, "approved"))
        except SettlementError as error:
            codes.append(error.code)
            report.results.append(_Told(one.name, "refused", str(error)))
    return report, gravest(codes)


def _asked(count: int, *, quiet: bool) -> bool:
    stdin = typer.get_text_stream("stdin")
    if not stdin.isatty():
        if not quiet:
            typer.echo("only shown: --yes approves, where nobody can be asked", err=True)
        return False
    what = "this file" if count == 1 else f"these {count} files"
    return typer.confirm(f"Approve {what}?", err=True)


def _reviews(connection: Connection, settings: Settings, chosen: _Chosen, now: datetime) -> list[Review]:
    with connection.begin():
        number = 0
        if chosen.programme is not None:
            table = programme_table.c
            found = connection.execute(
                select(table.programme_no).where(table.programme_id == chosen.programme)
            ).scalar()
            if found is None:
                raise UsageError(
                    f"there is no programme {chosen.programme!r}: `dure-settlement status` lists them"
                )
            number = found
        rows = waiting(connection, chosen.names, read_date(chosen.date_text), number)
        absent = set(chosen.names) - {row.name for row in rows}
        if absent:
            raise UsageError(
                f"{min(absent)} does not wait for approval: `dure-settlement approve` shows what does"
            )
        return [
            review(connection, row, now, changed(settings, row) or missing(settings, row)) for row in rows
        ]


def _page(file: Review) -> str:
    ahead = (
        f"in {file.days_ahead} days" if file.days_ahead > 1 else "tomorrow" if file.days_ahead else "today"
    )
    if file.days_ahead < 0:
        ahead = "in the past"
    cycle = f" cycle {file.cycle}" if file.cycle > 1 else ""
    lines = [
        file.name,
        f"  pays       {file.won:,} won in {file.payments:,} payments on {file.pay_on} ({ahead})",
        f"  from       {file.debtor_name} {file.debtor_account} ({file.debtor})",
        f"  made by    {file.made_by} for {file.business_date}{cycle}",
        f"  sha256     {file.sha256}",
    ]
    lines += [f"  {'largest' if not at else '':<10} {_payout(one)}" for at, one in enumerate(file.largest)]
    lines += [
        f"  {'unusual' if not at else '':<10} {_payout(one)}\n{'':13}{'; '.join(one.odd)}"
        for at, one in enumerate(file.odd)
    ]
    more = file.odd_payouts - len(file.odd)
    if more > 0:
        lines.append(f"{'':13}and {more:,} more, mostly first payouts")
    if file.problem:
        lines.append(f"  problem    {file.problem}")
    return "\n".join(lines)


def _payout(one: PayoutLine) -> str:
    return f"{one.merchant:<15} {one.won:>15,} won to {one.bank} {one.account} {one.holder[:40]}"
