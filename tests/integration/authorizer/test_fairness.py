"""A city in a rush does not slow another: its few requests wait for two batches at most."""

import asyncio

import msgspec
import pytest

from switch.service.authorizer import BooksUnavailableError
from switch.service.batch import Answer
from tests.bench.fairness import add_quiet_city, request
from tests.integration.authorizer.ground import Ground
from tests.unit.decide import world

BATCH = 32


async def test_a_quiet_programme_waits_for_two_batches_whatever_the_other_one_sends(ground: Ground) -> None:
    ground.add(world.wallet(world.charged(1, 1_000_000), wallet_id=n + 1) for n in range(20))
    add_quiet_city(ground, 3)
    authorizer = ground.authorizer(lanes=1, batch_max=BATCH)
    await authorizer.start()
    flood = [authorizer.submit(request(n % 20, n)) for n in range(600)]
    await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
    waited = []
    for number in range(5):
        before = sum(one.done() for one in flood)
        answer = await authorizer.submit(request(number % 3, number, quiet=True))
        assert answer.stored.reason == 0
        waited.append(sum(one.done() for one in flood) - before)
    assert not flood[-1].done(), "the flood was over: nothing was shown"
    assert max(waited) <= 2 * BATCH, waited
    assert all(answer.stored.reason == 0 for answer in await asyncio.gather(*flood))
    await authorizer.stop()
    ground.check_books()


async def test_a_full_lane_makes_room_for_a_quiet_programme_and_tells_whom_it_gave_up(ground: Ground) -> None:
    ground.add(world.wallet(world.charged(1, 1_000_000), wallet_id=n + 1) for n in range(20))
    add_quiet_city(ground, 3)
    authorizer = ground.authorizer(lanes=1, batch_max=BATCH)
    lane = authorizer._lanes[0]
    await authorizer.start()
    lane._limits = msgspec.structs.replace(lane._limits, queue_max=200)
    room = 200
    flood = [authorizer.submit(request(n % 20, n)) for n in range(room)]
    with pytest.raises(BooksUnavailableError):
        authorizer.submit(request(1, room))
    quiet = authorizer.submit(request(1, 1, quiet=True))
    assert (await quiet).stored.reason == 0
    with pytest.raises(BooksUnavailableError, match="fills the lane's queue"):
        await flood[-1]
    answers = await asyncio.gather(*flood[:-1])
    assert sum(isinstance(one, Answer) for one in answers) == room - 1
    assert ground.count() == room  # the one that was given up was not booked
    await authorizer.stop()
