"""SFTP: to a host whose key is known beforehand, with a key of our own, every wait bounded.

Nothing of the user's own ssh set-up counts (no agent, no ~/.ssh/config, no password): what the settings name
is all there is. The server's extensions fsync@openssh.com and posix-rename@openssh.com are used where it has
them. What was uploaded is always read back: few servers can hash, and a hash that the server tells says less.
"""

import asyncio
import stat
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar

import asyncssh

from settlement.delivery.channel import (
    ANSWERS_MAX,
    BLOCK_BYTES,
    AwayError,
    Found,
    Listed,
    LostError,
    Meter,
    RefusedError,
    is_finished,
)
from settlement.errors import ConfigurationError
from settlement.settings import Delivery

ACT_S_MAX = 3_600.0
"""For one act, however steadily its bytes drip: the largest file at 60 kB a second."""
CONNECTS_MAX = 3
PAUSE_S = 0.5
"""Before the second try to connect; doubled before each one after."""

_ABSENT = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
_BROKEN = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
T = TypeVar("T")


class SftpChannel:
    """One connection, made on first use and again after it broke; see settlement.delivery.channel.Channel."""

    name = "sftp"

    def __init__(self, settings: Delivery) -> None:
        self._settings = settings
        self._outbox = PurePosixPath(settings.remote_outbox)
        self._inbox = PurePosixPath(settings.remote_inbox)
        self._taken = PurePosixPath(settings.remote_taken) if settings.remote_taken else None
        self._check_keys()
        self._runner = asyncio.Runner()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        try:
            self._runner.run(self._connected())
        except BaseException:
            self.close()
            raise

    def look(self, name: str) -> Found | None:
        found = self._act(name, lambda: self._read_back(self._outbox / name, "outbox"))
        if found is None and self._taken is not None:
            taken = self._taken / name
            found = self._act(name, lambda: self._read_back(taken, "taken"))
        return found

    def look_part(self, part: str) -> Found | None:
        return self._act(part, lambda: self._read_back(self._outbox / part, "part"))

    def upload(self, source: Path, part: str) -> Found:
        self._act(part, lambda: self._write(source, self._outbox / part))
        found = self.look_part(part)
        if found is None:
            raise RefusedError(f"{part} was written and is not there")
        return found

    def rename(self, part: str, name: str) -> None:
        self._act(name, lambda: self._rename(self._outbox / part, self._outbox / name))

    def remove(self, part: str) -> None:
        self._act(part, lambda: self._remove(self._outbox / part))

    def answers(self) -> list[Listed]:
        return self._act(str(self._inbox), self._list)

    def read(self, name: str, sink: BinaryIO) -> str:
        meter = Meter(name)
        if self._act(name, lambda: self._copy(self._inbox / name, meter, sink)) is None:
            raise RefusedError(f"{name}: is there no more")
        return meter.found().sha256

    def close(self) -> None:
        try:
            self._runner.run(self._hang_up())
        finally:
            self._runner.close()

    def _check_keys(self) -> None:
        for key in ("key_file", "known_hosts"):
            path = Path(getattr(self._settings, key))
            try:
                mode = path.stat().st_mode
                path.open("rb").close()
            except OSError as error:
                raise ConfigurationError(
                    f"delivery.{key} {path}: {error.strerror}: name a file that may be read"
                ) from None
            if key == "key_file" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(f"delivery.key_file {path}: others may read it: chmod 600 {path}")

    def _act(self, about: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """One act on a line that stands. What breaks off meanwhile is unknown, not undone."""
        return self._runner.run(self._guarded(about, work))

    async def _guarded(self, about: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._connected()
        try:
            async with asyncio.timeout(ACT_S_MAX):
                return await work()
        except TimeoutError:
            await self._hang_up()
            within = f"no answer within {self._settings.timeout_s} s, or not done within {ACT_S_MAX:,.0f} s"
            raise LostError(f"{about}: {within}") from None
        except (*_BROKEN, asyncssh.DisconnectError, ConnectionError) as error:
            await self._hang_up()
            raise LostError(f"{about}: the connection was lost ({type(error).__name__})") from None
        except asyncssh.SFTPError as error:
            raise RefusedError(f"{about}: the server says {error.reason or type(error).__name__}") from None
        except OSError as error:
            raise RefusedError(f"{about}: {error.strerror or type(error).__name__}") from None

    async def _bounded(self, awaitable: Awaitable[T]) -> T:
        async with asyncio.timeout(self._settings.timeout_s):
            return await awaitable

    async def _connected(self) -> asyncssh.SFTPClient:
        if self._client is not None:
            return self._client
        for tried in range(1, CONNECTS_MAX + 1):
            try:
                async with asyncio.timeout(self._settings.timeout_s):
                    self._client = await self._connect()
                return self._client
            except asyncssh.HostKeyNotVerifiable:
                raise ConfigurationError(
                    f"the host key of {self._where()} is not in {self._settings.known_hosts}: nothing sent;"
                    " ask the bank for its key, or whether it has changed it, before you change that file"
                ) from None
            except asyncssh.PermissionDenied:
                raise ConfigurationError(
                    f"{self._where()} does not take the key {self._settings.key_file} of user"
                    f" {self._settings.user}: give the bank its public half, or mend delivery.user"
                ) from None
            except (asyncssh.KeyEncryptionError, ValueError) as error:
                raise ConfigurationError(
                    f"delivery.key_file {self._settings.key_file} or delivery.known_hosts"
                    f" {self._settings.known_hosts}: {error}: it must be a private key without a passphrase,"
                    " and lines as ssh writes them"
                ) from None
            except (TimeoutError, OSError, asyncssh.Error) as error:
                await self._hang_up()
                if tried == CONNECTS_MAX:
                    raise AwayError(
                        f"{self._where()} does not answer ({type(error).__name__}, {tried} tries)"
                    ) from None
                await asyncio.sleep(PAUSE_S * 2 ** (tried - 1))
        raise AssertionError("unreachable")  # the last try returns or raises

    async def _connect(self) -> asyncssh.SFTPClient:
        one = self._settings
        self._connection = await asyncssh.connect(
            one.host,
            one.port,
            username=one.user,
            client_keys=[one.key_file],
            known_hosts=one.known_hosts,
            config=None,
            agent_path=None,
            preferred_auth="publickey",
            password=None,
            x509_trusted_certs=None,
            gss_host=None,
            disable_trivial_auth=True,
            login_timeout=one.timeout_s,
        )
        # One name in another code than UTF-8 must not hide all the others.
        return await self._connection.start_sftp_client(path_errors="surrogateescape")

    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    async def _hang_up(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()
            try:
                await self._bounded(connection.wait_closed())
            except (TimeoutError, OSError, asyncssh.Error):
                return  # it is gone either way

    async def _write(self, source: Path, path: PurePosixPath) -> None:
        client, meter = await self._connected(), Meter(path.name)
        with source.open("rb") as file:
            sink = await self._bounded(client.open(path, "xb"))
            while block := file.read(BLOCK_BYTES):
                meter.count(block)
                await self._bounded(sink.write(block))
        with suppress(asyncssh.SFTPOpUnsupported):  # without it, the server's disk is the server's care
            await self._bounded(sink.fsync())
        await self._bounded(sink.close())

    async def _read_back(self, path: PurePosixPath, place: str) -> Found | None:
        return await self._copy(path, Meter(path.name, place), None)

    async def _copy(self, path: PurePosixPath, meter: Meter, sink: BinaryIO | None) -> Found | None:
        client = await self._connected()
        try:
            file = await self._bounded(client.open(path, "rb"))
        except _ABSENT:
            return None
        while block := await self._bounded(file.read(BLOCK_BYTES)):
            content = block.encode() if isinstance(block, str) else block
            meter.count(content)
            if sink is not None:
                sink.write(content)
        await self._bounded(file.close())
        return meter.found()

    async def _rename(self, part: PurePosixPath, path: PurePosixPath) -> None:
        client = await self._connected()
        try:
            await self._bounded(client.posix_rename(part, path))
        except asyncssh.SFTPOpUnsupported:
            await self._bounded(client.rename(part, path))

    async def _remove(self, path: PurePosixPath) -> None:
        client = await self._connected()
        with suppress(*_ABSENT):
            await self._bounded(client.remove(path))

    async def _list(self) -> list[Listed]:
        client = await self._connected()
        listed: list[Listed] = []
        seen = 0
        async with asyncio.timeout(self._settings.timeout_s):
            async for item in client.scandir(self._inbox):
                seen += 1
                if seen > ANSWERS_MAX:
                    raise RefusedError(
                        f"{self._inbox} holds more than {ANSWERS_MAX:,} files: have the bank clear it"
                    )
                name = str(item.filename)
                if item.attrs.type == asyncssh.FILEXFER_TYPE_REGULAR and is_finished(name):
                    listed.append(Listed(name, item.attrs.size or 0, item.attrs.mtime or 0))
        return sorted(listed, key=lambda one: one.name)
