"""Import of an exported programme into a system that has nothing of it: all of it, proved, or nothing."""

import gzip
import zlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine, text

from switch.ledger.proof import Proof
from switch.service.admin import RefusedError
from switch.service.import_files import Progress, no_progress
from switch.service.transfer import columnar
from switch.service.transfer.export import is_marked_simulation, prove_one, revision_of
from switch.service.transfer.manifest import Manifest, TableOf, check_files, read, said_plainly
from switch.service.transfer.tables import PARTS, everything, shapes
from switch.service.vault import Vault, VaultError, card_row_id
from switch.service.vault_rotation import refuse_old_keys
from switch.store.bulk import bump_epoch, lock_administration
from switch.store.copying import DoesNotFitError, copy_in
from switch.store.reference_write import find_programmes

_BLOCK: Final = 1 << 18
_BOXES: Final = """
    SELECT DISTINCT ON (c.key_version) c.key_version, c.bucket, c.wallet_id, c.card_no, c.pan_box
    FROM card c ORDER BY c.key_version, c.bucket, c.wallet_id, c.card_no
"""


class Restored(msgspec.Struct, frozen=True):
    """What an import brought in. Its proof is the exported one, to the byte."""

    programme_id: str
    rows: int
    cards_opened: int  # one under each key that seals cards, to see that the key file is the one
    entries: int
    payments: int
    needs: tuple[str, ...]


def import_programme(
    engine: Engine, folder: Path, vault: Vault, progress: Progress = no_progress
) -> Restored:
    """Bring an exported programme in, in one transaction, and prove it before it is committed.

    Numbers stay as they were, for entries and cards are bound to them. `engine` is of the schema's owner or
    of the booking role. Raises RefusedError, VaultError.
    """
    manifest = read(folder)
    columnar.check(manifest.storage)
    if not manifest.proof.ok:
        raise RefusedError(f"{folder}: its books did not balance when it was written: mend them there first")
    check_files(folder, manifest, progress)
    with said_plainly(folder), engine.begin() as connection:
        lock_administration(connection)
        _fits(connection, folder, manifest)
        refuse_old_keys(connection, vault)
        rows = _load(connection, folder, manifest, progress)
        progress("proving", 0, 0)
        connection.exec_driver_sql("ANALYZE " + ", ".join(part.table for part in PARTS))
        proof = prove_one(connection, manifest.programme_no)
        _same(manifest, proof)
        _whole(connection, manifest)
        opened = _opened(connection, vault)
        everything(connection)
        connection.execute(
            text("UPDATE control SET vault_version = greatest(vault_version, :version)"),
            {"version": manifest.vault_version},
        )
        bump_epoch(connection)
    return Restored(manifest.programme_id, rows, opened, proof.entries, proof.payments, manifest.needs)


def _fits(connection: Connection, folder: Path, manifest: Manifest) -> None:
    """Whether these books can take that export at all. Raises RefusedError."""
    there = revision_of(connection)
    if there != manifest.revision:
        raise RefusedError(
            f"{folder}: was written at schema revision {manifest.revision}, these books are at {there}: bring"
            " both to the same version of the program with `dure-switch migrate`, then export anew"
        )
    known = shapes(connection)
    found = {table.name: table.columns for table in manifest.tables}
    if found.keys() != known.keys() or len(manifest.tables) != len(known):
        raise RefusedError(f"{folder}: does not hold the tables of these books: export it anew")
    for name, shape in known.items():
        if sorted(found[name]) != sorted(shape.columns):
            raise RefusedError(
                f"{folder}: the columns of {name} are not those of these books: export it anew"
            )
    if is_marked_simulation(connection) != manifest.simulation:
        raise RefusedError(
            f"{folder}: simulated books and real ones do not mix: import it into a system of its own kind"
        )
    programmes = find_programmes(connection)
    if manifest.programme_id in programmes:
        raise RefusedError(f"{manifest.programme_id}: is in these books already: import into an empty system")
    for one in programmes.values():
        if one.programme_no == manifest.programme_no:
            raise RefusedError(
                f"programme number {manifest.programme_no} is {one.programme.programme_id}'s in these books:"
                " import into an empty system"
            )


def _load(connection: Connection, folder: Path, manifest: Manifest, progress: Progress) -> int:
    tables = {table.name: table for table in manifest.tables}
    days = {
        date.fromisoformat(Path(file.name).name.split(".", 1)[0])
        for part in PARTS
        if part.by_day
        for file in tables[part.table].files
    }
    for day in sorted(days):
        connection.execute(text("SELECT dure_ensure_day(:day)"), {"day": day})
    rows = 0
    for done, part in enumerate(PARTS):
        progress("loading", done, len(PARTS))
        rows += _load_table(connection, folder, tables[part.table])
    return rows


def _load_table(connection: Connection, folder: Path, table: TableOf) -> int:
    columns = [name for name, _ in table.columns]
    for file in table.files:
        try:
            loaded = copy_in(connection, table.name, columns, _blocks(folder / file.name))
        except DoesNotFitError as error:
            raise RefusedError(str(error)) from None
        except (gzip.BadGzipFile, zlib.error, EOFError):
            raise RefusedError(f"{folder / file.name}: is not whole: export it anew") from None
        if loaded != file.rows:
            raise RefusedError(f"{folder / file.name}: has {loaded:,} rows, its manifest says {file.rows:,}")
    return table.rows


def _blocks(path: Path) -> Iterator[bytes]:
    if path.suffix == ".parquet":
        yield from columnar.from_parquet(path)
        return
    with gzip.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _same(manifest: Manifest, proof: Proof) -> None:
    """Raises RefusedError where the books as imported are not the books as exported."""
    if msgspec.json.encode(proof) == msgspec.json.encode(manifest.proof):
        return
    before = {one.name: one for one in manifest.proof.checks}
    differing = [one.name for one in proof.checks if before.get(one.name) != one] or ["balances"]
    raise RefusedError(
        f"the imported books do not prove as the exported ones did ({', '.join(differing)}): nothing was"
        " imported"
    )


def _whole(connection: Connection, manifest: Manifest) -> None:
    """Whether every row is the programme's own: no folder slips another one's in. Raises RefusedError."""
    for table in manifest.tables:
        query = f"SELECT count(*) FROM pg_temp.{table.name}"  # noqa: S608 - a name of our own list
        if connection.scalar(text(query)) != table.rows:
            raise RefusedError(f"{table.name}: holds rows of another programme: nothing was imported")


def _opened(connection: Connection, vault: Vault) -> int:
    """Open one card number under each key, and find its card by it. Returns how many. Raises VaultError."""
    boxes = connection.execute(text(_BOXES)).all()
    for version, bucket, wallet_id, card_no, box in boxes:
        number = vault.open(version, bytes(box), card_row_id(bucket, wallet_id, card_no))
        found = connection.execute(
            text("SELECT bucket, wallet_id, card_no FROM card_index WHERE pan_hmac = ANY(:keys)"),
            {"keys": [vault.pan_hmac(number), *vault.older_hmacs(number)]},
        ).all()
        if not any(tuple(row) == (bucket, wallet_id, card_no) for row in found):
            raise VaultError(
                "the key file opens the cards and does not find them: its `index` lines are of another one"
            )
    return len(boxes)
