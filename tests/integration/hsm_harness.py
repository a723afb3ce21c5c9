"""Simulators in this process and as processes, clients to them, and peers that behave as no HSM should."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.keys import Keys
from hsm_sim.paced import new_server
from hsm_sim.server import HsmServer
from hsm_sim.settings import Settings
from switch.hsm.client import HsmClient

HOST = "127.0.0.1"
PROGRAM = [sys.executable, "-c", "from hsm_sim.cli import main; main()"]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class HsmProcess:
    """A simulator as an operator starts it, with the settings of a TOML text."""

    def __init__(self, directory: Path, settings: str = "", port: int = 0) -> None:
        config = directory / f"hsm-{len(list(directory.iterdir()))}.toml"
        config.write_text(settings, "utf-8")
        self._errors = config.with_suffix(".log").open("wb")
        self.process = subprocess.Popen(
            [*PROGRAM, "serve", "--config", str(config), "--port", str(port)],
            stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(json.loads(self.process.stdout.readline())["port"])

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._errors.close()


@contextlib.contextmanager
def hsm_process(directory: Path, settings: str = "", port: int = 0) -> Iterator[HsmProcess]:
    process = HsmProcess(directory, settings, port)
    try:
        yield process
    finally:
        process.kill()


@contextlib.asynccontextmanager
async def simulator(**settings: object) -> AsyncIterator[tuple[HsmServer, int]]:
    server = new_server(Settings.model_validate({"port": 0} | settings), Keys(TEST_LMK))
    port = await server.start()
    try:
        yield server, port
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def client(
    port: int, *, ready: bool = True, timeout_s: float = 2.0, in_flight_max: int = 4096, connections: int = 1
) -> AsyncIterator[HsmClient]:
    hsm = HsmClient(HOST, port, timeout_s=timeout_s, in_flight_max=in_flight_max, connections=connections)
    await hsm.start()
    try:
        if ready:
            await hsm.wait_ready(5)
        yield hsm
    finally:
        await hsm.close()


@contextlib.asynccontextmanager
async def peer(serve: Serve) -> AsyncIterator[int]:
    """A TCP server that does whatever `serve` does."""
    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 the conditions are plain attributes
            await asyncio.sleep(0.005)
