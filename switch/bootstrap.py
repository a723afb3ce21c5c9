"""The one place that wires the switch together: settings in, a running switch out."""

import asyncio
import gc
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import prometheus_client
import psycopg
import structlog
import uvloop
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from switch.clock import Clock, open_clock
from switch.hardening import forbid_core_dumps
from switch.hsm.client import HsmClient
from switch.log import configure_logging
from switch.server import Server, raise_open_files
from switch.service import metrics
from switch.service.authorizer import Authorizer, Limits
from switch.service.cardcheck import CardCheck, CardKeys
from switch.service.closing import Closing
from switch.service.desk import Desk
from switch.service.directory import Directory
from switch.service.door import Door
from switch.service.holder import ReferenceHolder
from switch.service.hsm_metrics import show_hsm
from switch.service.keymarks import KeyMarks
from switch.service.keyring import Keyring
from switch.service.keywatch import KeyWatch
from switch.service.network import NetworkDesk
from switch.service.probing import Probing
from switch.service.recent import Recent
from switch.service.vault import VaultKeeper
from switch.settings import ConfigError, Hsm, Keys, Settings
from switch.store.batches import BatchBooks
from switch.store.engine import APP_ROLE, DatabaseUnavailableError, conninfo, open_engine
from switch.store.lookup import Lookup
from switch.store.migrate import missing_revisions
from switch.store.reference import Reference, load_reference

log = structlog.get_logger()

HSM_READY_S = 5.0


def serve(settings: Settings) -> None:
    """Run the switch until SIGTERM or SIGINT. Raises ConfigError, ClockError, VaultError, OSError and
    DatabaseUnavailableError before it listens; nothing after."""
    configure_logging(settings.log.level)
    forbid_core_dumps()
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    engine, reference = await _open_books(settings)
    clock = open_clock(settings.clock.mode, settings.clock.file, simulation=reference.simulation)
    holder = ReferenceHolder(engine, reference)
    keeper = VaultKeeper(Path(settings.vault.key_file))
    address = conninfo(engine.url)
    hsm = _hsm(settings.hsm)
    await hsm.start()
    show_hsm(hsm)
    lookup = Lookup(address)
    batches = BatchBooks(address)
    marks = KeyMarks(lookup)
    directory = Directory(lookup, keeper, lambda: holder.current.epoch)
    authorizer = _authorizer(settings, address, holder, clock)
    try:
        await authorizer.start()
    except psycopg.Error as error:
        raise DatabaseUnavailableError(f"the database does not answer ({type(error).__name__})") from None
    keys_of = _keys_of(settings.keys, holder)
    desk = Desk(
        authorizer=authorizer,
        keyring=Keyring(hsm, directory, marks, clock.now, grace_s=settings.keys.grace_s),
        directory=directory,
        network=NetworkDesk(
            hsm,
            lookup,
            directory,
            clock.now,
            session_hours=settings.keys.session_hours,
            grace_s=settings.keys.grace_s,
        ),
        door=Door(holder, local_days_back=settings.limits.local_days_back),
        holder=holder,
        cards=CardCheck(hsm, keys_of),
        closing=Closing(
            batches,
            directory,
            holder,
            clock.now,
            local_days_back=settings.limits.local_days_back,
        ),
        recent=Recent(lookup.holder),
        probing=Probing(
            time.monotonic,
            failures_max=settings.limits.probes_max,
            window_s=settings.limits.probes_window_s,
        ),
        keys_of=keys_of,
        now=clock.now,
    )
    watch = KeyWatch(
        engine,
        clock.now,
        warn_hours=settings.keys.warn_hours,
        master_days=settings.keys.master_days,
    )
    if settings.metrics.port:
        watch.start()
    server = Server(desk, clock.now, settings.limits)
    await _run(settings, server, hsm)
    await watch.stop()
    await server.stop(settings.limits.drain_s)
    await authorizer.stop()
    await hsm.close()
    await marks.close()
    await batches.stop()
    await lookup.close()
    engine.dispose()
    log.info("stopped")


async def _open_books(settings: Settings) -> tuple[Engine, Reference]:
    """The database, at this program's version, and the reference data in it."""
    engine = await asyncio.to_thread(
        open_engine, settings.database_url(), role=APP_ROLE, size=settings.database.size
    )
    try:
        missing = await asyncio.to_thread(missing_revisions, engine)
        if missing:
            raise ConfigError(
                "the database is not at this program's version: run `dure-switch init` or `migrate`"
            )
        return engine, await asyncio.to_thread(load_reference, engine)
    except OperationalError as error:
        raise DatabaseUnavailableError(f"the database does not answer ({type(error).__name__})") from None


def _hsm(settings: Hsm) -> HsmClient:
    return HsmClient(
        settings.host,
        settings.port,
        standby=settings.standby_addresses(),
        timeout_s=settings.timeout_s,
        in_flight_max=settings.in_flight_max,
        connections=settings.connections,
        observe=_observe_hsm,
    )


def _authorizer(settings: Settings, address: str, holder: ReferenceHolder, clock: Clock) -> Authorizer:
    limits = Limits(
        batch_max=settings.lanes.batch_max,
        queue_max=settings.lanes.queue_max,
        pin_tries_max=settings.limits.pin_tries_max,
        cvv_tries_max=settings.limits.cvv_tries_max,
    )
    return Authorizer(address, holder, clock.now, lanes=settings.lanes.count, limits=limits)


def _keys_of(keys: Keys, holder: ReferenceHolder) -> Callable[[int], CardKeys]:
    """The card keys of a programme by its number: its own, else those of the installation."""

    def keys_of(programme_no: int) -> CardKeys:
        name = holder.current.programmes[programme_no].programme_id
        return CardKeys(
            keys.pvk_by_programme.get(name, keys.pvk),
            keys.cvk_by_programme.get(name, keys.cvk),
            keys.imk_by_programme.get(name, keys.imk),
        )

    return keys_of


async def _run(settings: Settings, server: Server, hsm: HsmClient) -> None:
    """Listen, say where, and wait for the signal to stop."""
    try:
        await hsm.wait_ready(HSM_READY_S)
    except Exception as error:  # noqa: BLE001 - an absent HSM is waited for; payments get 91 until it comes
        log.warning("the HSM is not there yet", error=type(error).__name__)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, server.reload_soon)
    wanted = sum(listener.connections_max for listener in settings.listener)
    if (fitting := raise_open_files(wanted)) < wanted:
        log.warning(
            "the system has no room for all connections: raise LimitNOFILE", fitting=fitting, wanted=wanted
        )
    listening = []
    for listener in settings.listener:
        host, port = await server.listen(listener)
        listening.append({"host": host, "port": port})
    if settings.metrics.port:
        prometheus_client.start_http_server(settings.metrics.port, settings.metrics.host)
    told = {"listening": listening, "metrics": {"port": settings.metrics.port}}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    log.info("listening", listeners=listening)
    _calm_collector()
    await stop.wait()
    log.info("stopping")


def _calm_collector() -> None:
    """What is there now stays: the cycle collector need not walk reference data and caches again and again.

    The hot path makes next to no cycles, so rare young collections are enough; a full one still comes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _observe_hsm(command: str, seconds: float) -> None:
    metrics.HSM_SECONDS.observe(seconds, command)
