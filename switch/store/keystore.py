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
FORM_DEFAULT: Final = "block"


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


class KeyState(msgspec.Struct, frozen=True):
    """The keys of a terminal without the keys: their kind, check value, ages and ends."""

    terminal_id: str
    state: str
    key_mode: str
    key_form: str
    tmk_kcv: str
    tmk_at: datetime | None
    keys_at: datetime | None
    keys_until: datetime | None
    in_use: bool
    old_until: datetime | None
    ksn_id: str | None
    ksn_counter: int


_STATE = [
    terminal.c.terminal_id,
    terminal.c.state,
    terminal.c.key_mode,
    terminal.c.key_form,
    terminal.c.tmk_kcv,
    terminal.c.tmk_at,
    terminal.c.keys_at,
    terminal.c.keys_until,
    terminal.c.keys_seen,
    terminal.c.old_until,
    terminal.c.ksn_id,
    terminal.c.ksn_counter,
]


def key_states(
    connection: Connection,
    *,
    terminal_id: str = "",
    ending_before: datetime | None = None,
    loaded_before: datetime | None = None,
    limit: int,
) -> list[KeyState]:
    """Terminals and the state of their keys, by id; at most `limit`.

    With `ending_before` and `loaded_before` only active ones whose session keys end before the one, or whose
    master key was loaded before the other.
    """
    query = select(*_STATE).order_by(terminal.c.terminal_id).limit(limit)
    if terminal_id:
        query = query.where(terminal.c.terminal_id == terminal_id)
    if ending_before is not None and loaded_before is not None:
        query = query.where(
            terminal.c.state == "active",
            (terminal.c.keys_until < ending_before) | (terminal.c.tmk_at < loaded_before),
        )
    return [KeyState(*row) for row in connection.execute(query)]


def put_master_keys(connection: Connection, keys: dict[str, tuple[str, str]], now: datetime) -> None:
    """Give terminals new master keys (under the LMK, with check value): they exchange keys anew."""
    for name, (tmk, kcv) in keys.items():
        connection.execute(
            update(terminal)
            .where(terminal.c.terminal_id == name)
            .values(tmk=tmk, tmk_kcv=kcv, tmk_at=now, **_NO_SESSION)
        )


def drop_old_set(connection: Connection, terminal_id: str) -> None:
    """Forget the set of session keys before the newest."""
    connection.execute(
        update(terminal)
        .where(terminal.c.terminal_id == terminal_id)
        .values(tpk_old=None, tak_old=None, old_until=None)
    )


def end_sets(connection: Connection, terminal_id: str, at: datetime) -> None:
    """Let the terminal's session keys end at `at`, unless they end before."""
    rows = terminal.c.terminal_id == terminal_id
    connection.execute(
        update(terminal)
        .where(rows, terminal.c.tak.is_not(None))
        .values(keys_until=func.least(terminal.c.keys_until, at))
    )
    connection.execute(
        update(terminal)
        .where(rows, terminal.c.tak_old.is_not(None))
        .values(old_until=func.least(terminal.c.old_until, at))
    )


class StoredKey(msgspec.Struct, frozen=True, gc=False):
    """A key of the books, under the LMK: payShield's type code, whose it is, and its noted check value."""

    key_type: str
    subject: str
    key: str
    check_value: str

    def __repr__(self) -> str:
        return f"StoredKey({self.key_type}, {self.subject})"


def stored_keys(connection: Connection) -> list[StoredKey]:
    """Every master key and base derivation key of terminals, each once."""
    rows = connection.execute(
        select(terminal.c.terminal_id, terminal.c.tmk, terminal.c.tmk_kcv, terminal.c.bdk).order_by(
            terminal.c.terminal_id
        )
    )
    found: dict[tuple[str, str], StoredKey] = {}
    for name, tmk, kcv, bdk in rows:
        if tmk:
            found.setdefault(("002", tmk), StoredKey("002", name, tmk, kcv))
        if bdk:
            found.setdefault(("009", bdk), StoredKey("009", name, bdk, ""))
    return list(found.values())


class AuditLine(msgspec.Struct, frozen=True):
    """One act on a key."""

    noted_at: datetime
    actor: str
    act: str
    subject: str
    detail: str


def audit_lines(connection: Connection, *, subject: str = "", last: int) -> list[AuditLine]:
    """The last acts, the newest first; of one subject if it is named."""
    columns = key_audit.c
    query = select(columns.noted_at, columns.actor, columns.act, columns.subject, columns.detail)
    if subject:
        query = query.where(columns.subject == subject)
    return [
        AuditLine(*row) for row in connection.execute(query.order_by(columns.audit_no.desc()).limit(last))
    ]


class KeyAges(msgspec.Struct, frozen=True):
    """How many active terminals have session keys that ended or end soon, or an old master key."""

    ended: int
    ending: int
    master_old: int


def key_ages(
    connection: Connection, now: datetime, *, ending_before: datetime, loaded_before: datetime
) -> KeyAges:
    """The counts as of `now`."""
    until = terminal.c.keys_until
    row = connection.execute(
        select(
            func.count().filter(until <= now),
            func.count().filter(until > now, until < ending_before),
            func.count().filter(terminal.c.tmk_at < loaded_before, terminal.c.key_mode == MODE_DEFAULT),
        ).where(terminal.c.state == "active")
    ).one()
    return KeyAges(*row)
