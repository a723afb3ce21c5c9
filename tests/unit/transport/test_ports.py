"""A port in this process: what its sockets inherit, how it stops, how many files it may open."""

import asyncio
import contextlib
import resource
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from switch.server import Server, raise_open_files
from switch.server.listener import KEEPALIVE
from switch.service.desk import Desk
from switch.service.line import Line
from switch.settings import Limits, Listener, Tls
from switch.wire.framing import frame
from tests.support.pki import Authority


class _Echo:
    """A desk that gives back what it gets, and keeps the lines it saw."""

    async def answer(self, payload: bytes, line: Line) -> bytes:
        assert line.opened_at.tzinfo is not None
        return b"%d " % line.number + payload


def _server() -> Server:
    return Server(cast(Desk, _Echo()), lambda: datetime.now(UTC), Limits())


def _timers(port: int) -> list[str]:
    """The kernel's timers of the established connections at this port; 02 is keep-alive."""
    ends = [one.split() for one in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [one[5][:2] for one in ends if one[1].endswith(f":{port:04X}") and one[3] == "01"]


async def test_accepted_sockets_find_out_when_their_other_end_has_gone() -> None:
    server = _server()
    where = await server.listen(Listener(port=0))
    reader, writer = await asyncio.open_connection(*where)
    writer.write(frame(b"hello"))
    assert await reader.readexactly(9) == frame(b"1 hello")
    async with asyncio.timeout(5.0):
        while _timers(where[1]) != ["02"]:  # noqa: ASYNC110 - the answer is not acknowledged yet
            await asyncio.sleep(0.05)
    assert all(hasattr(socket, name) for name, _ in KEEPALIVE)
    writer.close()
    await server.stop(1.0)


async def test_numbers_of_lines_grow(tmp_path: Path) -> None:
    server = _server()
    where = await server.listen(Listener(port=0))
    for number in range(1, 4):
        reader, writer = await asyncio.open_connection(*where)
        writer.write(frame(b"x"))
        assert await reader.readexactly(5) == frame(b"%d x" % number)
        writer.close()
    await server.stop(1.0)


async def test_a_stop_does_not_wait_for_handshakes(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("switch", server=True)
    server = _server()
    where = await server.listen(
        Listener(port=0, handshake_s=60, tls=Tls(certificate=str(certificate), key=str(key)))
    )
    silent = [await asyncio.open_connection(*where) for _ in range(5)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(3.0):
        await server.stop(10.0)
    for reader, writer in silent:
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


def test_the_bound_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert raise_open_files(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512  # enough already
        assert raise_open_files(600) == 600
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (856, hard)
        if hard != resource.RLIM_INFINITY:
            assert raise_open_files(hard + 1) == hard - 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
