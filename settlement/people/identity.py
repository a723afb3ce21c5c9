"""Who acts: the machine's login or a name with its password, and which roles that operator has."""

import os
import pwd
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from settlement.domain.roles import ALONE, Role, demand, from_text
from settlement.errors import NotAllowedError
from settlement.people.audit import note
from settlement.people.passwords import fits
from settlement.settings import Settings
from settlement.store.schema_people import operator, settlement_audit

ACTIVE, BARRED = "active", "barred"
NAME_MAX = 64
LOCK_SPACE = 0x57484F3F  # "WHO?": guesses at one name come one after the other
WRONG = "password:wrong"
WRONG_WINDOW = timedelta(minutes=15)
WRONG_FREE = 5  # wrong tries within the window before each further one waits
WAIT_S_MAX = 30


class Actor(msgspec.Struct, frozen=True):
    """Who acts: `name` is what stands in every record of the act."""

    name: str
    roles: frozenset[Role]

    def demand(self, *wanted: Role) -> None:
        """Raise NotAllowedError unless the actor has one of the roles."""
        demand(self.name, self.roles, *wanted)


def login() -> str:
    """The name of the machine's user who started the program; the environment cannot change it."""
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid-{user}"


def who(
    settings: Settings,
    connection: Connection,
    claimed: str | None,
    password: str | None,
    *,
    now: datetime,
    pause: Callable[[float], None] = time.sleep,
) -> Actor:
    """Who acts. Raises NotAllowedError. Works in transactions of its own: none may be open.

    While there is no operator at all and people.identity is "system", the machine's login has every role but
    approver. After several wrong passwords for one name each further try waits, longer each time.
    """
    if settings.people.identity == "system":
        return _by_login(connection, claimed)
    if not claimed or len(claimed) > NAME_MAX:
        raise NotAllowedError("people.identity is password: say who you are with --operator NAME")
    return _by_password(connection, claimed, password or "", now, pause)


def _by_login(connection: Connection, claimed: str | None) -> Actor:
    name = login()
    if claimed is not None and claimed != name:
        raise NotAllowedError(
            f"people.identity is system and you are {name}: leave --operator {claimed} out, or log in as them"
        )
    with connection.begin():
        row = find(connection, name)
        if row is None and not connection.execute(select(select(operator).exists())).scalar_one():
            return Actor(name, ALONE)
    if row is None:
        raise NotAllowedError(f"{name} is no operator: an admin makes one with `operator add {name}`")
    return _admitted(row)


def _by_password(
    connection: Connection, claimed: str, password: str, now: datetime, pause: Callable[[float], None]
) -> Actor:
    with connection.begin():
        connection.execute(select(func.pg_advisory_xact_lock(LOCK_SPACE, func.hashtext(func.lower(claimed)))))
        wrong = _wrong_tries(connection, claimed, now)
        if wrong >= WRONG_FREE:
            pause(min(2.0 ** (wrong - WRONG_FREE), WAIT_S_MAX))
        row = find(connection, claimed)
        right = fits(row.password if row else "", password)
        if not right:
            note(connection, now, claimed, WRONG, _subject(claimed), {})
    if row is None or not right:
        raise NotAllowedError("the name or the password is wrong: try again, or have an admin set it anew")
    return _admitted(row)


def _subject(claimed: str) -> str:
    """What wrong tries at a name are counted under."""
    return f"operator:{claimed.lower()}"


def _wrong_tries(connection: Connection, claimed: str, now: datetime) -> int:
    table = settlement_audit.c
    query = select(func.count()).where(
        table.subject == _subject(claimed), table.act == WRONG, table.at > now - WRONG_WINDOW
    )
    return int(connection.execute(query).scalar_one())


def find(connection: Connection, name: str) -> Any | None:
    """The operator's row, however the name is capitalised; or None."""
    return connection.execute(select(operator).where(func.lower(operator.c.name) == name.lower())).first()


def _admitted(row: Any) -> Actor:
    if row.state != ACTIVE:
        raise NotAllowedError(
            f"{row.name} is barred: an admin lets them in again with `operator set --active`"
        )
    return Actor(row.name, from_text(row.roles))
