"""What the simulated bank keeps on its disk: one SQLite file, changed in whole transactions.

So it may be killed anywhere: what it had promised it keeps, and what it had not finished it does again. (Its
process, not its machine: it is a simulation, and syncs nothing.)
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

WAIT_S: Final = 10.0

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS clock (closed_through TEXT NOT NULL, code TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS account (
    number TEXT PRIMARY KEY, name TEXT NOT NULL, own INTEGER NOT NULL, opening INTEGER NOT NULL,
    balance INTEGER NOT NULL CHECK (balance >= 0));
CREATE TABLE IF NOT EXISTS file (
    no INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, message_id TEXT NOT NULL,
    taken_on TEXT NOT NULL, moved INTEGER NOT NULL, good INTEGER NOT NULL, about TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batch (
    no INTEGER PRIMARY KEY, file_no INTEGER NOT NULL, payment_information_id TEXT NOT NULL UNIQUE,
    payer TEXT NOT NULL, as_one INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS payment (
    no INTEGER PRIMARY KEY, batch_no INTEGER NOT NULL, end_to_end_id TEXT NOT NULL UNIQUE,
    won INTEGER NOT NULL, payee TEXT NOT NULL, account_no TEXT NOT NULL, name TEXT NOT NULL,
    remittance TEXT NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL, execute_on TEXT NOT NULL,
    return_after INTEGER, announce INTEGER NOT NULL, return_code TEXT NOT NULL, paid_on TEXT,
    return_on TEXT);
CREATE INDEX IF NOT EXISTS payment_due ON payment (state, execute_on);
CREATE TABLE IF NOT EXISTS outside (key TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS entry (
    no INTEGER PRIMARY KEY, account TEXT NOT NULL, day TEXT NOT NULL, won INTEGER NOT NULL,
    kind TEXT NOT NULL, end_to_end_id TEXT NOT NULL, payment_information_id TEXT NOT NULL,
    message_id TEXT NOT NULL, count INTEGER NOT NULL, remittance TEXT NOT NULL, code TEXT NOT NULL,
    batch_no INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS entry_day ON entry (account, day);
CREATE TABLE IF NOT EXISTS statement (
    account TEXT NOT NULL, sequence INTEGER NOT NULL, day TEXT NOT NULL, closing INTEGER NOT NULL,
    PRIMARY KEY (account, sequence));
CREATE TABLE IF NOT EXISTS outgoing (
    no INTEGER PRIMARY KEY, name TEXT NOT NULL, content BLOB NOT NULL, due_on TEXT, about TEXT NOT NULL,
    message_id TEXT NOT NULL, published INTEGER NOT NULL);
"""


class Store:
    """The bank's tables. `change` is one transaction; reading inside it sees its own writes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_TABLES}")

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """All of the block's writes, or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def do(self, statement: str, *values: object) -> None:
        """One statement."""
        self._connection.execute(statement, values)

    def do_all(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """One statement for each of the rows."""
        self._connection.executemany(statement, rows)

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        with closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()

    def one(self, query: str, *values: object) -> Any:
        """The first column of a query's first row, or None."""
        found = self.rows(query, *values)
        return found[0][0] if found else None

    def next_no(self, table: str) -> int:
        """The number after a table's last."""
        return int(self.one(f"SELECT coalesce(max(no), 0) + 1 FROM {table}"))  # noqa: S608 - our own names
