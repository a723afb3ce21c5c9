"""Any bytes at the simulator's door: answered or cut off, and the client beside it notices nothing."""

import asyncio
import contextlib
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.hsm.client import HsmClient
from switch.hsm.framing import FrameSplitter, frame
from tests.fuzz import hsm as target
from tests.integration.hsm_harness import HOST, simulator

REQUESTS = target.requests()

mutated = st.builds(
    lambda request, at, cut, patch: request[: at % (len(request) + 1)] + patch + request[at % 97 + cut :],
    st.sampled_from(REQUESTS),
    st.integers(0, 400),
    st.integers(0, 8),
    st.binary(max_size=12),
)
messages = st.one_of(st.binary(max_size=80), mutated, st.sampled_from(REQUESTS))
streams = st.one_of(
    st.binary(max_size=300),
    st.lists(messages, min_size=1, max_size=6).map(lambda ms: b"".join(frame(b"0001" + m) for m in ms)),
)


class Door:
    """A simulator, and a good client that was there before the bad ones."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.runner.run(self._open())

    async def _open(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self.server, self.port = await self._stack.enter_async_context(simulator(frame_bytes_max=2_048))
        self.good = HsmClient(HOST, self.port, timeout_s=5)
        await self.good.start()
        await self.good.wait_ready(5)

    def close(self) -> None:
        async def closing() -> None:
            await self.good.close()
            await self._stack.aclose()

        self.runner.run(closing())
        self.runner.close()

    async def visit(self, stream: bytes, cuts: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        with contextlib.suppress(OSError):
            for at in range(0, len(stream), cuts):
                writer.write(stream[at : at + cuts])
                await asyncio.sleep(0)
            writer.write_eof()
            replies = FrameSplitter().feed(await asyncio.wait_for(reader.read(), 5))
            assert len(replies) <= stream.count(b"\x00") + len(stream) // 6
            assert all(reply[6:8] != target.INTERNAL for reply in replies if len(reply) >= 8)
        writer.close()
        assert await self.good.echo(b"still here") == b"still here"


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    opened = Door()
    yield opened
    opened.close()


@settings(print_blob=True, max_examples=150, deadline=None)
@given(stream=streams, cuts=st.integers(1, 400))
def test_any_bytes_are_answered_or_cut_off(door: Door, stream: bytes, cuts: int) -> None:
    door.runner.run(door.visit(stream, cuts))
    assert door.good.counters.reconnects == 0


@settings(print_blob=True, max_examples=400, deadline=None)
@given(st.builds(lambda how, stream: bytes([how]) + stream, st.integers(0, 255), streams))
def test_the_fuzz_target_holds(data: bytes) -> None:
    target.fuzz_one(data)


def test_the_seeds_are_good_and_each_byte_of_them_may_break() -> None:
    dice = random.Random(20_261_118)
    for seed in target.seeds():
        target.fuzz_one(seed)
        for _ in range(20):
            broken = bytearray(seed)
            broken[dice.randrange(3, len(seed))] = dice.randrange(256)
            target.fuzz_one(bytes(broken))
