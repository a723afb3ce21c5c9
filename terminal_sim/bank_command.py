"""`dure-terminal-sim bank`: one simulated bank, one call for each of its days."""

import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from terminal_sim.bank import Bank
from terminal_sim.bank_post import Happening
from terminal_sim.bank_script import ScriptError, load
from terminal_sim.cli_common import EXIT_UNAVAILABLE, fail
from terminal_sim.scenario_run import EXIT_BAD_FILE

SCRIPT_FILE: Final = "bank.toml"
WIDTH: Final = 120


class _Balance(msgspec.Struct):
    number: str
    name: str
    won: int


class _Told(msgspec.Struct):
    closed_through: date
    happened: list[Happening]
    accounts: list[_Balance]


def bank(
    folder: Annotated[Path, typer.Option(help="Where in/, out/ and the bank's own books are.")],
    script: Annotated[
        Path | None, typer.Option(help="How it behaves (TOML). Default: bank.toml in the folder.")
    ] = None,
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Today. Default: the next day.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="Then let the days through this one end. Default: none."),
    ] = None,
    answer: Annotated[
        str, typer.Option(metavar="MSGID", help="Also send the answer about this file, if it was kept back.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """A bank for tests and demonstrations: it takes pain.001 from FOLDER/in and answers in FOLDER/out.

    On the morning of --date it takes and answers (pain.002) what has come. Each evening through --until it
    executes what is due, lets returns come back (camt.054), and writes each account's statement (camt.053).
    It goes on where it was, also after a kill. What goes wrong is written in its script.

    A script is at least: code = "088", first_day = 2026-11-20, and an [[account]] with number and name.

    Exit codes: 0 done · 2 a bad script, date or option · 75 its books are held by another bank.
    """
    try:
        rules = load(script or folder / SCRIPT_FILE)
        with Bank(folder, rules) as simulated:
            today = _read(day, "--date") or simulated.closed_through + timedelta(days=1)
            happened = simulated.morning(today)
            if answer:
                happened += simulated.answer(answer)
            evening = _read(until, "--until")
            if evening is not None:
                happened += simulated.evening(evening)
            told = _Told(
                simulated.closed_through,
                happened,
                [_Balance(one.number, one.name, simulated.balance(one.number)) for one in rules.account],
            )
    except ScriptError as error:
        fail(str(error), EXIT_BAD_FILE)
    except sqlite3.OperationalError as error:
        fail(f"{folder}: its books cannot be used ({error}): run it again", EXIT_UNAVAILABLE)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
    else:
        _show(told)


def _show(told: _Told) -> None:
    console = Console(width=WIDTH)
    table = _table(
        ("day", "left"), ("", "left"), ("name", "left"), ("number", "right"), ("won", "right"), ("", "left")
    )
    for one in told.happened:
        number = f"{one.payments:,}" if one.payments else ""
        won = f"{one.won:,}" if one.payments or one.what == "statement" else ""
        table.add_row(one.day.isoformat(), one.what, one.name, number, won, one.about)
    if told.happened:
        console.print(table)
    else:
        console.print("nothing happened")
    accounts = _table(("account", "left"), ("", "left"), ("won", "right"))
    for account in told.accounts:
        accounts.add_row(account.number, account.name, f"{account.won:,}")
    console.print()
    console.print(accounts)
    console.print(f"closed through {told.closed_through}", highlight=False)


def _table(*columns: tuple[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, justify in columns:
        table.add_column(name, justify=justify, header_style="dim", no_wrap=True)
    return table


def _read(text: str | None, option: str) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 (a calendar date has no zone)
    except ValueError:
        fail(f"{option} {text}: write a date as 2026-11-20", EXIT_BAD_FILE)
