"""Commands on the keys that protect card numbers: made, shown, and rotated while payments go on."""

from pathlib import Path
from typing import Annotated

import typer

from switch.cli.output import progress, show_json
from switch.cli.runtime import Books, open_books, opened_engine, operator
from switch.service import vault as vaults
from switch.service import vault_rotation as rotation
from switch.service.vault_rotation import Rotated

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]

vault = typer.Typer(
    no_args_is_help=True,
    help="Keys that protect card numbers. To rotate them: add-key, copy the file to every switch, rotate,"
    " retire.",
)


@vault.command("new")
def vault_new(file: Annotated[Path, typer.Argument(help="The key file to make; it must not exist.")]) -> None:
    """Make a key file for card numbers, readable by you alone.

    Keep a copy apart from the database's backups: without it no card can be found any more. Example:

        dure-switch vault new var/vault.keys
    """
    vaults.new_key_file(file)
    typer.echo(f"made {file} (mode 0600): name it in vault.key_file and keep a copy in a safe place")


@vault.command("add-key")
def vault_add_key(context: typer.Context) -> None:
    """Add keys of a new version to the key file, the first step of a rotation.

    Keep a copy of the file as it was with the backups made until now. Where several machines run a switch,
    copy the new file to each of them before `vault rotate`. Example:

        dure-switch vault add-key
    """
    with open_books(context) as books:
        path = _key_file(books)
        version = rotation.add_version(path)
    typer.echo(f"{path}: version {version} added: copy the file to a safe place, then run `vault rotate`")


@vault.command("rotate")
def vault_rotate(context: typer.Context, as_json: AsJson = False) -> None:
    """Move every card to the newest version of the keys. The switch may serve meanwhile.

    Safe to break off and to run again. Example:

        dure-switch vault rotate
    """
    with open_books(context) as books, progress("cards") as advance:
        done = rotation.rotate(books.engine, _key_file(books), books.now(), operator(), advance)
    _show(done, as_json)


@vault.command("retire")
def vault_retire(context: typer.Context, as_json: AsJson = False) -> None:
    """Take the old versions: first from the index of cards, then out of the key file.

    Every switch must have the file with the newest version. Safe to break off and to run again. Example:

        dure-switch vault retire
    """
    with (
        open_books(context) as books,
        opened_engine(books.settings, None) as owner,
        progress("cards") as advance,
    ):
        done = rotation.retire(owner, _key_file(books), books.now(), operator(), advance)
    _show(done, as_json)


@vault.command("status")
def vault_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the versions in the key file and how many cards are sealed under each.

    Example:  dure-switch vault status
    """
    with open_books(context) as books:
        found = rotation.status(books.engine, _key_file(books))
    if as_json:
        show_json(found)
        return
    typer.echo(
        f"index versions: {_listed(found.index_versions)}; seal versions: {_listed(found.seal_versions)}"
    )
    for version, count in sorted(found.cards.items()):
        typer.echo(f"sealed under version {version}: {count:,} cards")


def _key_file(books: Books) -> Path:
    return Path(books.settings.vault.key_file)


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions))


def _show(done: Rotated, as_json: bool) -> None:
    if as_json:
        show_json(done)
        return
    taken = f", {done.index_rows_taken:,} old index rows taken" if done.index_rows_taken else ""
    typer.echo(f"version {done.version}: {done.cards:,} cards, {done.moved:,} of them moved now{taken}")
