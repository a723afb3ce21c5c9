"""Bounds of a listener: whoever breaks one loses his connection, and nobody else notices."""

import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from switch.wire.framing import frame
from switch.wire.message import decode, encode
from terminal_sim.terminal import Terminal
from tests.integration.switch.house import WON, House
from tests.support.stage import Program, start_switch, wait_for
from tests.support.wire_client import ClosedByPeerError, Line

IDLE_S = 2
CONNECTIONS = 12
SWEEP_S = 1.5  # a sweep a second, and some time for the machine


@pytest.fixture(scope="module")
def narrow(house: House) -> Iterator[Program]:
    """A switch with tight bounds."""
    with house.other_switch(
        "narrow",
        "frame_max = 512",
        f"connections_max = {CONNECTIONS}",
        "in_flight_max = 16",
        f"idle_s = {IDLE_S}",
    ) as program:
        yield program


@pytest.fixture
def bystander(house: House, narrow: Program) -> Iterator[Line]:
    """Somebody else's connection, which must work before and after."""
    with house.line(narrow.port) as line:
        terminal = house.till(line)
        card = house.card()
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved
        stop = threading.Event()
        failed: list[str] = []

        def pay() -> None:
            while not stop.wait(0.1):
                reply = line.exchange(terminal, terminal.inquiry(house.now, card))
                if not reply.approved or reply.mac_ok is not True:
                    failed.append(reply.code)

        thread = threading.Thread(target=pay)
        thread.start()
        try:
            yield line
        finally:
            stop.set()
            thread.join()
        assert failed == []
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved


@pytest.mark.usefixtures("bystander")
def test_half_a_frame_and_silence_is_dropped_in_time(house: House, narrow: Program) -> None:
    with house.line(narrow.port) as line:
        line.raw(b"\x00\x90" + b"0200")
        assert line.wait_closed(IDLE_S + SWEEP_S) >= IDLE_S - 0.5


@pytest.mark.usefixtures("bystander")
def test_a_trickle_that_never_ends_a_frame_is_dropped_in_time(house: House, narrow: Program) -> None:
    with house.line(narrow.port) as line:
        line.raw(b"\x01\x00")
        started = time.monotonic()
        while time.monotonic() - started < IDLE_S * 3:
            try:
                line.raw(b"0")
                line.silent_for(0.2)
            except (ClosedByPeerError, ConnectionError):
                break
        assert time.monotonic() - started < IDLE_S + SWEEP_S + 0.5


def test_an_idle_connection_is_closed_in_time(house: House, narrow: Program) -> None:
    with house.line(narrow.port) as line:
        line.exchange(terminal := house.till(), terminal.echo(house.now))
        assert line.wait_closed(IDLE_S + SWEEP_S) >= IDLE_S - 0.5


@pytest.mark.usefixtures("bystander")
def test_a_slow_sender_is_served_byte_by_byte(house: House, narrow: Program) -> None:
    with house.line(narrow.port) as line:
        terminal = house.till(line)
        for byte in frame(terminal.purchase(house.now, house.card(), 1_000)):
            line.raw(bytes([byte]))
            time.sleep(0.002)
        assert terminal.receive(line.receive()).approved


@pytest.mark.usefixtures("bystander")
@pytest.mark.parametrize("head", [b"\x02\x01", b"\xff\xff", b"\x00\x00"], ids=["over", "most", "zero"])
def test_a_length_that_cannot_be_closes_at_once(house: House, narrow: Program, head: bytes) -> None:
    with house.line(narrow.port) as line:
        line.raw(head + b"0" * 20)
        assert line.wait_closed(1.0) < 1.0


@pytest.mark.usefixtures("bystander")
def test_messages_that_cannot_be_read_close_at_once(house: House, narrow: Program) -> None:
    terminal = house.till()
    good = terminal.echo(house.now)
    for payload in (
        good[:4] + b"Z" * 16 + good[20:],  # a bitmap that is none
        b"\x00" * 40,
        b"0200",
        b"x",
        encode(
            "0810", {7: "1118030000", 11: "000001", 39: "00", 41: "T0000000"}
        ),  # an answer, not a question
    ):
        with house.line(narrow.port) as line:
            line.send(payload)
            assert line.wait_closed(1.0) < 1.0


@pytest.mark.usefixtures("bystander")
def test_lengths_that_lie_are_30_where_the_beginning_can_be_read(house: House, narrow: Program) -> None:
    with house.line(narrow.port) as line:
        terminal = house.till()
        good = terminal.echo(house.now)
        assert line.exchange(terminal, good[:-3]).refused_field == 70
        assert line.exchange(terminal, good[:4] + b"F" * 16 + good[20:]).refused_field == 5


def test_an_unknown_mti_that_can_be_read_is_30(house: House, narrow: Program) -> None:
    with house.line(narrow.port) as line:
        terminal = house.till(line)
        fields = decode(terminal.purchase(house.now, house.card(), 1_000)).fields
        for mti in ("0302", "0600", "0700"):
            echo = {number: fields[number] for number in (7, 11, 12, 13, 41, 42)}
            answer = encode(mti[:2] + str(int(mti[2]) + 1) + "0", {**echo, 39: "30", 44: "000"})
            assert line.ask(encode(mti, fields)) == answer
        assert line.exchange(terminal, terminal.echo(house.now)).approved


@pytest.mark.usefixtures("bystander")
def test_one_connection_too_many_is_refused_and_the_others_go_on(house: House, narrow: Program) -> None:
    terminal = house.till()
    lines: list[Line] = []
    try:
        while True:
            line = house.line(narrow.port)
            try:
                assert line.exchange(terminal, terminal.echo(house.now)).approved
            except (ClosedByPeerError, ConnectionError):
                line.close()
                break
            lines.append(line)
            assert len(lines) < CONNECTIONS
        assert len(lines) == CONNECTIONS - 1  # and the bystander's
        assert all(line.exchange(terminal, terminal.echo(house.now)).approved for line in lines)
        lines.pop().close()

        def room() -> bool:
            with house.line(narrow.port) as line:
                try:
                    return line.exchange(terminal, terminal.echo(house.now)).approved
                except (ClosedByPeerError, ConnectionError):
                    return False

        wait_for(room, 3.0)
    finally:
        for line in lines:
            line.close()


@pytest.mark.usefixtures("bystander")
def test_two_thousand_pipelined_requests_are_all_answered(house: House, narrow: Program) -> None:
    count = 2_000
    with house.line(narrow.port) as line:
        terminal = house.till(line)
        cards = [house.card() for _ in range(4)]
        payloads = [terminal.inquiry(house.now, cards[n % 4]) for n in range(count)]
        sender = threading.Thread(target=line.raw, args=(b"".join(map(frame, payloads)),))
        sender.start()
        replies = [terminal.receive(line.receive()) for _ in range(count)]
        sender.join()
    assert {reply.code for reply in replies} == {"00"}
    assert all(reply.mac_ok for reply in replies)
    assert sorted(reply.fields[11] for reply in replies) == sorted(decode(p).fields[11] for p in payloads)


@pytest.mark.usefixtures("bystander")
def test_a_client_that_never_reads_is_dropped(house: House, narrow: Program) -> None:
    terminal = house.till()
    bad = encode("0100", {**decode(terminal.echo(house.now)).fields, 37: "RRN000000001"})
    piece = frame(bad) * 200
    line = Line(narrow.port, receive_buffer=4_096, timeout_s=8.0)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        _pour(line, piece)
    line.close()


def _pour(line: Line, piece: bytes) -> None:
    for _ in range((64 << 20) // len(piece)):
        line.raw(piece)


@pytest.mark.usefixtures("bystander")
def test_connections_that_vanish_in_the_middle_of_work_harm_nobody(house: House, narrow: Program) -> None:
    terminal, card = house.till(), house.card()
    with house.line(narrow.port) as line:
        house.ready(line, terminal)
    paid = []
    for _ in range(10):
        line = house.line(narrow.port)
        burst = [terminal.purchase(house.now, card, 100) for _ in range(10)]
        paid += burst
        line.raw(b"".join(map(frame, burst)))
        line.reset()
    with house.line(narrow.port) as line:
        repeated = [line.exchange(terminal, terminal.repeat_of(p)) for p in paid]
    assert all(reply.approved for reply in repeated)
    assert house.balance(card) == WON - 100 * len(paid)
    assert len(house.payments(terminal)) == len(paid)


def test_sigterm_answers_all_that_was_read_and_exits_0(house: House) -> None:
    burst = 150
    program = start_switch(house.configure("stopping", [("in_flight_max = 4096", "in_flight_max = 8")]))
    lines = [house.line(program.port) for _ in range(4)]
    idle = house.line(program.port)
    terminals: list[Terminal] = [house.till(line) for line in lines]
    card = house.card()
    for line, terminal in zip(lines, terminals, strict=True):
        line.raw(b"".join(frame(terminal.purchase(house.now, card, 10)) for _ in range(burst)))
    for line, terminal in zip(lines, terminals, strict=True):
        assert terminal.receive(line.receive()).approved  # the burst has been read, most of it waits
    program.process.send_signal(signal.SIGTERM)
    answered = []
    for line, terminal in zip(lines, terminals, strict=True):
        codes = ["00"]
        try:
            while True:
                codes.append(terminal.receive(line.receive()).code)
        except ClosedByPeerError:
            answered.append(codes)
    idle.wait_closed(2.0)
    assert program.process.wait(10) == 0
    assert [len(codes) for codes in answered] == [burst] * len(lines)
    assert {code for codes in answered for code in codes} == {"00"}
    assert house.balance(card) == WON - 10 * burst * len(lines)
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", program.port), 1):
        pass


def test_sigterm_at_once_after_the_start_exits_0(house: House) -> None:
    program = start_switch(house.configure("brief"))
    assert program.stop() == 0
