"""The client against a real simulator over TCP, and against peers that are slow, silent, gone or wrong."""

import asyncio
import contextlib
import time

import pytest
import uvloop

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.pinblock import encode_format0
from hsm_sim.crypto.tdes import Tdes, odd_parity
from switch.hsm.client import HsmClient
from switch.hsm.commands import HsmRefused, PinResult
from switch.hsm.framing import frame
from switch.hsm.link import HsmUnavailable
from tests.integration.hsm_harness import client, peer, read_frame, simulator, until

CLEAR = odd_parity(bytes(range(70, 86)))
TAK = TEST_LMK.encrypt("003", "U", CLEAR)


async def test_every_command() -> None:
    async with simulator() as (_, port), client(port) as hsm:
        assert (await hsm.diagnostics()).lmk_check_value == TEST_LMK.check_value
        assert await hsm.echo(b"\x00\xffbytes") == b"\x00\xffbytes"
        tmk = TEST_LMK.encrypt("002", "U", CLEAR)
        tpk = await hsm.generate_key("002", under_tmk=tmk)
        assert tpk.exported is not None
        assert tpk.exported.startswith("X")
        assert await hsm.check_value("002", tpk.lmk) == tpk.kcv
        clear_tpk = Tdes(CLEAR).decrypt(bytes.fromhex(tpk.exported[1:]))
        pvk = (await hsm.generate_key("002")).lmk
        block = Tdes(clear_tpk).encrypt(encode_format0("1234", "061000001234")).hex().upper()
        pvvs = [hsm.verify_pin(tpk.lmk, pvk, block, "061000001234", "1", f"{n:04d}") for n in range(4000)]
        results = await asyncio.gather(*pvvs)
        assert set(results) <= {PinResult.OK, PinResult.WRONG}
        assert results.count(PinResult.OK) <= 1
        bad = await hsm.verify_pin(tpk.lmk, pvk, "0" * 16, "061000001234", "1", "1234")
        assert bad is PinResult.BAD_BLOCK_OR_KEY
        mac = await hsm.generate_mac(TAK, b"payload")
        assert mac == RetailMac(CLEAR).mac(b"payload").hex().upper()
        assert await hsm.verify_mac(TAK, b"payload", mac) is True
        assert await hsm.verify_mac(TAK, b"payloae", mac) is False
        zmk = (await hsm.generate_key("000")).lmk
        exported = await hsm.export_key("003", TAK, under=zmk)
        assert (await hsm.import_key("003", exported.key, zmk=zmk)).key == TAK
        assert (
            await hsm.export_key("003", TAK, under=tmk, under_tmk=True)
        ).check_value == exported.check_value
        assert (await hsm.generate_key("001", under_zmk=zmk)).exported is not None
        cvk = (await hsm.generate_key("402")).lmk
        cvv = await hsm.generate_cvv(cvk, "4123456789012345", "8701", "101")
        assert await hsm.verify_cvv(cvk, cvv, "4123456789012345", "8701", "101") is True
        assert await hsm.verify_cvv(cvk, cvv, "4123456789012345", "8702", "101") is False


async def test_a_pin_key_makes_no_mac() -> None:
    async with simulator() as (_, port), client(port) as hsm:
        with pytest.raises(HsmRefused) as caught:
            await hsm.generate_mac(TEST_LMK.encrypt("002", "U", CLEAR), b"x")
        assert caught.value.code == "10"
        with pytest.raises(HsmRefused) as caught:
            await hsm.verify_pin(TAK, TAK, "0" * 16, "061000001234", "1", "1234")
        assert caught.value.code == "10"
        assert hsm.failed == 2


async def test_hundreds_of_clients_each_get_their_own_answers() -> None:
    async def one(number: int, port: int) -> None:
        async with client(port, timeout_s=10) as hsm:
            echoes = [hsm.echo(b"%d-%d" % (number, n)) for n in range(20)]
            assert await asyncio.gather(*echoes) == [b"%d-%d" % (number, n) for n in range(20)]

    async with simulator() as (server, port):
        await asyncio.gather(*(one(n, port) for n in range(300)))
        await until(lambda: not server.connections)


async def test_several_connections_share_the_work() -> None:
    async with simulator() as (server, port), client(port, connections=3) as hsm:
        await until(lambda: len(server.connections) == 3)
        assert await asyncio.gather(*(hsm.echo(b"%d" % n) for n in range(300))) == [
            b"%d" % n for n in range(300)
        ]


async def test_starts_without_an_hsm_and_finds_it_later() -> None:
    async with simulator() as (_, port):
        pass
    async with client(port, ready=False) as hsm:
        with pytest.raises(HsmUnavailable, match="no connection"):
            await hsm.diagnostics()
        with pytest.raises(HsmUnavailable, match="could not be reached"):
            await hsm.wait_ready(0.05)
        async with simulator(port=port):
            await hsm.wait_ready(5)
            assert await hsm.echo(b"here") == b"here"


async def test_a_restart_under_load_fails_some_and_recovers_by_itself() -> None:
    outcomes = {"good": 0, "unavailable": 0}
    stop = asyncio.Event()

    async def load(hsm: HsmClient) -> None:
        while not stop.is_set():
            try:
                assert await hsm.verify_mac(TAK, b"x", RetailMac(CLEAR).mac(b"x").hex())
                outcomes["good"] += 1
            except HsmUnavailable:
                outcomes["unavailable"] += 1
                await asyncio.sleep(0.002)

    async with simulator() as (first, port), client(port) as hsm:
        workers = [asyncio.create_task(load(hsm)) for _ in range(64)]
        await until(lambda: outcomes["good"] > 500)
        await first.stop()
        await until(lambda: outcomes["unavailable"] > 0)
        async with simulator(port=port):
            before = outcomes["good"]
            await until(lambda: outcomes["good"] > before + 500)
            stop.set()
            await asyncio.gather(*workers)
        assert hsm.in_flight == 0
        assert hsm.counters.reconnects == 1


async def test_time_out_and_the_late_reply_is_dropped() -> None:
    release = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            first = await read_frame(reader)
            await release.wait()
            writer.write(frame(first[:4] + b"B300late"))
            while True:
                request = await read_frame(reader)
                writer.write(frame(request[:4] + b"B300" + request[10:]))

    async with peer(late) as port, client(port, timeout_s=0.2) as hsm:
        start = time.monotonic()
        with pytest.raises(HsmUnavailable, match=r"within 0\.2 s"):
            await hsm.echo(b"first")
        assert time.monotonic() - start < 1
        assert (hsm.timeouts, hsm.failed, hsm.in_flight) == (1, 1, 0)
        # Even when the headers come round: one that is still owed a reply is not used again.
        hsm._links[0]._next_header = 0
        release.set()
        assert await hsm.echo(b"second") == b"second"
        assert hsm.counters.late == 1


async def test_a_silent_hsm_is_reconnected() -> None:
    connections = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    async with peer(silent) as port, client(port, timeout_s=0.1) as hsm:
        while connections < 2:
            with pytest.raises(HsmUnavailable):
                await hsm.diagnostics()
            await asyncio.sleep(0.01)
        assert hsm.in_flight == 0


async def test_too_much_in_flight_fails_at_once() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with peer(silent) as port, client(port, in_flight_max=10, timeout_s=5) as hsm:
        waiting = [hsm.echo(b"x") for _ in range(10)]
        start = time.monotonic()
        with pytest.raises(HsmUnavailable, match="10 commands are in flight"):
            await hsm.echo(b"one too many")
        assert time.monotonic() - start < 0.5
        await hsm.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(r, HsmUnavailable) for r in results)
        assert hsm.in_flight == 0


async def test_a_caller_that_gives_up_harms_nobody() -> None:
    async with simulator() as (_, port), client(port) as hsm:
        gone = hsm.echo(b"gone")
        gone.cancel()
        assert await hsm.echo(b"here") == b"here"
        assert hsm.in_flight == 0


@pytest.mark.parametrize(
    "reply", [b"\x00\x00", b"\x00\x09HEADXX00x", b"\xff\xff", b"\x00\x05HEADx", b"\x00\x04HEAD"]
)
async def test_a_peer_that_talks_nonsense(reply: bytes) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = (await read_frame(reader))[:4]
                writer.write(reply.replace(b"HEAD", header))

    async with peer(nonsense) as port, client(port, timeout_s=0.2) as hsm:
        with pytest.raises(HsmUnavailable):
            await hsm.diagnostics()
        assert hsm.in_flight == 0


def test_works_on_the_loop_of_production() -> None:
    async def talk() -> None:
        async with simulator() as (_, port), client(port) as hsm:
            echoes = await asyncio.gather(*(hsm.echo(b"%d" % n) for n in range(500)))
            assert echoes == [b"%d" % n for n in range(500)]

    uvloop.run(talk())


def test_limits_of_the_client_are_checked() -> None:
    async def make(**arguments: float) -> None:
        HsmClient("127.0.0.1", 1, **arguments)  # type: ignore[arg-type]

    for bad in ({"in_flight_max": 0}, {"connections": 0}, {"timeout_s": 0}, {"in_flight_max": 65_536}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            asyncio.run(make(**bad))
