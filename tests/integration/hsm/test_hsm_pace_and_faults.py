"""A simulator that is slow, capped or faulty on purpose, and clients that must live with it."""

import asyncio
import time
from collections import Counter

import pytest

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.tdes import odd_parity
from switch.hsm.client import HsmClient
from switch.hsm.commands import HsmRefused
from switch.hsm.framing import frame
from switch.hsm.waiting import HsmUnavailable
from tests.integration.hsm_harness import HOST, client, read_frame, simulator, until

CLEAR = odd_parity(bytes(range(70, 86)))
TAK = TEST_LMK.encrypt("003", "U", CLEAR)
MAC = RetailMac(CLEAR).mac(b"payload").hex().upper()


async def test_hundreds_of_connections_share_a_cap_and_each_gets_its_answers() -> None:
    done: list[float] = []
    connected: list[int] = []

    async def one(number: int, port: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        connected.append(number)
        await until(lambda: len(connected) == 300, 20)
        texts = [b"%d-%d" % (number, n) for n in range(10)]
        writer.write(b"".join(frame(b"%04XB2%04X%b" % (n, len(t), t)) for n, t in enumerate(texts)))
        for n, text in enumerate(texts):
            assert await read_frame(reader) == b"%04XB300%b" % (n, text)
        done.append(time.monotonic())
        writer.close()

    async with simulator(pace={"rate_max": 4_000, "burst": 10}) as (server, port):
        everyone = asyncio.gather(*(one(n, port) for n in range(300)))
        await until(lambda: len(connected) == 300, 20)
        start = time.monotonic()
        await everyone
        assert len(done) == 300
        # They take turns, so they end together; first come, first served would end one after the other.
        assert sorted(done)[10] - start > 0.5 * (max(done) - start)
        assert max(done) - start > (3_000 - 100) / 4_000
        await until(lambda: not server.connections)


@pytest.mark.parametrize("over", ["wait", "refuse"])
async def test_a_flood_waits_behind_itself(over: str) -> None:
    async with simulator(pace={"rate_max": 400, "queue_max": 4_096, "over": over}) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"".join(frame(b"%04XB20000" % (n & 0xFFFF)) for n in range(4_000)))
        await read_frame(reader)
        async with client(port) as hsm:
            start = time.monotonic()
            for n in range(10):
                assert await hsm.echo(b"%d" % n) == b"%d" % n
            assert time.monotonic() - start < 1.0
        writer.close()


async def test_a_cap_is_kept() -> None:
    async with simulator(pace={"rate_max": 200, "burst": 10}) as (_, port), client(port) as hsm:
        start = time.monotonic()
        await asyncio.gather(*(hsm.echo(b"x") for _ in range(110)))
        assert 0.45 < time.monotonic() - start < 1.5


async def test_over_the_cap_the_licence_says_no_at_once() -> None:
    limits = {"rate_max": 10, "burst": 5, "queue_max": 0, "over": "refuse"}
    async with simulator(pace=limits) as (_, port), client(port) as hsm:
        start = time.monotonic()
        answers = await asyncio.gather(*(hsm.echo(b"x") for _ in range(50)), return_exceptions=True)
        assert time.monotonic() - start < 0.5
        good = [a for a in answers if a == b"x"]
        refused = [a for a in answers if isinstance(a, HsmRefused)]
        assert 5 <= len(good) <= 8
        assert {a.code for a in refused} == {"67"}
        assert len(good) + len(refused) == 50
        await asyncio.sleep(0.15)
        assert await hsm.echo(b"again") == b"again"


async def test_latency_holds_every_reply_back_and_none_behind_another() -> None:
    async with simulator(pace={"latency_ms": 80, "jitter_ms": 20}) as (_, port), client(port) as hsm:
        start = time.monotonic()
        echoes = await asyncio.gather(*(hsm.echo(b"%d" % n) for n in range(60)))
        assert 0.08 <= time.monotonic() - start < 0.4
        assert echoes == [b"%d" % n for n in range(60)]


async def test_stop_gives_what_is_held_back() -> None:
    pace = {"latency_ms": 5_000, "rate_max": 20, "burst": 1}
    async with simulator(pace=pace) as (server, port), client(port) as hsm:
        asked = [hsm.echo(b"%d" % n) for n in range(30)]
        await until(lambda: sum(c.busy for c in server.connections) == 1)
        await server.stop()
        answered = await asyncio.gather(*asked, return_exceptions=True)
        assert answered[:15] == [b"%d" % n for n in range(15)]  # as many as the client had sent


async def test_each_fault_is_what_it_says() -> None:
    async def unavailable(**faults: object) -> str:
        async with simulator(faults=faults) as (_, port), client(port, timeout_s=0.3) as hsm:
            with pytest.raises(HsmUnavailable) as caught:
                await hsm.echo(b"x")
            return str(caught.value)

    assert "did not answer within" in await unavailable(no_answer=1)
    assert "did not answer within" in await unavailable(late=1, late_ms=800)
    assert "is not one" in await unavailable(garbage=1, seed=4)
    assert "was lost" in await unavailable(cut=1)
    assert "was lost" in await unavailable(half_frame=1)
    async with simulator(faults={"error": 1, "error_code": "13"}) as (_, port), client(port) as hsm:
        with pytest.raises(HsmRefused) as caught:
            await hsm.echo(b"x")
        assert caught.value.code == "13"


async def test_half_a_frame_is_half_a_frame() -> None:
    async with simulator(faults={"half_frame": 1}) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(frame(b"0001B20008abcdefgh"))
        assert await reader.read() == frame(b"0001B300abcdefgh")[:9]
        writer.close()


async def test_under_all_faults_at_once_no_answer_is_wrong_and_no_call_stays_open() -> None:
    faults = dict.fromkeys(("no_answer", "late", "error", "garbage"), 0.02)
    faults |= {"cut": 0.001, "half_frame": 0.001, "late_ms": 400.0, "seed": 5}
    outcomes: Counter[str] = Counter()

    async def caller(hsm: HsmClient) -> None:
        for _ in range(60):
            try:
                mac = await asyncio.wait_for(hsm.generate_mac(TAK, b"payload"), 3)
                outcomes["good" if mac == MAC else "wrong"] += 1
            except HsmRefused:
                outcomes["refused"] += 1
            except HsmUnavailable:
                outcomes["unavailable"] += 1
                await asyncio.sleep(0.02)

    async with (
        simulator(faults=faults) as (_, port),
        client(port, timeout_s=0.3, connections=4) as hsm,
    ):
        await asyncio.gather(*(caller(hsm) for _ in range(40)))
        assert hsm.in_flight == 0
    assert outcomes["wrong"] == 0
    assert outcomes["good"] > 1_000
    assert outcomes["refused"] > 10
    assert outcomes["unavailable"] > 10


async def test_an_hsm_at_its_limit_goes_on_answering_as_much_as_it_can() -> None:
    """Four times as many callers as it can serve: the others fail in time, and its work is not lost."""
    good: list[float] = []
    slowest_s = 0.0
    stop = asyncio.Event()

    async def caller(hsm: HsmClient) -> None:
        nonlocal slowest_s
        while not stop.is_set():
            start = time.monotonic()
            try:
                await hsm.generate_mac(TAK, b"payload")
                good.append(time.monotonic())
            except HsmUnavailable:
                pass
            slowest_s = max(slowest_s, time.monotonic() - start)

    async with (
        simulator(pace={"rate_max": 100}) as (_, port),
        client(port, timeout_s=0.5, in_flight_max=400) as hsm,
    ):
        callers = [asyncio.create_task(caller(hsm)) for _ in range(200)]
        await asyncio.sleep(1.0)
        settled = len(good)
        await asyncio.sleep(2.0)
        stop.set()
        rate = (len(good) - settled) / 2.0
        await asyncio.gather(*callers)
    assert rate > 70
    assert slowest_s < 0.8


async def test_a_frame_that_never_ends_is_not_waited_for() -> None:
    async with simulator(frame_timeout_s=0.2) as (server, port), client(port) as hsm:
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"\x10\x00" + bytes(10))
        start = time.monotonic()
        async with asyncio.timeout(2):
            while len(server.connections) > 1:
                if not writer.is_closing():
                    writer.write(b"x")  # a byte now and then does not help it
                await asyncio.sleep(0.02)
        assert time.monotonic() - start < 1
        assert await hsm.echo(b"fine") == b"fine"
        writer.close()


async def test_one_that_never_reads_holds_little_and_harms_nobody() -> None:
    limits = {"unread_bytes_max": 4_096, "pace": {"latency_ms": 1, "queue_max": 64}}
    async with simulator(**limits) as (server, port), client(port) as hsm:
        _, writer = await asyncio.open_connection(HOST, port)
        request = frame(b"0001B2%04X" % 30_000 + bytes(30_000))
        sent = 0
        try:
            async with asyncio.timeout(0.5):
                while True:
                    writer.write(request)
                    await writer.drain()
                    sent += 1
        except TimeoutError:
            pass
        assert sent < 2_000
        assert max(len(connection._backlog) for connection in server.connections) < 100
        assert await hsm.echo(b"fine") == b"fine"
        writer.transport.abort()
        await until(lambda: len(server.connections) == 1)
