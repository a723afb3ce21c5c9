"""Files for the bank as rows: frozen with their lines, read back in their order, never changed after."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, func, insert, select, text, update

from settlement.domain.bankfiles import FileState
from settlement.files.orders import Order, Party, Transfer
from settlement.store.runs import RunKey
from settlement.store.schema_bank import bank_file
from switch.domain.calendar import SEOUL

CHUNK_ROWS = 2_000

# Every ordered payout and transfer that stands in no live file, numbered within its debtor and its day.
_UNFILED = """
    WITH item AS (
        SELECT 'safeguarded' AS debtor, pay_on, 2 AS kind, business_date, cycle, merchant_no AS who, attempt,
               end_to_end_id, won
        FROM payout WHERE programme_no = :programme_no AND state = 'ordered'
        UNION ALL
        SELECT debtor, pay_on, 1, business_date, cycle, funder_no, attempt, end_to_end_id, won
        FROM house_transfer WHERE programme_no = :programme_no AND state = 'ordered'
    ), placed AS (
        SELECT debtor, pay_on, end_to_end_id, won,
               row_number() OVER (PARTITION BY debtor, pay_on
                   ORDER BY kind, business_date, cycle, who, attempt, end_to_end_id) - 1 AS place
        FROM item WHERE NOT EXISTS (
            SELECT FROM bank_file_line l JOIN bank_file f USING (programme_no, file_no)
            WHERE l.end_to_end_id = item.end_to_end_id AND f.state <> 'voided')
    )"""
_PARTS = text(f"""{_UNFILED}
    SELECT debtor, pay_on, (place / :most)::int AS part, count(*)::int AS payments, sum(won)::bigint AS won
    FROM placed GROUP BY 1, 2, 3 ORDER BY debtor COLLATE "C", pay_on, part
""")  # noqa: S608 (constants of this file)
_LINES = text(f"""{_UNFILED}
    INSERT INTO bank_file_line (programme_no, file_no, line, end_to_end_id)
    SELECT :programme_no, f.file_no, placed.place % :most + 1, placed.end_to_end_id
    FROM placed JOIN unnest(CAST(:debtors AS text[]), CAST(:days AS date[]), CAST(:parts AS int[]),
                            CAST(:numbers AS int[])) AS f(debtor, pay_on, part, file_no)
      ON f.debtor = placed.debtor AND f.pay_on = placed.pay_on AND f.part = placed.place / :most
""")  # noqa: S608
_TRANSFERS = text("""
    SELECT l.end_to_end_id, coalesce(p.won, h.won) AS won,
           coalesce(p.account_holder, h.account_holder) AS name,
           coalesce(p.account_no, h.account_no) AS account,
           coalesce(p.bank_code, h.bank_code) AS bank
    FROM bank_file_line l LEFT JOIN payout p USING (end_to_end_id)
    LEFT JOIN house_transfer h USING (end_to_end_id)
    WHERE l.programme_no = :programme_no AND l.file_no = :file_no ORDER BY l.line
""")


class Part(msgspec.Struct, frozen=True):
    """What will be one file: the `part`-th (from 0) of a debtor account's transfers on one bank day."""

    debtor: str
    pay_on: date
    part: int
    payments: int
    won: int


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was frozen; `sha256` once its bytes are made, `state` as it stands now."""

    programme_no: int
    file_no: int
    business_date: date
    cycle: int
    profile: str
    debtor: str
    debtor_name: str
    debtor_account: str
    debtor_bank: str
    pay_on: date
    message_id: str
    payment_information_id: str
    name: str
    remittance: str
    created_at: datetime
    made_by: str
    payments: int
    won: int
    sha256: str | None = None
    state: str = FileState.EMITTED.value

    def order(self) -> Order:
        """The head of the file that this row makes."""
        return Order(
            message_id=self.message_id,
            payment_information_id=self.payment_information_id,
            created_at=self.created_at.astimezone(SEOUL),
            pay_on=self.pay_on,
            debtor=Party(self.debtor_name, self.debtor_account, self.debtor_bank),
            count=self.payments,
            won=self.won,
            remittance=self.remittance,
        )


def unfiled(connection: Connection, programme_no: int, most: int) -> list[Part]:
    """What waits for a file, cut into files of at most `most` transfers; own transfers lead a file."""
    rows = connection.execute(_PARTS, {"programme_no": programme_no, "most": most})
    return [Part(*row) for row in rows]


def last_file_no(connection: Connection, programme_no: int) -> int:
    """The programme's highest file number, 0 before the first file."""
    highest = select(func.max(bank_file.c.file_no)).where(bank_file.c.programme_no == programme_no)
    return connection.execute(highest).scalar() or 0


def freeze(connection: Connection, parts: Sequence[tuple[Part, FileRow]], most: int) -> None:
    """Write new files and their lines, in the caller's transaction; `most` as it was given to `unfiled`."""
    if not parts:
        return
    connection.execute(insert(bank_file), [msgspec.structs.asdict(row) for _, row in parts])
    connection.execute(
        _LINES,
        {
            "programme_no": parts[0][1].programme_no,
            "most": most,
            "debtors": [part.debtor for part, _ in parts],
            "days": [part.pay_on for part, _ in parts],
            "parts": [part.part for part, _ in parts],
            "numbers": [row.file_no for _, row in parts],
        },
    )


def files_of_run(connection: Connection, key: RunKey, *, live: bool = True) -> list[FileRow]:
    """A run's files by number; without the voided ones unless `live` is False."""
    table = bank_file.c
    query = select(bank_file).where(
        table.programme_no == key.programme_no,
        table.business_date == key.business_date,
        table.cycle == key.cycle,
    )
    if live:
        query = query.where(table.state != FileState.VOIDED.value)
    return [FileRow(**row) for row in connection.execute(query.order_by(table.file_no)).mappings()]


def file_of(connection: Connection, programme_no: int, file_no: int) -> FileRow | None:
    """One file by its number."""
    query = select(bank_file).where(bank_file.c.programme_no == programme_no, bank_file.c.file_no == file_no)
    row = connection.execute(query).mappings().first()
    return FileRow(**row) if row else None


def transfers_of(connection: Connection, row: FileRow) -> Iterator[Transfer]:
    """A file's transfers from the frozen rows, in their order, in chunks; needs an open transaction."""
    result = connection.execute(
        _TRANSFERS,
        {"programme_no": row.programme_no, "file_no": row.file_no},
        execution_options={"yield_per": CHUNK_ROWS},
    )
    for rows in result.partitions(CHUNK_ROWS):
        for name, won, holder, account, bank in rows:
            yield Transfer(name, won, Party(holder, account, bank))


def note_written(connection: Connection, row: FileRow, sha256: str) -> bool:
    """Keep the hash of a file's bytes, once; whether it was not kept before."""
    result = connection.execute(
        update(bank_file)
        .where(
            bank_file.c.programme_no == row.programme_no,
            bank_file.c.file_no == row.file_no,
            bank_file.c.sha256.is_(None),
        )
        .values(sha256=sha256)
    )
    return result.rowcount == 1
