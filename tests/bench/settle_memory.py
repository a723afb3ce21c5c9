"""The most memory that a program and a database's server held, while the program ran."""

import threading
from pathlib import Path
from typing import Any

import psutil

EVERY_S = 0.25


class Memory(threading.Thread):
    """Watches from its making until `stop`.

    The program's is its resident high-water mark. The server's is the sum over its processes of the resident
    memory that is not shared, and the shared part once: as large as the largest that one process has touched.
    """

    def __init__(self, program: int, server: int) -> None:
        super().__init__(daemon=True)
        self._program = psutil.Process(program)
        self._server = psutil.Process(server)
        self._ended = threading.Event()
        self._python = self._private = self._shared = self._both = 0
        self.start()

    def run(self) -> None:
        while not self._ended.wait(EVERY_S):
            try:
                # A fork of ourselves until it becomes the program: its name tells.
                if any("dure-settlement" in part for part in self._program.cmdline()):
                    self._python = max(self._python, _high_water(self._program.pid))
            except (psutil.Error, OSError):
                pass
            private = shared = 0
            for process in (self._server, *self._server.children()):
                try:
                    info: Any = process.memory_info()
                except psutil.Error:
                    continue
                private += info.rss - info.shared
                shared = max(shared, info.shared)
            self._private, self._shared = max(self._private, private), max(self._shared, shared)
            self._both = max(self._both, private + shared)

    def stop(self) -> dict[str, int]:
        """MiB at the most."""
        self._ended.set()
        self.join()
        return {
            "python_peak_mib": self._python >> 20,
            "database_peak_mib": self._both >> 20,
            "database_private_peak_mib": self._private >> 20,
            "database_shared_mib": self._shared >> 20,
        }


def _high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0
