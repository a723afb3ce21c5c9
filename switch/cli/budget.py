"""Commands for budgets: how each month stands, how it was used up, more or less of it."""

import re
from typing import Annotated

import typer

from switch.cli.options import AsJson, Programme
from switch.cli.output import show_json, show_table
from switch.cli.runtime import open_books, operator
from switch.service.giving.budgets import BudgetDetail, BudgetView, adjust, budget_list, budget_show

budget = typer.Typer(no_args_is_help=True, help="Budgets: what funders give, and what is left of it.")

Code = Annotated[str, typer.Argument(metavar="BUDGET", help="The budget's code; campaign:CODE of a pot.")]
Funder = Annotated[str, typer.Option("--funder", help="The funder's id, where several pay.")]
Month = Annotated[str, typer.Option("--month", help="YYYY-MM; a pot for good has none.")]

_COLUMNS = ("budget", "funder", "month", "amount", "granted in all", "came back", "left")


def _month(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", text):
        raise typer.BadParameter(f"{text!r} is no month: write it as YYYY-MM")
    return int(text[:4]) * 100 + int(text[5:])


def _row(one: BudgetView) -> tuple[object, ...]:
    return (one.code, one.funder or "(top-ups)", one.month, one.amount, one.granted, one.returned, one.left)


@budget.command("list")
def budgets(context: typer.Context, programme: Programme, as_json: AsJson = False) -> None:
    """List a programme's budgets: every month that has begun, and this one. Amounts in won.

    Example:  dure-switch budget list --programme seoro
    """
    with open_books(context) as books:
        found = budget_list(books.engine, programme, books.now())
    show_json(found) if as_json else show_table("Budgets", _COLUMNS, [_row(one) for one in found])


@budget.command("show")
def show(
    context: typer.Context,
    programme: Programme,
    code: Code,
    funder: Funder = "",
    month: Month = "",
    as_json: AsJson = False,
) -> None:
    """Show how a budget's month was used up, by business date, and who changed it.

    Example:  dure-switch budget show --programme seoro cashback --month 2026-06
    """
    with open_books(context) as books:
        found = budget_show(books.engine, programme, code, books.now(), funder=funder, month=_month(month))
    if as_json:
        show_json(found)
        return
    for one in found:
        _show_detail(one)


def _show_detail(one: BudgetDetail) -> None:
    show_table("Budget", _COLUMNS, [_row(one.budget)])
    days = [(day.day, day.granted, day.returned, day.left) for day in one.days]
    show_table("By business date", ("date", "granted", "came back", "left"), days)
    if one.changes:
        rows = [(c.reference, c.won, c.amount, c.note, c.actor, c.at[:19]) for c in one.changes]
        show_table("Changes", ("reference", "won", "amount after", "note", "by", "at"), rows)


@budget.command("adjust", context_settings={"ignore_unknown_options": True})
def budget_adjust(
    context: typer.Context,
    programme: Programme,
    code: Code,
    won: Annotated[int, typer.Argument(metavar="WON", help="More (5000000) or less (-5000000).")],
    reference: Annotated[
        str, typer.Option("--reference", help="Makes the change once, however often asked.")
    ],
    funder: Funder = "",
    month: Month = "",
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a budget's month larger or smaller, never below what is granted. It leaves a trace.

    Payments go on meanwhile and see it at once. Examples:

    \b
        dure-switch budget adjust --programme seoro cashback 50000000 --funder city --month 2026-06 \\
            --reference 2026-supplement-1
        dure-switch budget adjust --programme seoro cashback -20000000 --funder city --month 2026-07 \\
            --reference 2026-cut-2
    """
    with open_books(context) as books:
        done = adjust(
            books.engine,
            programme,
            code,
            won,
            reference,
            actor=operator(),
            now=books.now(),
            funder=funder,
            month=_month(month),
            note=note,
        )
    if as_json:
        show_json(done)
        return
    when = "changed before" if done.done_before else "changed"
    show_table(f"{reference}: {when} by {done.won:+,} won", _COLUMNS, [_row(done.budget)])
