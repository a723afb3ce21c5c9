"""Attacks by bytes: bitmaps and lengths that lie, oversize, mutations of good messages in both dialects."""

import random
import socket

import pytest

from switch.wire.dialect import CODECS
from switch.wire.framing import frame
from switch.wire.message import decode
from tests.attack.fort import Fort, code_of
from tests.integration.switch.messages import payment
from tests.support.wire_client import ClosedByPeerError, Line

MUTATIONS = 1_500
SEED = 20_261_118
TPDU = bytes.fromhex("6000010002")


def shoot(port: int, data: bytes, answers: int = 1) -> list[bytes]:
    """Send bytes over a line of their own; what comes back before the switch closes or falls silent."""
    found: list[bytes] = []
    with Line(port, timeout_s=2.0) as line:
        try:
            line.raw(data)
            line.finish()
            while len(found) < answers:
                found.append(line.receive(2.0))
        except (ClosedByPeerError, TimeoutError, OSError):
            pass
    return found


def test_lying_bitmaps(fort: Fort) -> None:
    with fort.under("bitmaps that lie", "30 or a closed line; nothing booked") as attack:
        good = payment(fort.till(), fort.now, "0200", fort.card(), 1_000)
        for bit in range(64):
            bitmap = int(good[4:20], 16) ^ (1 << bit)
            mangled = good[:4] + f"{bitmap:016X}".encode() + good[20:]
            attack.tried()
            for answer in shoot(fort.switch.port, frame(mangled)):
                assert code_of(answer) in ("30", "58", "63")


@pytest.mark.parametrize("dialect", ["ascii", "bcd"])
def test_mutations_of_good_messages(fort: Fort, dialect: str) -> None:
    """The MAC stands in the way of what is still legible: nothing may be booked."""
    chance = random.Random(SEED)
    codec = CODECS[dialect]
    port = fort.switch.port if dialect == "ascii" else fort.bcd_port
    head = TPDU if dialect == "bcd" else b""
    with fort.line() as line:
        terminal = fort.till(line)
    fields = decode(payment(terminal, fort.now, "0200", fort.card(), 1_000)).fields
    good = head + codec.with_mac(codec.encode_for_mac("0200", fields), "0123456789ABCDEF")
    with fort.under(f"mutated messages, {dialect}", "an answer that refuses, or a closed line") as attack:
        for _ in range(MUTATIONS):
            mangled = bytearray(good)
            for _ in range(chance.randint(1, 4)):
                place = chance.randrange(len(mangled))
                match chance.randrange(3):
                    case 0:
                        mangled[place] ^= 1 << chance.randrange(8)
                    case 1:
                        del mangled[place]
                    case _:
                        mangled.insert(place, chance.randrange(256))
            attack.tried()
            with socket.create_connection(("127.0.0.1", port), 5) as line:
                line.settimeout(3)
                line.sendall(len(mangled).to_bytes(2, "big") + bytes(mangled))
                line.shutdown(socket.SHUT_WR)
                try:
                    answer = line.recv(4_096)
                except OSError:
                    continue
                if answer:
                    body = answer[2 + len(head) :]
                    assert code_of(body, dialect) not in ("00", "10")


def test_lengths_that_lie_and_oversize(fort: Fort) -> None:
    with fort.under("frame lengths, oversize", "that line is closed, its neighbour is not") as attack:
        for length in (0, 1, 19, 2_049, 30_000, 65_535):
            for body in (b"", b"x" * 10, b"0200" + b"F" * 60_000):
                attack.tried()
                for answer in shoot(fort.switch.port, length.to_bytes(2, "big") + body):
                    assert code_of(answer) == "30"


def test_a_stream_of_noise(fort: Fort) -> None:
    chance = random.Random(SEED)
    with fort.under("noise", "closed lines") as attack:
        for _ in range(200):
            attack.tried()
            shoot(fort.switch.port, chance.randbytes(chance.randint(1, 3_000)))
