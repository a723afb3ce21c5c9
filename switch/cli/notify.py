"""Commands for messages to terminals: the publisher, the hot list, the estate."""

from pathlib import Path
from typing import Annotated

import typer

from switch.cli.options import AsJson, CardNo, Member, Programme
from switch.cli.output import show_json, show_table
from switch.cli.runtime import UnavailableError, open_books

Terminals = Annotated[list[str], typer.Argument(metavar="TERMINAL…", help="Terminal ids (DE41).")]

hotlist = typer.Typer(no_args_is_help=True, help="The hot list: cards that terminals refuse off line too.")
estate = typer.Typer(no_args_is_help=True, help="Terminals over MQTT: soundboxes, configurations, commands.")


def notify(context: typer.Context) -> None:
    """Publish to terminals until SIGTERM or SIGINT: payments to soundboxes, the hot list, configurations.

    A process beside `serve`; several may run, one publishes. Needs [mqtt] in the settings. While the broker
    is away, messages wait in the database; payments go on. Example:

        dure-switch notify
    """
    from switch.service.notices_run import run_publisher

    with open_books(context) as books:
        settings, simulation = books.settings, books.simulation
    try:
        run_publisher(settings, simulation=simulation)
    except OSError as error:
        raise UnavailableError(
            f"cannot show metrics on port {settings.mqtt.metrics_port} ({error.strerror}): set another port"
        ) from None


@hotlist.command("add")
def hotlist_add(context: typer.Context, programme: Programme, member: Member, card_no: CardNo) -> None:
    """Block a card and put it on the list. It is declined from the moment this returns, broker or not.

    `card lost` and `card stolen` put a card on the list too. Example:

        dure-switch hotlist add --programme seoro --member M-0001 --card-no 1
    """
    from switch.service.admin import CardAct, act_on_card

    with open_books(context) as books:
        after = act_on_card(books.engine, programme, member, card_no, CardAct.BLOCK)
    typer.echo(f"card {after.card_no} ({after.masked}) of {member}: {after.before} → {after.state}, listed")


@hotlist.command("remove")
def hotlist_remove(context: typer.Context, programme: Programme, member: Member, card_no: CardNo) -> None:
    """Take a card off the list and leave its state as it is, e.g. a lost card that has expired.

    `card unblock` takes it off too. Example:

        dure-switch hotlist remove --programme seoro --member M-0001 --card-no 1
    """
    from switch.service.hotlist import take_off

    with open_books(context) as books:
        version = take_off(books.engine, programme, member, card_no)
    typer.echo(f"card {card_no} of {member} is off the list, version {version}")


@hotlist.command("list")
def hotlist_list(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the cards on the list, the newest first.

    Example:  dure-switch hotlist list
    """
    from switch.store.hotlist import hotlist_version, listed_cards

    with open_books(context) as books, books.engine.connect() as connection:
        version, found = hotlist_version(connection), listed_cards(connection, last)
    if as_json:
        show_json({"version": version, "cards": found})
        return
    show_table(
        f"Hot list, version {version}",
        ("version", "programme", "member", "card-no", "card", "why", "since"),
        [
            (
                *(one.version, one.programme, one.member, one.card_no, one.card, one.reason),
                one.noted_at.isoformat(timespec="seconds"),
            )
            for one in found
        ],
    )


@hotlist.command("push")
def hotlist_push(context: typer.Context) -> None:
    """Push the list to the broker now; a running publisher does so by itself. Exit code 75 without a broker.

    Example:  dure-switch hotlist push
    """
    from switch.service.mqtt import BrokerUnavailableError
    from switch.service.notices_run import push_hotlist

    with open_books(context) as books:
        where = f"{books.settings.mqtt.host}:{books.settings.mqtt.port}"
        try:
            version = push_hotlist(books.settings, books.now)
        except BrokerUnavailableError as error:
            raise UnavailableError(f"the broker {where} is away ({error}): try again") from None
    typer.echo(f"pushed version {version}")


@hotlist.command("key")
def hotlist_key(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write the key; it must not exist.")],
) -> None:
    """Write the key under which cards stand on the list, for the terminals' provisioning (mode 0600).

    Example:  dure-switch hotlist key var/hotlist.key
    """
    from switch.cli.runtime import settings_of
    from switch.service.hotlist import HotKey
    from switch.service.vault import Vault

    key = HotKey.of(Vault.load(Path(settings_of(context).vault.key_file)))
    key.write(file)
    typer.echo(f"made {file} (mode 0600), check {key.check}: bring it to the terminals, then remove it")


@estate.command("list")
def estate_list(
    context: typer.Context,
    gone: Annotated[bool, typer.Option("--gone", help="Only terminals that are gone.")] = False,
    last: Annotated[int, typer.Option("--most", min=1, max=100_000, help="How many.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """List terminals: there or gone, what configuration and hot list they have, how much waits for them.

    Example:  dure-switch estate list --gone
    """
    from switch.service.estate import estate as found_in

    with open_books(context) as books:
        found = found_in(books.engine, gone_only=gone, most=last)
    if as_json:
        show_json(found)
        return
    show_table(
        "Terminals",
        ("terminal", "merchant", "soundbox", "there", "last seen", "cfg", "wanted", "hot list", "waiting"),
        [
            (
                *(one.terminal, one.merchant, one.soundbox, "never" if one.up is None else one.up),
                one.last_seen.isoformat(timespec="seconds") if one.last_seen else "",
                *(one.config, one.config_wanted, one.hotlist, one.waiting),
            )
            for one in found
        ],
    )


@estate.command("soundbox")
def estate_soundbox(
    context: typer.Context,
    terminals: Terminals,
    off: Annotated[bool, typer.Option("--off", help="No longer; what waits for it is dropped.")] = False,
) -> None:
    """Tell terminals of every payment of their merchant, from the next one on.

    Example:  dure-switch estate soundbox T0000001
    """
    from switch.service.estate import set_soundbox

    with open_books(context) as books:
        for one in terminals:
            changed = set_soundbox(books.engine, one, on=not off)
            typer.echo(f"{one}: {'no ' if off else ''}soundbox{'' if changed else ', as before'}")


@estate.command("config")
def estate_config(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A JSON object of at most 16 KiB.")],
    terminals: Terminals,
) -> None:
    """Give terminals a configuration; each gets it when it is there, and again until it has it.

    Example:  dure-switch estate config terminal.json T0000001 T0000002
    """
    from switch.service.estate import set_config

    with open_books(context) as books:
        for one, version in set_config(books.engine, terminals, file, books.now()).items():
            typer.echo(f"{one}: version {version}")


@estate.command("command")
def estate_command(
    context: typer.Context,
    command: Annotated[str, typer.Argument(help="exchange_keys, report_state, close_batch or restart.")],
    terminals: Terminals,
) -> None:
    """Tell terminals to do something; the message stays until they acknowledge it.

    Example:  dure-switch estate command exchange_keys T0000001
    """
    from switch.service.estate import send_command

    with open_books(context) as books:
        for one in terminals:
            typer.echo(f"{one}: {send_command(books.engine, one, command, books.now())}")
