"""Two HSMs as processes: killed, frozen, back again. Whoever asks for MACs meanwhile gets them."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.tdes import odd_parity
from switch.hsm import pool
from switch.hsm.client import HsmClient
from switch.hsm.pool import SiteState
from switch.hsm.waiting import HsmUnavailable
from tests.integration.hsm_harness import HOST, HsmProcess, hsm_process, simulator, until

CLEAR = odd_parity(bytes(range(70, 86)))
TAK = TEST_LMK.encrypt("003", "U", CLEAR)
MAC = RetailMac(CLEAR).mac(b"payload").hex().upper()


@pytest.fixture(autouse=True)
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PROBE_EVERY_S", 0.1)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[HsmProcess, HsmProcess]]:
    with hsm_process(tmp_path) as first, hsm_process(tmp_path) as second:
        yield first, second


@contextlib.asynccontextmanager
async def two(first: int, second: int, timeout_s: float = 1.0) -> AsyncIterator[HsmClient]:
    client = HsmClient(HOST, first, standby=[(HOST, second)], timeout_s=timeout_s)
    await client.start()
    try:
        await until(lambda: all(site.state is SiteState.WELL for site in client.sites))
        yield client
    finally:
        await client.close()


class Load:
    """Callers in a closed loop, and what became of their calls."""

    def __init__(self, client: HsmClient, callers: int = 32) -> None:
        self.good = self.unavailable = 0
        self.slowest_s = 0.0
        self._client = client
        self._stop = asyncio.Event()
        self._callers = [asyncio.create_task(self._call()) for _ in range(callers)]

    async def _call(self) -> None:
        while not self._stop.is_set():
            start = time.monotonic()
            try:
                assert await self._client.generate_mac(TAK, b"payload") == MAC
                self.good += 1
            except HsmUnavailable:
                self.unavailable += 1
                await asyncio.sleep(0.005)
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)

    async def more(self, calls: int) -> None:
        """Waits for so many more good calls."""
        enough = self.good + calls
        await until(lambda: self.good > enough, 10)

    async def end(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._callers)


async def test_a_killed_hsm_costs_no_caller_anything_and_it_comes_back(
    pair: tuple[HsmProcess, HsmProcess], tmp_path: Path
) -> None:
    first, second = pair
    async with two(first.port, second.port) as client:
        load = Load(client)
        await load.more(200)
        port = first.port
        first.kill()
        await load.more(500)
        assert client.active is client.sites[1]
        assert client.sites[0].state is SiteState.DOWN
        assert load.unavailable == 0
        with hsm_process(tmp_path, port=port):
            await until(lambda: client.active is client.sites[0])
            await load.more(200)
            await load.end()
        assert client.counters.moved > 0
        assert [site.taken_over for site in client.sites] == [1, 1]
        assert (client.in_flight, load.unavailable) == (0, 0)


async def test_a_frozen_hsm_is_left_before_its_time_is_up_and_it_comes_back(
    pair: tuple[HsmProcess, HsmProcess],
) -> None:
    first, second = pair
    async with two(first.port, second.port, timeout_s=2.0) as client:
        load = Load(client)
        await load.more(200)
        first.send(signal.SIGSTOP)
        try:
            await until(lambda: client.active is client.sites[1])
            await load.more(500)
            assert client.sites[0].state is SiteState.SILENT
        finally:
            first.send(signal.SIGCONT)
        await until(lambda: client.active is client.sites[0])
        await load.more(200)
        await load.end()
        assert load.unavailable == 0
        assert load.slowest_s < 2.0
        await until(lambda: client.in_flight == 0)


async def test_both_gone_fails_at_once_and_either_one_is_enough_again(
    pair: tuple[HsmProcess, HsmProcess], tmp_path: Path
) -> None:
    first, second = pair
    async with two(first.port, second.port) as client:
        port = second.port
        for program in pair:
            program.kill()
        await until(lambda: not client.connected)
        start = time.monotonic()
        with pytest.raises(HsmUnavailable, match="no connection"):
            await client.generate_mac(TAK, b"payload")
        assert time.monotonic() - start < 0.5
        with hsm_process(tmp_path, port=port):
            await until(lambda: client.connected)
            assert await client.generate_mac(TAK, b"payload") == MAC
            assert client.active is client.sites[1]


async def test_an_hsm_with_another_lmk_never_takes_over(tmp_path: Path) -> None:
    lmk = tmp_path / "lmk.json"
    odd = [b for b in range(256) if b.bit_count() % 2][:20]
    lmk.write_text(json.dumps([f"{b:02X}" * 16 for b in odd]), "ascii")
    lmk.chmod(0o600)
    with hsm_process(tmp_path) as first, hsm_process(tmp_path, f'lmk_file = "{lmk}"') as other:
        client = HsmClient(HOST, first.port, standby=[(HOST, other.port)], timeout_s=0.5)
        await client.start()
        await until(lambda: client.sites[1].state is SiteState.OTHER_LMK)
        assert await client.generate_mac(TAK, b"payload") == MAC
        first.kill()
        await until(lambda: not client.sites[0].connected)
        with pytest.raises(HsmUnavailable):
            await client.generate_mac(TAK, b"payload")
        assert client.active is client.sites[0]
        await client.close()


async def test_a_process_that_stood_still_does_not_blame_the_hsm() -> None:
    async with simulator() as (_, port):
        pass
    async with simulator(port=port), two(port, port, timeout_s=0.4) as client:
        asked = [client.generate_mac(TAK, b"payload") for _ in range(10)]
        await asyncio.sleep(0)
        time.sleep(1.0)  # noqa: ASYNC251 the whole process stands still, as under a debugger or a full disk
        assert await asyncio.gather(*asked) == [MAC] * 10
        assert client.timeouts == 0
        assert client.active is client.sites[0]
