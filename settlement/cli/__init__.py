"""`dure-settlement`: results on stdout, progress and problems on stderr."""

import typer

from settlement.cli import approve as _approve  # noqa: F401 - each adds its commands
from settlement.cli import archive as _archive  # noqa: F401
from settlement.cli import bank as _bank  # noqa: F401
from settlement.cli import calendar as _calendar  # noqa: F401
from settlement.cli import deliver as _deliver  # noqa: F401
from settlement.cli import files as _files  # noqa: F401
from settlement.cli import fund as _fund  # noqa: F401
from settlement.cli import gifts as _gifts  # noqa: F401
from settlement.cli import merchants as _merchants  # noqa: F401
from settlement.cli import people as _people  # noqa: F401
from settlement.cli import replay as _replay  # noqa: F401
from settlement.cli import report as _report  # noqa: F401
from settlement.cli import run as _run  # noqa: F401
from settlement.cli import status as _status  # noqa: F401
from settlement.cli.app import app

__all__ = ["app", "main"]

EXIT_INTERRUPTED = 130  # typer's own, for Ctrl-C
INTERRUPTED = "interrupted: what was finished stands, the rest was undone; run the same command again"


def main() -> None:
    """Entry point of the script."""
    try:
        app(prog_name="dure-settlement")
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            typer.echo(INTERRUPTED, err=True)
        raise
