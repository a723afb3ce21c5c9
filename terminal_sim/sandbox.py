"""An installation of Dure to play against: one that is there, or a throw-away of its own.

A throw-away has its own folder, keys, database server and simulated clock, and is made with the same public
commands that an operator uses. Making an empty database takes seconds, so a sandbox makes one and copies it
for every file.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
import tomllib
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, Self

from hsm_sim.crypto.lmk import TEST_LMK, KeyRefused
from hsm_sim.crypto.pinblock import account_part
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes, odd_parity
from terminal_sim.clock import set_clock
from terminal_sim.processes import Finished, ProgramError, Server, run_command
from terminal_sim.sandbox_commands import Commands

PVK_TYPE: Final = "002"
PVKI: Final = "1"
DATABASE_STOP_S: Final = 15.0
_SERVER_LEFTOVERS: Final = ("postmaster.pid", ".handle_pids.json", ".handle_pids.json.lock", "log")

_SWITCH_TOML: Final = """\
# Written by dure-terminal-sim for a simulation; nothing in it guards real money.
[database]
url = "embedded:db"
size = "small"

[[listener]]
host = "127.0.0.1"
port = 0
connections_max = 100
in_flight_max = 1024

[hsm]
host = "127.0.0.1"
port = {hsm_port}
timeout_s = 5.0

[keys]
session_hours = 8760
pvk = "{pvk}"

[vault]
key_file = "vault.key"

[clock]
mode = "simulated"
file = "clock"

[metrics]
port = 0

[log]
level = "warning"
"""

_SETTLEMENT_TOML: Final = """\
# Written by dure-terminal-sim for a simulation.
[database]
url = "embedded:db"

[clock]
mode = "simulated"
file = "clock"

[files]
outbox = "outbox"

[originator.{programme}]
name = "{programme} settlement account"
account = "100200300400"
bank = "088"
"""


class Run(Protocol):
    """Runs a program to its end; see `run_command`."""

    async def __call__(self, name: str, *arguments: str) -> Finished: ...


class Installation:
    """One switch with its books, as seen from outside: a configuration, an address, commands."""

    def __init__(self, config: Path, *, settlement_config: Path | None = None) -> None:
        """`config` is the switch's; settlement's, if needed, is another file. Raises ProgramError."""
        self.config = config
        self.settlement_config = settlement_config
        self.run: Run = run_command
        self.host = "127.0.0.1"
        self.port = 0
        self.pvk = _clear_pvk(config)

    async def switch(self, *arguments: str) -> Finished:
        """`dure-switch` with this configuration."""
        return await self.run("dure-switch", "--config", str(self.config), *arguments)

    async def settlement(self, command: str, *arguments: str) -> Finished:
        """`dure-settlement COMMAND` with its configuration. Raises ProgramError when there is none."""
        if self.settlement_config is None:
            raise ProgramError("settlement has no configuration here: give --settlement-config FILE")
        config = str(self.settlement_config)
        return await self.run("dure-settlement", command, "--config", config, *arguments)

    async def set_clock(self, instant: datetime) -> None:
        """Moves the simulated clock."""
        (await self.switch("clock", "set", instant.isoformat())).check()

    async def serve(self) -> None:
        """Starts the switch, where that is ours to do. Raises ProgramError."""

    def pays_for(self, programme_id: str) -> None:
        """Says whose merchants will be paid. Here whoever runs the installation has seen to it."""

    def pvv(self, pan: str, pin: str) -> str:
        """The PIN verification value of a card, under this installation's key."""
        return pin_verification_value(self.pvk, account_part(pan), PVKI, pin)


class ThrowAway(Installation):
    """An installation in a folder of its own. The clock is moved by writing its file, which costs nothing."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "switch.toml", settlement_config=directory / "settlement.toml")
        self.directory = directory
        self.server: Server | None = None
        self.hsm_pid = 0

    @classmethod
    def write(cls, directory: Path, *, hsm_port: int, seed: int = 1) -> Self:
        """Writes the configuration files. The PIN verification key is a test key made from `seed`."""
        directory.mkdir(parents=True, exist_ok=True)
        key = odd_parity(hashlib.sha256(f"test PVK/{seed}".encode()).digest()[:16])
        pvk = TEST_LMK.encrypt(PVK_TYPE, "U", key)
        (directory / "switch.toml").write_text(_SWITCH_TOML.format(hsm_port=hsm_port, pvk=pvk), "utf-8")
        return cls(directory)

    async def set_clock(self, instant: datetime) -> None:
        set_clock(self.directory / "clock", instant)

    def pays_for(self, programme_id: str) -> None:
        text = _SETTLEMENT_TOML.format(programme=programme_id)
        (self.directory / "settlement.toml").write_text(text, "utf-8")

    async def make_database(self) -> None:
        """Vault keys and an empty database marked as a simulation."""
        (await self.switch("vault", "new", str(self.directory / "vault.key"))).check()
        (await self.switch("init", "--simulation")).check()

    async def serve(self) -> None:
        self.server = await Server.start(
            "dure-switch", ("--config", str(self.config), "serve"), log=self.directory / "switch.log"
        )
        try:
            address = self.server.ready["listening"][0]
            self.host, self.port = str(address["host"]), int(address["port"])
        except (KeyError, IndexError, TypeError, ValueError):
            await self.server.stop()
            raise ProgramError("dure-switch did not say where it listens") from None

    async def stop(self) -> int:
        """Stops the switch; its exit code, 0 if it was not running."""
        server, self.server = self.server, None
        return 0 if server is None else await server.stop()

    async def stop_database(self, *, gently: bool = True) -> None:
        """Ends the database server of this folder. Not gently: what is thrown away need not be tidied."""
        await self.stop_database_of(self.directory, gently=gently)

    @staticmethod
    async def stop_database_of(directory: Path, *, gently: bool = True) -> None:
        """The same for a folder that an earlier run has left."""
        await _stop_postgres(directory / "db", signal.SIGINT if gently else signal.SIGQUIT)


class Sandbox:
    """Makes throw-away installations under one folder, around one HSM simulator.

    async with Sandbox.open() as sandbox:
        async with sandbox.installation("name") as installation: ...
    """

    def __init__(self, directory: Path, hsm: Server) -> None:
        self.directory = directory
        self.hsm = hsm
        self.commands = Commands()
        self._template = directory / "template"
        self._made = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, directory: Path | None = None) -> AsyncIterator["Sandbox"]:
        """`directory` is kept, with logs, for whoever wants to look; without one a temporary one is used."""
        place = Path(tempfile.mkdtemp(prefix="dure-")) if directory is None else directory
        place.mkdir(parents=True, exist_ok=True)
        for old in ("template", "template.draft"):  # of an earlier version, perhaps
            await asyncio.to_thread(shutil.rmtree, place / old, ignore_errors=True)
        hsm: Server | None = None
        sandbox: Sandbox | None = None
        try:
            hsm = await start_hsm(place)
            sandbox = cls(place, hsm)
            yield sandbox
        finally:
            if sandbox is not None:
                await sandbox.commands.close()
            if hsm is not None:
                await hsm.stop()
            if directory is None:
                await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)

    @contextlib.asynccontextmanager
    async def installation(self, name: str) -> AsyncIterator[ThrowAway]:
        """A fresh installation with an empty database. The switch is not yet started (see `serve`)."""
        async with self._made:
            if not self._template.exists():
                await self._make_template()
        directory = self.directory / name
        if directory.exists():
            await asyncio.to_thread(shutil.rmtree, directory)
        await asyncio.to_thread(_copy_tree, self._template, directory)
        installation = ThrowAway.write(directory, hsm_port=int(self.hsm.ready["port"]))
        installation.run = self.commands.run
        try:
            yield installation
        finally:
            try:
                await installation.stop()
            finally:
                await installation.stop_database(gently=False)

    async def _make_template(self) -> None:
        draft = ThrowAway.write(self.directory / "template.draft", hsm_port=int(self.hsm.ready["port"]))
        draft.run = self.commands.run
        try:
            await draft.make_database()
        finally:
            await draft.stop_database()
        for name in _SERVER_LEFTOVERS:
            (draft.directory / "db" / name).unlink(missing_ok=True)
        draft.directory.rename(self._template)


async def start_hsm(directory: Path) -> Server:
    """Starts `dure-hsm-sim` on a free port. Raises ProgramError."""
    return await Server.start(
        "dure-hsm-sim", ("serve", "--host", "127.0.0.1", "--port", "0"), log=directory / "hsm.log"
    )


def _clear_pvk(config: Path) -> Tdes:
    """The PIN verification key of a configuration, which must be under the test LMK."""
    try:
        written = config.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ProgramError(f"{config}: cannot be read: {why}: name the switch's configuration") from None
    try:
        text = tomllib.loads(written)["keys"]["pvk"]
        return Tdes(TEST_LMK.decrypt(PVK_TYPE, text))
    except (ValueError, KeyError, TypeError, KeyRefused):
        raise ProgramError(
            f"{config}: has no keys.pvk under the test LMK: PINs are made for it here, so use a test key"
        ) from None


def _copy_tree(source: Path, target: Path) -> None:
    """A copy with the owners of the files: for root, the database's files belong to another user."""
    shutil.copytree(source, target)
    if os.geteuid() == 0:
        for path in (source, *source.rglob("*")):
            status = path.lstat()
            os.chown(target / path.relative_to(source), status.st_uid, status.st_gid, follow_symlinks=False)


async def _stop_postgres(data: Path, how: signal.Signals) -> None:
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text("ascii").split("\n", 1)[0])
    except (OSError, ValueError):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DATABASE_STOP_S):
            while pid_file.exists():  # noqa: ASYNC110 - another program's file; it sends no event
                await asyncio.sleep(0.02)
