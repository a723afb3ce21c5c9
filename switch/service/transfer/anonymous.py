"""Payments for research: who paid and where cannot be read from them.

A member becomes the HMAC of the wallet under a key that is made for this export and thrown away with it, so
that payments of one member belong together within the folder and with nothing outside of it. A merchant
becomes its category, region and size; where fewer than FEW merchants share the three, they are left empty,
because the only shop of its kind is no secret. Of the time there are the day and the hour.
"""

import csv
import hashlib
import hmac
import io
import secrets
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, text

from switch.domain.payment import Kind, Outcome
from switch.service.import_files import Progress, no_progress
from switch.service.transfer.export import find_programme, make_folder, write_gzip
from switch.service.transfer.manifest import DONE, MANIFEST, said_plainly, sync_folder, write_synced

FEW: Final = 5
KEY_BYTES: Final = 32
NAME_BYTES: Final = 8  # of a pseudonym: by chance two in a million members are one with 3 in 100 million
_ROWS: Final = 5_000
COLUMNS: Final = (
    *("day", "hour", "member", "kind", "outcome", "channel", "category", "region", "size"),
    *("amount", "approved", "basis", "cashback"),
)
_DAYS: Final = "SELECT DISTINCT local_day FROM payment WHERE programme_no = :programme_no ORDER BY 1"
# The order says nothing of who came first within an hour.
_PAYMENTS: Final = """
    WITH shop AS (
        SELECT merchant_no, category, region, size,
               count(*) OVER (PARTITION BY category, region, size) >= :few AS many
        FROM merchant WHERE programme_no = :programme_no)
    SELECT p.local_time / 10000 AS hour, p.wallet_id, p.kind, p.outcome, p.channel,
           CASE WHEN s.many THEN s.category ELSE '' END AS category,
           CASE WHEN s.many THEN s.region ELSE '' END AS region,
           CASE WHEN s.many THEN s.size ELSE '' END AS size,
           p.amount, p.approved, p.basis, p.cashback
    FROM payment p LEFT JOIN shop s USING (merchant_no)
    WHERE p.programme_no = :programme_no AND p.local_day = :day
    ORDER BY 1, 6, 7, 8, p.amount, p.approved, p.kind, p.outcome, p.channel, p.basis, p.cashback
"""


class Anonymous(msgspec.Struct, frozen=True):
    """What was written."""

    programme_id: str
    folder: str
    days: int
    payments: int


def export_anonymous(
    engine: Engine, programme_id: str, folder: Path, now: datetime, progress: Progress = no_progress
) -> Anonymous:
    """Write payments/DAY.csv.gz, a manifest, and at last `.done` into a new or empty folder.

    Raises NotFoundError, RefusedError.
    """
    key = secrets.token_bytes(KEY_BYTES)
    files: list[dict[str, object]] = []
    payments = 0
    with said_plainly(folder):
        make_folder(folder)
        (folder / "payments").mkdir(mode=0o700)
        with (
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
            connection.begin(),
        ):
            programme_no = find_programme(connection, programme_id).programme_no
            days = connection.scalars(text(_DAYS), {"programme_no": programme_no}).all()
            for done, day in enumerate(days):
                progress("writing", done, len(days))
                counted = _Counted(_of_day(connection, programme_no, day, key))
                name = f"payments/{day.isoformat()}.csv.gz"
                size, sha256 = write_gzip(folder / name, _csv(counted))
                files.append({"name": name, "rows": counted.rows, "bytes": size, "sha256": sha256})
                payments += counted.rows
        manifest = {
            "programme_id": programme_id,
            "made_at": now.isoformat(timespec="seconds"),
            "columns": COLUMNS,
            "merchants_left_unsaid_below": FEW,
            "files": files,
        }
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
        sync_folder(folder / "payments")
        write_synced(folder / MANIFEST, content)
        sync_folder(folder)
        write_synced(folder / DONE, hashlib.sha256(content).hexdigest().encode() + b"\n")
        sync_folder(folder)
    return Anonymous(programme_id, str(folder), len(days), payments)


def _of_day(connection: Connection, programme_no: int, day: date, key: bytes) -> Iterator[tuple[Any, ...]]:
    keyed = hmac.new(key, digestmod=hashlib.sha256)
    rows = connection.execute(
        text(_PAYMENTS),
        {"programme_no": programme_no, "day": day, "few": FEW},
        execution_options={"yield_per": _ROWS},
    )
    told = day.isoformat()
    for hour, wallet_id, kind, outcome, *rest in rows:
        member = keyed.copy()
        member.update(str(wallet_id).encode())
        yield (
            *(told, hour, member.hexdigest()[: 2 * NAME_BYTES]),
            *(Kind(kind).name.lower(), Outcome(outcome).name.lower(), *rest),
        )


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._source = rows
        self.rows = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in self._source:
            self.rows += 1
            yield row


def _csv(rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(row)
        if out.tell() > 1 << 18:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()
