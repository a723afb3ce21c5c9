"""`files list|show|regenerate`: what has been made for the bank, and its bytes again where they were lost."""

from datetime import date, datetime
from itertools import islice
from typing import Annotated

import msgspec
import typer
from sqlalchemy import Connection, select, text

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    exits,
    look,
    opened,
    read_date,
    show_json,
)
from settlement.desk import bankfiles
from settlement.domain.roles import Role
from settlement.errors import UsageError
from settlement.files.orders import masked
from settlement.people.audit import note
from settlement.pipeline import clock_of
from settlement.store.files import FileRow, file_of, transfers_of
from settlement.store.schema_bank import bank_file
from switch.domain.calendar import SEOUL
from switch.store.schema import programme as programme_table

LIST_DEFAULT, LIST_MAX = 50, 10_000
SHOWN_MAX = 20

files_app = typer.Typer(help="Show the files for the bank, and restore lost bytes.", no_args_is_help=True)
app.add_typer(files_app, name="files")

_LIST = text("""
    SELECT r.programme_id, f.file_no, f.name, f.business_date, f.cycle, f.pay_on, f.debtor, f.payments, f.won,
           f.state, f.sha256, f.made_by,
           coalesce((SELECT a.approved_by FROM file_approval a WHERE a.programme_no = f.programme_no
                     AND a.file_no = f.file_no AND a.voided_at IS NULL
                     ORDER BY a.approval_no DESC LIMIT 1), '') AS approved_by,
           (SELECT d.ended_at FROM file_delivery d WHERE d.programme_no = f.programme_no
            AND d.file_no = f.file_no AND d.outcome = 'delivered'
            ORDER BY d.try_no DESC LIMIT 1) AS delivered_at
    FROM bank_file f JOIN programme r USING (programme_no)
    WHERE (CAST(:programme AS text) IS NULL OR r.programme_id = :programme)
      AND (CAST(:day AS date) IS NULL OR f.business_date = :day)
    ORDER BY r.programme_id, f.file_no DESC LIMIT :most
""")

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="A file's name, or its number.")]
ProgrammeOption = Annotated[str | None, typer.Option(help="One programme's id. Default: all of them.")]


class Listed(msgspec.Struct, frozen=True):
    """One file: what it orders, how it stands, and who has done what with it."""

    programme: str
    file_no: int
    name: str
    business_date: date
    cycle: int
    pay_on: date
    debtor: str
    payments: int
    won: int
    state: str
    sha256: str | None
    made_by: str
    approved_by: str
    delivered_at: datetime | None


@files_app.command("list")
def list_files(
    date_text: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Those of one business date.")
    ] = None,
    programme: ProgrammeOption = None,
    most: Annotated[int, typer.Option("--most", min=1, max=LIST_MAX, help="How many.")] = LIST_DEFAULT,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List files, the last one first: state, who made and who approved it, when it was delivered."""
    with exits():
        chosen = {"programme": programme, "day": read_date(date_text), "most": most}
        found = look(
            config, lambda connection, _, __: [Listed(*row) for row in connection.execute(_LIST, chosen)]
        )
    if as_json:
        show_json(found)
        return
    if not found:
        typer.echo("no file for the bank has been made yet")
        return
    width = max(len(one.name) for one in found)  # the name has programme, date, cycle, number and bank day
    typer.echo(
        f"{'file':<{width}} {'from':<11} {'payments':>8} {'won':>13} {'state':<9} {'made by':<8} approved"
    )
    for one in found:
        typer.echo(
            f"{one.name:<{width}} {one.debtor[:11]:<11} {one.payments:>8,} {one.won:>13,}"
            f" {one.state[:9]:<9} {one.made_by[:8]:<8} {one.approved_by[:8] or '-'}"
        )


@files_app.command()
def show(
    file: FileArgument,
    programme: ProgrammeOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show one file: its identity, where its copies are, and its first payments."""
    with exits(), opened(config) as (settings, connection):
        clock_of(connection, settings)
        with connection.begin():
            row = _named(connection, file, programme)
            transfers = list(islice(transfers_of(connection, row), SHOWN_MAX))
    copies = {
        str(path): path.exists()
        for path in (bankfiles.outbox_path(settings, row), bankfiles.archive_path(settings, row))
    }
    lines = [(one.end_to_end_id, one.won, one.payee.bank, masked(one.payee.account), one.payee.name)
             for one in transfers]  # fmt: skip
    row = msgspec.structs.replace(row, debtor_account=masked(row.debtor_account))
    if as_json:
        told = {"file": row, "copies": copies, "first_payments": lines}
        show_json(told)
        return
    made = row.created_at.astimezone(SEOUL).strftime("%Y-%m-%d %H:%M")
    for name, value in (
        ("file", f"{row.name}  ({row.profile})"),
        ("number", f"{row.file_no}, of the run of {row.business_date} cycle {row.cycle}"),
        ("state", row.state),
        ("made", f"{made} by {row.made_by}"),
        ("MsgId", row.message_id),
        ("from", f"{row.debtor}: {row.debtor_name}, {row.debtor_bank} {row.debtor_account}"),
        ("orders", f"{row.payments:,} payments of {row.won:,} won on {row.pay_on}"),
        ("sha256", row.sha256 or "(not written yet)"),
        *(("copy" if there else "no copy", path) for path, there in copies.items()),
    ):
        typer.echo(f"{name:<8} {value}")
    for name, won, bank, account, holder in lines:
        typer.echo(f"  {name:<35} {won:>14,}  {bank:<7} {account:<6} {holder}")
    if row.payments > len(lines):
        typer.echo(f"  … and {row.payments - len(lines):,} more")


@files_app.command()
def regenerate(
    file: FileArgument,
    programme: ProgrammeOption = None,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make lost copies of a file again from its rows, in the archive and, while it has not left, the outbox.

    Refuses where the rows make other bytes than were emitted, and where a copy with other bytes is there.
    """
    with exits(), opened(config) as (settings, connection):
        actor = acting(settings, connection, as_operator, Role.MAKER, Role.DELIVERER)
        now = clock_of(connection, settings).now()
        with connection.begin():
            row = _named(connection, file, programme)
        if row.sha256 is None or row.state == "voided":
            raise UsageError(f"{row.name}: is {'voided' if row.sha256 else 'not written yet'}")
        with bankfiles.on_disk(settings):
            restored = bankfiles.keep(connection, settings, row, restore=True)
        if restored:
            with connection.begin():
                note(connection, now, actor.name, "file:restore", row.name, {"copies": restored})
    for path in restored:
        typer.echo(f"restored {path}")
    if not restored:
        typer.echo(f"{row.name}: nothing was lost")


def _named(connection: Connection, file: str, programme: str | None) -> FileRow:
    """The file with a name, or a number that is one programme's only. Raises UsageError."""
    table = bank_file.c
    query = select(table.programme_no, table.file_no).join(
        programme_table, programme_table.c.programme_no == table.programme_no
    )
    query = query.where(
        table.file_no == int(file) if file.isdecimal() and len(file) < 10 else table.name == file
    )
    if programme is not None:
        query = query.where(programme_table.c.programme_id == programme)
    rows = connection.execute(query).all()
    if len(rows) > 1:
        raise UsageError(f"several programmes have a file {file}: name it, or add --programme")
    found = file_of(connection, *rows[0]) if rows else None
    if found is None:
        raise UsageError(f"there is no file {file!r}: dure-settlement files list shows those there are")
    return found
