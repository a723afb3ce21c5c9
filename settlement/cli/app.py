"""The program's one list of commands; each module beside this one adds its own."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

EXIT_CODES = """
Exit codes:
0 done, or done before ·
2 usage (an open or future date, an earlier date first) ·
3 done, with exceptions that a person must look at ·
4 a control did not agree: nothing was emitted or taken ·
75 locked or unavailable: run the same command again ·
77 not allowed: another operator, or another role ·
78 bad configuration.
"""

# The commands as an operator meets them, each with what fits on a line of 80 columns.
SECTIONS: dict[str, dict[str, str]] = {
    "The night": {
        "run": "Settle one business date, and go on with earlier ones.",
        "status": "Show how far each run is, and what it waits for.",
        "calendar": "Show on which bank day each business date is paid.",
    },
    "The bank": {
        "approve": "Look at the files that wait, and let them leave.",
        "deliver": "Bring approved files to the bank.",
        "ack": "Take in the bank's answers.",
        "reconcile": "Hold the bank's statements against the books.",
        "open": "List what is open between bank and books, oldest first.",
        "files": "Show the files for the bank, and restore lost bytes.",
        "fund": "What funders have paid in ahead for cashback.",
    },
    "Merchants": {
        "hold": "Hold a merchant's payouts, or keep back a part of each.",
        "release": "End a hold or a reserve: the next run pays.",
        "account": "Correct where a merchant is paid.",
        "ages": "List what merchants owe and what waits for them.",
        "rebate": "Give fees back after a lower class was found.",
        "subsidy": "Pay funders' gifts to merchants.",
    },
    "Papers": {
        "report": "A merchant's statement, the city's report, the auditor's bundle.",
        "replay": "Make a past run again and compare every byte.",
    },
    "People": {
        "operator": "Who may do what.",
        "audit": "Who did what: a log whose lines are chained.",
    },
    "Upkeep": {
        "check-config": "Check the settings, and print those in force.",
        "archive": "Move old days out of the database into files.",
    },
}


class _Sections(TyperGroup):
    """The list of commands in sections, instead of the order in which the modules are read."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()), col_max=12)


app = typer.Typer(
    cls=_Sections,
    help="Settles business dates: closes the day, credits cashback, pays merchants, writes the bank's files,"
    " and sees them through the bank."
    "\n\nA typical night: dure-settlement run --dry-run, look, then dure-settlement run; another person:"
    " dure-settlement approve; then dure-settlement run again, which delivers, and takes in what the bank"
    " answers. A run that was interrupted anywhere is finished by running it again; a run that is done"
    " changes nothing.\n\n" + EXIT_CODES,
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
