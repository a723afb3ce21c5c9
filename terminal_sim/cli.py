"""The command line of the terminal simulator."""

import contextlib
import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from terminal_sim.bank_command import bank
from terminal_sim.broker import broker
from terminal_sim.cli_common import KEY_SEED, LOAD_SEED, address, fail, finish
from terminal_sim.cli_load import load
from terminal_sim.compare import EXIT_DIFFERENCES
from terminal_sim.keys import tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.processes import (
    COMMAND_TIMEOUT_S,
    READY_TIMEOUT_S,
    STOP_TIMEOUT_S,
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

EXIT_BAD_CONFIG: Final = 78
JOBS_MAX: Final = 16
PROGRAMS: Final = ("dure-switch", "dure-settlement", "dure-hsm-sim")
DEMO_SEED: Final = 1
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


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dure-terminal-sim {version('dure')}")
        raise typer.Exit


app.command()(broker)
app.command()(bank)


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
    shared: Annotated[
        bool,
        typer.Option("--shared", help="In the sandbox, play files that can share an installation in one."),
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
    compare: Annotated[
        bool, typer.Option("--compare", help="At the end hold every terminal's journal against the books.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Play scenario files and check that everything they assert holds.

    Exit codes: 0 all hold · 1 an assertion failed (told: which step, expected, got) · 2 a bad file ·
    3 all hold, but a journal differs from the books (--compare) · 75 the switch or a program is not there.
    """
    try:
        scenarios = read_all(files)
    except ScenarioError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_BAD_FILE) from None
    show = (lambda _: None) if as_json else _show_result
    if sandbox:
        results = finish(
            run_in_sandbox(scenarios, jobs=jobs, keep=keep, shared=shared, compare=compare, done=show)
        )
    else:
        installation = _running(switch, config, settlement_config)
        work = keep or SCENARIO_FOLDER
        results = finish(
            run_against(scenarios, installation, work, tag=tag or None, compare=compare, done=show)
        )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(results), indent=2).decode())
    if not all(result.holds for result in results):
        raise typer.Exit(EXIT_FAILED)
    if any(result.differences for result in results):
        raise typer.Exit(EXIT_DIFFERENCES)


def _running(where: str, config: Path | None, settlement_config: Path | None) -> Installation:
    if config is None or not where:
        fail(
            "give --sandbox, or both --switch HOST:PORT and --config FILE of a running switch", EXIT_BAD_FILE
        )
    host, port = address(where)
    try:
        installation = Installation(config, settlement_config=settlement_config)
    except ProgramError as error:
        fail(str(error), EXIT_BAD_FILE)
    installation.host, installation.port = host, port
    return installation


def _show_result(result: Result) -> None:
    mark = "holds " if result.holds else "FAILED"
    typer.echo(f"{mark} {result.file}  {result.title}  ({result.steps} steps, {result.seconds:.1f} s)")
    if not result.holds:
        typer.echo(f"       {result.problem}")
    for difference in result.differences:
        typer.echo(f"       differs: {difference}")


app.command()(load)


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
    if not finish(play_demo(directory, seed=seed, payments=payments, keep=keep, console=console)):
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
        fail(f"--prefix {prefix}: terminal ids have 8 characters, letters and digits", EXIT_BAD_FILE)
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
        fail(f"{file}: cannot be written ({error.strerror})", EXIT_BAD_FILE)
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
        fail("; ".join(missing), EXIT_BAD_CONFIG)


def main() -> None:
    """Entry point of `dure-terminal-sim`."""
    with contextlib.suppress(BrokenPipeError):
        app()


if __name__ == "__main__":
    main()
