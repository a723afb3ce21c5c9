"""The embedded broker: for the demo and for tests, where a Mosquitto runs in production.

It speaks MQTT 3.1.1 (so `mqtt.protocol = "3.1.1"`), keeps retained messages and last wills in memory, and
asks nobody who he is: never give it to real terminals.
"""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

CONNECTIONS_MAX = 2_000


class _Steady(dict[str, Any]):
    """A dict that may grow while somebody walks it: the broker awaits in the middle of such walks, and drops
    the line of whoever connects while another subscribes."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.keys()))

    def items(self) -> Any:
        """What there is now."""
        return list(super().items())


@asynccontextmanager
async def embedded_broker(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Run a broker within this block; gives the port it listens on (0 takes a free one).

    Raises OSError when the port is taken.
    """
    from amqtt.broker import Broker  # type: ignore[import-untyped]
    from amqtt.errors import BrokerError  # type: ignore[import-untyped]

    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it tells every line that breaks at length
    listener = {"type": "tcp", "bind": f"{host}:{port}", "max_connections": CONNECTIONS_MAX}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
    broker._subscriptions = _Steady()  # noqa: SLF001
    try:
        await broker.start()
    except BrokerError as error:
        cause = error.__cause__
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from None
    try:
        server = broker._servers["default"].instance  # noqa: SLF001 - it tells the port nowhere else
        yield int(server.sockets[0].getsockname()[1])
    finally:
        with contextlib.suppress(
            Exception
        ):  # it waits for lines that are gone: what it keeps is in memory only
            await asyncio.wait_for(broker.shutdown(), 2)


def broker(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free port.")] = 1883,
) -> None:
    """Run an MQTT broker (3.1.1, no passwords) for tries and demos until SIGTERM or SIGINT.

    Prints one JSON line with its port. In the switch's settings: [mqtt] host, port, tls = false,
    protocol = "3.1.1". Exit code 75 if the port is taken.
    """
    try:
        asyncio.run(_run(host, port))
    except OSError as error:
        typer.echo(
            f"dure-terminal-sim: {host}:{port}: {error.strerror or error}: take another port", err=True
        )
        raise typer.Exit(75) from None


async def _run(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with embedded_broker(host, port) as taken:
        sys.stdout.write(json.dumps({"host": host, "port": taken}) + "\n")
        sys.stdout.flush()
        await stop.wait()
