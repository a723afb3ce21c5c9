"""The simulator among good and bad clients, and as the process an operator starts."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.handlers import answer
from hsm_sim.keys import Keys
from switch.hsm.framing import FrameSplitter, frame
from tests.integration.hsm_harness import HOST, client, read_frame, simulator, until

WIDE = {**os.environ, "COLUMNS": "200"}  # help is wrapped to the terminal
PROGRAM = [sys.executable, "-c", "from hsm_sim.cli import main; main()"]


async def test_garbage_beside_good_clients() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 shown when the test fails
    noise = random.Random(seed)

    async def vandal(port: int) -> None:
        _, writer = await asyncio.open_connection(HOST, port)
        try:
            kind = noise.randrange(4)
            data = noise.randbytes(noise.randrange(1, 400))
            if kind == 0:  # frames that are right, bodies that are not
                data = b"".join(
                    frame(b"0001" + noise.choice([b"M8", b"DC", b"A0", b"ZZ"]) + data) for _ in range(5)
                )
            elif kind == 1:  # half a frame, then gone
                data = b"\x01\x00" + data[:100]
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with simulator() as (server, port), client(port) as hsm:
        for _ in range(20):
            vandals = [asyncio.create_task(vandal(port)) for _ in range(20)]
            echoes = await asyncio.gather(*(hsm.echo(b"%d" % n) for n in range(100)))
            assert echoes == [b"%d" % n for n in range(100)]
            await asyncio.gather(*vandals)
        await until(lambda: len(server.connections) == 1)
        assert hsm.counters.reconnects == 0


async def test_unknown_and_cut_commands_are_answered_and_the_connection_lives() -> None:
    async with simulator() as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(frame(b"0001QQ") + frame(b"0002N") + frame(b"0003") + frame(b"0004NC"))
        assert [await read_frame(reader) for _ in range(3)] == [b"0001QR68", b"0002ZZ15", b"0003ZZ15"]
        assert (await read_frame(reader))[:8] == b"0004ND00"
        writer.close()


async def test_a_longer_header_comes_back_whole() -> None:
    async with simulator(header_bytes=8) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(frame(b"\x00\xff345678NC"))
        assert (await read_frame(reader))[:12] == b"\x00\xff345678ND00"
        writer.close()


@pytest.mark.parametrize("data", [b"\x00\x00", b"\x00\x03abc", b"\xff\xffabc"])
async def test_a_length_that_lies_closes_that_connection(data: bytes) -> None:
    async with simulator() as (_, port), client(port) as hsm:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(data)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        assert await hsm.echo(b"fine") == b"fine"


async def test_one_connection_too_many_is_closed() -> None:
    async with simulator(connections_max=2) as (server, port), client(port), client(port) as hsm:
        await until(lambda: len(server.connections) == 2)
        reader, writer = await asyncio.open_connection(HOST, port)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        writer.close()
        assert await hsm.echo(b"fine") == b"fine"


async def test_idle_connections_are_closed_and_busy_ones_are_not() -> None:
    async with simulator(idle_timeout_s=0.2) as (server, port), client(port) as busy:
        _, writer = await asyncio.open_connection(HOST, port)
        await until(lambda: len(server.connections) == 2)
        for _ in range(12):
            assert await busy.echo(b"x") == b"x"
            await asyncio.sleep(0.05)
        assert len(server.connections) == 1
        assert busy.counters.reconnects == 0
        writer.close()


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    async with simulator(unread_bytes_max=4_096) as (server, port), client(port) as hsm:
        reader, writer = await asyncio.open_connection(HOST, port)
        request = frame(b"0001B2%04X" % 30_000 + bytes(30_000))
        sent = 0
        try:
            async with asyncio.timeout(0.5):
                while sent < 20_000:
                    writer.write(request)
                    await writer.drain()
                    sent += 1
        except TimeoutError:
            pass
        assert sent < 20_000
        assert max(len(connection._backlog) for connection in server.connections) < 50
        assert await hsm.echo(b"fine") == b"fine"
        # Once it reads, everything it sent is answered.
        await asyncio.wait_for(_read_all(reader, sent), 10)
        writer.close()
        await until(lambda: len(server.connections) == 1)


async def _read_all(reader: asyncio.StreamReader, count: int) -> None:
    for _ in range(count):
        assert len(await read_frame(reader)) == 30_008


async def test_a_flood_is_answered_in_order_and_in_turns() -> None:
    async with simulator(commands_per_turn=8) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"".join(frame(b"%04XB20000" % n) for n in range(2_000)))
        assert [(await read_frame(reader))[:4] for _ in range(2_000)] == [b"%04X" % n for n in range(2_000)]
        writer.close()


async def test_a_flood_does_not_hold_up_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[bytes] = []

    def noting(keys: Keys, message: bytes, header_bytes: int) -> bytes:
        order.append(message[:1])
        return answer(keys, message, header_bytes)

    monkeypatch.setattr("hsm_sim.server.answer", noting)
    async with simulator(commands_per_turn=8) as (_, port):
        flood, other = [await asyncio.open_connection(HOST, port) for _ in range(2)]
        flood[1].write(frame(b"F000B20000") * 2_000)
        other[1].write(frame(b"O000B20000"))
        for _ in range(2_000):
            await read_frame(flood[0])
        await read_frame(other[0])
        for _, writer in (flood, other):
            writer.close()
    assert order.index(b"O") < 100


async def test_stop_answers_what_has_arrived() -> None:
    async with simulator(commands_per_turn=1) as (server, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"".join(frame(b"%04XB20000" % n) for n in range(500)))
        assert (await read_frame(reader))[:4] == b"0000"
        await server.stop()
        replies = FrameSplitter().feed(await reader.read())
        assert [r[:4] for r in replies] == [b"%04X" % n for n in range(1, 500)]
        writer.close()


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=30, check=False, env=WIDE
    )


async def test_the_program_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    config = tmp_path / "hsm.toml"
    config.write_text('host = "127.0.0.1"\nport = 0\n', "utf-8")
    process = start("serve", "--config", str(config))
    try:
        assert process.stdout is not None
        line = json.loads(await asyncio.to_thread(process.stdout.readline))
        assert line["event"] == f"listening on 127.0.0.1:{line['port']}"
        async with client(line["port"]) as hsm:
            key = await hsm.generate_key("003")
            assert await hsm.verify_mac(key.lmk, b"x", await hsm.generate_mac(key.lmk, b"x"))
            process.send_signal(signal.SIGTERM)
            _, errors = await asyncio.to_thread(process.communicate, timeout=10)
        assert process.returncode == 0
        assert key.lmk not in errors
        assert all(json.loads(entry) for entry in errors.splitlines())
    finally:
        process.kill()
        process.wait()


def test_bad_configuration_ends_with_78(tmp_path: Path) -> None:
    config = tmp_path / "hsm.toml"
    config.write_text("prot = 1500\n", "utf-8")
    for command in ("serve", "check-config"):
        result = run(command, "--config", str(config))
        assert result.returncode == 78
        assert "prot: unknown key: remove it, or use one of host, port" in result.stderr
    assert run("check-config", "--config", str(tmp_path / "none.toml")).returncode == 78


def test_an_own_lmk_is_read_from_a_closed_file_only(tmp_path: Path) -> None:
    lmk = tmp_path / "lmk.json"
    lmk.write_text(json.dumps([f"{2 * n + 0x20:02X}" * 16 for n in range(20)]), "ascii")
    config = tmp_path / "hsm.toml"
    config.write_text(f'lmk_file = "{lmk}"\n', "utf-8")
    os.chmod(lmk, 0o644)
    assert "chmod 600" in run("check-config", "--config", str(config)).stderr
    os.chmod(lmk, 0o600)
    assert "odd parity" in run("check-config", "--config", str(config)).stderr
    odd = [b for b in range(256) if b.bit_count() % 2][:20]
    lmk.write_text(json.dumps([f"{b:02X}" * 16 for b in odd]), "ascii")
    shown = json.loads(run("check-config", "--config", str(config)).stdout)
    assert shown["lmk_check_value"] != TEST_LMK.check_value


async def test_a_taken_port_ends_with_75() -> None:
    async with simulator() as (_, port):
        result = await asyncio.to_thread(run, "serve", "--host", HOST, "--port", str(port))
    assert result.returncode == 75
    assert f"cannot listen on {HOST}:{port}" in result.stderr


def test_help_teaches() -> None:
    result = run("--help")
    assert result.returncode == 0
    for word in ("serve", "check-config", "never for live keys"):
        assert word in result.stdout
