"""`hold`, `release`, `account`, `ages`: what people decide about a merchant's money; what is carried."""

import re
from typing import Annotated

import typer
from pydantic import ValidationError
from sqlalchemy import Connection

from settlement.cli.app import app
from settlement.cli.runtime import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    OperatorOption,
    act,
    exits,
    look,
    show_json,
)
from settlement.desk import holds
from settlement.desk.ages import Ages, ages
from settlement.desk.merchants import set_account
from settlement.domain.roles import Role
from settlement.errors import UsageError
from settlement.papers.paper import percent
from settlement.reference import load_all
from settlement.settings import Originator, Settings
from switch.clock import Clock

LISTED_MAX = 1_000
_RATE = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))? ?%")

ProgrammeOption = Annotated[str | None, typer.Option(help="One programme's id. Default: all of them.")]
MerchantArgument = Annotated[str, typer.Argument(help="The merchant's id.")]


def read_rate(text: str) -> int:
    """A rate as people write it, 10% or 0.15 %, in ppm. Raises UsageError."""
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no rate: write it as 10% or 0.15%")
    return int(found[1]) * 10_000 + int((found[2] or "").ljust(4, "0"))


@app.command()
def hold(
    merchant: Annotated[
        str | None, typer.Argument(help="The merchant's id; none: list what is held.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it stands in every list.")] = "",
    reserve: Annotated[
        str | None, typer.Option(metavar="RATE", help="Keep back this part of each day's net, such as 10%.")
    ] = None,
    most: Annotated[int, typer.Option("--max", metavar="WON", help="The most that is kept back in all.")] = 0,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Hold all payouts of a merchant, or keep back a part of each as a security; from the next run on.

    Without a merchant: list the holds and reserves in force. What is held stays the merchant's and is paid by
    the run after its release.
    """
    with exits():
        if merchant is None:
            found = look(config, lambda connection, _, __: list(holds.in_force(connection)))
            if as_json:
                show_json(found)
            else:
                typer.echo(_holds_page(found))
            return
        if reserve is None and most:
            raise UsageError("--max is for a reserve: name its rate with --reserve 10%")
        rate_ppm = 0 if reserve is None else read_rate(reserve)
        if reserve is not None and not rate_ppm:
            raise UsageError("a reserve of 0 % keeps nothing back: `release --reserve` ends one")
        act(
            config,
            operator,
            Role.MAKER,
            lambda connection, actor, clock, _: holds.place(
                connection, merchant, reason, actor, clock.now(), rate_ppm=rate_ppm, max_won=most
            ),
        )
    kept = f"keeps back {percent(rate_ppm)} of each day's net, {most:,} won at most" if rate_ppm else ""
    typer.echo(f"{merchant}: the next run {kept or 'pays it nothing: all is held'}")


@app.command()
def release(
    merchant: MerchantArgument,
    reserve: Annotated[bool, typer.Option("--reserve", help="The reserve, not the hold.")] = False,
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """End a merchant's hold, or its reserve: the next run pays what had been held or kept back."""
    kind = holds.RESERVE if reserve else holds.HOLD
    with exits():
        act(
            config,
            operator,
            Role.MAKER,
            lambda connection, actor, clock, _: holds.release(connection, merchant, kind, actor, clock.now()),
        )
    typer.echo(f"{merchant}: its {kind} has ended; the next run pays what was kept (`run --again`: today)")


@app.command()
def account(
    merchant: MerchantArgument,
    bank: Annotated[str, typer.Option(help="The bank's clearing code, such as 088.")],
    number: Annotated[str, typer.Option("--account", help="The account's number.")],
    holder: Annotated[str, typer.Option(help="The holder's name, as the bank has it.")],
    operator: OperatorOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Correct where a merchant is paid. Payouts that had failed are ordered again by the next run."""
    with exits():
        try:
            to = Originator(name=holder, account=number, bank=bank)
        except ValidationError as error:
            names = ", ".join(str(fault["loc"][0]) for fault in error.errors(include_input=False))
            raise UsageError(
                f"{names}: cannot be right: a bank's code is 3 to 35 digits or capitals, an account's number"
                " up to 34 digits, letters and hyphens, a name up to 140 characters"
            ) from None
        new = act(
            config,
            operator,
            Role.MAKER,
            lambda connection, actor, clock, _: set_account(connection, merchant, to, actor, clock.now()),
        )
    shown = f"{bank} …{number[-4:]} {holder}"
    typer.echo(f"{merchant}: paid to {shown} from now on" if new else f"{merchant}: {shown} it was already")


@app.command("ages")
def ages_(
    programme: ProgrammeOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List what is carried, oldest first: what merchants owe, what waits for them and why."""

    def read(connection: Connection, clock: Clock, _: Settings) -> list[Ages]:
        return [
            ages(connection, facts, facts.open_date(clock.now())) for facts in load_all(connection, programme)
        ]

    with exits():
        found = look(config, read)
    if as_json:
        show_json(found)
    else:
        typer.echo("\n\n".join(_ages_page(one) for one in found))


def _holds_page(found: list[holds.Hold]) -> str:
    if not found:
        return "nothing is held"
    lines = [f"{'merchant':<15} {'kind':<8} {'of net':>9} {'at most':>13} {'since':<10} {'by':<12} reason"]
    for one in found:
        rate = percent(one.rate_ppm) if one.rate_ppm else "all"
        most = f"{one.max_won:,}" if one.max_won else "-"
        head = f"{one.merchant:<15} {one.kind:<8} {rate:>9} {most:>13}"
        lines.append(f"{head} {one.placed_at:%Y-%m-%d} {one.placed_by[:12]:<12} {one.reason[:46]}")
    return "\n".join(lines)


def _ages_page(found: Ages) -> str:
    lines = [f"{found.programme}  carried, on {found.today}"]
    if not found.carried:
        return f"{lines[0]}: nothing"
    lines.append(f"  {'merchant':<15} {'won':>14} {'since':<10} {'days':>5}  why")
    lines += [
        f"  {one.merchant:<15} {one.won:>14,} {one.since} {one.days:>5}  {one.why[:66]}"
        for one in found.carried[:LISTED_MAX]
    ]
    if len(found.carried) > LISTED_MAX:
        lines.append(f"  and {len(found.carried) - LISTED_MAX:,} more: --json lists all")
    lines.append(f"  {'age':<15} {'owing':>8} {'won owed':>16} {'waiting':>8} {'won held':>16}")
    lines += [
        f"  {one.age:<15} {one.owing:>8,} {one.owed:>16,} {one.waiting:>8,} {one.held:>16,}"
        for one in found.classes
    ]
    return "\n".join(lines)
