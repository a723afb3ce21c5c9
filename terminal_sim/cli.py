"""The command line of the terminal simulator."""

import asyncio
import contextlib
import csv
import json
import os
import signal
import sys
import tempfile
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import msgspec
import typer
from rich.console import Console

from terminal_sim.broker import broker
from terminal_sim.keys import tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.load import LoadCard, LoadPlan, run_load
from terminal_sim.processes import (
    COMMAND_TIMEOUT_S,
    READY_TIMEOUT_S,
    STOP_TIMEOUT_S,
    FolderError,
    ProgramError,
    program,
)
from terminal_sim.sandbox import Installation
from terminal_sim.scenario_file import ScenarioError
from terminal_sim.scenario_run import (
    EXIT_BAD_FILE,
    EXIT_FAILED,
    FILE_TIMEOUT_S,
    Result,
    read_all,
    run_against,
    run_in_sandbox,
)
from terminal_sim.scenario_stage import TERMINAL_COLUMNS, write_csv
from terminal_sim.terminal import Terminal, TerminalError

EXIT_UNAVAILABLE: Final = 75
EXIT_BAD_CONFIG: Final = 78
EXIT_INTERRUPTED: Final = 130
JOBS_MAX: Final = 16
PORT_MAX: Final = 65_535
PROGRAMS: Final = ("dure-switch", "dure-settlement", "dure-hsm-sim")
DEMO_SEED: Final = 1
KEY_SEED: Final = 1
LOAD_SEED: Final = 1
DEMO_FOLDER: Final = Path("var/demo")
SCENARIO_FOLDER: Final = Path("var/scenarios")
TERMINALS_MAX: Final = 1_000_000

app = typer.Typer(
    name="dure-terminal-sim",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Simulated card terminals: scenarios, load, and a small town that pays for a day.\n\n"
        "Prove a scenario, with an HSM, a switch and a database of its own:\n\n"
        "    dure-terminal-sim run --sandbox tests/scenarios/cap_split.yaml\n\n"
        "See one payment day, from the terminals to the file for the bank:\n\n"
        "    dure-terminal-sim demo"
    ),
)

T = TypeVar("T")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dure-terminal-sim {version('dure')}")
        raise typer.Exit


app.command()(broker)


@app.callback()
def _root(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="Scenario files (YAML). SCENARIOS.md tells the words.")],
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Start a throw-away HSM, switch and database for each file.")
    ] = False,
    switch: Annotated[str, typer.Option(help="HOST:PORT of a running switch, without --sandbox.")] = "",
    config: Annotated[
        Path | None, typer.Option(help="The running switch's configuration; its commands are used to set up.")
    ] = None,
    settlement_config: Annotated[
        Path | None, typer.Option(help="Settlement's configuration, for scenarios that settle.")
    ] = None,
    tag: Annotated[
        str, typer.Option(help="What the names of members and shops end in, without --sandbox.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=1, max=JOBS_MAX, help="Files at a time in the sandbox.")] = 2,
    keep: Annotated[
        Path | None, typer.Option(help="Leave the sandbox (logs, configurations, databases) in this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Play scenario files and check that everything they assert holds.

    Exit codes: 0 all hold · 1 an assertion failed (told: which step, expected, got) · 2 a bad file ·
    75 the switch or a program cannot be reached.
    """
    try:
        scenarios = read_all(files)
    except ScenarioError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_BAD_FILE) from None
    show = (lambda _: None) if as_json else _show_result
    if sandbox:
        results = _finish(run_in_sandbox(scenarios, jobs=jobs, keep=keep, done=show))
    else:
        installation = _running(switch, config, settlement_config)
        work = keep or SCENARIO_FOLDER
        results = _finish(run_against(scenarios, installation, work, tag=tag or None, done=show))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(results), indent=2).decode())
    if not all(result.holds for result in results):
        raise typer.Exit(EXIT_FAILED)


def _running(address: str, config: Path | None, settlement_config: Path | None) -> Installation:
    if config is None or not address:
        _fail(
            "give --sandbox, or both --switch HOST:PORT and --config FILE of a running switch", EXIT_BAD_FILE
        )
    host, port = _address(address)
    try:
        installation = Installation(config, settlement_config=settlement_config)
    except ProgramError as error:
        _fail(str(error), EXIT_BAD_FILE)
    installation.host, installation.port = host, port
    return installation


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 1 <= int(port[:6]) <= PORT_MAX:
        _fail(f"--switch {text}: write HOST:PORT, such as 127.0.0.1:7701", EXIT_BAD_FILE)
    return host, int(port)


def _show_result(result: Result) -> None:
    mark = "holds " if result.holds else "FAILED"
    typer.echo(f"{mark} {result.file}  {result.title}  ({result.steps} steps, {result.seconds:.1f} s)")
    if not result.holds:
        typer.echo(f"       {result.problem}")


@app.command()
def load(
    switch: Annotated[str, typer.Option(help="HOST:PORT of the switch.")],
    terminals: Annotated[
        Path, typer.Option(help="terminals.csv as imported, with keys made by `dure-terminal-sim keys`.")
    ],
    cards: Annotated[Path, typer.Option(help="CSV with a column pan, and pin and expiry if they are used.")],
    rate: Annotated[
        int | None, typer.Option(min=1, help="Open loop: payments per second, whatever comes back.")
    ] = None,
    in_flight: Annotated[
        int | None, typer.Option(min=1, help="Closed loop: payments under way at any time (32 by default).")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="How long.")] = 10.0,
    connections: Annotated[int, typer.Option(min=1, max=1_000)] = 2,
    amount_min: Annotated[int, typer.Option(min=1, help="Won.")] = 1_000,
    amount_max: Annotated[int, typer.Option(min=1, help="Won.")] = 40_000,
    pin_percent: Annotated[int, typer.Option(min=0, max=100, help="Share of payments with a PIN.")] = 0,
    seed: Annotated[int, typer.Option(help="Of cards and amounts.")] = LOAD_SEED,
    key_seed: Annotated[int, typer.Option(help="The seed given to `keys`.")] = KEY_SEED,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Load a running switch with payments: real MACs, checked answers, latency percentiles.

    With --rate, latency counts from the moment a payment was due, so a pause is charged to everyone it held
    up. Example:

        dure-terminal-sim load --switch 127.0.0.1:7701 --terminals t.csv --cards c.csv --rate 500 --seconds 30

    Exit codes: 0 done · 2 bad options or files · 75 the switch cannot be reached or refuses the terminals.
    """
    if rate is not None and in_flight is not None:
        _fail("give --rate (open loop) or --in-flight (closed loop), not both", EXIT_BAD_FILE)
    host, port = _address(switch)
    fleet = [
        Terminal(row["terminal_id"], row["merchant_id"], tmk(key_seed, row["terminal_id"]), journal_max=0)
        for row in _rows(terminals, ("terminal_id", "merchant_id"))
    ]
    wallet = [
        LoadCard(row["pan"], row.get("pin") or None, row.get("expiry") or None)
        for row in _rows(cards, ("pan",))
    ]
    try:
        plan = LoadPlan(
            host=host,
            port=port,
            connections=connections,
            in_flight=None if rate is not None else in_flight or 32,
            rate_per_s=rate,
            duration_s=seconds,
            amount_min=amount_min,
            amount_max=amount_max,
            pin_share_ppm=pin_percent * 10_000,
            seed=seed,
        )
        report = _finish(run_load(plan, fleet, wallet))
    except ValueError as error:
        _fail(str(error), EXIT_BAD_FILE)
    except TerminalError as error:
        _fail(str(error), EXIT_UNAVAILABLE)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        return
    typer.echo(f"{report.answered:,} of {report.sent:,} answered, {report.answers_per_s:,.0f} a second")
    typer.echo("answers  " + ", ".join(f"{code}: {count:,}" for code, count in report.outcomes.items()))
    typer.echo("latency  " + ", ".join(f"{at} {us / 1000:.1f} ms" for at, us in report.latency_us.items()))


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no CSV in UTF-8"
        _fail(f"{path}: cannot be read: {why}", EXIT_BAD_FILE)
    if not rows or not set(columns) <= rows[0].keys():
        _fail(f"{path}: needs a header with {', '.join(columns)} and at least one row", EXIT_BAD_FILE)
    return rows


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Another seed, another town and day.")] = DEMO_SEED,
    payments: Annotated[int, typer.Option(min=1, max=200_000, help="About how many things happen.")] = 3_000,
    directory: Annotated[
        Path, typer.Option("--dir", help="Made anew every time: configurations, database, files, logs.")
    ] = DEMO_FOLDER,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave HSM, switch and database running, to look around.")
    ] = False,
) -> None:
    """A small town pays for a day: terminals, switch, books, settlement, and a file for the bank.

    The same seed gives the same file, byte for byte. The summary is in DIR/summary.json too.
    Exit codes: 0 all is well · 1 the books, the terminals or the settlement disagree · 2 a folder that cannot
    be used · 75 a program failed.
    """
    from terminal_sim.town import play_demo

    console = Console() if sys.stdout.isatty() else Console(width=100)
    if not _finish(play_demo(directory, seed=seed, payments=payments, keep=keep, console=console)):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def keys(
    file: Annotated[Path, typer.Argument(help="Where to write terminals.csv.")],
    merchant: Annotated[list[str], typer.Option(help="Merchant id; several are served in turn.")],
    count: Annotated[int, typer.Option(min=1, max=TERMINALS_MAX, help="How many terminals.")] = 1,
    prefix: Annotated[str, typer.Option(help="First letters of the terminal ids.")] = "T",
    seed: Annotated[int, typer.Option(help="Another seed, other keys.")] = KEY_SEED,
) -> None:
    """Write test terminals with master keys under the test LMK, ready for `dure-switch import terminals`.

    The clear keys follow from seed and terminal id, so `load` knows them again: never for real terminals.
    """
    if len(f"{prefix}{count}") > 8 or not prefix.isascii() or not prefix.isalnum():
        _fail(f"--prefix {prefix}: terminal ids have 8 characters, letters and digits", EXIT_BAD_FILE)
    rows = []
    for number in range(1, count + 1):
        terminal_id = f"{prefix}{number:0{8 - len(prefix)}d}"
        key = tmk(seed, terminal_id)
        rows.append(
            (terminal_id, merchant[(number - 1) % len(merchant)], tmk_under_lmk(key), tmk_check_value(key))
        )
    try:
        write_csv(file, TERMINAL_COLUMNS, rows)
    except OSError as error:
        _fail(f"{file}: cannot be written ({error.strerror})", EXIT_BAD_FILE)
    typer.echo(f"{file}: {count:,} terminals")


@app.command("check-config")
def check_config() -> None:
    """Print what is in force: where the other programs are, folders, seeds, limits. Nothing is started.

    There is no settings file: options are the settings. Exit code 78 if a program is missing.
    """
    found: dict[str, str] = {}
    missing: list[str] = []
    for name in PROGRAMS:
        try:
            found[name] = program(name)
        except ProgramError as error:
            missing.append(str(error))
    shown = {
        "version": version("dure"),
        "programs": found,
        "environment": {name: os.environ.get(name, "") for name in ("DURE_SWITCH_CONFIG", "TMPDIR")},
        "folders": {
            "working": str(Path.cwd()),
            "demo": str(DEMO_FOLDER.absolute()),
            "scenarios": str(SCENARIO_FOLDER.absolute()),
            "sandbox": f"{tempfile.gettempdir()} (--keep names another)",
        },
        "seeds": {"demo": DEMO_SEED, "keys": KEY_SEED, "load": LOAD_SEED},
        "timeouts_s": {
            "command": COMMAND_TIMEOUT_S,
            "start": READY_TIMEOUT_S,
            "stop": STOP_TIMEOUT_S,
            "scenario": FILE_TIMEOUT_S,
        },
    }
    typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    if missing:
        _fail("; ".join(missing), EXIT_BAD_CONFIG)


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Runs to the end; a signal cancels, so that what was started is stopped again."""

    async def guarded() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()

        def cancel_once() -> None:
            # A second one must not interrupt the stopping of what was started.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, lambda: None)
            task.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, cancel_once)
        return await task

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        _fail("interrupted; what was started has been stopped", EXIT_INTERRUPTED)
    except FolderError as error:
        _fail(str(error), EXIT_BAD_FILE)
    except ProgramError as error:
        _fail(str(error), EXIT_UNAVAILABLE)
    except OSError as error:
        if error.filename is not None:
            _fail(f"{error.filename}: {error.strerror}: free it, or name another folder", EXIT_BAD_FILE)
        _fail(f"the switch cannot be reached: {error}", EXIT_UNAVAILABLE)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"dure-terminal-sim: {text}", err=True)
    raise typer.Exit(code)


def main() -> None:
    """Entry point of `dure-terminal-sim`."""
    with contextlib.suppress(BrokenPipeError):
        app()


if __name__ == "__main__":
    main()
