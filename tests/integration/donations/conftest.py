"""One installation for a module: members with charged money and points, and a donation merchant."""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import pytest

from switch.domain.payment import Kind, PaymentKey, bucket_of
from switch.domain.request import OriginalRef, PinCheck, Request
from switch.service.authorizer import Authorizer
from tests.integration.authorizer.ground import Ground
from tests.support.postgres import shared_server
from tests.unit.decide import world

GROUP = "traditional_market"
SHARE = world.MARKET
"""The donation merchant: the group that takes gifts is the one that it is in."""
TODAY = 20260629
MEMBERS = 60
_stans = count(1)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Members 1 … MEMBERS with 100,000 won charged and 10,000 points, points switched on."""
    plain = world.programme()
    policies = tuple(msgspec.structs.replace(one, donation_group=GROUP) for one in plain.policies)
    database = shared_server().migrated()
    one = Ground(database, msgspec.structs.replace(plain, policies=policies))
    one.add(
        world.wallet(
            world.charged(1, 100_000), world.points(2, 10_000, funder_no=1), wallet_id=number, points_on=True
        )
        for number in range(1, MEMBERS + 1)
    )
    with one.engine.begin() as connection:
        for number in range(1, MEMBERS + 1):
            at = {"no": number, "bucket": bucket_of(number)}
            connection.exec_driver_sql(
                "INSERT INTO member (programme_no, member_id, bucket, wallet_id)"
                " VALUES (1, %(name)s, %(bucket)s, %(no)s)",
                {**at, "name": f"M{number}"},
            )
    yield one
    one.check_books()
    shared_server().drop(database)


@pytest.fixture
async def start(ground: Ground) -> AsyncIterator[Callable[..., Any]]:
    """Start an authorizer, as a process of its own would have it."""
    running: list[Authorizer] = []

    async def begin(**how: Any) -> Authorizer:
        running.append(ground.authorizer(**how))
        await running[-1].start()
        return running[-1]

    yield begin
    for one in running:
        await one.stop()


def message(kind: Kind, wallet_id: int, amount: int, *, merchant: int = SHARE, **more: Any) -> Request:
    """A message with a STAN and DE7 of its own."""
    stan = next(_stans)
    return Request(
        key=PaymentKey(bucket_of(wallet_id), TODAY, 120_000, "T0000001", stan, kind),
        wallet_id=wallet_id,
        card_no=1,
        programme_no=world.PROGRAMME_NO,
        merchant_no=merchant,
        amount=amount,
        channel="pos",
        transmission=f"0629{stan:06d}",
        rrn=f"{stan:012d}",
        approval=f"{stan:06d}",
        content=stan,
        pin=PinCheck.NONE,
        expiry=None,
        original=more.pop("original", None),
        **more,
    )


def reversal(of: Request, **more: Any) -> Request:
    """The reversal of a message."""
    ref = OriginalRef(of.key.stan, of.transmission, (of.key.kind,), "T0000001", TODAY)
    return message(Kind.REVERSAL, of.wallet_id, of.amount, merchant=of.merchant_no, original=ref, **more)
