"""`report`: papers for merchants, the city and the auditor. They read the books and change nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    engine_of,
    exits,
    observer,
    one_programme,
    read_date,
    show_json,
)
from settlement.domain.roles import Role
from settlement.errors import ControlMismatchError, UsageError
from settlement.frame import Observer
from settlement.papers import bundle as bundling
from settlement.papers import city_paper
from settlement.papers import statement_read as reading
from settlement.papers.as_text import as_text
from settlement.papers.city_read import read_city
from settlement.papers.forms import as_json as paper_json
from settlement.papers.forms import forms_of, write
from settlement.papers.paper import Paper
from settlement.papers.period import Period, one_of
from settlement.papers.statement import Statement
from settlement.papers.statement_paper import paper_of
from settlement.papers.words import Words
from settlement.pipeline import clock_of
from settlement.settings import Settings, load

report = typer.Typer(
    help="Papers: a merchant's statement, the city's report, the auditor's bundle.", no_args_is_help=True
)
app.add_typer(report, name="report")

MonthOption = Annotated[str | None, typer.Option("--month", metavar="YYYY-MM", help="A month.")]
DayOption = Annotated[str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="One business date.")]
FromOption = Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First business date.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Last one.")]
ToOption = Annotated[Path | None, typer.Option("--to", metavar="DIR", help="Write files into this folder.")]
FormOption = Annotated[str, typer.Option("--form", help="Forms of the files: pdf, xlsx, csv; with commas.")]
LangOption = Annotated[str, typer.Option("--lang", help="ko or en.")]
ProgrammeOption = Annotated[str | None, typer.Option("--programme", help="The programme's id.")]


@contextmanager
def reading_books(
    config: Path, operator: str | None, *roles: Role
) -> Iterator[tuple[Settings, Connection, Observer]]:
    """One view of the books for the whole of a paper, by an operator with one of the roles (or any)."""
    with exits():
        settings = load(config)
        engine = engine_of(settings)
        try:
            with engine.connect() as connection:
                clock_of(connection, settings)
                acting(settings, connection, operator, *roles)
            with engine.connect() as connection, observer() as watching:
                connection = connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                with connection.begin():
                    yield settings, connection, watching
        finally:
            engine.dispose()


def put(make: Callable[[], Paper], to: Path | None, form: str, *, as_json: bool) -> None:
    """A paper into a folder, or to be read: on stdout as text or JSON."""
    if to is not None:
        for path in write(make, forms_of(form), to):
            typer.echo(str(path))
    elif as_json:
        typer.echo(paper_json(make()).decode())
    else:
        typer.echo(as_text(make()))


@report.command("merchant")
def merchant(
    merchant_id: Annotated[
        str | None, typer.Argument(metavar="[MERCHANT]", help="The merchant's id.")
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every merchant with a line; needs --to.")] = False,
    month: MonthOption = None,
    day: DayOption = None,
    first: FromOption = None,
    until: UntilOption = None,
    payments: Annotated[
        bool, typer.Option("--payments", help="With every payment behind the dates.")
    ] = False,
    to: ToOption = None,
    form: FormOption = "pdf,xlsx,csv",
    lang: LangOption = "ko",
    programme: ProgrammeOption = None,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """A merchant's statement: each date's netting line by line, each payout and what became of it, the sums.

    It is checked before it is written: every line adds up, what is carried goes on from line to line, and
    all of it comes to what was paid. Without --to it is shown here.
    """
    with reading_books(config, operator) as (_, connection, watching):
        period, words = _period(month, day, first, until), Words(lang)
        if (merchant_id is None) != everyone:
            raise UsageError("name a merchant, or --all of them")
        if everyone:
            if to is None:
                raise UsageError("--all writes files: name their folder with --to")
            count = _write_all(connection, programme, period, words, to, form, payments, watching)
            typer.echo(f"{count:,} merchants' statements in {to}")
            return
        named = reading.merchant_named(connection, merchant_id or "")
        [statement] = reading.statements(connection, [named], period)
        put(lambda: _paper(connection, statement, words, payments), to, form, as_json=as_json)


def _paper(connection: Connection, statement: Statement, words: Words, payments: bool) -> Paper:
    rows = reading.payments_of(connection, statement) if payments else None
    return paper_of(statement, words, rows)


def _write_all(
    connection: Connection,
    programme: str | None,
    period: Period,
    words: Words,
    to: Path,
    form: str,
    payments: bool,
    watching: Observer,
) -> int:
    forms = forms_of(form)
    programme_no = one_programme(connection, programme).programme_no
    numbers = reading.merchants_with_lines(connection, programme_no, period)
    done, refused = 0, list[str]()
    found = reading.all_statements(connection, programme_no, period, numbers, refused)
    for done, one in enumerate(found, 1):
        write(lambda one=one: _paper(connection, one, words, payments), forms, to)  # type: ignore[misc]
        watching.progress("statements", done, len(numbers))
    watching.reached("statements:done")
    if refused:
        more = f" (and {len(refused) - 1:,} more)" if len(refused) > 1 else ""
        raise ControlMismatchError(f"{done:,} statements are in {to}; {refused[0]}{more}")
    return done


@report.command("city")
def city(
    month: MonthOption = None,
    first: FromOption = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Count no later date than this.")
    ] = None,
    to: ToOption = None,
    form: FormOption = "pdf,xlsx,csv",
    lang: LangOption = "ko",
    programme: ProgrammeOption = None,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """The city's report: issued, spent, cashback by funder against budget with a forecast, and trade.

    By district, category, channel, shop size and merchant group; what is issued is never added to what is
    spent. Closed dates only. Without --to it is shown here.
    """
    with reading_books(config, operator) as (_, connection, _watching):
        words, last = Words(lang), read_date(until, "--until")
        period = _period(month, None, first, None if month else until)
        facts = one_programme(connection, programme)
        found = read_city(connection, facts, period, last)
        put(lambda: city_paper.paper_of(found, facts, words), to, form, as_json=as_json)


@report.command("bundle")
def bundle(
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help="A new folder, or a new file: NAME.tar.")],
    month: MonthOption = None,
    day: DayOption = None,
    first: FromOption = None,
    until: UntilOption = None,
    programme: ProgrammeOption = None,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """The auditor's bundle of closed dates: books, files, approvals, answers, rules, audit log, proof.

    Whoever gets it checks it alone: python verify_bundle.py BUNDLE. Tell them the manifest's sha256 that is
    shown at the end by another way than the bundle goes.
    """
    with reading_books(config, operator, Role.AUDITOR) as (settings, connection, watching):
        period = _period(month, day, first, until)
        number = one_programme(connection, programme).programme_no
        made = bundling.write_bundle(
            connection, settings, number, period, to, lambda done, of: watching.progress("bundle", done, of)
        )
    if as_json:
        show_json(made)
        return
    typer.echo(f"{made.path}: {made.files:,} files, {made.size:,} bytes, {made.entries:,} entries")
    typer.echo(f"manifest sha256 {made.sha256}")
    typer.echo(f"check it with: python {bundling.VERIFIER} {made.path}")


def _period(month: str | None, day: str | None, first: str | None, until: str | None) -> Period:
    return one_of(month, read_date(day), read_date(first, "--from"), read_date(until, "--until"))
