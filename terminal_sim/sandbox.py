"""An installation of Dure to play against: one that is there, or a throw-away of its own.

A throw-away has its own folder, keys, database server and simulated clock, and is made with the same public
commands that an operator uses. Making an empty database takes seconds, so a sandbox makes one and copies it
for every file.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, Self

from terminal_sim.clock import set_clock
from terminal_sim.pki import client_context, make_pki
from terminal_sim.processes import Finished, ProgramError, Server, run_command
from terminal_sim.sandbox_commands import Commands
from terminal_sim.sandbox_files import PKI_FOLDER, issuer_keys, settlement_toml, switch_toml
from terminal_sim.scenario import Line

TERMINALS: Final = "T*"  # ids of a scenario's terminals begin so
DATABASE_STOP_S: Final = 60.0
_SERVER_LEFTOVERS: Final = ("postmaster.pid", ".handle_pids.json", ".handle_pids.json.lock", "log")


class Run(Protocol):
    """Runs a program to its end; see `run_command`."""

    async def __call__(
        self, name: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Finished: ...


class Installation:
    """One switch with its books, as seen from outside: a configuration, an address, commands."""

    def __init__(self, config: Path, *, settlement_config: Path | None = None) -> None:
        """`config` is the switch's; settlement's, if needed, is another file. Raises ProgramError."""
        self.config = config
        self.settlement_config = settlement_config
        self.run: Run = run_command
        self.host = "127.0.0.1"
        self.port = 0
        self.others: dict[str, tuple[str, int]] = {}  # other lines, by name
        self.issuer = issuer_keys(config)

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        """Host and port by name of line; "" is the plain one."""
        return {"": (self.host, self.port), **self.others}

    async def switch(self, *arguments: str) -> Finished:
        """`dure-switch` with this configuration."""
        return await self.run("dure-switch", "--config", str(self.config), *arguments)

    async def settlement(
        self, command: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Finished:
        """`dure-settlement COMMAND` (one or two words, as one text) with its configuration.

        Raises ProgramError when there is none.
        """
        if self.settlement_config is None:
            raise ProgramError("settlement has no configuration here: give --settlement-config FILE")
        config = str(self.settlement_config)
        words = (*command.split(), "--config", config, *arguments)
        return await self.run("dure-settlement", *words, environment=environment)

    async def set_clock(self, instant: datetime) -> None:
        """Moves the simulated clock."""
        (await self.switch("clock", "set", instant.isoformat())).check()

    async def serve(self) -> None:
        """Starts the switch, where that is ours to do and not done yet. Raises ProgramError."""

    def pays_for(self, programme_id: str) -> None:
        """Says whose merchants will be paid. Here whoever runs the installation has seen to it."""

    async def restart(self, *, kill: bool) -> None:
        """Stops the switch, or ends it as a power cut does, and starts it again. Raises ProgramError."""
        raise ProgramError("a restart needs --sandbox: this switch is somebody else's")

    async def hsm(self, *, up: bool) -> None:
        """Ends the HSM, or brings it back. Raises ProgramError."""
        raise ProgramError("an HSM that goes down needs --sandbox: this one is somebody else's")

    def tls(self) -> ssl.SSLContext:
        """What terminals of a line with TLS connect with. Raises ProgramError."""
        raise ProgramError("a line with TLS needs --sandbox: certificates are made for it there")

    def pvv(self, pan: str, pin: str) -> str:
        """The PIN verification value of a card, under this installation's key."""
        return self.issuer.pvv(pan, pin)


class ThrowAway(Installation):
    """An installation in a folder of its own. The clock is moved by writing its file, which costs nothing."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "switch.toml", settlement_config=directory / "settlement.toml")
        self.directory = directory
        self.server: Server | None = None
        self.hsm_pid = 0
        self.own_hsm: Server | None = None
        self._line_names: list[str] = []

    @classmethod
    def write(
        cls, directory: Path, *, hsm_port: int, seed: int = 1, lines: Mapping[str, Line | None] | None = None
    ) -> Self:
        """Writes the configuration files, with test keys made from `seed`, and certificates for TLS."""
        directory.mkdir(parents=True, exist_ok=True)
        lines = lines or {}
        (directory / "switch.toml").write_text(switch_toml(hsm_port, seed, lines), "utf-8")
        if any(line is not None and line.tls for line in lines.values()):
            make_pki(directory / PKI_FOLDER, TERMINALS)
        written = cls(directory)
        written._line_names = list(lines)
        return written

    async def set_clock(self, instant: datetime) -> None:
        set_clock(self.directory / "clock", instant)

    def pays_for(self, programme_id: str, *, through_bank: bool = False) -> None:
        """Writes settlement's configuration; `through_bank`: operators have names, files go to a folder."""
        text = settlement_toml(programme_id, through_bank=through_bank)
        (self.directory / "settlement.toml").write_text(text, "utf-8")

    def tls(self) -> ssl.SSLContext:
        pki = self.directory / PKI_FOLDER
        return client_context(pki / "ca.pem", pki / "terminals.pem", pki / "terminals.key")

    async def make_database(self) -> None:
        """Vault keys and an empty database marked as a simulation."""
        (await self.switch("vault", "new", str(self.directory / "vault.key"))).check()
        (await self.switch("init", "--simulation")).check()

    async def serve(self) -> None:
        if self.server is not None and self.server.running:
            return
        self.server = await Server.start(
            "dure-switch", ("--config", str(self.config), "serve"), log=self.directory / "switch.log"
        )
        try:
            told = [(str(at["host"]), int(at["port"])) for at in self.server.ready["listening"]]
            self.host, self.port = told[0]
            self.others = dict(zip(self._line_names, told[1:], strict=True))
        except (KeyError, IndexError, TypeError, ValueError):
            await self.server.stop()
            raise ProgramError("dure-switch did not say where it listens") from None

    async def stop(self) -> int:
        """Stops the switch; its exit code, 0 if it was not running."""
        server, self.server = self.server, None
        return 0 if server is None else await server.stop()

    async def restart(self, *, kill: bool) -> None:
        if kill and self.server is not None:
            self.server.kill()
        await self.stop()
        await self.serve()

    async def hsm(self, *, up: bool) -> None:
        if self.own_hsm is None:
            raise ProgramError("this sandbox shares its HSM with others")
        if up:
            self.own_hsm = await start_hsm(self.directory, int(self.own_hsm.ready["port"]))
        else:
            self.own_hsm.kill()
            await self.own_hsm.stop()

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
    async def installation(
        self, name: str, lines: Mapping[str, Line | None] | None = None, *, own_hsm: bool = False
    ) -> AsyncIterator[ThrowAway]:
        """A fresh installation with an empty database. The switch is not yet started (see `serve`).

        `lines` are listeners beside the plain one; with `own_hsm` its HSM may be ended and brought back.
        """
        async with self._made:
            if not self._template.exists():
                await self._make_template()
        directory = self.directory / name
        if directory.exists():
            await asyncio.to_thread(shutil.rmtree, directory)
        await asyncio.to_thread(_copy_tree, self._template, directory)
        hsm = await start_hsm(directory) if own_hsm else self.hsm
        installation = ThrowAway.write(directory, hsm_port=int(hsm.ready["port"]), lines=lines)
        installation.own_hsm = hsm if own_hsm else None
        installation.run = self.commands.run
        try:
            yield installation
        finally:
            try:
                await installation.stop()
            finally:
                if installation.own_hsm is not None:
                    await installation.own_hsm.stop()
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


async def start_hsm(directory: Path, port: int = 0) -> Server:
    """Starts `dure-hsm-sim`, on a free port unless one is given. Raises ProgramError."""
    arguments = ("serve", "--host", "127.0.0.1", "--port", str(port))
    return await Server.start("dure-hsm-sim", arguments, log=directory / "hsm.log")


def _copy_tree(source: Path, target: Path) -> None:
    """A copy with the owners of the files: for root, the database's files belong to another user."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".s.PGSQL.*"))
    if os.geteuid() == 0:
        for path in (target, *target.rglob("*")):
            status = (source / path.relative_to(target)).lstat()
            os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


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
