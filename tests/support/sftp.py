"""A real SFTP server in a process of its own, whose faults a test scripts; each user has a folder as root.

A fault is a JSON file ROOT/USER.fault: {"at": stage, "act": what, "pid": whom}; it happens once. Stages:
open, write, wrote, fsync, rename, renamed, read, remove. Acts: die (the server), kill (the process `pid`),
hang, late (three seconds, then done), lose (the connection), full (no space), refuse, swap (other bytes),
take (the bank takes what has just got its name).
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncssh

STAGE_HANG_S = 30.0
LATE_S = 3.0


class Bank:
    """The server as tests see it: its address, its keys, and each user's folders."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.port = 0
        self.known_hosts = where / "known_hosts"
        self.key_file = where / "client"
        self._process: subprocess.Popen[str] | None = None
        host, client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.write_key(where / "host", host)
        self.write_key(self.key_file, client)
        (where / "authorized").write_bytes(client.export_public_key())
        self.start()
        public = host.export_public_key().decode().strip()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")

    @staticmethod
    def write_key(path: Path, key: asyncssh.SSHKey) -> None:
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())

    def start(self) -> None:
        """Start, or start again where it was."""
        self.stop()
        command = [sys.executable, "-m", "tests.support.sftp", str(self.where), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Kill it."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def root(self, user: str) -> Path:
        """A user's folder, with the three that delivery knows."""
        root = self.where / user
        for name in ("in", "out", "taken"):
            (root / name).mkdir(parents=True, exist_ok=True)
        return root

    def fault(self, user: str, at: str, act: str, pid: int = 0) -> None:
        draft = self.where / f"{user}.fault.tmp"
        draft.write_text(json.dumps({"at": at, "act": act, "pid": pid}))
        draft.rename(self.where / f"{user}.fault")


class _Server(asyncssh.SFTPServer):
    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], where: Path) -> None:
        self._user = chan.get_extra_info("username")
        self._chan = chan
        self._where = where
        super().__init__(chan, chroot=os.fsencode(where / self._user))

    async def _at(self, stage: str, path: bytes = b"") -> None:
        file = self._where / f"{self._user}.fault"
        if not file.exists():
            return
        fault = json.loads(file.read_text())
        if fault["at"] != stage:
            return
        file.unlink()
        await self._happen(fault, path)

    async def _happen(self, fault: dict[str, Any], path: bytes) -> None:
        act = fault["act"]
        if act == "die":
            os._exit(9)
        elif act == "kill":
            os.kill(fault["pid"], signal.SIGKILL)
        elif act == "hang":
            await asyncio.sleep(STAGE_HANG_S)
        elif act == "late":
            await asyncio.sleep(LATE_S)
        elif act == "lose":
            self._chan.get_connection().abort()
        elif act == "full":
            raise asyncssh.SFTPFailure("No space left on device")
        elif act == "refuse":
            raise asyncssh.SFTPPermissionDenied("not here")
        elif act == "take":
            here = self._where / self._user
            (here / path.decode().lstrip("/")).rename(here / "taken" / Path(path.decode()).name)
        elif act == "swap":
            for part in (self._where / self._user / "in").glob("*.part"):
                part.write_bytes(b"somebody else's")

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        await self._at("open" if pflags & asyncssh.FXF_WRITE else "read")
        return super().open(path, pflags, attrs)

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        await self._at("write")
        done = super().write(file_obj, offset, data)
        await self._at("wrote")
        return done  # type: ignore[return-value]

    async def fsync(self, file_obj: object) -> None:
        await self._at("fsync")
        super().fsync(file_obj)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._at("rename")
        super().posix_rename(oldpath, newpath)
        await self._at("renamed", newpath)

    async def remove(self, path: bytes) -> None:
        await self._at("remove")
        super().remove(path)


async def _serve(where: Path, port: int) -> None:
    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_host_keys=[str(where / "host")],
        authorized_client_keys=str(where / "authorized"),
        sftp_factory=lambda chan: _Server(chan, where),
        config=None,
        reuse_address=True,
    )
    print(server.get_port(), flush=True)  # noqa: T201 (the parent reads it)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
