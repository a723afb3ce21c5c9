"""The publisher: what the outbox holds goes to terminals, and stays until their application acknowledges it.

    lead ─▶ connect ─▶ heard (acks, states) ─▶ send what is due ─▶ push (hot list, configurations, keys) ─┐
              ▲────────── broker or database broke ◀──────────────────────────────────────────────────────┘

It is a process of its own: nothing that happens here delays a payment. One leads, others stand by for its
lock. Delivery is at least once with the same id; a terminal knows an id that it has had, so that nothing is
lost and nothing counts twice, however long the broker is away.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
import psycopg
import structlog

from switch.domain.notice import MessageKind, Notice
from switch.service import outbox_metrics as metrics
from switch.service.mqtt import Broker, BrokerUnavailableError, Outgoing, Session
from switch.service.notices_heard import Ledger, take
from switch.service.notices_push import Pusher, config_message
from switch.service.vault import VaultKeeper
from switch.store.outbox import Due, OutboxBooks
from switch.wire.estate import (
    COMMAND_EXPIRY_S,
    NOTICE_EXPIRY_S,
    UP_TOPICS,
    Command,
    Sound,
    encode,
    topic,
)

log = structlog.get_logger()

AGAIN_S: Final = (15, 30, 60, 120, 240, 480, 900)  # until a message is sent again, by how often it was sent
BACK_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # until broker or database are tried again
STAND_BY_S: Final = 1.0
MEASURE_S: Final = 30.0
DROP_S: Final = 600.0
HEARD_MAX: Final = 500  # messages of terminals worked on at a time

_notice = msgspec.json.Decoder(Notice)
_command = msgspec.json.Decoder(dict[str, str])


class Publisher:
    """Publishes until it is cancelled; whatever breaks is waited for. One per process."""

    def __init__(
        self,
        books: OutboxBooks,
        broker: Broker,
        vault: VaultKeeper,
        now: Callable[[], datetime],
        *,
        poll_s: float,
        keys_warn_s: int,
        keep_days: int,
    ) -> None:
        """`poll_s` between looks into the outbox when nothing happens; see switch.settings.mqtt for more."""
        self._books = books
        self._broker = broker
        self._ledger = Ledger()
        self._push = Pusher(books, vault, now, keys_warn_s)
        self._poll_s = poll_s
        self._keep_days = keep_days
        self._measure_at = self._drop_at = 0.0

    async def run(self) -> None:
        """Lead and publish, or stand by for whoever leads. Ends by being cancelled only."""
        failures = 0
        try:
            while True:
                try:
                    if not self._books.is_open:
                        await self._books.open()
                    if not await self._books.lead():
                        await asyncio.sleep(STAND_BY_S)
                        continue
                    metrics.LEADING.set(1)
                    await self._measure()
                    async with self._broker.session(UP_TOPICS) as session:
                        log.info("publishing", broker=self._broker.name)
                        metrics.CONNECTED.set(1)
                        failures = 0
                        await self._work(session)
                except BrokerUnavailableError as error:
                    metrics.BROKEN.inc()
                    if not failures:
                        log.warning("the broker is not there; messages wait", error=str(error))
                except (psycopg.Error, OSError, TimeoutError) as error:
                    metrics.LEADING.set(0)
                    await self._books.close()
                    log.warning("the outbox cannot be read; messages wait", error=type(error).__name__)
                except Exception as error:
                    await self._books.close()
                    metrics.LEADING.set(0)
                    log.exception("the publisher begins again", error=type(error).__name__)
                metrics.CONNECTED.set(0)
                await asyncio.sleep(BACK_S[min(failures, len(BACK_S) - 1)])
                failures += 1
        finally:
            metrics.LEADING.set(0)
            metrics.CONNECTED.set(0)
            await self._books.close()

    async def _work(self, session: Session) -> None:
        """Everything that is to be done while the broker is there."""
        await self._ledger.recall(self._books)
        self._push.begin()
        while True:
            heard = session.take(HEARD_MAX)
            if heard:
                await take(heard, self._books, self._ledger)
            sent = await self._send_due(session)
            sent += await self._push.work(session)
            await self._measure()
            await session.wait(0.0 if heard or sent else self._poll_s)

    async def _send_due(self, session: Session) -> int:
        """Send what is due, oldest first; returns how many messages were looked at."""
        rows = await self._books.due()
        send: list[tuple[Due, Outgoing]] = []
        aside: list[Due] = []
        first: Counter[str] = Counter()
        for row in rows:
            terminal = row.terminal_id
            held = not row.tries and self._ledger.holds(terminal, first[terminal])
            message = None if terminal in self._ledger.down or held else _outgoing(row)
            if message is None:
                aside.append(row)
                self._ledger.parked.add(terminal)
            else:
                send.append((row, message))
                first[terminal] += not row.tries
        if aside:
            await self._books.park(aside)
        if send:
            await session.publish([message for _, message in send])
            await self._books.mark([(row, AGAIN_S[min(row.tries, len(AGAIN_S) - 1)]) for row, _ in send])
            self._ledger.sent(first)
            for row, _ in send:
                metrics.SENT.inc(MessageKind(row.kind).name.lower())
            metrics.SENT_AGAIN.inc(by=sum(1 for row, _ in send if row.tries))
        return len(rows)

    async def _measure(self) -> None:
        """Tell how much waits, now and then; drop what has waited too long."""
        now = asyncio.get_running_loop().time()
        if now >= self._measure_at:
            self._measure_at = now + MEASURE_S
            depth, parked, oldest = await self._books.depth()
            metrics.DEPTH.set(depth)
            metrics.PARKED.set(parked)
            metrics.OLDEST.set(oldest)
            await self._ledger.recall(self._books)  # rows also go by operators' hands
        if now >= self._drop_at:
            self._drop_at = now + DROP_S
            dropped = await self._books.drop(self._keep_days)
            if dropped:
                metrics.DROPPED.inc(by=dropped)
                log.error("messages without an ack were dropped", count=dropped, days=self._keep_days)


def _outgoing(row: Due) -> Outgoing | None:
    """The MQTT message of an outbox row; None when its body is not one of ours: it is set aside."""
    try:
        if row.kind == MessageKind.NOTICE:
            said = _notice.decode(row.body)
            sound = Sound(
                id=row.event_id, type=said.type, won=said.won, at=said.at, tid=said.terminal_id,
                stan=said.stan, rrn=said.rrn, age=row.age,
            )  # fmt: skip
            return Outgoing(topic(row.terminal_id, "notify"), encode(sound), expiry_s=NOTICE_EXPIRY_S)
        if row.kind == MessageKind.COMMAND:
            command = msgspec.convert({"id": row.event_id, **_command.decode(row.body)}, Command)
            leaf = f"cmd/{row.event_id}"
            return Outgoing(topic(row.terminal_id, leaf), encode(command), expiry_s=COMMAND_EXPIRY_S)
        return config_message(row.terminal_id, row.event_id, row.body)
    except msgspec.MsgspecError:
        metrics.REFUSED.inc("body")
        log.error("an outbox row cannot be read", event=row.event_id, terminal=row.terminal_id)
        return None
