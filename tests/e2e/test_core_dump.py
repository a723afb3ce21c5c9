"""A crash right after a payment leaves no copy of the memory, of the switch nor of the HSM simulator."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.switch.house import House
from tests.support.killing import own_directory
from tests.support.stage import ROOT, Program, hsm

pytestmark = pytest.mark.endure

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


def cores(*folders: Path) -> set[Path]:
    """Core files where a crashed process would leave them."""
    return {path for folder in folders for path in folder.glob("core*") if path.is_file()}


@pytest.fixture
def core_files_are_made(tmp_path: Path) -> Iterator[None]:
    """This machine writes core files into the working folder; without that the test would prove nothing."""
    if CORE_PATTERN.read_text().strip() not in ("core", "core.%p"):
        pytest.skip("this system gives core files to another program: look for them there")
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
    subprocess.run([sys.executable, "-c", crash], cwd=tmp_path, check=False)
    assert cores(tmp_path), "an unguarded program leaves its core file here"
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def crash(program: Program, number: int) -> None:
    program.process.send_signal(number)
    program.process.wait(10)
    assert program.process.returncode == -number


@pytest.mark.usefixtures("core_files_are_made")
@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_leaves_no_core_file(number: int) -> None:
    before = cores(ROOT)
    with own_directory() as directory, hsm(directory) as security:
        house = House(directory, security.port, people=2, shops=1)
        try:
            with house.line() as line:
                terminal = house.till(line)
                paid = terminal.purchase(house.now, house.card(), 1_000, pin="4711")
                assert line.exchange(terminal, paid).approved
            crash(house.switch, number)
            crash(security, number)
            assert cores(ROOT, directory) == before
        finally:
            house.close()
