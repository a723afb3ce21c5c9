"""Roles: which acts an operator may do. Whoever makes a thing never approves it, whatever the roles."""

from collections.abc import Collection, Iterable
from enum import StrEnum

from settlement.errors import NotAllowedError


class Role(StrEnum):
    """The names are stored; never rename."""

    MAKER = "maker"  # runs the night, prepares files, proposes rebates and subsidies, places holds
    APPROVER = "approver"  # approves what another has made
    DELIVERER = "deliverer"  # sends approved files, takes answers in
    RECONCILER = "reconciler"  # names what the statement leaves open
    AUDITOR = "auditor"  # reads everything, changes nothing
    ADMIN = "admin"  # keeps the list of operators


ALONE = frozenset(Role) - {Role.APPROVER}
"""What the machine's login may do before there is any operator: everything but approve."""


def demand(name: str, roles: Collection[Role], *wanted: Role) -> None:
    """Raise NotAllowedError unless one of the wanted roles is among the operator's."""
    if not set(roles) & set(wanted):
        needed = " or ".join(role.value for role in wanted)
        raise NotAllowedError(f"{name} lacks the role {needed}: an admin gives it with `operator set`")


def to_text(roles: Iterable[Role]) -> str:
    """Roles as they are stored: in the order of the list above, comma between."""
    chosen = set(roles)
    return ",".join(role.value for role in Role if role in chosen)


def from_text(text: str) -> frozenset[Role]:
    """Roles from their stored form. Raises ValueError."""
    return frozenset(Role(name) for name in text.split(",") if name)


def same_person(one: str, other: str) -> bool:
    """Whether two names mean one person: capitals make no second one."""
    return one.lower() == other.lower()
