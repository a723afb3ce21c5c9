"""The command that looks at terminals' batches."""

from typing import Annotated

import typer

from switch.cli.options import AsJson, OfBusinessDate, read_day
from switch.cli.output import show_json, show_table
from switch.cli.runtime import open_books
from switch.service.admin import NotFoundError
from switch.store.batches_list import BATCHES_MAX, BatchView, DifferenceView, batch_list, difference_list


def batches(
    context: typer.Context,
    terminal: Annotated[str | None, typer.Option(help="Of this terminal.")] = None,
    batch_no: Annotated[
        int | None,
        typer.Option("--batch", min=1, max=999_999, help="This one, with its differences; needs --terminal."),
    ] = None,
    day: OfBusinessDate = None,
    differing: Annotated[
        bool, typer.Option("--differing", help="Only those out of balance, closed or not.")
    ] = False,
    last: Annotated[int, typer.Option(min=1, max=BATCHES_MAX, help="How many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the batches that terminals have closed, or told of and not closed. Amounts in won.

    \b
        dure-switch batches --date 2026-11-20 --differing
        dure-switch batches --terminal T0000001 --batch 12

    States: closed (both sides agree), closed_differs (its differences are kept), open_differs (its terminal
    is to upload its details). "changed" says that payments or reversals of it came after its close.
    """
    if batch_no is not None and terminal is None:
        raise typer.BadParameter("--batch needs --terminal: every terminal numbers its own")
    with open_books(context) as books:
        found = batch_list(
            books.engine,
            days_back=books.settings.limits.local_days_back,
            terminal_id=terminal,
            business_date=read_day(day),
            batch_no=batch_no,
            differing=differing,
            last=last,
        )
        if batch_no is not None and terminal is not None:
            if not found:
                raise NotFoundError(f"terminal {terminal} has told of no batch {batch_no}")
            _show_one(found[0], difference_list(books.engine, terminal, batch_no), as_json=as_json)
            return
    if as_json:
        show_json(found)
        return
    show_table(
        "Batches",
        (
            *("terminal", "batch", "merchant", "date", "state", "debits", "won", "credits", "won"),
            *("host debits", "won", "host credits", "won", "differ", "changed"),
        ),
        [
            (
                *(one.terminal, f"{one.batch_no}", one.merchant, one.business_date, one.state),
                *one.told.standing[2:],
                *one.told.standing[:2],
                *one.host.standing[2:],
                *one.host.standing[:2],
                one.differences,
                one.changed_after_close,
            )
            for one in found
        ],
    )


def _show_one(view: BatchView, differences: list[DifferenceView], *, as_json: bool) -> None:
    if as_json:
        show_json({"batch": view, "differences": differences})
        return
    told, host = view.told, view.host
    show_table(
        f"Batch {view.batch_no} of {view.terminal} ({view.merchant}): {view.state}, {view.business_date}"
        + (", changed after its close" if view.changed_after_close else ""),
        ("", "terminal", "won", "host", "won"),
        [
            ("debits", told.debits, told.debit_won, host.debits, host.debit_won),
            (
                *("of them reversed", told.debits_reversed, told.debit_reversed_won),
                *(host.debits_reversed, host.debit_reversed_won),
            ),
            ("credits", told.credits, told.credit_won, host.credits, host.credit_won),
            (
                *("of them reversed", told.credits_reversed, told.credit_reversed_won),
                *(host.credits_reversed, host.credit_reversed_won),
            ),
        ],
    )
    show_table(
        "Differences",
        ("what", "kind", "stan", "sent (UTC)", "host won", "terminal won"),
        [
            (one.what, one.kind, one.stan, one.transmission, one.host_won, one.terminal_won)
            for one in differences
        ],
    )
