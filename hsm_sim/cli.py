"""The command line of the simulator."""

import asyncio
import json
import logging
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NoReturn

import structlog
import typer
import uvloop

from hsm_sim.ceremony.verbs import audit_verbs, key_verbs, lmk_verbs
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.keys import Keys
from hsm_sim.paced import new_server
from hsm_sim.settings import ConfigError, Settings, load
from switch.hardening import forbid_core_dumps

EXIT_CANNOT_LISTEN: Final = 75
EXIT_BAD_CONFIG: Final = 78

app = typer.Typer(
    name="dure-hsm-sim",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # a passphrase may be among them
    help=(
        "A payShield-class HSM in software, for tests and demonstrations: never for live keys.\n\n"
        "Answers A0 A6 A8 BU (keys, also as key blocks), DC EC DG GO GQ (PIN), CA CI JC (PIN translation), "
        "M6 M8 GW (MAC), CW CY (card verification value), KQ (chip cryptogram), NC B2 (diagnostics), "
        "over TCP: 2-byte length, header, command.\n\n"
        "Start one:  dure-hsm-sim serve --port 1500"
    ),
)
app.add_typer(lmk_verbs, name="lmk")
app.add_typer(key_verbs, name="key")
app.add_typer(audit_verbs, name="audit")
_ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; all keys are optional, see check-config.")
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dure-hsm-sim {version('dure')}")
        raise typer.Exit


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    config: _ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of the file's.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what has arrived and exit 0.

    Writes one JSON line with the port to stdout once it listens. Logs go to stderr, with no key, PIN or PAN.
    Exit codes: 75 the address cannot be had (try another port), 78 bad configuration.
    """
    settings = _settings(config, host=host, port=port)
    _log_to_stderr(settings.log_level)
    forbid_core_dumps()
    try:
        lmk = settings.lmk()
    except ConfigError as error:
        _fail(str(error), EXIT_BAD_CONFIG)
    log = structlog.get_logger()
    if lmk is TEST_LMK:
        log.warning("test_lmk", why="the published test LMK is in use: keys under it are no secret")
    try:
        uvloop.run(_serve(settings, Keys(lmk, cached_max=settings.keys_cached_max)))
    except OSError as error:
        _fail(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", EXIT_CANNOT_LISTEN)


@app.command()
def check_config(config: _ConfigOption = None) -> None:
    """Print the effective settings as JSON, the LMK as its check value; exit 78 if they are bad."""
    settings = _settings(config)
    try:
        shown = settings.model_dump(mode="json") | {"lmk_check_value": settings.lmk().check_value}
    except ConfigError as error:
        _fail(str(error), EXIT_BAD_CONFIG)
    typer.echo(json.dumps(shown, indent=2))


async def _serve(settings: Settings, keys: Keys) -> None:
    server = new_server(settings, keys)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    port = await server.start()
    line = {"event": f"listening on {settings.host}:{port}", "host": settings.host, "port": port}
    # Flushed, for a parent process waits for this line.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop()


def _settings(config: Path | None, **overrides: object) -> Settings:
    try:
        return load(config, **overrides)
    except ConfigError as error:
        _fail(str(error), EXIT_BAD_CONFIG)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"dure-hsm-sim: {text}", err=True)
    raise typer.Exit(code)


def _log_to_stderr(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def main() -> None:
    """Entry point of `dure-hsm-sim`."""
    app()
