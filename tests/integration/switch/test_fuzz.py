"""Some thousand broken messages from a seed: each is answered or closes its connection, nothing is booked."""

import random

import pytest

from switch.wire.message import MessageError, decode
from terminal_sim.terminal import Terminal, TerminalError
from tests.integration.switch.house import House, with_check_digit
from tests.support.wire_client import ClosedByPeerError

MESSAGES = 3_000
SEED = 20_261_118


def broken(rng: random.Random, payload: bytes) -> bytes:
    """A payload with a few faults, never the same as before."""
    data = bytearray(payload)
    while bytes(data) == payload:
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data)) if data else 0
            match rng.randrange(7):
                case 0:
                    data[at : at + 1] = bytes([rng.randrange(256)])
                case 1:
                    data[at : at + 1] = rng.choice(b"0123456789ABCDEF").to_bytes(1, "big")
                case 2:
                    del data[at : at + rng.randint(1, 12)]
                case 3:
                    data[at:at] = rng.randbytes(rng.randint(1, 12))
                case 4:
                    data = data[:at]
                case 5:
                    data[4:20] = b"%016X" % rng.getrandbits(64)
                case 6:
                    data[:4] = b"%04d" % rng.randrange(10_000)
        if not data:
            data = bytearray(rng.randbytes(rng.randint(1, 80)))
    return bytes(data)


def test_broken_messages_neither_crash_nor_book(house: House) -> None:
    rng = random.Random(SEED)
    with house.line() as beside:
        witness, terminal = house.till(beside), house.till(beside, extra=1)
        card = house.card()
        paid = terminal.purchase(house.now, card, 1_000, pin="4711")
        payloads = (
            paid,
            terminal.inquiry(house.now, card, channel="delivery"),
            terminal.topup(house.now, card, 5_000),
            terminal.refund(house.now, paid, 500),
            terminal.reversal(house.now, paid),
            terminal.echo(house.now),
        )
        before = (house.count(), house.count("entry"), house.count("tombstone"))
        line = house.line()
        answered = closed = 0
        for number in range(MESSAGES):
            message = broken(rng, rng.choice(payloads))
            if _is_network(message):
                continue  # a sign-off by chance is a right message
            try:
                answer = line.ask(message)
                assert answer[:4].isdigit()
                assert answer[2:3] in b"13579"  # an answer, or an advice's
                answered += 1
            except (ClosedByPeerError, ConnectionError):
                closed += 1
                line.close()
                line = house.line()
            if number % 100 == 0:
                assert beside.exchange(witness, witness.echo(house.now)).approved
        line.close()
        assert answered > MESSAGES // 10
        assert closed > MESSAGES // 10
        assert (house.count(), house.count("entry"), house.count("tombstone")) == before
        assert house.tries(card) == 0
        assert beside.exchange(terminal, paid).approved


def _is_network(payload: bytes) -> bool:
    try:
        return decode(payload).mti[:2] == "08"
    except MessageError:
        return False


def test_random_fields_under_a_good_mac_are_always_answered(house: House) -> None:
    rng = random.Random(SEED + 1)
    nobody = with_check_digit("941061" + "7" * 9)
    with house.line() as line:
        terminal = house.till(line)
        base = decode(terminal.purchase(house.now, nobody, 1_000)).fields
        before = house.count()
        for _ in range(600):
            fields = dict(base)
            for _ in range(rng.randint(1, 3)):
                _spoil(rng, fields)
            payload = terminal.seal(rng.choice(("0200", "0201", "0400", "0420", "0421")), fields)
            try:
                reply = line.exchange(terminal, payload)
            except (ClosedByPeerError, TerminalError):
                pytest.fail("a message with good lengths must be answered")
            assert reply.code in ("03", "12", "13", "14", "30", "58", "63")
        assert house.count() == before
        assert isinstance(terminal, Terminal)


def _spoil(rng: random.Random, fields: dict[int, str]) -> None:
    number = rng.choice((4, 7, 12, 13, 22, 42, 48, 49, 52, 90, 0))
    if number == 0:
        fields.pop(rng.choice((3, 4, 7, 12, 13, 22, 32, 42, 49)), None)
    elif number == 48:
        text = rng.choice(("CH", "OR", "KP", "", "??"))
        fields[48] = f"{text}{rng.randrange(1_000):03d}" + "x" * rng.randrange(40)
    elif number == 52:
        fields[52] = f"{rng.getrandbits(64):016X}"
    elif number == 90:
        fields[90] = f"{rng.randrange(10**42):042d}"
    elif number == 42:
        fields[42] = "".join(chr(rng.randrange(32, 127)) for _ in range(15))
    else:
        length = {4: 12, 7: 10, 12: 6, 13: 4, 22: 3, 49: 3}[number]
        fields[number] = f"{rng.randrange(10**length):0{length}d}"
