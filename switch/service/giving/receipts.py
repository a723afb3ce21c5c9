"""Receipts of gifts: numbered 1, 2, 3 … in each programme and year, one for each gift of a closed date.

A number once given stays with its gift. A gift whose number is given and that is taken back later stands in
the list as cancelled, with its number: so no number is ever missing.
"""

import csv
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, text

from switch.service.admin import RefusedError
from switch.service.giving.finding import programme_of
from switch.store.bulk import lock_administration

COLUMNS = ("receipt", "year", "member_id", "case", "day", "won", "points", "charged", "state")
_CHUNK = 5_000

_NUMBER = text("""
    WITH last AS (
        SELECT year, max(number) AS number FROM donation_receipt
        WHERE programme_no = :programme_no GROUP BY year),
    new AS (
        SELECT g.bucket, g.wallet_id, g.seq, extract(year FROM g.business_date)::smallint AS year,
               row_number() OVER (PARTITION BY extract(year FROM g.business_date)
                                  ORDER BY g.business_date, g.bucket, g.wallet_id, g.seq)::integer AS place
        FROM gift g LEFT JOIN donation_receipt r USING (bucket, wallet_id, seq)
        WHERE g.programme_no = :programme_no AND g.business_date <= :through AND NOT g.returned
          AND r.number IS NULL)
    INSERT INTO donation_receipt (programme_no, year, number, bucket, wallet_id, seq)
    SELECT :programme_no, n.year, coalesce(l.number, 0) + n.place, n.bucket, n.wallet_id, n.seq
    FROM new n LEFT JOIN last l USING (year)
""")
_LIST = text("""
    SELECT r.number, r.year, m.member_id, g.case_code, g.business_date, g.points + g.charged, g.points,
           g.charged, CASE WHEN g.returned THEN 'cancelled' ELSE 'issued' END
    FROM donation_receipt r JOIN gift g USING (bucket, wallet_id, seq) JOIN member m USING (bucket, wallet_id)
    WHERE r.programme_no = :programme_no AND g.business_date BETWEEN :first AND :last
      AND (:code = '' OR g.case_code = :code)
    ORDER BY r.year, r.number
""")
_OPEN = text("""
    SELECT count(*) FROM gift WHERE programme_no = :programme_no AND NOT returned
      AND business_date > :through AND business_date BETWEEN :first AND :last
      AND (:code = '' OR case_code = :code)
""")


class ReceiptReport(msgspec.Struct, frozen=True):
    """What was written: receipts, how many of them are cancelled, won of the others; `new`: numbered now.

    `open`: gifts of dates that are not closed yet; they get their receipts afterwards.
    """

    file: str
    receipts: int
    new: int
    cancelled: int
    won: int
    open: int


def write_receipts(
    engine: Engine, programme_id: str, first: date, last: date, code: str, out: Path
) -> ReceiptReport:
    """Number what has no number yet, and write the receipts of business dates first … last as CSV.

    Raises NotFoundError, RefusedError.
    """
    if last < first:
        raise RefusedError(f"--to {last} lies before --from {first}: turn them round")
    with engine.begin() as connection:
        lock_administration(connection)
        at = programme_of(connection, programme_id)
        which = {"programme_no": at.programme_no, "first": first, "last": last, "code": code}
        through = at.closed_through or date.min
        # Earlier dates get theirs first, also those outside of what is asked for: numbers follow the dates.
        new = connection.execute(_NUMBER, {"programme_no": at.programme_no, "through": through}).rowcount
        still_open = connection.scalar(_OPEN, {**which, "through": through})
    with engine.connect() as connection:
        receipts, cancelled, won = _write(out, _rows(connection, which))
    return ReceiptReport(str(out), receipts, new, cancelled, won, still_open or 0)


def _rows(connection: Connection, which: dict[str, Any]) -> Iterator[Any]:
    yield from connection.execute(_LIST, which, execution_options={"yield_per": _CHUNK})


def _write(out: Path, rows: Iterator[Any]) -> tuple[int, int, int]:
    receipts = cancelled = won = 0
    draft = out.with_name(out.name + ".part")
    try:
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in rows:
                writer.writerow(row)
                receipts += 1
                if row[-1] == "cancelled":
                    cancelled += 1
                else:
                    won += row[5]
        draft.replace(out)
    except OSError as error:
        raise RefusedError(
            f"{out} cannot be written ({error.strerror}): name a file that you may write"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    return receipts, cancelled, won
