"""Killing the database as a power cut does, and paying terminals that live through it."""

import os
import signal
import time
from pathlib import Path

from switch.store.engine import embedded_directory, open_engine

_GONE_S = 10.0
SOCKET_LINE = 4  # of postmaster.pid, counted from 0: the folder of the socket; before it the port


def postgres_processes(directory: Path) -> list[int]:
    """The postmaster of an embedded database and all its children; empty when it does not run."""
    try:
        postmaster = int((directory / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return []
    if not _alive(postmaster):
        return []
    return [postmaster, *(pid for pid in _processes() if _parent(pid) == postmaster)]


def kill_postgres(directory: Path) -> int:
    """SIGKILL the postmaster and every child, and wait until they are gone; returns how many there were."""
    pids = postgres_processes(directory)
    for pid in pids:
        _signal(pid, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_S
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise TimeoutError("PostgreSQL does not die")
        time.sleep(0.005)
    return len(pids)


def signal_postgres(directory: Path, number: signal.Signals) -> None:
    """Send a signal to all processes of an embedded database: SIGSTOP makes it hang, SIGCONT go on."""
    for pid in postgres_processes(directory):
        _signal(pid, number)


def start_postgres(url: str, size: str = "small") -> None:
    """Start the embedded database again; it recovers from its log first.

    Where process 1 reaps late, a killed postmaster is there for a while as a zombie, and its lock files would
    keep a new one from starting: they are removed. All children are gone by then, see `kill_postgres`.
    """
    directory = embedded_directory(url)
    lock = None if directory is None else directory / "postmaster.pid"
    if directory is not None and lock is not None and lock.exists() and not postgres_processes(directory):
        lines = lock.read_text().splitlines()
        if len(lines) > SOCKET_LINE and lines[SOCKET_LINE]:
            socket_lock = Path(lines[SOCKET_LINE]) / f".s.PGSQL.{lines[SOCKET_LINE - 1]}.lock"
            socket_lock.unlink(missing_ok=True)
        lock.unlink()
    open_engine(url, size=size).dispose()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def _alive(pid: int) -> bool:
    stat = _stat(pid)
    return bool(stat) and stat[0] not in "ZX"
