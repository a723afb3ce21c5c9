"""The demonstration: a small town pays on a month's last day, the night settles, the bank pays the shops.

Everything is real but the people and the clock: HSM simulator and switch as processes, TCP, a database with
durable commits, the operators' commands.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from terminal_sim.card import PVKI
from terminal_sim.keys import tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.processes import FolderError
from terminal_sim.sandbox import ThrowAway, start_hsm
from terminal_sim.sandbox_commands import Commands
from terminal_sim.scenario_stage import (
    CARD_COLUMNS,
    FUNDING_COLUMNS,
    MEMBER_COLUMNS,
    MEMBER_FACTS,
    MERCHANT_COLUMNS,
    OPENED,
    PROGRAMME_FOLDER,
    TERMINAL_COLUMNS,
    write_csv,
)
from terminal_sim.terminal import KOREA
from terminal_sim.town_bank import add_operators
from terminal_sim.town_city import SCHOLAR_TAG, give_out, sized, sizes_of
from terminal_sim.town_night import BUSINESS_DATE, summarise
from terminal_sim.town_plan import EXPIRY, PROGRAMME, REGION, TownPlan, make_plan
from terminal_sim.town_play import KEY_SEED, TownPlayer
from terminal_sim.town_summary import show

POINTS_FUNDER: Final = "city"
SETTLES_AFTER: Final = timedelta(days=1, minutes=30)
RUNNING_FILE: Final = "running.json"
SUMMARY_FILE: Final = "summary.json"
_OURS: Final = ("switch.toml", SUMMARY_FILE, RUNNING_FILE)


async def play_demo(directory: Path, *, seed: int, payments: int, keep: bool, console: Console) -> bool:
    """Plays the day in `directory`, made anew. True when books, terminals and settlement agree.

    Raises ProgramError when a program fails, or the folder holds something else.
    """
    teller = _Teller(console)
    plan = make_plan(seed, payments)
    await _clear(directory)
    async with _town(directory, keep=keep) as installation:
        with teller.stage("set-up"):
            await _prepare(installation, plan)
            await installation.serve()
        _note_running(installation)
        with teller.stage("the day"), teller.bar("the day", len(plan.events)) as advance:
            midnight = datetime.combine(BUSINESS_DATE, datetime.min.time(), KOREA)
            player = TownPlayer(
                *(plan, installation.host, installation.port, midnight),
                *(installation.set_clock, installation.issuer),
            )
            day = await player.play(advance)
        with teller.stage("the night"):
            await installation.set_clock(midnight + SETTLES_AFTER)
            summary = await summarise(installation, plan, day)
        summary.seconds = teller.seconds
        text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        (directory / SUMMARY_FILE).write_bytes(text + b"\n")
    show(console, summary)
    if keep:
        console.print(f" still running: the switch on {installation.host}:{installation.port}, its commands")
        console.print(f" with dure-switch --config {installation.config}", soft_wrap=True)
    return summary.well


# The folder and the programs


@asynccontextmanager
async def _town(directory: Path, *, keep: bool) -> AsyncIterator[ThrowAway]:
    hsm = await start_hsm(directory)
    installation: ThrowAway | None = None
    finished = False
    commands = Commands()
    try:
        installation = ThrowAway.write(directory, hsm_port=int(hsm.ready["port"]))
        installation.run = commands.run
        installation.hsm_pid = hsm.pid
        yield installation
        finished = True
    finally:
        if not (keep and finished):
            if installation is not None:
                await installation.stop()
                if (directory / "db").exists():
                    await installation.switch("stop-database")
                await installation.stop_database()
            await hsm.stop()
            (directory / RUNNING_FILE).unlink(missing_ok=True)
        await commands.close()


def _note_running(installation: ThrowAway) -> None:
    """Writes down who runs, so that the next demo in this folder can end what a --keep left."""
    server = installation.server
    pids = {"dure-switch": server.pid if server else 0, "dure-hsm-sim": installation.hsm_pid}
    (installation.directory / RUNNING_FILE).write_text(json.dumps(pids), "ascii")


async def _clear(directory: Path) -> None:
    """Empties the folder of an earlier demo. Raises ProgramError when it is somebody else's."""
    if _is_used(directory):
        await asyncio.to_thread(_end_running, directory)
        await ThrowAway.stop_database_of(directory)
        await asyncio.to_thread(shutil.rmtree, directory)


def _is_used(directory: Path) -> bool:
    if not directory.exists():
        return False
    if not directory.is_dir():
        raise FolderError(f"{directory} is a file: name a folder with --dir")
    if not any(directory.iterdir()):
        return False
    if not any((directory / name).exists() for name in _OURS):
        raise FolderError(f"{directory} holds something else: name another folder with --dir")
    return True


def _end_running(directory: Path) -> None:
    """Ends what --keep left running, and gives it a moment to finish."""
    with contextlib.suppress(OSError, ValueError):
        for name, pid in json.loads((directory / RUNNING_FILE).read_text("ascii")).items():
            # The number may have become somebody else's by now.
            if name in Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                    for _ in range(100):
                        time.sleep(0.05)
                        os.kill(pid, 0)


async def _prepare(installation: ThrowAway, plan: TownPlan) -> None:
    """Vault, database, programme, everybody: with the commands that an operator uses."""
    await installation.set_clock(datetime.combine(BUSINESS_DATE, datetime.min.time(), KOREA))
    await installation.make_database()
    programme = PROGRAMME_FOLDER / f"{PROGRAMME}.toml"
    if not programme.is_file():
        programme = Path(__file__).parent.parent / programme
    files = installation.directory / "files"
    files.mkdir(exist_ok=True)
    rules = files / f"{PROGRAMME}.toml"
    rules.write_text(sized(programme.read_text("utf-8"), sizes_of(plan)), "utf-8")
    (await installation.switch("programme", "apply", str(rules))).check()
    installation.pays_for(PROGRAMME, through_bank=True)
    await add_operators(installation)
    await asyncio.to_thread(_write_files, files, plan, installation)
    await asyncio.gather(
        _import(installation, files, "members", "cards", "funding"),
        _import(installation, files, "merchants", "terminals"),
    )
    (files / "cards.csv").unlink()  # as an operator should: it held card numbers
    await give_out(installation, plan, files)


async def _import(installation: ThrowAway, files: Path, *kinds: str) -> None:
    for kind in kinds:
        (await installation.switch("import", kind, str(files / f"{kind}.csv"))).check()


def _write_files(files: Path, plan: TownPlan, installation: ThrowAway) -> None:
    write_csv(
        files / "members.csv",
        (*MEMBER_COLUMNS, *MEMBER_FACTS),
        (
            (m.member_id, PROGRAMME, "yes" if m.points_on else "no", "person", SCHOLAR_TAG * m.scholar)
            for m in plan.members
        ),
    )
    write_csv(
        files / "cards.csv",
        CARD_COLUMNS,
        (
            (PROGRAMME, m.member_id, m.pan, EXPIRY, PVKI, installation.pvv(m.pan, m.pin), "")
            for m in plan.members
        ),
    )
    lots = [
        (m, kind, won) for m in plan.members for kind, won in (("charged", m.charged), ("points", m.points))
    ]
    write_csv(
        files / "funding.csv",
        FUNDING_COLUMNS,
        (
            (
                *(PROGRAMME, f"opening-{m.member_id}-{kind}", m.member_id, kind, won),
                *(POINTS_FUNDER if kind == "points" else "", BUSINESS_DATE.isoformat()),
            )
            for m, kind, won in lots
            if won
        ),
    )
    write_csv(
        files / "merchants.csv",
        MERCHANT_COLUMNS,
        (
            (
                *(m.merchant_id, PROGRAMME, m.name, m.category, REGION, REGION, m.size, m.channel, OPENED),
                *(m.annual_sales, OPENED, m.business_no, m.bank_code, m.account_no, m.name, ""),
                f"{m.group}:{OPENED}" if m.group else "",
            )
            for m in plan.merchants
        ),
    )
    keys = [(t, tmk(KEY_SEED, t.terminal_id)) for t in plan.terminals]
    write_csv(
        files / "terminals.csv",
        TERMINAL_COLUMNS,
        (
            (
                t.terminal_id,
                plan.merchants[t.merchant].merchant_id,
                tmk_under_lmk(key),
                tmk_check_value(key),
            )
            for t, key in keys
        ),
    )


class _Teller:
    """Progress for whoever watches: a live bar on a terminal, a line an hour elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        if not self.console.is_terminal:
            self.console.print(f"{name} …", highlight=False)
            yield
        elif name == "the day":
            yield
        else:
            with self.console.status(name):
                yield
        self.seconds[name] = round(time.monotonic() - started, 1)

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int, int], None]]:
        if not self.console.is_terminal:
            yield self._lines(total)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(name, total=total)

            def advance(minute: int, done: int) -> None:
                clock = f"{minute // 60:02d}:{minute % 60:02d}"
                progress.update(task, completed=done, description=f"{name}  {clock}")

            yield advance

    def _lines(self, total: int) -> Callable[[int, int], None]:
        last = -1

        def advance(minute: int, done: int) -> None:
            nonlocal last
            if minute // 60 != last:
                last = minute // 60
                self.console.print(f"  {last:02d}:00  {done:,} of {total:,}", highlight=False)

        return advance
