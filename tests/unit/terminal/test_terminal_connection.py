import asyncio
import time
from datetime import UTC, datetime

import pytest

from terminal_sim.connection import ConnectionLostError, ReplyTimeoutError, TerminalConnection
from terminal_sim.keys import tmk
from terminal_sim.load import LoadCard, LoadPlan, run_load, sign_on_all
from terminal_sim.reply import TerminalError
from terminal_sim.terminal import Reply, Terminal
from tests.unit.terminal.counter import Counter

NOW = datetime(2026, 11, 21, 3, 15, tzinfo=UTC)
PAN = "9410619058273149"


def estate(count: int) -> list[Terminal]:
    return [Terminal(f"T{n:07d}", f"M{n}", tmk(1, f"T{n:07d}"), journal_max=0) for n in range(count)]


def counter() -> Counter:
    return Counter(lambda terminal: tmk(1, terminal))


async def test_many_terminals_pipelined_over_one_connection() -> None:
    async with counter().serve() as port:
        connection = await TerminalConnection.open("127.0.0.1", port)
        terminals = estate(20)
        await sign_on_all([connection], terminals)
        jobs = [
            connection.exchange(t, t.purchase(NOW, PAN, 100 * n + 100))
            for n, t in enumerate(terminals)
            for _ in "ab"
        ]
        replies = await asyncio.gather(*jobs)
        assert all(reply.mac_ok for reply in replies)
        assert [reply.fields[4] for reply in replies[::2]] == [f"{100 * n + 100:012d}" for n in range(20)]
        await connection.close()
        assert connection.lost


async def test_no_reply_in_time() -> None:
    other_end = counter()
    async with other_end.serve() as port:
        connection = await TerminalConnection.open("127.0.0.1", port)
        (terminal,) = estate(1)
        await sign_on_all([connection], [terminal])
        other_end.mute.add("000003")
        payload = terminal.purchase(NOW, PAN, 1_000)
        with pytest.raises(ReplyTimeoutError):
            await connection.exchange(terminal, payload, 0.05)
        other_end.mute.clear()
        assert (await connection.exchange(terminal, terminal.repeat_of(payload))).approved
        await connection.close()


async def test_whoever_waits_hears_that_the_connection_is_gone() -> None:
    other_end = counter()
    other_end.mute.add("000001")
    async with other_end.serve() as port:
        connection = await TerminalConnection.open("127.0.0.1", port)
        (terminal,) = estate(1)
        waiting = asyncio.create_task(connection.exchange(terminal, terminal.echo(NOW)))
        await asyncio.sleep(0.02)
        connection.abort()
        with pytest.raises(ConnectionLostError):
            await waiting
        with pytest.raises(ConnectionLostError):
            await connection.exchange(terminal, terminal.echo(NOW))
        await connection.close()


async def test_a_malformed_payload_needs_the_key_of_its_reply() -> None:
    async with counter().serve() as port:
        connection = await TerminalConnection.open("127.0.0.1", port)
        with pytest.raises(ValueError, match="malformed"):
            await connection.exchange(estate(1)[0], b"nonsense")
        await connection.close()


async def test_a_stream_that_makes_no_sense_ends_the_connection() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff\xff")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    connection = await TerminalConnection.open("127.0.0.1", server.sockets[0].getsockname()[1])
    await connection.wait_lost(2)
    server.close()


async def test_nobody_there() -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(OSError, match=r"."):
        await TerminalConnection.open("127.0.0.1", port, timeout_s=1)


CARDS = [LoadCard(f"94106100{n:08d}", "1234") for n in range(10)]


async def test_closed_loop() -> None:
    other_end = counter()
    finished: list[int] = []
    async with other_end.serve() as port:
        plan = LoadPlan(
            host="127.0.0.1", port=port, in_flight=16, payments=500, pin_share_ppm=250_000, seed=3
        )
        report = await run_load(plan, estate(8), CARDS, progress=finished.append)
    assert (report.sent, report.answered, report.outcomes) == (500, 500, {"00": 500})
    assert report.mac_verified == 500
    payments = [m for m in other_end.seen if m.mti == "0200"]
    assert report.approved_won == sum(int(m.fields[4]) for m in payments)
    assert len({(m.fields[41], m.fields[11]) for m in payments}) == 500
    with_pin = sum(52 in m.fields for m in payments)
    assert 80 < with_pin < 180
    assert report.latency_us["p50"] <= report.latency_us["p99"] <= report.latency_us["max"]


async def test_the_same_seed_pays_the_same() -> None:
    seen = []
    for _ in range(2):
        other_end = counter()
        async with other_end.serve() as port:
            plan = LoadPlan(host="127.0.0.1", port=port, in_flight=1, payments=50, connections=1, seed=9)
            await run_load(plan, estate(3), CARDS)
        seen.append([(m.fields[2], m.fields[4], m.fields[41]) for m in other_end.seen if m.mti == "0200"])
    assert seen[0] == seen[1]


async def test_open_loop_keeps_its_rate_and_counts_from_when_payments_were_due() -> None:
    other_end = counter()
    async with other_end.serve() as port:
        plan = LoadPlan(host="127.0.0.1", port=port, rate_per_s=200, duration_s=1.0)
        # Nothing at all happens for 0.3 s: a third of the payments fall due meanwhile, and have waited.
        asyncio.get_running_loop().call_later(0.3, time.sleep, 0.3)
        report = await run_load(plan, estate(4), CARDS)
    assert 150 <= report.sent <= 201
    assert report.outcomes == {"00": report.sent}
    assert report.latency_us["max"] >= 250_000
    assert report.latency_us["p90"] >= 100_000


async def test_silence_is_counted_as_a_time_out() -> None:
    other_end = counter()
    async with other_end.serve() as port:
        # STANs 1 and 2 are sign-on and key exchange.
        other_end.mute.add("000004")
        plan = LoadPlan(host="127.0.0.1", port=port, in_flight=4, payments=40, timeout_s=0.1)
        outcomes: list[object] = []
        report = await run_load(
            plan, estate(4), CARDS, observe=lambda _t, _stan, _amount, outcome: outcomes.append(outcome)
        )
    assert report.outcomes == {"00": 36, "timeout": 4}
    assert report.answered == 36
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 36


async def test_wrong_macs_are_not_approvals() -> None:
    other_end = counter()
    other_end.spoil = True
    async with other_end.serve() as port:
        plan = LoadPlan(host="127.0.0.1", port=port, in_flight=2, payments=10)
        report = await run_load(plan, estate(2), CARDS)
    assert report.outcomes == {"bad MAC": 10}
    assert report.approved_won == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"in_flight": 1, "rate_per_s": 1, "payments": 1},
        {"in_flight": 1},
        {"in_flight": 0, "payments": 1},
        {"in_flight": 10**6, "payments": 1},
        {"in_flight": 1, "payments": 1, "amount_min": 0},
        {"in_flight": 1, "payments": 1, "pin_share_ppm": 1_000_001},
    ],
)
def test_plans_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"must|give|is"):
        LoadPlan(host="127.0.0.1", port=1, **wrong)  # type: ignore[arg-type]


def test_a_card_prints_as_nothing() -> None:
    assert CARDS[0].pan not in repr(CARDS)


async def test_a_sign_on_of_terminals_with_other_master_keys_is_one_clear_error() -> None:
    async with Counter(lambda _: tmk(2, "T0000009")).serve() as port:
        connection = await TerminalConnection.open("127.0.0.1", port)
        with pytest.raises(TerminalError, match="other master keys"):
            await sign_on_all([connection], estate(3))
        await connection.close()
