"""Attacks by lines: slow senders, half-open lines, silent readers, floods of lines and of messages."""

import socket
import struct
import threading
import time

from switch.wire.framing import frame
from tests.attack.fort import Fort
from tests.support.wire_client import Line

SLOW = 120
FLOOD_LINES = 600
FLOOD_MESSAGES = 3_000


def test_slow_senders(fort: Fort) -> None:
    """One byte at a time, so that a frame never ends: each is cut off after its time, wherever it stands."""
    with fort.under("slowloris", "each line is closed within the bound of a frame") as attack:
        terminal = fort.till()
        data = frame(terminal.echo(fort.now))
        lines = [socket.create_connection(("127.0.0.1", fort.switch.port), 5) for _ in range(SLOW)]
        started = time.monotonic()
        sent = 0
        closed: set[int] = set()
        while len(closed) < SLOW and time.monotonic() - started < 8:
            for number, line in enumerate(lines):
                if number in closed:
                    continue
                try:
                    line.sendall(data[sent % (len(data) - 1) : sent % (len(data) - 1) + 1])
                    attack.tried()
                except OSError:
                    closed.add(number)
            sent += 1
            time.sleep(0.15)
        for line in lines:
            line.close()
        attack.note = f"{len(closed)} of {SLOW} closed after {time.monotonic() - started:.1f} s"
        assert len(closed) == SLOW


def test_half_open_lines(fort: Fort) -> None:
    """Lines that say nothing are closed after the idle time; lines that are reset leave nothing behind."""
    with fort.under("half-open and silent lines", "closed after the idle time") as attack:
        silent = [Line(fort.switch.port) for _ in range(50)]
        for _ in range(150):
            attack.tried()
            Line(fort.switch.port).reset()
        for line in silent:
            attack.tried()
            assert line.wait_closed(10.0) < 8.0
            line.close()


def test_flood_of_lines(fort: Fort) -> None:
    """More lines than the listener takes: those above are refused at once, those standing go on."""
    with fort.under("flood of lines", "above the bound refused, standing lines served") as attack:
        lines: list[socket.socket] = []
        refused = 0
        for _ in range(FLOOD_LINES):
            attack.tried()
            line = socket.create_connection(("127.0.0.1", fort.switch.port), 5)
            lines.append(line)
        fort.witness(attack)
        attack.paid(10)
        for line in lines:
            line.setblocking(False)
            try:
                refused += line.recv(1) == b""
            except BlockingIOError:
                pass
            except OSError:
                refused += 1
            line.close()
        attack.note = f"{refused} refused"
        assert refused >= FLOOD_LINES - 400
        time.sleep(0.5)  # what was closed is counted out


def test_flood_of_messages_that_nobody_reads(fort: Fort) -> None:
    """A sender that never reads its answers is cut off before they fill the memory."""
    with fort.under("flood of messages, answers unread", "the line is cut at its bound") as attack:
        terminal = fort.till()
        data = frame(terminal.echo(fort.now)) * 50
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            line.settimeout(3)
            line.connect(("127.0.0.1", fort.switch.port))
            cut = False
            for _ in range(FLOOD_MESSAGES):
                try:
                    line.sendall(data)
                    attack.tried(50)
                except (TimeoutError, OSError):
                    cut = True
                    break
            assert cut
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_flood_of_messages_on_many_lines(fort: Fort) -> None:
    """The witness is still answered while others send as fast as they can."""
    stop = threading.Event()
    sent = [0] * 8

    def flood(number: int) -> None:
        terminal = fort.till()
        data = frame(terminal.echo(fort.now))
        with Line(fort.switch.port) as line:
            while not stop.is_set():
                line.raw(data * 16)
                for _ in range(16):
                    line.receive(10)
                sent[number] += 16

    with fort.under("flood of echoes", "honest payments go on, slower") as attack:
        threads = [threading.Thread(target=flood, args=(number,), daemon=True) for number in range(len(sent))]
        for thread in threads:
            thread.start()
        slowest = 0.0
        for _ in range(20):
            started = time.monotonic()
            fort.witness(attack)
            attack.paid(10)
            slowest = max(slowest, time.monotonic() - started)
        stop.set()
        for thread in threads:
            thread.join(15)
        attack.tried(sum(sent))
        attack.note = f"slowest honest payment {slowest * 1000:.0f} ms"
        assert slowest < 5.0
