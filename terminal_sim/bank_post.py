"""What leaves the simulated bank: answers are kept in its books first, then left in the folder, whole.

An answer that is left a second time, because the bank was killed in between, has the same name and bytes.
"""

import os
from datetime import date
from pathlib import Path

import msgspec

from terminal_sim.bank_store import Store


class Happening(msgspec.Struct, frozen=True):
    """One thing that happened at the bank, to be told: won and number of what it was about."""

    day: date
    what: str
    name: str
    payments: int = 0
    won: int = 0
    about: str = ""


class Post:
    """The answers and their folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def message_id(self, day: date) -> str:
        """The name of the next message. It is taken once an answer is put under it."""
        return f"SIMBANK-{day:%Y%m%d}-{self._store.next_no('outgoing'):06d}"

    def put(self, day: date, kind: str, content: bytes, due: date | None, about: str) -> None:
        """Keep an answer until it is due (None: until somebody asks). Part of the caller's transaction.

        `about` is the MsgId of the order that it answers, or the account.
        """
        number = self._store.next_no("outgoing")
        self._store.do(
            "INSERT INTO outgoing VALUES (?, ?, ?, ?, ?, ?, 0)",
            *(number, f"{day:%Y%m%d}_{number:06d}_{kind}.xml", content),
            *(due.isoformat() if due else None, kind, about),
        )

    def send(self, day: date) -> list[Happening]:
        """Leave every answer that is due by `day`."""
        due = self._store.rows(
            "SELECT no, name, content, about, message_id FROM outgoing"
            " WHERE NOT published AND due_on <= ? ORDER BY no",
            day.isoformat(),
        )
        told = []
        for row in due:
            self._leave(row["name"], row["content"])
            with self._store.change():
                self._store.do("UPDATE outgoing SET published = 1 WHERE no = ?", row["no"])
            told.append(Happening(day, row["about"], row["name"], about=row["message_id"]))
        return told

    def _leave(self, name: str, content: bytes) -> None:
        draft = self._folder / f"{name}.part"
        draft.write_bytes(content)
        os.replace(draft, self._folder / name)
