"""The program's one list of commands; each module beside this one adds its own."""

from importlib.metadata import version
from typing import Annotated

import typer

EXIT_CODES = """
Exit codes:
0 done, or done before ·
2 usage (an open or future date, an earlier date first) ·
3 done, with exceptions that a person must look at ·
4 a control did not agree: no file was emitted ·
75 locked or unavailable: run the same command again ·
77 not allowed: another operator, or another role ·
78 bad configuration.
"""

app = typer.Typer(
    help="Settles business dates: closes the day, credits cashback, pays merchants, writes the bank's file."
    "\n\nA typical night: dure-settlement run --dry-run, look, then dure-settlement run. A run that was"
    " interrupted anywhere is finished by running it again; a run that is done changes nothing.\n\n"
    + EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dure-settlement {version('dure')}")
        raise typer.Exit


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
