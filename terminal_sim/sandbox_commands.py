"""Many small commands without waiting for an interpreter each time.

A sandbox runs hundreds of commands that take a tenth of a second, after seven tenths to start. So a resident
interpreter loads a program once and runs each command line in a fork of itself: the same entry point, the
same arguments, the same exit code, a process of its own each time.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from terminal_sim.processes import COMMAND_TIMEOUT_S, Finished, ProgramError, run_command

MODULES: Final = {"dure-switch": "switch.cli", "dure-settlement": "settlement.cli"}
SLOTS: Final = 3  # resident interpreters of one program

# Runs in the resident interpreter: one command line a line on stdin, its exit code as a line on stdout. When
# stdin ends, because whoever started it is gone, so does this.
_RESIDENT: Final = """\
import importlib, json, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
main = importlib.import_module(sys.argv[1]).main
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(order["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, path in ((1, order["output"]), (2, order["complaint"])):
            os.dup2(os.open(path, os.O_WRONLY), descriptor)
        sys.argv = [order["name"], *order["arguments"]]
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, flush=True)
"""


class Commands:
    """Runs commands of Dure's programs in resident interpreters; anything else as it is.

    `slots` of one program run at a time.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._idle: dict[str, asyncio.Queue[_Resident]] = {}
        self._all: list[_Resident] = []
        self._folder = tempfile.TemporaryDirectory(prefix="dure-commands-")

    async def run(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Finished:
        """As `run_command`. Raises ProgramError."""
        if name not in MODULES:
            return await run_command(name, *arguments, environment=environment)
        idle = self._idle.get(name)
        if idle is None:
            idle = self._idle[name] = asyncio.Queue()
            for _ in range(self._slots):
                resident = _Resident(name, Path(self._folder.name) / f"{len(self._all)}")
                self._all.append(resident)
                idle.put_nowait(resident)
        resident = await idle.get()
        try:
            return await resident.run(arguments, dict(environment or {}))
        finally:
            idle.put_nowait(resident)

    async def close(self) -> None:
        """Ends the resident interpreters."""
        for resident in self._all:
            await resident.close()
        self._folder.cleanup()


class _Resident:
    """One resident interpreter, started at its first command."""

    def __init__(self, name: str, stem: Path) -> None:
        self.name = name
        self._output = stem.with_suffix(".out")
        self._complaint = stem.with_suffix(".err")
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, arguments: tuple[str, ...], environment: dict[str, str]) -> Finished:
        shown = " ".join((self.name, *arguments))
        process = await self._started()
        assert process.stdin is not None  # noqa: S101 - both pipes are asked for
        assert process.stdout is not None  # noqa: S101
        self._output.write_bytes(b"")
        self._complaint.write_bytes(b"")
        order = {
            "name": self.name,
            "arguments": arguments,
            "environment": environment,
            "output": str(self._output),
            "complaint": str(self._complaint),
        }
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                process.stdin.write(json.dumps(order).encode() + b"\n")
                await process.stdin.drain()
                answer = await process.stdout.readline()
                code = int(answer)
        except BaseException as error:
            # Whatever it is doing now, its next answer would be the wrong one.
            await self.close()
            if isinstance(error, TimeoutError):
                raise ProgramError(f"{shown}: not finished after {COMMAND_TIMEOUT_S:.0f} s") from None
            if isinstance(error, ValueError | OSError):
                raise ProgramError(f"{shown}: its interpreter ended") from None
            raise
        output = self._output.read_text("utf-8", "replace")
        return Finished(shown, code, output, self._complaint.read_text("utf-8", "replace"))

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _RESIDENT,
                MODULES[self.name],
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # so that a command that hangs can be ended with it
            )
        return self._process

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
