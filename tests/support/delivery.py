"""What must hold of delivery at any broker: tests/integration/mqtt and tests/broker run each of these."""

import asyncio

from switch.domain.payment import Kind
from terminal_sim.soundbox import Soundbox
from tests.support.estate import BOXES, Estate, as_told, ended, ids, until
from tests.unit.decide import world


async def payments_and_cancels_are_told_once(estate: Estate) -> None:
    boxes = [Soundbox(name) for name in BOXES]
    async with estate.publishing(), estate.listening(*boxes):
        paid = await estate.pay(2, 3_000)
        refund = estate.request(Kind.REFUND, 1_000, paid[0])
        cancel = estate.request(Kind.REVERSAL, 3_000, paid[1])
        elsewhere = estate.request(Kind.PURCHASE, 700, shop=world.MARKET)
        too_much = estate.request(Kind.PURCHASE, 90_000_000)
        look = estate.request(Kind.INQUIRY, 0)
        answers = await estate.send([refund, cancel, elsewhere, too_much, look])
        assert [answer.stored.approved for answer in answers[:4]] == [1_000, 3_000, 700, 0]
        await estate.send([refund, cancel, *paid])  # repeats tell nothing new
        for box in boxes:
            await until(lambda box=box: len(ids(box)) >= 4)  # type: ignore[misc]
        await until(lambda: estate.waiting() == 0)
    for box in boxes:
        assert as_told(box) == [("cancel", 3_000), ("payment", 3_000), ("payment", 3_000), ("refund", 1_000)]
        assert len(set(ids(box))) == 4


async def nothing_is_lost_and_nothing_counts_twice_over_outages(estate: Estate) -> None:
    """The broker is killed before, between and while messages go out; boxes go deaf; the publisher dies."""
    box, deaf = Soundbox(BOXES[0]), Soundbox(BOXES[1])
    publisher = asyncio.create_task(estate.publisher().run())
    try:
        async with estate.listening(box, stubborn=True):
            await estate.pay(100)
            await until(lambda: len(box.called) > 10)
            await estate.broker.stop()
            await estate.pay(150)
            await asyncio.sleep(0.3)
            await estate.broker.start()
            paying = asyncio.create_task(estate.pay(100))
            await until(lambda: len(ids(box)) > 150)
            await estate.broker.stop()  # in the middle of it
            await paying
            await ended(publisher)
            await estate.broker.start()
            publisher = asyncio.create_task(estate.publisher().run())
            await until(lambda: len(ids(box)) >= 350)
        assert estate.waiting() >= 350, "the other box has acknowledged nothing"
        async with estate.listening(deaf, acks=False):  # hears, and says nothing: its application is broken
            await until(lambda: len(ids(deaf)) >= 64)
        async with estate.listening(deaf, stubborn=True):
            await until(lambda: len(ids(deaf)) >= 350)
            await until(lambda: estate.waiting() == 0, 40)
        await asyncio.sleep(0.2)
    finally:
        await ended(publisher)
    for one in (box, deaf):
        assert len(ids(one)) == len(set(ids(one))) == 350
    assert sorted(ids(box)) == sorted(ids(deaf)), "an event has one id for all who are told of it"


async def who_is_gone_gets_it_later_and_holds_up_nobody(estate: Estate) -> None:
    box, other = Soundbox(BOXES[0]), Soundbox(BOXES[1])
    async with estate.publishing():
        async with estate.listening(box):
            await until(lambda: estate.scalar("SELECT bool_and(up) FROM terminal_state") is True)
        await until(lambda: estate.scalar("SELECT bool_or(up) FROM terminal_state") is False)
        async with estate.listening(other):
            await estate.pay(200)
            await until(lambda: len(ids(other)) == 200)
            await until(lambda: estate.waiting() == 200)
            await until(lambda: estate.scalar("SELECT count(*) FROM outbox WHERE tries > 0") == 0)
            assert estate.scalar("SELECT count(*) FROM outbox WHERE due_at < 'infinity'") == 0
            async with estate.listening(box):
                await until(lambda: len(ids(box)) == 200)
                await until(lambda: estate.waiting() == 0)
    assert box.repeats == 0
    assert estate.scalar("SELECT count(*) FROM terminal_state WHERE first_seen <= last_seen") == 2
