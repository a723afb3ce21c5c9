"""Acts of operators on keys: master keys loaded in bulk, session keys ended, every key checked.

Keys come in under a zone master key and are turned into keys under the LMK inside the HSM; no clear key is
ever here. Each act leaves its line in the audit of keys, in the same transaction.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Engine

from switch.hsm.client import HsmClient
from switch.hsm.commands import HsmRefused
from switch.service import import_rows as rows_of
from switch.service.admin import NotFoundError, RefusedError
from switch.service.import_books import ImportReport, refuse_twice, report
from switch.service.import_files import Problems, Progress, no_progress, read_rows
from switch.service.import_rows import MasterKeyRow
from switch.store import keystore
from switch.store.bulk import bump_epoch, lock_administration
from switch.store.keystore import KeyState, StoredKey

TERMINAL_MASTER_KEY: Final = "002"  # payShield key type codes
_USAGE: Final = slice(6, 8)  # of a key block behind its S (X9.143 clause 8.2: version, length, usage)
_KEY_KEYS: Final = ("K0", "K1")
_AT_ONCE: Final = 32  # commands at the HSM, which payments use too
NO_TERMINAL: Final = "`dure-switch key list` shows the terminals"

WithHsm = Callable[[Callable[[HsmClient], Coroutine[Any, Any, Any]]], Any]
"""Runs work with a connected client and gives its result. Raises HsmUnavailable."""


class CheckedKey(msgspec.Struct, frozen=True):
    """What the HSM says of a key: its check value, and whether that is the noted one."""

    kind: str
    subject: str
    check_value: str
    ok: bool
    why: str = ""


def load_master_keys(
    engine: Engine,
    path: Path,
    zmk: str,
    with_hsm: WithHsm,
    now: datetime,
    actor: str,
    progress: Progress = no_progress,
) -> ImportReport:
    """Load terminals' master keys from a file, each under the zone master key `zmk` (itself under the LMK).

    All or nothing: every key must come through the HSM with the check value of its line. Raises
    ImportRefusedError, HsmUnavailable.
    """
    problems = Problems(path.name)
    rows = [MasterKeyRow(*row) for row in read_rows(path, rows_of.MASTER_KEYS, problems, progress)]
    refuse_twice(problems, "terminal_id", ((row.line, row.terminal_id) for row in rows))
    problems.raise_any()
    with engine.connect() as connection:
        _known(connection, rows, problems)
    problems.raise_any()

    async def run(hsm: HsmClient) -> dict[str, tuple[str, str]]:
        return await _imported(hsm, rows, zmk, problems, progress)

    keys: dict[str, tuple[str, str]] = with_hsm(run)
    problems.raise_any()
    with engine.begin() as connection:
        lock_administration(connection)
        known = _known(connection, rows, problems)
        problems.raise_any()
        changed = {name: key for name, key in keys.items() if (known[name].tmk, known[name].tmk_kcv) != key}
        progress("writing", 0, len(changed))
        keystore.put_master_keys(connection, changed, now)
        lines = [(name, f"check value {kcv}") for name, (_, kcv) in changed.items()]
        keystore.note(connection, now, actor, "load_master_key", lines)
        if changed:
            bump_epoch(connection)
    return report("master keys", path, len(rows), 0, len(changed))


def _known(connection: Any, rows: Sequence[MasterKeyRow], problems: Problems) -> dict[str, Any]:
    known = keystore.find_terminals(connection, (row.terminal_id for row in rows))
    for row in rows:
        if row.terminal_id not in known:
            problems.add(
                row.line, "terminal_id", f'no terminal "{row.terminal_id}"', "import it first, or correct it"
            )
    return known


async def _imported(
    hsm: HsmClient, rows: Sequence[MasterKeyRow], zmk: str, problems: Problems, progress: Progress
) -> dict[str, tuple[str, str]]:
    keys: dict[str, tuple[str, str]] = {}
    for start in range(0, len(rows), _AT_ONCE):
        chunk = rows[start : start + _AT_ONCE]
        found = await asyncio.gather(
            *(hsm.import_key(TERMINAL_MASTER_KEY, row.tmk, zmk=zmk) for row in chunk), return_exceptions=True
        )
        for row, result in zip(chunk, found, strict=True):
            if isinstance(result, HsmRefused):
                problems.add(row.line, "tmk", f"the HSM refuses it ({result})", "send the key again")
            elif isinstance(result, BaseException):
                raise result
            elif result.check_value[:6] != row.kcv:
                problems.add(
                    row.line,
                    "kcv",
                    f"the key's check value is {result.check_value[:6]}, not {row.kcv}",
                    "the key or its check value was changed on the way: send both again",
                )
            elif result.key[:1] == "S" and result.key[_USAGE] not in _KEY_KEYS:
                problems.add(
                    row.line,
                    "tmk",
                    f"its key block is for another use ({result.key[_USAGE]})",
                    "a master key's block has usage K0",
                )
            else:
                keys[row.terminal_id] = (result.key, row.kcv)
        progress("importing", len(keys), len(rows))
    return keys


def key_state(engine: Engine, terminal_id: str) -> KeyState:
    """A terminal's keys, without the keys. Raises NotFoundError."""
    with engine.connect() as connection:
        found = keystore.key_states(connection, terminal_id=terminal_id, limit=1)
    if not found:
        raise NotFoundError(f'no terminal "{terminal_id}": {NO_TERMINAL}')
    return found[0]


def expiring_keys(
    engine: Engine, now: datetime, within: timedelta, master_days: int, limit: int
) -> list[KeyState]:
    """Active terminals whose session keys end within that time, or whose master key will then be old."""
    with engine.connect() as connection:
        return keystore.key_states(
            connection,
            ending_before=now + within,
            loaded_before=now + within - timedelta(days=master_days),
            limit=limit,
        )


def retire_old_set(engine: Engine, terminal_id: str, now: datetime, actor: str) -> KeyState:
    """Take the set before the newest from a terminal at once. Raises NotFoundError, RefusedError."""
    before = key_state(engine, terminal_id)
    if before.old_until is None:
        raise RefusedError(f"{terminal_id} has one set of session keys only: there is nothing to retire")
    with engine.begin() as connection:
        keystore.drop_old_set(connection, terminal_id)
        keystore.note(connection, now, actor, "retire_old", [(terminal_id, f"ended {before.old_until}")])
        bump_epoch(connection)
    return key_state(engine, terminal_id)


def expire_keys(engine: Engine, terminal_id: str, at: datetime, now: datetime, actor: str) -> KeyState:
    """Let a terminal's session keys end at `at`: it must exchange keys then.

    Raises NotFoundError, RefusedError.
    """
    before = key_state(engine, terminal_id)
    if before.keys_at is None:
        raise RefusedError(f"{terminal_id} has no session keys: there is nothing to end")
    with engine.begin() as connection:
        keystore.end_sets(connection, terminal_id, at)
        keystore.note(connection, now, actor, "expire", [(terminal_id, f"at {at.isoformat()}")])
        bump_epoch(connection)
    return key_state(engine, terminal_id)


def check_keys(
    engine: Engine,
    configured: Sequence[StoredKey],
    with_hsm: WithHsm,
    now: datetime,
    actor: str,
    progress: Progress = no_progress,
) -> list[CheckedKey]:
    """Ask the HSM for the check value of every key of the configuration and of the books.

    A key is good when the HSM takes it for what it is and its check value is the noted one. Raises
    HsmUnavailable.
    """
    with engine.connect() as connection:
        keys = [*configured, *keystore.stored_keys(connection)]

    async def run(hsm: HsmClient) -> list[CheckedKey]:
        found: list[CheckedKey] = []
        for start in range(0, len(keys), _AT_ONCE):
            chunk = keys[start : start + _AT_ONCE]
            found += await asyncio.gather(*(_checked(hsm, key) for key in chunk))
            progress("checking", len(found), len(keys))
        return found

    checked: list[CheckedKey] = with_hsm(run)
    bad = sum(not one.ok for one in checked)
    with engine.begin() as connection:
        keystore.note(connection, now, actor, "check", [("keys", f"{len(checked)} keys, {bad} of them bad")])
    return checked


_KINDS: Final = {"002": "master or PIN key", "009": "base derivation key", "402": "CVK", "109": "IMK"}


async def _checked(hsm: HsmClient, key: StoredKey) -> CheckedKey:
    kind = _KINDS[key.key_type]
    try:
        value = (await hsm.check_value(key.key_type, key.key))[:6]
    except HsmRefused as error:
        return CheckedKey(kind, key.subject, "", ok=False, why=str(error))
    ok = key.check_value in ("", value)
    return CheckedKey(kind, key.subject, value, ok, "" if ok else f"noted as {key.check_value}")
