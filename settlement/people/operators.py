"""The list of operators: who is in it, with which roles. Changed by admins, each change in the audit log.

Every function works in the caller's transaction.
"""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from settlement.domain.roles import Role, from_text, same_person, to_text
from settlement.errors import UsageError
from settlement.people.audit import LOCK_WAIT_S, note
from settlement.people.identity import ACTIVE, BARRED, LOCK_SPACE, Actor, find
from settlement.people.passwords import hashed
from settlement.store.schema_people import operator

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def listed(connection: Connection) -> list[Any]:
    """All operators by name: rows of everything but the password; `with_password` says if there is one."""
    table = operator.c
    query = select(
        table.name,
        table.roles,
        table.state,
        table.changed_by,
        table.changed_at,
        (table.password != "").label("with_password"),
    )
    return list(connection.execute(query.order_by(table.name)))


def add(
    connection: Connection,
    actor: Actor,
    name: str,
    roles: Collection[Role],
    password: str | None,
    at: datetime,
) -> None:
    """A new operator. The first of all must be an admin. Raises UsageError, NotAllowedError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name: letters, digits and . _ - (at most 64, a letter or digit first)"
        )
    _lock(connection)
    everybody = listed(connection)
    if not everybody and Role.ADMIN not in roles:
        raise UsageError(
            "the first operator must be an admin: add --role admin, for nobody else could add more"
        )
    if everybody:
        actor.demand(Role.ADMIN)
    if not roles:
        raise UsageError(f"{name} needs a role: --role {' --role '.join(Role)}, one or several")
    known = find(connection, name)
    if known is not None:
        raise UsageError(f"{known.name} is an operator already: change it with `operator set`")
    stored = "" if password is None else hashed(password)
    connection.execute(
        insert(operator).values(
            name=name,
            roles=to_text(roles),
            password=stored,
            state=ACTIVE,
            changed_by=actor.name,
            changed_at=at,
        )
    )
    detail: dict[str, object] = {"roles": to_text(roles), "password": password is not None}
    note(connection, at, actor.name, "operator:add", f"operator:{name}", detail)


def change(
    connection: Connection,
    actor: Actor,
    name: str,
    at: datetime,
    *,
    roles: Collection[Role] = (),
    password: str | None = None,
    active: bool | None = None,
) -> None:
    """Change an operator: roles (none given: as they are), password, active or barred.

    One's own password is everybody's to change; all else an admin's, and never one's own. Raises UsageError,
    NotAllowedError.
    """
    _lock(connection)
    row = find(connection, name)
    if row is None:
        raise UsageError(f"{name} is no operator: `operator list` shows them all")
    oneself = same_person(row.name, actor.name)
    if roles or active is not None or not oneself:
        actor.demand(Role.ADMIN)
    if oneself and (roles or active is not None):
        raise UsageError("nobody changes their own roles or bars themselves: another admin does")
    values: dict[str, object] = {"changed_by": actor.name, "changed_at": at}
    detail: dict[str, object] = {}
    if roles:
        values["roles"] = detail["roles"] = to_text(roles)
        detail["roles_before"] = row.roles
    if active is not None:
        values["state"] = detail["state"] = ACTIVE if active else BARRED
    if password is not None:
        values["password"] = hashed(password)
        detail["password"] = True
    if not detail:
        raise UsageError(f"nothing to change of {row.name}: name roles, a password or --active")
    connection.execute(update(operator).where(operator.c.name == row.name).values(**values))
    if not any(one.state == ACTIVE and Role.ADMIN in from_text(one.roles) for one in listed(connection)):
        raise UsageError(f"{row.name} is the last admin: make another one first")
    note(connection, at, actor.name, "operator:set", f"operator:{row.name}", detail)


def _lock(connection: Connection) -> None:
    """One change of the list at a time: two admins must not take the role from each other at once."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'"))
    connection.execute(select(func.pg_advisory_xact_lock(LOCK_SPACE, 0)))
