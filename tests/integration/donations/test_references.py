"""Top-ups with a reference of their own are booked once, whatever sends them, and as often."""

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from switch.domain.payment import Kind
from switch.domain.reasons import BY_NUMBER
from tests.integration.authorizer.ground import Ground, ask
from tests.integration.donations.conftest import message, reversal
from tests.unit.decide import world


def topup(wallet_id: int, won: int, reference: str) -> Any:
    return message(Kind.TOPUP, wallet_id, won, merchant=world.PLAIN, outside_ref=reference)


def charged(ground: Ground, wallet_id: int) -> int:
    lots = ground.wallets()[wallet_id].lots.values()
    return sum(lot.balance for lot in lots if lot.kind == 1)


def why(answer: Any) -> str:
    return "differs" if answer.differs else BY_NUMBER[answer.stored.reason].name


async def test_three_sends_with_new_stans_debit_once(ground: Ground, start: Callable[..., Any]) -> None:
    one = await start(lanes=1)
    first, second, third = (topup(1, 5_000, "bank-1") for _ in range(3))
    (booked,) = await ask(one, [first])
    (again,) = await ask(one, [second])
    other = await start(lanes=1)  # as another process, or after a restart
    (late,) = await ask(other, [third])
    assert [why(booked), why(again), why(late)] == ["approved"] * 3
    assert (again.repeated, late.repeated) == (True, True)
    assert again.stored.key == late.stored.key == first.key
    assert late.stored.approval == booked.stored.approval
    assert charged(ground, 1) == 105_000
    assert ground.wallets()[1].month_topup == 5_000
    ground.check_books()


async def test_in_one_batch(ground: Ground, start: Callable[..., Any]) -> None:
    lane = await start(lanes=1)
    answers = await ask(lane, [topup(2, 5_000, "bank-2") for _ in range(3)])
    assert [(why(one), one.repeated) for one in answers] == [
        *(("approved", False), ("approved", True), ("approved", True)),
    ]
    assert charged(ground, 2) == 105_000


async def test_another_wallet_or_amount_under_the_same_reference(
    ground: Ground, start: Callable[..., Any]
) -> None:
    lane = await start(lanes=1)
    await ask(lane, [topup(3, 5_000, "bank-3")])
    assert why((await ask(lane, [topup(3, 6_000, "bank-3")]))[0]) == "differs"
    assert why((await ask(lane, [topup(4, 5_000, "bank-3")]))[0]) == "differs"
    assert (charged(ground, 3), charged(ground, 4)) == (105_000, 100_000)


async def test_two_wallets_at_once_by_two_processes(ground: Ground, start: Callable[..., Any]) -> None:
    one, two = await start(lanes=2), await start(lanes=2)
    for turn in range(12):
        name = f"race-{turn}"
        found = await asyncio.gather(
            ask(one, [topup(5, 1_000, name)]),
            ask(two, [topup(6, 1_000, name)]),
            ask(two, [topup(5, 1_000, name)]),
        )
        told = [why(answers[0]) for answers in found]
        assert sorted(told) in (["approved", "approved", "differs"], ["approved", "differs", "differs"])
    assert charged(ground, 5) + charged(ground, 6) == 212_000
    ground.check_books()


async def test_a_reversal_frees_the_reference(ground: Ground, start: Callable[..., Any]) -> None:
    lane = await start(lanes=1)
    first, second = topup(7, 5_000, "bank-7"), topup(7, 5_000, "bank-7")
    await ask(lane, [first])
    assert [why(one) for one in await ask(lane, [reversal(first)])] == ["approved"]
    assert [(why(one), one.repeated) for one in await ask(lane, [second])] == [("approved", False)]
    assert charged(ground, 7) == 105_000
    # … also all in one batch: taken back, booked by another member.
    other = topup(8, 9_000, "bank-7")
    third = topup(8, 9_000, "bank-7")
    answers = await ask(lane, [reversal(second), other, third])
    assert [(why(one), one.repeated) for one in answers] == [
        *(("approved", False), ("approved", False), ("approved", True)),
    ]
    assert (charged(ground, 7), charged(ground, 8)) == (100_000, 109_000)
    ground.check_books()


async def test_a_reversal_with_the_reference_means_the_send_that_was_booked(
    ground: Ground, start: Callable[..., Any]
) -> None:
    lane = await start(lanes=1)
    first, second = topup(9, 5_000, "bank-9"), topup(9, 5_000, "bank-9")
    await ask(lane, [first])
    # The second send is still on its way when its reversal comes: the first is taken back, it is refused.
    assert [why(one) for one in await ask(lane, [reversal(second, outside_ref="bank-9")])] == ["approved"]
    assert charged(ground, 9) == 100_000
    assert [why(one) for one in await ask(lane, [second])] == ["reversed_before"]
    assert [why(one) for one in await ask(lane, [topup(9, 5_000, "bank-9")])] == ["approved"]
    assert charged(ground, 9) == 105_000
    # Without the reference it means the send that it names, which booked nothing.
    assert [why(one) for one in await ask(lane, [reversal(topup(9, 5_000, "bank-9"))])] == ["acknowledged"]
    assert charged(ground, 9) == 105_000
    ground.check_books()


async def test_a_declined_top_up_uses_no_reference(ground: Ground, start: Callable[..., Any]) -> None:
    with ground.engine.begin() as connection:
        connection.execute(text("UPDATE wallet SET state = 2 WHERE wallet_id = 10"))
    lane = await start(lanes=1)
    assert why((await ask(lane, [topup(10, 5_000, "bank-10")]))[0]) == "wallet_stopped"
    with ground.engine.begin() as connection:
        connection.execute(text("UPDATE wallet SET state = 1 WHERE wallet_id = 10"))
    assert why((await ask(lane, [topup(10, 5_000, "bank-10")]))[0]) == "approved"
    assert charged(ground, 10) == 105_000
