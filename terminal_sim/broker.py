"""The embedded broker: for the demo and for tests, where a Mosquitto runs in production.

It speaks MQTT 3.1.1 (so `mqtt.protocol = "3.1.1"`), keeps retained messages and last wills in memory, and
asks nobody who he is: never give it to real terminals.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amqtt.broker import Broker  # type: ignore[import-untyped]

CONNECTIONS_MAX = 200


@asynccontextmanager
async def embedded_broker(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Run a broker within this block; gives the port it listens on (0 takes a free one).

    Raises OSError when the port is taken.
    """
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it tells every line that breaks at length
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    broker = Broker(
        {
            "listeners": {
                "default": {"type": "tcp", "bind": f"{host}:{port}", "max_connections": CONNECTIONS_MAX}
            },
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
            },
        }
    )
    await broker.start()
    try:
        server = broker._servers["default"].instance  # noqa: SLF001 - it tells the port nowhere else
        yield int(server.sockets[0].getsockname()[1])
    finally:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(broker.shutdown(), 10)
