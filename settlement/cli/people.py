"""`operator add|set|bar|list`: who may do what. `audit show|verify`: who did it."""

import getpass
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    acting,
    exits,
    opened,
    read_password,
    show_json,
)
from settlement.domain.roles import Role
from settlement.errors import UsageError
from settlement.people import audit as log
from settlement.people import operators
from settlement.people.identity import Actor, login
from settlement.pipeline import clock_of
from switch.domain.calendar import SEOUL

SHOWN_MAX = 1_000

operator_app = typer.Typer(
    help="Who may do what: the list of operators and their roles.", no_args_is_help=True
)
audit_app = typer.Typer(help="Who did what: the log of all acts, each line chained to the one before.")
app.add_typer(operator_app, name="operator")
app.add_typer(audit_app, name="audit")

RolesOption = Annotated[
    list[Role] | None, typer.Option("--role", help="May be given several times. On set: all roles, anew.")
]
PasswordFileOption = Annotated[
    Path | None, typer.Option("--password-file", help="Take the password from a file's first line.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name, or the login of the machine.")]


def _new_password(name: str, file: Path | None) -> str:
    if file is not None:
        return read_password(file)
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to type a password: name its file with --password-file")
    first = getpass.getpass(f"New password of {name}: ")
    if getpass.getpass("The same again: ") != first:
        raise UsageError("the two were not the same: nothing has changed, try again")
    return first


@operator_app.command("add")
def add(
    name: NameArgument,
    role: RolesOption = None,
    password_file: PasswordFileOption = None,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make a new operator. The very first must be an admin; only admins add the others.

    Where people.identity is "password", a password is asked for, twice and unseen.
    """
    with exits(), opened(config) as (settings, connection):
        with connection.begin():
            first = not operators.listed(connection)
        actor = Actor(login(), frozenset()) if first else acting(settings, connection, as_operator)
        needs = settings.people.identity == "password"
        password = _new_password(name, password_file) if needs or password_file else None
        now = clock_of(connection, settings).now()
        with connection.begin():
            operators.add(connection, actor, name, role or (), password, now)
        typer.echo(f"{name} is an operator: {', '.join(role or ())}")


@operator_app.command("set")
def change(
    name: NameArgument,
    role: RolesOption = None,
    password: Annotated[bool, typer.Option("--password", help="Set a new password.")] = False,
    password_file: PasswordFileOption = None,
    active: Annotated[bool, typer.Option("--active", help="Let a barred operator in again.")] = False,
    as_operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Change an operator. Of their own, everybody may change the password and nothing else."""
    with exits(), opened(config) as (settings, connection):
        actor = acting(settings, connection, as_operator)
        new = _new_password(name, password_file) if password or password_file else None
        now = clock_of(connection, settings).now()
        with connection.begin():
            operators.change(
                connection, actor, name, now, roles=role or (), password=new, active=True if active else None
            )
        typer.echo(f"{name} is changed")


@operator_app.command("bar")
def bar(
    name: NameArgument, as_operator: OperatorOption = None, config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Keep an operator from doing anything at all. What they did stays on record."""
    with exits(), opened(config) as (settings, connection):
        actor = acting(settings, connection, as_operator, Role.ADMIN)
        now = clock_of(connection, settings).now()
        with connection.begin():
            operators.change(connection, actor, name, now, active=False)
        typer.echo(f"{name} is barred")


class _Operator(msgspec.Struct):
    name: str
    roles: list[str]
    state: str
    with_password: bool
    changed_by: str
    changed_at: datetime


@operator_app.command("list")
def show_operators(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show all operators and their roles."""
    with exits(), opened(config) as (_, connection):
        found = [
            _Operator(
                row.name, row.roles.split(","), row.state, row.with_password, row.changed_by, row.changed_at
            )
            for row in operators.listed(connection)
        ]
    if as_json:
        show_json(found)
    elif not found:
        typer.echo(
            "no operator yet: while people.identity is system, the machine's login does all but approve"
        )
    else:
        typer.echo(f"{'name':<20} {'state':<7} {'roles':<50} changed")
        for one in found:
            when = one.changed_at.astimezone(SEOUL)
            typer.echo(
                f"{one.name:<20} {one.state:<7} {', '.join(one.roles):<50}"
                f" {when:%Y-%m-%d} by {one.changed_by}"
            )


@audit_app.command("show")
def show_log(
    last: Annotated[int, typer.Option(min=1, max=SHOWN_MAX, help="How many lines, newest first.")] = 20,
    subject: Annotated[
        str | None, typer.Option(help="Only what was done to this: a file's name, operator:NAME, …")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show the last acts."""
    with exits(), opened(config) as (_, connection):
        lines = log.latest(connection, last, subject)
    if as_json:
        show_json(lines)
        return
    for line in lines:
        when = f"{line.at.astimezone(SEOUL):%Y-%m-%d %H:%M:%S}"
        typer.echo(f"{line.audit_no:>6} {when} {line.actor:<14} {line.act:<16} {line.subject}")
        if line.detail != "{}":
            typer.echo(f"{'':6} {line.detail}")


@audit_app.command("verify")
def verify_log(
    known: Annotated[
        str | None,
        typer.Option(metavar="NO:SHA256", help="A line noted elsewhere before: it must still be there."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Walk the whole log: exit code 4 if a line is missing, moved or changed.

    Prints the last line's number and sha256. Keep them elsewhere and give them as --known the next time: the
    log by itself cannot show that its end was cut off.
    """
    with exits(), opened(config) as (_, connection):
        line = log.verify(connection, _known(known))
    if as_json:
        told = {"lines": line.audit_no if line else 0, "sha256": line.sha256 if line else ""}
        show_json(told)
    elif line is None:
        typer.echo("the log is empty")
    else:
        typer.echo(
            f"{line.audit_no:,} lines, none missing or changed; the last is {line.audit_no}:{line.sha256}"
        )


def _known(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", text)
    if found is None:
        raise UsageError(f"--known {text!r}: write it as `audit verify` prints it, NO:SHA256")
    return int(found[1]), found[2]
