"""One port: who comes in, how many at once, and under which certificates.

Connections are accepted here and not by the loop's own server, so that each bound is kept before a byte is
read, and every handshake uses the certificates of its moment: new ones need no new socket, and nobody who
waits to be accepted notices.
"""

import asyncio
import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import structlog

from switch.server import tls
from switch.server.connection import Connection
from switch.server.gate import Gate
from switch.service import metrics
from switch.service.desk import Desk
from switch.service.line import Line
from switch.settings import ConfigError
from switch.settings import Listener as Settings

log = structlog.get_logger()

BACKLOG: Final = 4_096
ACCEPT_MAX: Final = 64  # connections taken in one turn of the loop
NO_FILES_S: Final = 0.1  # pause when the system has no room for another socket
CLOSE_TLS_S: Final = 2.0  # for the other side's goodbye
KEEPALIVE: Final = (
    ("TCP_KEEPIDLE", 60),
    ("TCP_KEEPINTVL", 15),
    ("TCP_KEEPCNT", 4),
    ("TCP_USER_TIMEOUT", 30_000),
)
"""A line whose other end has gone without a word is cut: after two minutes of silence, or after 30 s without
an acknowledgement of what we sent (milliseconds there, seconds elsewhere)."""
_NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """One listening port and its connections."""

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        gate: Gate,
        line: Callable[[Connection], Line],
        material: tls.Material | None,
    ) -> None:
        self.settings = settings
        self.desk = desk
        self.gate = gate
        self.line = line
        self.connections: set[Connection] = set()
        self.stopping = False
        self._material = material
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._places = 0  # taken by connections and by handshakes
        self._by_address: Counter[str] = Counter()
        self._opening: set[asyncio.Task[None]] = set()
        self._paused = False
        self._loading = asyncio.Lock()
        self._refused_stamp: tls.Stamp | None = None
        self._told_at: dict[str, float] = {}
        self.name = ""

    async def open(self) -> tuple[str, int]:
        """Listen; returns where. Raises OSError when the address cannot be had."""
        host, port = self.settings.host, self.settings.port
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, where in dict.fromkeys((one[0], str(one[4][0])) for one in found):
            self._sockets.append(_listening(family, where, port))
        self._resume()
        address = self._sockets[0].getsockname()
        self.name = f"{address[0]}:{address[1]}"
        if self._material is not None and (over := tls.ended(self._material, datetime.now(UTC))):
            log.error("a file of listener.tls has run out: get a new one", file=over, listener=self.name)
        self._tell_ends()
        return address[0], address[1]

    def admit(self, connection: Connection) -> bool:
        """Take a connection whose handshake is done; not any more when the switch is stopping."""
        if self.stopping:
            return False
        if (
            self._material is not None
            and connection.identity
            and self._material.is_revoked(connection.identity)
        ):
            self._refuse("certificate", connection.address)  # by a list that came during its handshake
            return False
        self.connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self.connections.discard(connection)
        self._leave(connection.address)

    def sweep(self, now: float, wall: float) -> None:
        """Look at every connection's bounds of time."""
        for connection in list(self.connections):
            connection.sweep(now, wall)

    def stop_accepting(self) -> None:
        """Take nobody new; who waits to be accepted is refused by the system."""
        self.stopping = True
        self._pause()
        for one in self._sockets:
            one.close()
        self._sockets.clear()
        for task in self._opening:
            task.cancel()

    # Coming in

    def _pause(self) -> None:
        self._paused = True
        for one in self._sockets:
            self._loop.remove_reader(one.fileno())

    def _resume(self) -> None:
        self._paused = False
        if not self.stopping:
            for one in self._sockets:
                self._loop.add_reader(one.fileno(), self._accept, one)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPT_MAX):
            if self._paused:
                return
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._refuse("no room", "")
                    self._pause()
                    self._loop.call_later(NO_FILES_S, self._resume)
                    return
                continue  # this one had gone before it was taken
            why = self._enter(address[0])
            if why:
                self._refuse(why, address[0])
                sock.close()
                continue
            sock.setblocking(False)
            task = self._loop.create_task(self._open(sock, address[0]))
            self._opening.add(task)
            task.add_done_callback(self._opened)
            if self._material is not None and len(self._opening) >= self.settings.handshakes_max:
                self._pause()  # the system keeps the others waiting

    def _enter(self, address: str) -> str:
        """Take a place; returns why there is none."""
        if self._places >= self.settings.connections_max:
            return "full"
        if self.settings.per_address_max:
            if self._by_address[address] >= self.settings.per_address_max:
                return "full for its address"
            self._by_address[address] += 1
        self._places += 1
        return ""

    def _leave(self, address: str) -> None:
        self._places -= 1
        if self.settings.per_address_max:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def _open(self, sock: socket.socket, address: str) -> None:
        """Make a connection of a socket, through the handshake if there is one."""
        connection = Connection(self, address)
        try:
            if self._material is None:
                await self._loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=self._material.context,
                    ssl_handshake_timeout=self.settings.handshake_s,
                    ssl_shutdown_timeout=CLOSE_TLS_S,
                )
        except (OSError, asyncio.CancelledError) as error:
            if not self.stopping:
                self._refuse(tls.why_refused(error), address, error)
        finally:
            if not connection.made:
                self._leave(address)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection could not be made", error=type(error).__name__)
        if self._paused and len(self._opening) < self.settings.handshakes_max:
            self._resume()

    def _refuse(self, why: str, address: str, error: BaseException | None = None) -> None:
        """Count it, and say it at most once a second for each reason: a flood must not fill the log."""
        metrics.CONNECTIONS_REFUSED.inc(why)
        now = self._loop.time()
        if now - self._told_at.get(why, -1.0) >= 1.0:
            self._told_at[why] = now
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or ""
            log.warning("connection refused", why=why, reason=reason, listener=self.name, address=address)

    # Certificates

    async def watch(self) -> None:
        """Look for new files for ever. They are taken when they have stood unchanged for one look."""
        if self.settings.tls is None:
            return
        seen: tls.Stamp | None = None
        while True:
            await asyncio.sleep(self.settings.tls.reload_s)
            stamp = await asyncio.to_thread(tls.stamp_of, self.settings.tls)
            if stamp == seen and self._material is not None and stamp != self._material.stamp:
                await self.reload(again=False)
            seen = stamp
            self._tell_ends()

    async def reload(self, *, again: bool = True) -> None:
        """Take the files as they are now; when they are no good, say so and keep those in use.

        `again`: also look once more at files that were refused before.
        """
        if self.settings.tls is None:
            return
        async with self._loading:
            stamp = await asyncio.to_thread(tls.stamp_of, self.settings.tls)
            if not again and stamp == self._refused_stamp:
                return
            try:
                material = await asyncio.to_thread(tls.load_tls, self.settings.tls)
                if over := tls.ended(material, datetime.now(UTC)):
                    raise ConfigError(f"listener.tls.{over}: has run out: get a new one")
            except ConfigError as error:
                self._refused_stamp = stamp
                metrics.TLS_RELOADS.inc("refused")
                log.error("new certificates refused, the old ones stay", listener=self.name, error=str(error))
                return
            self._material, self._refused_stamp = material, None
            metrics.TLS_RELOADS.inc("taken")
            self._tell_ends()
            revoked = [c for c in self.connections if c.identity and material.is_revoked(c.identity)]
            for connection in revoked:
                connection.drop("revoked")
            log.info("certificates taken", listener=self.name, revoked=len(revoked))

    def _tell_ends(self) -> None:
        if self._material is not None:
            now = datetime.now(UTC)
            for name, end in self._material.ends.items():
                metrics.CERTIFICATE_DAYS.labels(self.name, name).set(max(-3650, (end - now).days))


def _listening(family: int, host: str, port: int) -> socket.socket:
    try:
        sock = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=port != 0)
    except OSError as error:
        number = error.errno or 0
        raise OSError(number, os.strerror(number)) from None
    sock.setblocking(False)
    # Accepted sockets inherit these.
    _set(sock, ((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),))
    _set(
        sock,
        (
            (socket.IPPROTO_TCP, getattr(socket, name), value)
            for name, value in KEEPALIVE
            if hasattr(socket, name)
        ),
    )
    return sock


def _set(sock: socket.socket, options: Iterable[tuple[int, int, int]]) -> None:
    for level, option, value in options:
        sock.setsockopt(level, option, value)
