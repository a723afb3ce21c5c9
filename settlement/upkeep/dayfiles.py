"""The files of a day that leaves the database: gzip of CSV, the same bytes for the same rows."""

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Connection, text

from settlement.disk import make_folder, publish, sha256_of, write_draft
from settlement.errors import ControlMismatchError

PAYMENT, ENTRY = "payment", "entry"
_DAY = {PAYMENT: "local_day", ENTRY: "business_date"}
_WON = {PAYMENT: "approved", ENTRY: "won"}
_ORDER = {
    PAYMENT: 'bucket, local_time, terminal_id COLLATE "C", stan, kind',
    ENTRY: "bucket, wallet_id, seq, line",
}
_HASHED = (
    *("wallet_id", "seq", "line", "source", "debit", "credit", "won", "lot_no", "merchant_no", "funder_no"),
)
COMPRESSION = 6
TEXT_BYTES = 1 << 20


class Told(msgspec.Struct, frozen=True):
    """What a day's file, or the database, has of a day: rows, won in sum, and of a file its hash."""

    rows: int
    won: int
    sha256: str = ""


class Bucket(msgspec.Struct):
    """One bucket's entries of one programme, as the date's fingerprint counts them."""

    rows: int = 0
    won: int = 0
    digest: Any = None


def path_of(archive: Path, table: str, day: date) -> Path:
    """Where a day's file lies: archive/days/2026/11/20/entry_20261120.csv.gz."""
    return archive / f"days/{day:%Y/%m/%d}" / f"{table}_{day:%Y%m%d}.csv.gz"


def in_database(connection: Connection, table: str, day: date) -> Told:
    """A day's rows as they are in the database now."""
    query = (
        f"SELECT count(*), coalesce(sum({_WON[table]}), 0)::bigint FROM {table} WHERE {_DAY[table]} = :day"  # noqa: S608
    )
    row = connection.execute(text(query), {"day": day}).one()
    return Told(int(row[0]), int(row[1]))


def write(connection: Connection, archive: Path, table: str, day: date) -> Told:
    """Write a day's rows, as the transaction sees them, into their file, and read it back.

    Raises ControlMismatchError where what was read back is not what the database has.
    """
    path = path_of(archive, table, day)
    make_folder(path.parent)
    draft = write_draft(path, lambda sink: _copy(connection, table, day, sink))
    there, here = in_database(connection, table, day), read(draft, table)[0]
    if (there.rows, there.won) != (here.rows, here.won):
        draft.unlink()
        raise ControlMismatchError(
            f"{path}: has {here.rows:,} rows of {here.won:,} won, the database {there.rows:,} of"
            f" {there.won:,}: nothing was archived; is the disk whole?"
        )
    publish(draft, path)
    return here


def _copy(connection: Connection, table: str, day: date, sink: BinaryIO) -> None:
    driver: Any = connection.connection.driver_connection
    query = (
        f"COPY (SELECT * FROM {table} WHERE {_DAY[table]} = '{day.isoformat()}' ORDER BY {_ORDER[table]})"  # noqa: S608
        " TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    )
    with (
        gzip.GzipFile(filename="", mode="wb", compresslevel=COMPRESSION, fileobj=sink, mtime=0) as packed,
        driver.cursor() as cursor,
        cursor.copy(query) as rows,
    ):
        for block in rows:
            packed.write(block)


def read(path: Path, table: str) -> tuple[Told, dict[int, dict[int, Bucket]]]:
    """Count a day's file; of entries also each programme's buckets, for the date's fingerprint.

    Raises ControlMismatchError where it cannot be read.
    """
    rows = won = 0
    programmes: dict[int, dict[int, Bucket]] = {}
    try:
        for row in lines(path):
            rows += 1
            won += int(row[_WON[table]])
            if table == ENTRY:
                _take(programmes.setdefault(int(row["programme_no"]), {}), row)
        sha256 = sha256_of(path)
    except (OSError, EOFError, ValueError, KeyError, csv.Error) as error:
        raise ControlMismatchError(
            f"{path}: cannot be read ({type(error).__name__}): bring it back from a backup"
        ) from error
    return Told(rows, won, sha256), programmes


def lines(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a day's file by the names of their columns."""
    with gzip.open(path, "rb") as packed:
        yield from csv.DictReader(
            io.TextIOWrapper(io.BufferedReader(packed, TEXT_BYTES), "utf-8", newline="")
        )


def _take(buckets: dict[int, Bucket], row: dict[str, str]) -> None:
    bucket = buckets.setdefault(int(row["bucket"]), Bucket())
    if bucket.digest is None:
        bucket.digest = hashlib.sha256()
    else:
        bucket.digest.update(b"\n")
    bucket.rows += 1
    bucket.won += int(row["won"])
    budget = [row["budget_no"]] if int(row["budget_no"]) else []
    bucket.digest.update(",".join([*(row[name] for name in _HASHED), *budget]).encode())


def put_back(connection: Connection, archive: Path, table: str, day: date) -> int:
    """Copy a day's file into its table in the schema `restored`; returns its rows."""
    path = path_of(archive, table, day)
    driver: Any = connection.connection.driver_connection
    with gzip.open(path, "rb") as packed:
        columns = packed.readline().decode().strip()
    if not all(name.replace("_", "").isalnum() for name in columns.split(",")):
        raise ControlMismatchError(f"{path}: does not begin with the names of columns: verify the archive")
    query = f"COPY restored.{table}_{day:%Y%m%d} ({columns}) FROM STDIN (FORMAT csv, HEADER, ENCODING 'UTF8')"
    with gzip.open(path, "rb") as packed, driver.cursor() as cursor:
        with cursor.copy(query) as rows:
            while block := packed.read(TEXT_BYTES):
                rows.write(block)
        return int(cursor.rowcount)
