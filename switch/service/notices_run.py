"""Runs the publisher as a process of its own, and pushes the hot list once for an operator."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import prometheus_client
import structlog
import uvloop

from switch.clock import Clock, open_clock
from switch.log import configure_logging
from switch.service.mqtt import Broker
from switch.service.notices import Publisher
from switch.service.notices_push import Pusher
from switch.service.vault import VaultKeeper
from switch.settings import Settings
from switch.store.engine import APP_ROLE, conninfo, resolve
from switch.store.outbox import OutboxBooks

log = structlog.get_logger()

STOP_AGAIN_S = 1.0


def run_publisher(settings: Settings, *, simulation: bool) -> None:
    """Publish until SIGTERM or SIGINT. Raises ConfigError, ClockError, VaultError, OSError at the start."""
    configure_logging(settings.log.level, program="dure-switch notify")
    broker = Broker(settings.mqtt)
    vault = VaultKeeper(Path(settings.vault.key_file))
    clock = open_clock(settings.clock.mode, settings.clock.file, simulation=simulation)
    if settings.mqtt.metrics_port:
        prometheus_client.start_http_server(settings.mqtt.metrics_port, settings.metrics.host)
    uvloop.run(_run(settings, broker, vault, clock))


async def _run(settings: Settings, broker: Broker, vault: VaultKeeper, clock: Clock) -> None:
    publisher = Publisher(
        _books(settings),
        broker,
        vault,
        clock.now,
        poll_s=settings.mqtt.poll_s,
        keys_warn_s=settings.mqtt.keys_warn_s,
        keep_days=settings.mqtt.keep_days,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    metrics = {"port": settings.mqtt.metrics_port}
    told = {"broker": broker.name, "port": settings.mqtt.port, "metrics": metrics}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    running = asyncio.create_task(publisher.run(), name="publisher")
    await stop.wait()
    while not running.done():  # the client library's wait_for loses a cancellation that meets an answer
        running.cancel()
        await asyncio.wait((running,), timeout=STOP_AGAIN_S)
    log.info("stopped")


def push_hotlist(settings: Settings, now: Callable[[], datetime]) -> int:
    """Push the hot list now, beside a publisher or without one; returns its version.

    Raises ConfigError, VaultError, and BrokerUnavailableError when the broker is away.
    """
    broker = Broker(settings.mqtt)
    vault = VaultKeeper(Path(settings.vault.key_file))
    return asyncio.run(_push(settings, broker, vault, now))


async def _push(settings: Settings, broker: Broker, vault: VaultKeeper, now: Callable[[], datetime]) -> int:
    books = _books(settings)
    await books.open()
    try:
        version = await books.hotlist_version()
        pusher = Pusher(books, vault, now, settings.mqtt.keys_warn_s)
        messages = await pusher.hotlist_messages(version)
        async with broker.session((), beside=True) as session:
            await session.publish(messages)
    finally:
        await books.close()
    return version


def _books(settings: Settings) -> OutboxBooks:
    url = resolve(settings.database_url(), role=APP_ROLE, size=settings.database.size)
    return OutboxBooks(conninfo(url))
