"""Commands that hand a whole programme over: export in open formats, and import into an empty system."""

from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson, Programme
from switch.cli.output import progress, show_json
from switch.cli.runtime import EXIT_PROOF, Books, exit_with, open_books
from switch.service.import_files import Progress
from switch.service.transfer.anonymous import export_anonymous
from switch.service.transfer.export import export_programme
from switch.service.transfer.manifest import Storage
from switch.service.transfer.restore import import_programme as restore
from switch.service.vault import Vault


def export(
    context: typer.Context,
    programme: Programme,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.")],
    storage: Annotated[Storage, typer.Option("--format", help="csv (gzip) or parquet.")] = "csv",
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Only payments, for research: nobody can be told from them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export one programme with everything of it, at one position of the books, while payments go on.

    A file a table, a file a day for payments and entries, manifest.json with rows and SHA-256, `.done` last.
    Card numbers stay encrypted: hand the vault's key file over by itself. Exit code 4 if the books of the
    programme do not balance. Examples:

        dure-switch export --programme seoro --out /srv/handover/seoro

        dure-switch export --programme seoro --out /srv/research/2026-11 --anonymous
    """
    with open_books(context) as books, progress("export") as advance:
        if anonymous:
            _anonymous(books, programme, out, storage, as_json, advance)
            return
        done = export_programme(books.engine, programme, out, books.now(), storage, advance)
    if as_json:
        show_json(done)
    else:
        typer.echo(f"{out}: {done.rows:,} rows in {done.files:,} files, {done.bytes:,} bytes")
        typer.echo("the books of the programme balance" if done.proof_ok else "THE BOOKS DO NOT BALANCE")
        for need in done.needs:
            typer.echo(f"the receiver also needs {need}")
    exit_with(0 if done.proof_ok else EXIT_PROOF)


def _anonymous(
    books: Books, programme: str, out: Path, storage: Storage, as_json: bool, advance: Progress
) -> None:
    if storage != "csv":
        raise typer.BadParameter("an anonymous export is CSV: leave --format out")
    written = export_anonymous(books.engine, programme, out, books.now(), advance)
    if as_json:
        show_json(written)
        return
    typer.echo(f"{out}: {written.payments:,} payments of {written.days:,} days, without members and shops")


def import_programme(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an export.")],
    as_json: AsJson = False,
) -> None:
    """Import an exported programme into a system that has none of it: all or nothing, and proved.

    The system must be made ready (`dure-switch init`), at the same schema revision, and its vault's key file
    must be the one that the cards were sealed with. Example:

        dure-switch import-programme /srv/handover/seoro
    """
    with open_books(context) as books, progress("import") as advance:
        vault = Vault.load(Path(books.settings.vault.key_file))
        done = restore(books.engine, folder, vault, advance)
    if as_json:
        show_json(done)
        return
    typer.echo(f"{done.programme_id}: {done.rows:,} rows imported")
    typer.echo(f"{done.entries:,} entries, {done.payments:,} payments: the books balance and prove as before")
    for need in done.needs:
        typer.echo(f"needed besides: {need}")
