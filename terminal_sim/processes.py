"""Dure's other programs, met as an operator meets them: commands that end, and servers that run.

A server says on stdout, in one line of JSON, where it listens. Its log goes to a file. Whoever starts one
stops it again: SIGTERM first, SIGKILL when that is not heard.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
COMMAND_TIMEOUT_S: Final = 300.0
LINE_BYTES_MAX: Final = 65_536
LOG_LINES_SHOWN: Final = 5


class ProgramError(Exception):
    """A program that did not do what was asked of it. Says which, and what it wrote last."""


class FolderError(ProgramError):
    """A folder that cannot be worked in. Says which, and what to do."""


class Finished(msgspec.Struct, frozen=True):
    """A command that has ended."""

    command: str
    code: int
    output: str
    complaint: str  # stderr

    def check(self) -> "Finished":
        """Itself. Raises ProgramError unless the exit code is 0."""
        if self.code:
            last = "\n".join(self.complaint.strip().splitlines()[-LOG_LINES_SHOWN:])
            raise ProgramError(f"{self.command}: exit code {self.code}: {last or self.output[-400:]}")
        return self

    def json(self) -> Any:
        """What it printed. Raises ProgramError when that is not JSON."""
        try:
            return json.loads(self.output)
        except ValueError:
            raise ProgramError(
                f"{self.command}: printed no JSON (exit code {self.code}): "
                f"{(self.output or self.complaint)[-400:].strip()}"
            ) from None


def program(name: str) -> str:
    """The path of a program of this installation, beside the interpreter that runs. Raises ProgramError."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise ProgramError(f"{path} is not there: install the project into this environment (make setup)")
    return str(path)


async def run_command(
    name: str,
    *arguments: str,
    timeout_s: float = COMMAND_TIMEOUT_S,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Runs a program to its end, with `environment` added to this one's.

    Raises ProgramError when it takes longer than `timeout_s`.
    """
    shown = " ".join((name, *arguments))
    process = await asyncio.create_subprocess_exec(
        program(name),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, complaint = await process.communicate()
    except TimeoutError:
        raise ProgramError(f"{shown}: not finished after {timeout_s:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Finished(
        shown, process.returncode or 0, output.decode(errors="replace"), complaint.decode(errors="replace")
    )


class Server:
    """A program that runs until it is stopped: `await Server.start(...)`, then `await server.stop()`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self.ready: dict[str, Any] = {}  # what it said when it listened
        self._process = process

    @classmethod
    async def start(
        cls, name: str, arguments: Sequence[str], *, log: Path, ready_timeout_s: float = READY_TIMEOUT_S
    ) -> "Server":
        """Starts it and waits until it listens. Raises ProgramError when it ends or is too slow."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                program(name),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                limit=LINE_BYTES_MAX,
            )
        server = cls(name, process, log)
        try:
            async with asyncio.timeout(ready_timeout_s):
                server.ready = await server._first_line()
        except BaseException as error:
            await server.stop(timeout_s=2.0)
            if isinstance(error, TimeoutError):
                raise ProgramError(
                    f"{name}: not ready after {ready_timeout_s:.0f} s\n{server.log_end()}"
                ) from None
            raise
        return server

    async def _first_line(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        while True:
            line = await self._process.stdout.readline()
            if not line:
                code = await self._process.wait()
                raise ProgramError(f"{self.name}: ended with exit code {code}\n{self.log_end()}")
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    return said

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def log_end(self) -> str:
        """The last lines of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    def kill(self) -> None:
        """SIGKILL, as when the power goes."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM, then SIGKILL after `timeout_s`; the exit code (negative: the signal that ended it)."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
            except BaseException:
                self.kill()  # whoever cancels the waiting still leaves no child behind
                raise
        return await self._process.wait()
