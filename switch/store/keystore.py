"""Terminals and their keys as operators change and see them, and the audit of every act on a key."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec.structs import asdict, astuple
from sqlalchemy import Connection, func, insert, select, update

from switch.store.bulk import chunks, copy_rows
from switch.store.schema import key_audit, terminal

MODE_DEFAULT: Final = "session"
FORM_DEFAULT: Final = "x917"


class TerminalAt(msgspec.Struct, frozen=True, gc=False):
    """What an import says of a terminal. Keys stand under the LMK; `tmk` may be empty for derived keys."""

    merchant_no: int
    tmk: str
    tmk_kcv: str
    key_mode: str = MODE_DEFAULT
    key_form: str = FORM_DEFAULT
    bdk: str | None = None
    ksn_id: str | None = None
    notify: bool = False

    def __repr__(self) -> str:
        return f"TerminalAt(merchant {self.merchant_no}, {self.key_mode})"


_FIELDS: Final = TerminalAt.__struct_fields__
# Another value of one of these is another terminal: it must sign on and exchange keys anew.
_IDENTITY: Final = ("merchant_no", "tmk", "tmk_kcv", "key_mode", "key_form", "bdk", "ksn_id")
_NO_SESSION: Final[dict[str, Any]] = {
    "tpk": None, "tak": None, "keys_at": None, "keys_until": None, "keys_seen": False,
    "tpk_old": None, "tak_old": None, "old_until": None, "signed_on_at": None,
}  # fmt: skip


def find_terminals(connection: Connection, terminal_ids: Iterable[str]) -> dict[str, TerminalAt]:
    """The terminals that are known."""
    found: dict[str, TerminalAt] = {}
    columns = terminal.c
    for chunk in chunks(terminal_ids):
        rows = connection.execute(
            select(columns.terminal_id, *(columns[name] for name in _FIELDS)).where(
                columns.terminal_id == func.any(chunk)
            )
        )
        found.update((row[0], TerminalAt(*row[1:])) for row in rows)
    return found


def add_terminals(connection: Connection, rows: dict[str, TerminalAt], now: datetime) -> None:
    """Store new terminals as active, signed off, without session keys."""
    copy_rows(
        connection,
        "terminal",
        ("terminal_id", "state", "tmk_at", *_FIELDS),
        ((name, "active", now, *astuple(one)) for name, one in rows.items()),
    )


def change_terminals(
    connection: Connection, rows: dict[str, TerminalAt], known: dict[str, TerminalAt], now: datetime
) -> None:
    """Change known terminals. Another merchant or key means signing on and exchanging keys anew."""
    for name, one in rows.items():
        before = known[name]
        values: dict[str, Any] = asdict(one)
        if any(getattr(before, field) != values[field] for field in _IDENTITY):
            values |= _NO_SESSION
        if (before.tmk, before.tmk_kcv) != (one.tmk, one.tmk_kcv):
            values["tmk_at"] = now
        if (before.bdk, before.ksn_id) != (one.bdk, one.ksn_id):
            values["ksn_counter"] = -1
        connection.execute(update(terminal).where(terminal.c.terminal_id == name).values(**values))


def note(
    connection: Connection, now: datetime, actor: str, act: str, lines: Sequence[tuple[str, str]]
) -> None:
    """Add lines (subject, detail) to the audit of keys. Neither may hold a key."""
    if lines:
        connection.execute(
            insert(key_audit),
            [
                {"noted_at": now, "actor": actor, "act": act, "subject": subject, "detail": detail}
                for subject, detail in lines
            ],
        )
