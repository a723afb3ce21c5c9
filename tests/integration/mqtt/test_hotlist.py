"""The hot list: declined at once with or without a broker; every terminal's list becomes the same."""

import asyncio

import aiomqtt
import pytest

from switch.domain.payment import Kind
from switch.domain.reasons import BY_NUMBER
from switch.service.admin import CardAct
from switch.service.hotlist import take_off
from terminal_sim.soundbox import Soundbox
from tests.support.estate import BOXES, PEOPLE, Estate, ended, until


async def why(estate: Estate, wallet: int) -> str:
    """How a purchase with the first card of a member is answered."""
    request = estate.request(Kind.PURCHASE, 1_000)
    while request.wallet_id != wallet:
        request = estate.request(Kind.PURCHASE, 1_000)
    (answer,) = await estate.send([request])
    return BY_NUMBER[answer.stored.reason].name


async def test_a_card_is_declined_from_the_moment_the_act_returns_without_a_broker(estate: Estate) -> None:
    number = estate.card_of(3)
    box = Soundbox(BOXES[0], estate.hot_key())
    await estate.broker.stop()
    publisher = asyncio.create_task(estate.publisher().run())  # finds no broker, and changes nothing
    assert await why(estate, 3) == "approved"
    for act, reason in (
        (CardAct.BLOCK, "card_blocked"),
        (CardAct.UNBLOCK, "approved"),
        (CardAct.LOST, "card_lost"),
        (CardAct.STOLEN, "card_stolen"),
    ):
        estate.act(3, act)
        assert await why(estate, 3) == reason
    assert estate.scalar("SELECT max(version) FROM hotlist") == 4
    await estate.broker.start()
    async with estate.listening(box):
        await until(lambda: box.hot_version == 4)
    await ended(publisher)
    assert box.refuses(number)
    assert not box.refuses("9410610000000019")


async def test_lists_follow_and_hold_no_card_number(estate: Estate) -> None:
    numbers = {wallet: estate.card_of(wallet) for wallet in (1, 2, 3)}
    early = Soundbox(BOXES[0], estate.hot_key())
    raw: list[bytes] = []

    async def listen() -> None:
        async with aiomqtt.Client("127.0.0.1", estate.broker.port, identifier="spy") as one:
            await one.subscribe("pos/v1/#", 1)
            async for message in one.messages:
                assert isinstance(message.payload, bytes)
                raw.append(message.payload)

    spy = asyncio.create_task(listen())
    async with estate.publishing(), estate.listening(early):
        await estate.pay(5)
        for wallet in (1, 2, 3):
            estate.act(wallet, CardAct.BLOCK)
        estate.act(1, CardAct.BLOCK)  # no change, no version
        await until(lambda: early.hot_version == 3)
        assert [early.refuses(numbers[wallet]) for wallet in (1, 2, 3)] == [True, True, True]
        estate.act(2, CardAct.UNBLOCK)
        assert take_off(estate.ground.engine, "test", "M3", 1) == 5
        await until(lambda: early.hot_version == 5)
        late = Soundbox(BOXES[1], estate.hot_key())
        stranger = Soundbox("SB000003", b"another key".ljust(32))
        async with estate.listening(late, stranger):
            await until(lambda: late.hot_version == 5)
            assert stranger.hot_version == 0, "a list under a key that it does not have is left alone"
        query = f"SELECT hotlist_version FROM terminal_state WHERE terminal_id = '{BOXES[0]}'"
        await until(lambda: estate.scalar(query) == 5)
    await ended(spy)
    assert early.hot == late.hot
    assert early.refuses(numbers[1])
    assert not early.refuses(numbers[2])
    assert not early.refuses(numbers[3])
    assert await why(estate, 3) == "card_blocked", "off the list is not unblocked"
    assert len(raw) > 10
    said = b"\n".join(raw)
    for number in numbers.values():
        assert number.encode() not in said
        assert number[:12].encode() not in said
        assert number[-9:].encode() not in said


async def test_a_long_list_comes_whole_in_parts_and_then_as_changes(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("hotlist", "notices_push"):
        monkeypatch.setattr(f"switch.service.{module}.HOTLIST_STEP", 10)
    monkeypatch.setattr("switch.service.hotlist.HOTLIST_PART", 3)
    monkeypatch.setattr("switch.service.notices_push.HOTLIST_EVERY_S", 0.01)
    numbers = {wallet: estate.card_of(wallet) for wallet in range(1, PEOPLE + 1)}
    there = Soundbox(BOXES[0], estate.hot_key())
    now_and_then = Soundbox(BOXES[1], estate.hot_key())
    async with estate.publishing(), estate.listening(there):
        for wallet in range(1, 8):
            estate.act(wallet, CardAct.BLOCK)
        async with estate.listening(now_and_then):
            await until(lambda: now_and_then.hot_version == 7)
        for wallet in range(8, PEOPLE + 1):
            estate.act(wallet, CardAct.BLOCK)
        for wallet in (2, 9, 15):
            estate.act(wallet, CardAct.UNBLOCK)
        await until(lambda: there.hot_version == 23)
        fresh = Soundbox("SB000009", estate.hot_key())
        async with estate.listening(now_and_then, fresh):
            await until(lambda: now_and_then.hot_version == 23)
            await until(lambda: fresh.hot_version == 23)
    for box in (there, now_and_then, fresh):
        refused = {wallet for wallet, number in numbers.items() if box.refuses(number)}
        assert refused == set(numbers) - {2, 9, 15}
