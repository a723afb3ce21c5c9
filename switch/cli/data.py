"""Commands that bring data in: programmes and imports."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson
from switch.cli.output import progress, show_json, show_table
from switch.cli.runtime import Books, open_books, operator
from switch.domain.lint import lint
from switch.domain.programme_file import canonical_json
from switch.service.admin import NotFoundError
from switch.service.import_books import ImportReport
from switch.service.import_files import Progress
from switch.service.import_funding import import_funding
from switch.service.import_members import import_cards, import_members
from switch.service.import_merchants import import_merchants
from switch.service.import_terminals import import_terminals
from switch.service.programmes import apply_programme, read_programme
from switch.service.vault import Vault
from switch.store.reference_write import find_programmes

File = Annotated[Path, typer.Argument(help="The file to read.")]

programme = typer.Typer(no_args_is_help=True, help="Programmes: their rules, as dated policy versions.")
imports = typer.Typer(
    no_args_is_help=True,
    help="Import CSV files (UTF-8, header row). Each file is all or nothing and may be imported again:"
    " what is there already is left alone. config/examples holds one of each kind.",
)


@programme.command("apply")
def programme_apply(context: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Check a programme file and put it in force. Exit code 2 and every fault if there is one.

    Versions that payments were judged by stay as they are: a change is a new version. What `programme lint`
    warns of is told on stderr, and does not hinder. Example:

        dure-switch programme apply config/programmes/seoro.toml
    """
    with open_books(context) as books:
        report = apply_programme(books.engine, file, books.now())
    for trap in lint(read_programme(file), file.read_text(encoding="utf-8-sig")):
        if trap.severity == "warning":
            typer.echo(str(trap), err=True)
    if as_json:
        show_json(report)
        return
    if not report.changed:
        typer.echo(f"{report.programme_id}: in force already, nothing to do")
        return
    new, changed = ", ".join(report.new_versions) or "none", ", ".join(report.changed_versions) or "none"
    typer.echo(f"{report.programme_id}: applied; new versions: {new}; changed versions: {changed}")


@programme.command("list")
def programme_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the programmes in force.

    Example:  dure-switch programme list
    """
    with open_books(context) as books, books.engine.connect() as connection:
        found = find_programmes(connection)
    rows = [
        {
            "programme": name,
            "name": one.programme.name,
            "versions": [policy.version for policy in one.programme.policies],
            "applied": one.applied_at.isoformat(timespec="seconds"),
            "closed_through": one.closed_through.isoformat() if one.closed_through else "",
            "sha256": one.sha256,
        }
        for name, one in found.items()
    ]
    if as_json:
        show_json(rows)
        return
    columns = ("programme", "name", "versions", "applied", "closed_through")
    shown = [[", ".join(row[name]) if name == "versions" else row[name] for name in columns] for row in rows]
    show_table("Programmes", columns, shown)


@programme.command("show")
def programme_show(
    context: typer.Context,
    programme_id: Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme's id.")],
) -> None:
    """Show a programme in force as JSON, in the canonical form whose SHA-256 names it.

    Example:  dure-switch programme show seoro
    """
    with open_books(context) as books, books.engine.connect() as connection:
        found = find_programmes(connection).get(programme_id)
    if found is None:
        raise NotFoundError(f'no programme "{programme_id}": `dure-switch programme list` shows them')
    typer.echo(canonical_json(found.programme).decode())


def _run(
    context: typer.Context, file: Path, as_json: bool, load: Callable[[Books, Progress], ImportReport]
) -> None:
    with open_books(context) as books, progress(file.name) as advance:
        report = load(books, advance)
    show_json(report) if as_json else typer.echo(str(report))


@imports.command("members")
def members(context: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Import members: member_id,programme,points_on[,holder][,tags]. A new member gets a wallet.

    Example:  dure-switch import members config/examples/members.csv
    """
    _run(context, file, as_json, lambda books, advance: import_members(books.engine, file, advance))


@imports.command("cards")
def cards(context: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Import cards: programme,member_id,pan,expiry,pvki,pvv[,state][,form]. Numbers are stored encrypted.

    Delete the file afterwards: it holds card numbers. Example:

        dure-switch import cards config/examples/cards.csv
    """

    def load(books: Books, advance: Progress) -> ImportReport:
        return import_cards(books.engine, file, Vault.load(Path(books.settings.vault.key_file)), advance)

    _run(context, file, as_json, load)


@imports.command("merchants")
def merchants(context: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Import merchants with annual sales, dated groups and the account they are paid to.

    Example:  dure-switch import merchants config/examples/merchants.csv
    """
    _run(
        context,
        file,
        as_json,
        lambda books, advance: import_merchants(books.engine, file, books.now(), advance),
    )


@imports.command("terminals")
def terminals(context: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Import terminals: terminal_id,merchant_id,tmk,kcv[,key_mode,key_form,bdk,ksn_id,notify].

    Keys stand under the HSM's LMK; master keys under a zone key come in by `dure-switch key load-terminals`.
    Example:

        dure-switch import terminals config/examples/terminals.csv
    """
    _run(
        context,
        file,
        as_json,
        lambda books, advance: import_terminals(books.engine, file, books.now(), operator(), advance),
    )


@imports.command("funding")
def funding(context: typer.Context, file: File, as_json: AsJson = False) -> None:
    """Book money that came in: programme,reference,member_id,kind,won,funder,day. Once per reference.

    Example:  dure-switch import funding config/examples/funding.csv
    """
    _run(
        context,
        file,
        as_json,
        lambda books, advance: import_funding(books.engine, file, books.now(), advance),
    )
