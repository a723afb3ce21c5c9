"""Commands on terminals' keys. None of them shows a key: check values, ages and ends only."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from switch.cli.options import AsJson
from switch.cli.output import progress, show_json, show_table
from switch.cli.runtime import EXIT_CONFIG, UnavailableError, exit_with, open_books, operator
from switch.hsm.client import HsmClient
from switch.hsm.link import HsmUnavailable
from switch.service import keys_admin
from switch.service.admin import RefusedError
from switch.settings import Settings
from switch.store import keystore
from switch.store.keystore import KeyState, StoredKey

TerminalId = Annotated[str, typer.Argument(metavar="TERMINAL", help="The terminal's id (DE41).")]
HSM_READY_S: Final = 5.0
SHOWN_MAX: Final = 100_000
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([hd])")
_KEY: Final = re.compile(r"U[0-9A-F]{32}|S[0-9A-Z]{16,199}")

key = typer.Typer(no_args_is_help=True, help="Keys of terminals: loaded, listed, ended, checked.")


@key.command("load-terminals")
def load_terminals(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="CSV: terminal_id,tmk,kcv; the key under the zone master key.")
    ],
    zmk: Annotated[str, typer.Option("--zmk", help="The zone master key, under the HSM's LMK.")],
    as_json: AsJson = False,
) -> None:
    """Load terminals' master keys, as X and 32 hex digits or as R and a key block (X9.143).

    The HSM takes each key in; its check value must be that of its line. All or nothing. The terminals then
    sign on and exchange keys anew. Example:

        dure-switch key load-terminals master-keys.csv --zmk U…
    """
    if not _KEY.fullmatch(zmk):
        raise RefusedError("--zmk is no key under the LMK: write U and 32 hex digits, or S and a key block")
    with open_books(context) as books, progress(file.name) as advance:
        report = keys_admin.load_master_keys(
            books.engine, file, zmk, _with_hsm(books.settings), books.now(), operator(), advance
        )
    show_json(report) if as_json else typer.echo(str(report))


@key.command("list")
def key_list(
    context: typer.Context,
    expiring: Annotated[
        str, typer.Option("--expiring", help="Only keys that end within 3d or 12h, and old master keys.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """List the terminals and the state of their keys.

    Example:  dure-switch key list --expiring 3d
    """
    with open_books(context) as books:
        if expiring:
            found = keys_admin.expiring_keys(
                books.engine, books.now(), _span(expiring), books.settings.keys.master_days, SHOWN_MAX
            )
        else:
            with books.engine.connect() as connection:
                found = keystore.key_states(connection, limit=SHOWN_MAX)
    if as_json:
        show_json(found)
        return
    columns = ("terminal", "mode", "master key", "loaded", "session keys until", "in use", "old set until")
    rows = [
        (
            one.terminal_id,
            one.key_mode,
            one.tmk_kcv,
            _when(one.tmk_at),
            _when(one.keys_until),
            "yes" if one.in_use else "no",
            _when(one.old_until),
        )
        for one in found
    ]
    show_table("Keys of terminals", columns, rows)


@key.command("show")
def key_show(context: typer.Context, terminal: TerminalId, as_json: AsJson = False) -> None:
    """Show the state of a terminal's keys and what was last done to them; never a key.

    Example:  dure-switch key show T0000001
    """
    with open_books(context) as books:
        state = keys_admin.key_state(books.engine, terminal)
        with books.engine.connect() as connection:
            acts = keystore.audit_lines(connection, subject=terminal, last=20)
    if as_json:
        show_json({"keys": state, "acts": acts})
        return
    _show(state)
    rows = [(_when(one.noted_at), one.actor, one.act, one.detail) for one in acts]
    show_table("What was done", ("when", "who", "act", "detail"), rows)


@key.command("expire")
def key_expire(
    context: typer.Context,
    terminal: TerminalId,
    now: Annotated[
        bool, typer.Option("--now", help="End them at once, and the set before; else after the grace period.")
    ] = False,
) -> None:
    """End a terminal's session keys: it must exchange keys to go on. A running switch knows at once.

    Example:  dure-switch key expire T0000001
    """
    with open_books(context) as books:
        present = books.now()
        at = present if now else present + timedelta(seconds=books.settings.keys.grace_s)
        _show(keys_admin.expire_keys(books.engine, terminal, at, present, operator()))


@key.command("retire-old")
def key_retire_old(context: typer.Context, terminal: TerminalId) -> None:
    """Take the set of session keys before the newest at once, without waiting for its grace to end.

    Example:  dure-switch key retire-old T0000001
    """
    with open_books(context) as books:
        _show(keys_admin.retire_old_set(books.engine, terminal, books.now(), operator()))


@key.command("check")
def key_check(context: typer.Context, as_json: AsJson = False) -> None:
    """Ask the HSM for the check value of every key in the configuration and of every terminal.

    Exit code 78 if the HSM does not take a key for what it is, or its check value is not the noted one.
    Example:

        dure-switch key check
    """
    with open_books(context) as books, progress("keys") as advance:
        checked = keys_admin.check_keys(
            books.engine,
            _configured(books.settings),
            _with_hsm(books.settings),
            books.now(),
            operator(),
            advance,
        )
    bad = [one for one in checked if not one.ok]
    if as_json:
        show_json(checked)
    else:
        shown = [(one.kind, one.subject, one.check_value, one.why or "good") for one in checked]
        show_table("Keys", ("kind", "of", "check value", "verdict"), shown)
        typer.echo(f"{len(checked):,} keys, {len(bad):,} of them bad")
    exit_with(EXIT_CONFIG if bad else 0)


@key.command("audit")
def key_audit(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many acts to show.")] = 50,
    subject: Annotated[str, typer.Option("--subject", help="Of this terminal only.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the last acts on keys, the newest first. The record is only ever added to.

    Example:  dure-switch key audit --last 20
    """
    with open_books(context) as books, books.engine.connect() as connection:
        acts = keystore.audit_lines(connection, subject=subject, last=last)
    if as_json:
        show_json(acts)
        return
    rows = [(_when(one.noted_at), one.actor, one.act, one.subject, one.detail) for one in acts]
    show_table("Acts on keys", ("when", "who", "act", "on", "detail"), rows)


def _show(state: KeyState) -> None:
    facts = [
        ("state", state.state),
        ("mode", state.key_mode),
        ("form of session keys", state.key_form),
        ("master key, check value", state.tmk_kcv or "-"),
        ("master key loaded", _when(state.tmk_at)),
        ("session keys given", _when(state.keys_at)),
        ("session keys end", _when(state.keys_until)),
        ("session keys in use", "yes" if state.in_use else "no"),
        ("set before ends", _when(state.old_until)),
    ]
    if state.ksn_id:
        facts += [("key serial number", state.ksn_id), ("counter", str(state.ksn_counter))]
    show_table(f"Keys of {state.terminal_id}", ("", ""), facts)


def _when(instant: Any) -> str:
    return instant.isoformat(sep=" ", timespec="seconds") if instant is not None else "-"


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no span: write hours or days, as 12h or 3d")
    number = int(found[1])
    return timedelta(hours=number) if found[2] == "h" else timedelta(days=number)


def _configured(settings: Settings) -> list[StoredKey]:
    """The keys of the configuration."""
    keys = settings.keys
    found: list[StoredKey] = []
    for key_type, name, one, by_programme in (
        ("002", "keys.pvk", keys.pvk, keys.pvk_by_programme),
        ("402", "keys.cvk", keys.cvk, keys.cvk_by_programme),
        ("109", "keys.imk", keys.imk, keys.imk_by_programme),
    ):
        if one:
            found.append(StoredKey(key_type, name, one, ""))
        found += [StoredKey(key_type, f"{name} of {who}", of, "") for who, of in by_programme.items()]
    return found


def _with_hsm(settings: Settings) -> Callable[[Callable[[HsmClient], Coroutine[Any, Any, Any]]], Any]:
    """Work done with the HSM of the configuration. Raises UnavailableError."""

    async def work(task: Callable[[HsmClient], Coroutine[Any, Any, Any]]) -> Any:
        at = settings.hsm
        hsm = HsmClient(
            at.host, at.port, standby=at.standby_addresses(), timeout_s=max(at.timeout_s, HSM_READY_S)
        )
        await hsm.start()
        try:
            await hsm.wait_ready(HSM_READY_S)
            return await task(hsm)
        finally:
            await hsm.close()

    def run(task: Callable[[HsmClient], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return asyncio.run(work(task))
        except HsmUnavailable as error:
            raise UnavailableError(f"{error}: nothing was changed, try again when it answers") from None

    return run
