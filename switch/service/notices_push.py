"""What the switch tells terminals of its own accord: the hot list, their configurations, ends of keys."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog

from switch.domain.notice import message_id
from switch.service.hotlist import HotKey, delta_message, part_messages
from switch.service.mqtt import Outgoing, Session
from switch.service.vault import VaultError, VaultKeeper
from switch.store.outbox import HOTLIST_MAX, OutboxBooks
from switch.wire.estate import HOTLIST_STEP, Config, encode, part_topic, topic

log = structlog.get_logger()

HOTLIST_EVERY_S: Final = 0.5
KEYS_EVERY_S: Final = 30.0
_PARTS_SPARE = 4  # parts of a longer list of before that are cleared without being known


class ConfigBody(msgspec.Struct, frozen=True):
    """A configuration as the outbox holds it."""

    v: int
    sha256: str
    doc: str


_body = msgspec.json.Decoder(ConfigBody)


def config_id(terminal_id: str, version: int) -> str:
    """The id by which a terminal acknowledges a version of its configuration."""
    return message_id(terminal_id, f"cfg:{version}")


def config_message(terminal_id: str, event: str, body: str) -> Outgoing:
    """The retained message of a configuration. Raises msgspec.MsgspecError."""
    said = _body.decode(body)
    config = Config(id=event, v=said.v, sha256=said.sha256, doc=said.doc)
    return Outgoing(topic(terminal_id, "cfg"), encode(config), retain=True)


class Pusher:
    """Keeps at the broker what it is to retain, and writes warnings into the outbox."""

    def __init__(
        self, books: OutboxBooks, vault: VaultKeeper, now: Callable[[], datetime], keys_warn_s: int
    ) -> None:
        self._books = books
        self._vault = vault
        self._now = now
        self._warn = timedelta(seconds=keys_warn_s)
        self._hotlist_at = self._keys_at = 0.0
        self._version = -1  # of the hot list that the broker has from us
        self._base = -1
        self._parts = 0
        self._configs_after: str | None = ""

    def begin(self) -> None:
        """A broker that is there (again) may have lost all that it retained: tell it anew."""
        self._version = self._base = -1
        self._hotlist_at = 0.0
        self._configs_after = ""

    async def work(self, session: Session) -> int:
        """Do what is to be done now; returns how many messages that were."""
        now = asyncio.get_running_loop().time()
        done = await self._configurations(session) if self._configs_after is not None else 0
        if now >= self._hotlist_at:
            self._hotlist_at = now + HOTLIST_EVERY_S
            done += await self._hotlist(session)
        if now >= self._keys_at:
            self._keys_at = now + KEYS_EVERY_S
            await self._warnings()
        return done

    async def _configurations(self, session: Session) -> int:
        """One page of all configurations, after a connection; a change comes by the outbox."""
        page = await self._books.configs(self._configs_after or "")
        self._configs_after = page[-1][0] if page else None
        await session.publish(
            [
                Outgoing(
                    topic(terminal, "cfg"),
                    encode(Config(id=config_id(terminal, version), v=version, sha256=sha256, doc=document)),
                    retain=True,
                )
                for terminal, version, sha256, document in page
            ]
        )
        return len(page)

    async def _hotlist(self, session: Session) -> int:
        version = await self._books.hotlist_version()
        if self._vault.renew():
            self._base = self._version = -1  # the list's key may be another: the whole of it is told anew
        if version == self._version:
            return 0
        messages = await self.hotlist_messages(version)
        await session.publish(messages)
        self._version, self._base = version, version // HOTLIST_STEP
        log.info("hot list pushed", version=version)
        return len(messages)

    async def hotlist_messages(self, version: int) -> list[Outgoing]:
        """The list's messages: the whole parts first, where they are new, then what changed since."""
        acts = await self._books.hotlist()
        if len(acts) >= HOTLIST_MAX:
            log.error("the hot list is full: take off cards that have expired", entries=len(acts))
        whole = version // HOTLIST_STEP != self._base
        try:
            vault = self._vault.vault
            key = HotKey.of(vault)
            told = await asyncio.to_thread(part_messages, acts, version, key, vault) if whole else []
            told.append(await asyncio.to_thread(delta_message, acts, version, key, vault))
        except VaultError as error:
            log.error("the hot list cannot be made", error=str(error))
            return []
        stale = []
        if whole:
            count = len(told) - 1
            stale = [(part_topic(part), b"") for part in range(count, max(self._parts, count + _PARTS_SPARE))]
            self._parts = count
        return [Outgoing(name, payload, retain=True) for name, payload in (*told, *stale)]

    async def _warnings(self) -> None:
        """A command for every terminal whose session keys are about to end, once for each end."""
        ending = await self._books.keys_ending(self._now() + self._warn)
        if not ending:
            return
        rows = []
        for terminal, until in ending:
            end = until.astimezone(UTC).strftime("%Y%m%d%H%M%S")
            body = msgspec.json.encode({"do": "exchange_keys", "until": end}).decode()
            rows.append((terminal, until, message_id(terminal, f"keys:{end}"), body))
        await self._books.warn(rows)
        log.info("terminals are warned of the end of their keys", count=len(rows))
