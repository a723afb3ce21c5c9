"""How much a city in a rush slows another one: waiting of a quiet programme beside a flooded one.

    python -m tests.bench.fairness [--seconds 10] [--in-flight 4000]

Through the authorizer and a real PostgreSQL: the quiet programme asks twenty times a second; alone, beside a
closed loop of the other with so many requests in flight through a plain queue, and through the fair one. The
bound that the fair queue keeps: the batch under way and one batch of its own.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from datetime import datetime

import uvloop
from msgspec.structs import replace
from sqlalchemy import insert, select

from switch.domain.calendar import SEOUL, date_of_day
from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.programme_file import canonical_json
from switch.domain.request import PinCheck, Request
from switch.service import metrics
from switch.service.authorizer import Authorizer
from switch.service.fair_queue import Waiting
from switch.store import schema as t
from tests.integration.authorizer.ground import Ground
from tests.support.postgres import shared_server
from tests.unit.decide import world

QUIET_NO, QUIET_SHOP = 2, 106
FIRST_QUIET = 100_001
DAY = 20260629
EACH = 0.05  # seconds between the quiet programme's payments


def add_quiet_city(ground: Ground, members: int) -> None:
    """A second programme with a shop and members of its own."""
    one = replace(world.programme(), programme_id="quiet", bins=("941062",))
    with ground.engine.begin() as connection:
        connection.execute(
            insert(t.programme).values(
                programme_no=QUIET_NO, programme_id="quiet", name="Quiet", sha256="",
                applied_at=datetime(2026, 1, 1, tzinfo=SEOUL), document=canonical_json(one).decode(),
            )
        )  # fmt: skip
        for number, policy in enumerate(one.policies, 101):
            connection.execute(
                insert(t.policy).values(
                    policy_no=number, programme_no=QUIET_NO, version=policy.version, document="",
                    effective_from=policy.effective_from, sha256="",
                )
            )  # fmt: skip
        for number, funder in enumerate(world.FUNDERS, 101):
            connection.execute(
                insert(t.funder).values(
                    funder_no=number, programme_no=QUIET_NO, funder_id=funder, name=funder
                )
            )
        shop = dict(connection.execute(select(t.merchant).limit(1)).one()._mapping)
        shop |= {"merchant_no": QUIET_SHOP, "merchant_id": "QUIET", "programme_no": QUIET_NO, "closed": None}
        shop |= {"opened": date_of_day(20250101), "category": "restaurant"}
        connection.execute(insert(t.merchant).values(**shop))
    ground.add(
        replace(world.wallet(world.charged(1, 10_000_000), wallet_id=FIRST_QUIET + n), programme_no=QUIET_NO)
        for n in range(members)
    )


def request(member: int, stan: int, *, quiet: bool = False) -> Request:
    """A purchase of a thousand won."""
    wallet = FIRST_QUIET + member if quiet else member + 1
    time_ = 100_000 + stan // 1_000_000 % 50
    terminal = "Q0000001" if quiet else "T0000001"
    return Request(
        PaymentKey(bucket_of(wallet), DAY, time_, terminal, stan % 1_000_000, Kind.PURCHASE),
        *(wallet, 1, QUIET_NO if quiet else world.PROGRAMME_NO, QUIET_SHOP if quiet else world.PLAIN, 1_000),
        *("pos", f"{DAY % 10_000:04d}{time_:06d}", f"{stan:012d}", "000001", stan, PinCheck.NONE, None, None),
    )


class Fifo:
    """The queue as it was: whoever came first."""

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, waiting: Waiting, most: int) -> Waiting | None:
        if len(self._queue) >= most:
            return waiting
        self._queue.append(waiting)
        return None

    def take(self, most: int) -> list[Waiting]:
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]

    def take_older(self, than: float) -> list[Waiting]:
        found = []
        while self._queue and self._queue[0].since < than:
            found.append(self._queue.popleft())
        return found


async def _quiet(authorizer: Authorizer, seconds: float, first: int) -> list[float]:
    waits: list[float] = []

    async def one(number: int) -> None:
        started = time.perf_counter()
        answer = await authorizer.submit(request(number % 200, first + number, quiet=True))
        assert answer.stored.reason == 0, answer
        waits.append(time.perf_counter() - started)

    tasks = []
    for number in range(int(seconds / EACH)):
        tasks.append(asyncio.create_task(one(number)))
        await asyncio.sleep(EACH)
    await asyncio.gather(*tasks)
    return sorted(waits)


async def _measure(
    ground: Ground, seconds: float, in_flight: int, fifo: bool, first: int
) -> dict[str, float]:
    authorizer = ground.authorizer(lanes=2, batch_max=256)
    if fifo:
        for lane in authorizer._lanes:
            lane._queue = Fifo()  # type: ignore[assignment]
    await authorizer.start()
    stopping = False
    done = 0

    async def hammer(number: int) -> None:
        nonlocal done
        stan = first + 10_000_000 + number
        while not stopping:
            await authorizer.submit(request(stan % 5_000, stan))
            stan += in_flight
            done += 1

    flood = [asyncio.create_task(hammer(number)) for number in range(in_flight)]
    await asyncio.sleep(1.0 if in_flight else 0)
    batches, spent = _batches()
    before, started = done, time.perf_counter()
    waits = await _quiet(authorizer, seconds, first)
    rate = (done - before) / (time.perf_counter() - started)
    stopping = True
    await asyncio.gather(*flood)
    await authorizer.stop()
    batches_after, spent_after = _batches()
    batch = (spent_after - spent) / max(1, batches_after - batches)
    return {
        "quiet_p50_ms": waits[len(waits) // 2] * 1_000,
        "quiet_p99_ms": waits[len(waits) * 99 // 100] * 1_000,
        "batch_mean_ms": batch * 1_000,
        "flood_per_second": rate,
    }


def _batches() -> tuple[int, float]:
    """Batches so far, and their seconds in sum."""
    series = metrics.BATCH_SECONDS._series.get("")
    return (sum(series.counts), series.total) if series else (0, 0.0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fairness", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--in-flight", type=int, default=4_000)
    chosen = parser.parse_args()
    ground = Ground(shared_server().migrated(), world.programme())
    ground.add(world.wallet(world.charged(1, 100_000_000), wallet_id=n + 1) for n in range(5_000))
    add_quiet_city(ground, 200)
    result = {}
    cases = (("alone", 0, False), ("beside a flood, plain queue", chosen.in_flight, True),
             ("beside a flood, fair queue", chosen.in_flight, False))  # fmt: skip
    uvloop.run(_measure(ground, 2, 200, False, 900_000_000))  # caches, plans
    for number, (name, in_flight, fifo) in enumerate(cases):
        result[name] = uvloop.run(
            _measure(ground, chosen.seconds, in_flight, fifo, (number + 1) * 100_000_000)
        )
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
