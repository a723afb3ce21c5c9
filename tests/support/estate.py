"""A small estate for tests of messages: payments on the books, a publisher, soundboxes at a broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import msgspec
from sqlalchemy import insert, text

from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.request import OriginalRef, PinCheck, Request
from switch.service import outbox_metrics
from switch.service.admin import CardAct, act_on_card
from switch.service.authorizer import Authorizer
from switch.service.batch import Answer
from switch.service.hotlist import HotKey
from switch.service.mqtt import Broker
from switch.service.notices import Publisher
from switch.service.vault import Vault, VaultKeeper, card_row_id, new_key_file
from switch.store import schema as t
from switch.store.outbox import OutboxBooks
from terminal_sim.soundbox import Soundbox, read_hot_key
from terminal_sim.soundbox_line import run_soundbox
from tests.integration.authorizer.ground import Ground
from tests.support.brokers import TestBroker
from tests.support.postgres import Database
from tests.support.stage import pan
from tests.unit.decide import world

TODAY = 20260629
BOXES = ("SB000001", "SB000002")
PEOPLE = 20
WON = 1_000_000


class Estate:
    """Members with WON each, two soundboxes at the merchant PLAIN and a till without one at MARKET."""

    def __init__(self, database: Database, broker: TestBroker, folder: Path) -> None:
        self.ground = Ground(database)
        self.broker = broker
        self.vault_file = folder / "vault.keys"
        new_key_file(self.vault_file)
        self.ground.add(
            [world.wallet(world.charged(1, WON), wallet_id=number) for number in range(1, PEOPLE + 1)]
        )
        with self.ground.engine.begin() as connection:
            for terminal, shop, notify in (
                (BOXES[0], world.PLAIN, True),
                (BOXES[1], world.PLAIN, True),
                ("TILL0001", world.PLAIN, False),
                ("TILL0002", world.MARKET, False),
            ):
                connection.execute(
                    insert(t.terminal).values(
                        terminal_id=terminal, merchant_no=shop, state="active", tmk="U", tmk_kcv="",
                        notify=notify,
                    )
                )  # fmt: skip
        self.authorizer: Authorizer = self.ground.authorizer()
        self._stans = iter(range(1, 1_000_000))

    def card_of(self, wallet_id: int) -> str:
        """Give a member an id (M1, M2 …) and the first card a number; returns the number."""
        number = pan(wallet_id)
        vault, bucket = Vault.load(self.vault_file), bucket_of(wallet_id)
        version, box = vault.seal(number, card_row_id(bucket, wallet_id, 1))
        with self.ground.engine.begin() as connection:
            connection.execute(
                t.card.update()
                .where(t.card.c.wallet_id == wallet_id, t.card.c.card_no == 1)
                .values(pan_box=box, key_version=version, pan_hmac=vault.pan_hmac(number), masked="94106*")
            )
            connection.execute(
                insert(t.member).values(
                    programme_no=world.PROGRAMME_NO, member_id=f"M{wallet_id}", bucket=bucket,
                    wallet_id=wallet_id,
                )
            )  # fmt: skip
        return number

    def act(self, wallet_id: int, act: CardAct) -> None:
        """What an operator's command does to the first card of a member."""
        act_on_card(self.ground.engine, "test", f"M{wallet_id}", 1, act)

    def hot_key(self) -> bytes:
        """What terminals are provisioned with."""
        path = self.vault_file.with_suffix(".hot")
        path.unlink(missing_ok=True)
        HotKey.of(Vault.load(self.vault_file)).write(path)
        return read_hot_key(path.read_text())

    # ── paying ──────────────────────────────────────────────────────────────────────────────────────────
    def request(self, kind: Kind, won: int, of: Request | None = None, shop: int = world.PLAIN) -> Request:
        stan = next(self._stans)
        wallet = of.wallet_id if of is not None else stan % PEOPLE + 1
        ref = None
        if of is not None:
            ref = OriginalRef(of.key.stan, of.transmission, (of.key.kind,), of.key.terminal_id, TODAY)
        return Request(
            key=PaymentKey(bucket_of(wallet), TODAY, 120_000, "TILL0001", stan, kind),
            wallet_id=wallet, card_no=1, programme_no=world.PROGRAMME_NO, merchant_no=shop, amount=won,
            channel="pos", transmission="0629030000", rrn=f"{stan:012d}", approval=f"{stan:06d}",
            content=stan, pin=PinCheck.NONE, expiry=None, original=ref,
        )  # fmt: skip

    async def send(self, requests: Iterable[Request]) -> list[Answer]:
        """Book them, all at once."""
        return list(await asyncio.gather(*[self.authorizer.submit(one) for one in requests]))

    async def pay(self, count: int, won: int = 1_000) -> list[Request]:
        """Purchases at the shop with soundboxes; their requests."""
        requests = [self.request(Kind.PURCHASE, won) for _ in range(count)]
        for answer in await self.send(requests):
            assert answer.stored.approved == won
        return requests

    # ── the machines ────────────────────────────────────────────────────────────────────────────────────
    def publisher(self) -> Publisher:
        settings = self.broker.settings()
        return Publisher(
            OutboxBooks(self.ground.database.conninfo),
            Broker(settings),
            VaultKeeper(self.vault_file),
            self.ground.now,
            poll_s=settings.poll_s,
            keys_warn_s=3_600,
            keep_days=30,
        )

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator["asyncio.Task[None]"]:
        """A publisher at work within this block."""
        outbox_metrics.CONNECTED.set(0)
        task = asyncio.create_task(self.publisher().run())
        try:
            await until(lambda: outbox_metrics.CONNECTED._value.get() == 1)
            yield task
        finally:
            await ended(task)

    @asynccontextmanager
    async def listening(
        self, *boxes: Soundbox, acks: bool = True, stubborn: bool = False
    ) -> AsyncIterator[None]:
        """Soundboxes at the broker within this block; `stubborn` ones come back when their line breaks."""
        there = [asyncio.Event() for _ in boxes]
        tasks = [
            asyncio.create_task(self._listen(box, ready, acks, stubborn))
            for box, ready in zip(boxes, there, strict=True)
        ]
        try:
            async with asyncio.timeout(15):
                await asyncio.gather(*[ready.wait() for ready in there])
            yield
        finally:
            for task in tasks:
                await ended(task)

    async def _listen(self, box: Soundbox, ready: asyncio.Event, acks: bool, stubborn: bool) -> None:
        session = box.session
        while True:
            session += 1
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                await run_soundbox(
                    box, "127.0.0.1", self.broker.port, tls=self.broker.tls(box.terminal_id),
                    session=session, ready=ready, acks=acks,
                )  # fmt: skip
            if not stubborn:
                return
            await asyncio.sleep(0.05)

    # ── what the books say ──────────────────────────────────────────────────────────────────────────────
    def scalar(self, query: str) -> object:
        with self.ground.engine.connect() as connection:
            return connection.scalar(text(query))

    def waiting(self) -> int:
        """Messages that wait for an ack."""
        return int(str(self.scalar("SELECT count(*) FROM outbox")))

    def execute(self, statement: str) -> None:
        with self.ground.engine.begin() as connection:
            connection.execute(text(statement))


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel it until it has ended: one cancellation may meet an answer and be lost in wait_for."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=1)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of a database and of machines, which set no event
            await asyncio.sleep(0.02)


def as_told(box: Soundbox) -> list[tuple[str, int]]:
    """(type, won) of everything that a box heard of, each event once."""
    return sorted((one.type, one.won) for one in (*box.called, *box.noted))


def ids(box: Soundbox) -> list[str]:
    return [one.id for one in (*box.called, *box.noted)]


def decoded(payload: bytes) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(payload)
    return found
