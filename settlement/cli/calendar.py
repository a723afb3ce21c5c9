"""`calendar`: when business dates are paid, and what a changed calendar means for what is on its way."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from settlement.cli.app import app
from settlement.cli.merchants import ProgrammeOption
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    exits,
    look,
    read_date,
    show_json,
)
from settlement.desk import forecast
from settlement.desk.merchants import find
from settlement.errors import UsageError
from settlement.reference import load_all
from settlement.settings import Settings
from switch.clock import Clock
from switch.store.schema import programme as programme_table

DAYS, DAYS_MAX = 21, 400
CHECK = "check"


@app.command()
def calendar(
    merchant: Annotated[
        str | None, typer.Argument(help=f"A merchant's id, or {CHECK!r}. Default: the programme's own term.")
    ] = None,
    from_text: Annotated[
        str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="Default: the open business date.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="How many business dates.")] = DAYS,
    programme: ProgrammeOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show on which bank day each business date is paid, and which holidays lie on the way.

    `calendar check` holds the calendars of runs that are not booked yet against the settings of today.
    """

    def ahead(connection: Connection, clock: Clock, settings: Settings) -> dict[str, list[forecast.PayDay]]:
        chosen, own = programme, None
        if merchant is not None:
            row = find(connection, merchant)
            own = row.payout_days
            chosen = (
                connection.execute(
                    programme_table.select().where(programme_table.c.programme_no == row.programme_no)
                )
                .one()
                .programme_id
            )
        found: dict[str, list[forecast.PayDay]] = {}
        for facts in load_all(connection, chosen):
            first = read_date(from_text, "--from") or facts.open_date(clock.now())
            try:
                rows = forecast.pay_days(facts, own, settings.calendar, first, days)
                found[merchant or facts.programme_id] = list(rows)
            except (OverflowError, NotImplementedError):
                raise UsageError(
                    f"--from {first}: no calendar is known that far: name a nearer date"
                ) from None
        return found

    with exits():
        if merchant == CHECK:
            pending = look(
                config,
                lambda connection, _, settings: [
                    one
                    for facts in load_all(connection, programme)
                    for one in forecast.check(connection, facts, settings.calendar)
                ],
            )
            if as_json:
                show_json(pending)
            else:
                typer.echo(_check_page(pending))
            return
        found = look(config, ahead)
    if as_json:
        show_json(found)
    else:
        typer.echo("\n\n".join(_page(name, found[name]) for name in found))


def _page(name: str, rows: list[forecast.PayDay]) -> str:
    lines = [f"{name}  pay days", f"  {'business date':<14} {'paid on':<14} {'term':<5} holidays on the way"]
    for one in rows:
        dates = f"{one.business_date:%Y-%m-%d %a} {one.pay_on:%Y-%m-%d %a}"
        lines.append(f"  {dates} T+{one.bank_days:<3} {', '.join(one.closed)}"[:120].rstrip())
    return "\n".join(lines)


def _check_page(pending: list[forecast.Pending]) -> str:
    if not pending:
        return "nothing is on its way"
    lines = [f"{'programme':<12} {'run':<13} {'paid on':<10} {'payments':>8} {'won':>16}  today's calendar"]
    for one in pending:
        run = f"{one.business_date}" + (f"/{one.cycle}" if one.cycle > 1 else "")
        sums = f"{one.pay_on} {one.items:>8,} {one.won:>16,}"
        stands = f"closed ({one.now_closed})" if one.now_closed else "as it was"
        lines.append(f"{one.programme:<12} {run:<13} {sums}  {stands}"[:120])
        if one.moves_to is not None:
            lines.append(f"  the next run moves them to {one.moves_to}")
        elif one.now_closed:
            lines.append("  they have left already: the bank moves them by its own calendar")
        lines += [f"  {difference} that run" for difference in one.differs]
    return "\n".join(lines)
