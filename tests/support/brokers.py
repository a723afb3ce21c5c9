"""Brokers for tests: the embedded one, and a real Mosquitto with the installation's own configuration."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Protocol

from switch.settings import Mqtt
from tests.support.pki import Authority
from tests.support.stage import ROOT, Program

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class TestBroker(Protocol):
    """A broker that a test may stop, kill and start again on its port."""

    port: int

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def settings(self) -> Mqtt: ...

    def tls(self, name: str) -> ssl.SSLContext | None: ...


class Embedded:
    """The broker of the demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._program: Program | None = None

    async def start(self) -> None:
        command = ["dure-terminal-sim", "broker", "--port", str(self.port)]
        self._program = await asyncio.to_thread(Program, command, self.folder / "broker.log")
        self.port = self._program.port

    async def stop(self) -> None:
        """Kill it: what it kept in memory is gone."""
        program, self._program = self._program, None
        if program is not None:
            await asyncio.to_thread(program.stop, signal.SIGKILL)

    def settings(self) -> Mqtt:
        return Mqtt(host="127.0.0.1", port=self.port, tls=False, protocol="3.1.1", poll_s=0.02, timeout_s=2)

    def tls(self, name: str) -> ssl.SSLContext | None:
        return None


class Mosquitto:
    """A Mosquitto of its own with config/mosquitto's files: certificates, ACL, revocation list."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.authority = Authority(folder / "ca")
        self.port = _free_port()
        self.revoked: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._configure()

    def _configure(self) -> None:
        certificate, key = self.authority.issue("localhost", server=True)
        crl = self.authority.revoke(*self.revoked)
        (self.folder / "data").mkdir()
        content = (ROOT / "config/mosquitto/mosquitto.conf").read_text()
        for old, new in (
            ("/etc/mosquitto/dure.acl", str(ROOT / "config/mosquitto/dure.acl")),
            ("/etc/mosquitto/certs/ca.pem", str(self.authority.file)),
            ("/etc/mosquitto/certs/broker.pem", str(certificate)),
            ("/etc/mosquitto/certs/broker.key", str(key)),
            ("/etc/mosquitto/certs/ca.crl", str(crl)),
            ("/var/lib/mosquitto/", f"{self.folder / 'data'}/"),
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
        ):
            assert old in content
            content = content.replace(old, new)
        if os.geteuid() == 0:
            content += "\nuser root\n"  # else it gives up its rights and cannot read the test's files
        (self.folder / "mosquitto.conf").write_text(content)

    async def start(self) -> None:
        self._process = self._started()
        for _ in range(200):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.02)
        raise RuntimeError((self.folder / "mosquitto.log").read_text()[-2_000:])

    def _started(self) -> "subprocess.Popen[bytes]":
        log = (self.folder / "mosquitto.log").open("ab")
        command = [MOSQUITTO, "-c", str(self.folder / "mosquitto.conf")]
        return subprocess.Popen(command, stdout=log, stderr=log)

    async def stop(self) -> None:
        """Kill it: what it kept in memory is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    def settings(self) -> Mqtt:
        certificate, key = self.authority.issue("dure-switch")
        return Mqtt(
            host="127.0.0.1", port=self.port, ca_file=str(self.authority.file), cert_file=str(certificate),
            key_file=str(key), poll_s=0.02, timeout_s=2,
        )  # fmt: skip

    def tls(self, name: str) -> ssl.SSLContext | None:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        certificate, key = self.authority.issue(name)
        context.load_cert_chain(certificate, key)
        return context


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
