"""Roles: which acts an operator may do. Whoever makes a thing never approves it, whatever the roles."""

from collections.abc import Collection
from enum import StrEnum


class Role(StrEnum):
    """The names are stored; never rename."""

    MAKER = "maker"  # runs the night, prepares files, proposes rebates and subsidies, places holds
    APPROVER = "approver"  # approves what another has made
    DELIVERER = "deliverer"  # sends approved files, takes answers in
    RECONCILER = "reconciler"  # names what the statement leaves open
    AUDITOR = "auditor"  # reads everything, changes nothing
    ADMIN = "admin"  # keeps the list of operators


class NotAllowedError(ValueError):
    """An act without its role."""


def demand(name: str, roles: Collection[Role], *wanted: Role) -> None:
    """Raise NotAllowedError unless one of the wanted roles is among the operator's."""
    if not set(roles) & set(wanted):
        needed = " or ".join(role.value for role in wanted)
        raise NotAllowedError(f"{name} lacks the role {needed}: an admin gives it with `operator set`")
