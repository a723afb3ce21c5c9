"""Ports as configured: dialects, TPDU, lengths, one-shot lines, whose line it is, and bounds of each port."""

import socket
from collections.abc import Iterator

import pytest

from switch.wire.framing import frame
from terminal_sim.connection import LineSettings
from terminal_sim.keys import tmk
from terminal_sim.terminal import Terminal
from tests.integration.switch.house import WON, House
from tests.support.stage import SEED, Program, wait_for
from tests.support.wire_client import ClosedByPeerError, Line

TPDU = bytes.fromhex("6000120034")
PORTS = {
    "ascii inclusive": LineSettings(inclusive=True),
    "ascii tpdu": LineSettings(tpdu=TPDU),
    "bcd": LineSettings(dialect="bcd"),
    "bcd tpdu inclusive": LineSettings(dialect="bcd", tpdu=TPDU, inclusive=True),
}
ROOM = 3
PER_ADDRESS = 2


@pytest.fixture(scope="module")
def ports(house: House) -> Iterator[dict[str, int]]:
    """One switch with a port for each way of writing, a narrow one, and one that bounds an address."""
    lines = ["in_flight_max = 64", f"connections_max = {ROOM}"]
    for settings in PORTS.values():
        lines += [
            "[[listener]]",
            "port = 0",
            f'dialect = "{settings.dialect}"',
            f"tpdu = {str(bool(settings.tpdu)).lower()}",
            f"length_inclusive = {str(settings.inclusive).lower()}",
        ]
    lines += ["[[listener]]", "port = 0", f"per_address_max = {PER_ADDRESS}"]
    with house.other_switch("ports", *lines) as program:
        told = [one["port"] for one in program.told["listening"]]
        yield dict(zip(("narrow", *PORTS, "by address"), told, strict=True))


def _till(house: House, dialect: str) -> Terminal:
    plain = house.till()
    return Terminal(plain.terminal_id, plain.merchant_id, tmk(SEED, plain.terminal_id), dialect=dialect)


@pytest.mark.parametrize("name", PORTS)
def test_every_way_of_writing_pays_reverses_and_is_macced(
    house: House, ports: dict[str, int], name: str
) -> None:
    settings, card = PORTS[name], house.card()
    with Line(ports[name], settings=settings) as line:
        terminal = house.ready(line, _till(house, settings.dialect))
        paid = terminal.purchase(house.now, card, 7_000, pin="4711")
        reply = line.exchange(terminal, paid)
        assert (reply.code, reply.mac_ok) == ("00", True)
        assert house.balance(card) == WON - 7_000
        again = line.exchange(terminal, terminal.repeat_of(paid))
        assert (again.code, again.approval) == ("00", reply.approval)
        undone = line.exchange(terminal, terminal.reversal(house.now, paid))
        assert (undone.code, undone.mac_ok) == ("00", True)
    assert house.balance(card) == WON


def test_each_answer_has_the_tpdu_of_its_own_request_swapped(house: House, ports: dict[str, int]) -> None:
    terminal = house.till()
    with socket.create_connection(("127.0.0.1", ports["ascii tpdu"])) as sock:
        sent = {bytes([0x60, 0, n, 0xFF, 100 + n]): terminal.echo(house.now) for n in range(20)}
        sock.sendall(b"".join(frame(payload, tpdu=tpdu) for tpdu, payload in sent.items()))
        stans = {bytes([0x60, 0xFF, 100 + n, 0, n]) for n in range(20)}
        sock.settimeout(10)
        data = b""
        while stans:
            data += sock.recv(65_536)
            while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2]):
                size = int.from_bytes(data[:2])
                stans.remove(data[2:7])
                assert data[7:11] == b"0810"
                data = data[2 + size :]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("ascii tpdu", b"\x00\x0a0800000000"),
        ("ascii tpdu", b"\x00\x05" + TPDU),
        ("ascii inclusive", b"\x00\x01"),
        ("ascii inclusive", b"\x00\x02"),
        ("bcd tpdu inclusive", b"\x00\x06\x60\x00\x00\x00"),
    ],
    ids=["no TPDU", "TPDU alone", "less than itself", "itself alone", "a TPDU cut off"],
)
def test_a_frame_that_its_port_cannot_have_closes_at_once(
    ports: dict[str, int], name: str, head: bytes
) -> None:
    with Line(ports[name]) as line:
        line.raw(head)
        assert line.wait_closed(1.0) < 1.0


def test_a_one_shot_terminal_gets_its_answers_after_it_has_said_its_last(house: House) -> None:
    with house.line() as line:
        terminal = house.till(line)
    card = house.card()
    with house.line() as line:
        line.raw(b"".join(frame(terminal.purchase(house.now, card, 1_000)) for _ in range(5)))
        line.finish()
        replies = [terminal.receive(line.receive()) for _ in range(5)]
        assert line.wait_closed(2.0) < 2.0
    assert all(reply.approved and reply.mac_ok for reply in replies)
    assert house.balance(card) == WON - 5_000


def test_half_a_frame_before_the_end_is_discarded_and_the_whole_one_is_answered(house: House) -> None:
    with house.line() as line:
        terminal = house.till(line)
    card = house.card()
    with house.line() as line:
        whole, half = (frame(terminal.purchase(house.now, card, 1_000)) for _ in range(2))
        line.raw(whole + half[:-1])
        line.finish()
        assert terminal.receive(line.receive()).approved
        assert line.wait_closed(2.0) < 2.0
    with house.line() as line:
        line.raw(half[:-1])
        line.finish()
        assert line.wait_closed(2.0) < 2.0
    assert house.balance(card) == WON - 1_000


def test_a_line_that_lost_its_only_terminal_is_closed_and_one_of_many_goes_on(house: House) -> None:
    with house.line() as single, house.line() as shared, house.line() as newer:
        card = house.card()
        one, two, three = house.till(single), house.till(shared), house.till(shared)
        for line, terminal in ((single, one), (shared, two), (shared, three)):
            assert line.exchange(terminal, terminal.inquiry(house.now, card)).approved
        assert newer.exchange(one, one.purchase(house.now, card, 1_000)).approved
        assert single.wait_closed(2.0) < 2.0
        assert newer.exchange(two, two.purchase(house.now, card, 1_000)).approved
        refused = shared.exchange(two, two.purchase(house.now, card, 1_000))
        assert refused.code == "58"
        assert shared.exchange(three, three.purchase(house.now, card, 1_000)).approved
        newer.close()
        wait_for(lambda: shared.exchange(two, two.inquiry(house.now, card)).approved, 3.0)
        assert house.balance(card) == WON - 3_000


def test_a_forged_message_takes_no_line_from_anybody(house: House) -> None:
    with house.line() as line, house.line() as thief:
        terminal, card = house.till(line), house.card()
        assert line.exchange(terminal, terminal.inquiry(house.now, card)).approved
        forged = terminal.purchase(house.now, card, 1_000)[:-16] + b"0" * 16
        assert thief.exchange(terminal, forged).code == "63"
        assert line.exchange(terminal, terminal.purchase(house.now, card, 2_000)).approved
    assert house.balance(card) == WON - 2_000


def _open_until_refused(port: int, house: House, most: int) -> list[Line]:
    terminal = house.till()
    lines: list[Line] = []
    while len(lines) <= most:
        line = house.line(port)
        try:
            assert line.exchange(terminal, terminal.echo(house.now)).approved
        except (ClosedByPeerError, ConnectionError):
            line.close()
            break
        lines.append(line)
    return lines


def test_bounds_are_each_ports_own(house: House, ports: dict[str, int]) -> None:
    full = _open_until_refused(ports["narrow"], house, ROOM)
    bounded = _open_until_refused(ports["by address"], house, PER_ADDRESS)
    try:
        assert (len(full), len(bounded)) == (ROOM, PER_ADDRESS)
        where = ("127.0.0.1", ports["by address"])
        with socket.create_connection(where, 5.0, source_address=("127.0.0.2", 0)) as other:
            other.sendall(frame(house.till().echo(house.now)))
            assert other.recv(6)[2:] == b"0810"  # another address has its own bound
    finally:
        for line in full + bounded:
            line.close()

    def room() -> bool:
        lines = _open_until_refused(ports["narrow"], house, 1)
        for line in lines:
            line.close()
        return len(lines) == 2

    wait_for(room, 3.0)


def test_what_waits_for_its_turn_is_answered_and_what_is_too_much_is_dropped(house: House) -> None:
    count = 120
    with house.other_switch(
        "gate", "in_flight_max = 256", limits="working_max = 2\nwaiting_max = 64"
    ) as program:
        _flood(house, program, count)
        with house.line(program.port) as line:
            terminal = house.till(line)
            assert line.exchange(terminal, terminal.purchase(house.now, house.card(), 1_000)).approved


def _flood(house: House, program: Program, count: int) -> None:
    """So many at once that some get no answer; none of those is booked, and each that is answered is."""
    with house.line(program.port) as line:
        terminal, card = house.till(line), house.card()
        line.raw(b"".join(frame(terminal.purchase(house.now, card, 100)) for _ in range(count)))
        answered = 0
        while not line.silent_for(0.5):
            answered += 1
    assert 2 <= answered < count
    assert house.balance(card) == WON - 100 * answered
