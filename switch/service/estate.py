"""What operators do with the estate of terminals: soundboxes, configurations, commands, and who is there."""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from switch.domain.notice import MessageKind, bucket_of_id, message_id
from switch.service.admin import NotFoundError, RefusedError
from switch.service.notices_push import ConfigBody, config_id
from switch.store.bulk import bump_epoch, lock_administration
from switch.store.schema import merchant, terminal
from switch.store.schema_messages import outbox, terminal_config, terminal_state

CONFIG_MAX = 16_384  # bytes of a configuration
COMMANDS = ("exchange_keys", "report_state", "close_batch", "restart")


class TerminalView(msgspec.Struct, frozen=True):
    """A terminal as it told of itself; `up` None when it was never heard of."""

    terminal: str
    merchant: str
    soundbox: bool
    up: bool | None
    last_seen: datetime | None
    config: int
    config_wanted: int
    hotlist: int
    waiting: int


def set_soundbox(engine: Engine, terminal_id: str, *, on: bool) -> bool:
    """Tell a terminal of its merchant's payments from now on, or no longer: what waits for it is dropped.

    Returns whether that changed anything. Raises NotFoundError.
    """
    with engine.begin() as connection:
        lock_administration(connection)
        was = connection.scalar(select(terminal.c.notify).where(terminal.c.terminal_id == terminal_id))
        if was is None:
            raise NotFoundError(f'no terminal "{terminal_id}": import it first')
        if was == on:
            return False
        connection.execute(update(terminal).where(terminal.c.terminal_id == terminal_id).values(notify=on))
        if not on:
            connection.execute(
                delete(outbox).where(
                    outbox.c.terminal_id == terminal_id, outbox.c.kind == int(MessageKind.NOTICE)
                )
            )
        bump_epoch(connection)
        return True


def set_config(engine: Engine, terminal_ids: list[str], file: Path, now: datetime) -> dict[str, int]:
    """Give terminals a configuration (a JSON object); its version is one more than the last.

    Returns the versions; a terminal that has this very document keeps its own. Raises RefusedError and
    NotFoundError.
    """
    document = _document(file)
    sha256 = hashlib.sha256(document.encode()).hexdigest()
    versions: dict[str, int] = {}
    with engine.begin() as connection:
        lock_administration(connection)
        for terminal_id in dict.fromkeys(terminal_ids):
            _must_exist(connection, terminal_id)
            row = connection.execute(
                select(terminal_config.c.version, terminal_config.c.sha256).where(
                    terminal_config.c.terminal_id == terminal_id
                )
            ).first()
            if row is not None and row.sha256 == sha256:
                versions[terminal_id] = row.version
                continue
            version = row.version + 1 if row is not None else 1
            values = {"version": version, "sha256": sha256, "document": document, "changed_at": now}
            statement = upsert(terminal_config).values(terminal_id=terminal_id, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["terminal_id"], set_=values))
            connection.execute(
                delete(outbox).where(
                    outbox.c.terminal_id == terminal_id, outbox.c.kind == int(MessageKind.CONFIG)
                )
            )
            body = msgspec.json.encode(ConfigBody(version, sha256, document)).decode()
            _put(connection, terminal_id, config_id(terminal_id, version), MessageKind.CONFIG, body)
            versions[terminal_id] = version
    return versions


def send_command(engine: Engine, terminal_id: str, command: str, now: datetime) -> str:
    """Tell a terminal to do something; returns the message's id. Raises RefusedError, NotFoundError."""
    if command not in COMMANDS:
        raise RefusedError(f'no command "{command}": write one of {", ".join(COMMANDS)}')
    event = message_id(terminal_id, f"{command}:{now.isoformat()}")
    with engine.begin() as connection:
        _must_exist(connection, terminal_id)
        body = msgspec.json.encode({"do": command}).decode()
        _put(connection, terminal_id, event, MessageKind.COMMAND, body)
    return event


def estate(engine: Engine, *, gone_only: bool, most: int) -> list[TerminalView]:
    """Terminals that were heard of, that are told of payments or have a configuration, by id."""
    waiting = (
        select(outbox.c.terminal_id, func.count().label("count")).group_by(outbox.c.terminal_id).subquery()
    )
    seen, wanted = terminal_state.c, terminal_config.c
    query = (
        select(
            terminal.c.terminal_id,
            merchant.c.merchant_id,
            terminal.c.notify,
            seen.up,
            seen.last_seen,
            func.coalesce(seen.config_version, 0),
            func.coalesce(wanted.version, 0),
            func.coalesce(seen.hotlist_version, 0),
            func.coalesce(waiting.c.count, 0),
        )
        .join(merchant, merchant.c.merchant_no == terminal.c.merchant_no)
        .outerjoin(terminal_state, seen.terminal_id == terminal.c.terminal_id)
        .outerjoin(terminal_config, wanted.terminal_id == terminal.c.terminal_id)
        .outerjoin(waiting, waiting.c.terminal_id == terminal.c.terminal_id)
        .order_by(terminal.c.terminal_id)
        .limit(most)
    )
    if gone_only:
        query = query.where(seen.up.is_(False))
    else:
        query = query.where(
            terminal.c.notify | seen.terminal_id.is_not(None) | wanted.terminal_id.is_not(None)
        )
    with engine.connect() as connection:
        return [TerminalView(*row) for row in connection.execute(query)]


def _document(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise RefusedError(f"{file}: cannot be read ({error.strerror}): name a file") from None
    if len(raw) > CONFIG_MAX:
        raise RefusedError(f"{file}: more than {CONFIG_MAX:,} bytes: terminals take no more")
    try:
        value = json.loads(raw)
    except ValueError:
        raise RefusedError(f"{file}: is no JSON: write one object") from None
    if not isinstance(value, dict):
        raise RefusedError(f"{file}: is no JSON object: write it in braces")
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _must_exist(connection: Connection, terminal_id: str) -> None:
    if connection.scalar(select(terminal.c.terminal_id).where(terminal.c.terminal_id == terminal_id)) is None:
        raise NotFoundError(f'no terminal "{terminal_id}": import it first')


def _put(connection: Connection, terminal_id: str, event: str, kind: MessageKind, body: str) -> None:
    connection.execute(
        insert(outbox).values(
            bucket=bucket_of_id(event),
            event_id=event,
            terminal_id=terminal_id,
            kind=int(kind),
            body=body,
        )
    )
