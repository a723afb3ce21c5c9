"""HSM and database away: 91 within the limit, and recovery without anybody's help."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from terminal_sim.terminal import Terminal
from tests.integration.switch.house import WON, House
from tests.support.killing import kill_postgres, own_directory, signal_postgres, start_postgres
from tests.support.stage import Program, wait_for
from tests.support.wire_client import Line

BOOKS_LIMIT_S = 12.0  # the lane gives up after 8 seconds
HUNG_LIMIT_S = 6.5  # 5 seconds for the look-up


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Risky:
    """An installation whose HSM can be killed and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.security = self.start_hsm()
        self.house = House(directory, self.port, people=40, shops=20)

    def start_hsm(self) -> Program:
        log = self.directory / "hsm.log"
        return Program(["dure-hsm-sim", "serve", "--port", str(self.port)], log)


@pytest.fixture(scope="module")
def risky() -> Iterator[Risky]:
    """One for this module: its neighbours must not suffer."""
    with own_directory() as directory:
        risky = Risky(directory)
        yield risky
        risky.house.close()
        risky.security.stop()


def pays(house: House, line: Line, terminal: Terminal, card: str) -> bool:
    """Whether a payment goes through."""
    reply = line.exchange(terminal, terminal.purchase(house.now, card, 100, pin="4711"))
    return reply.code == "00" and reply.mac_ok is True


def test_case_22_a_dead_hsm_is_91_counts_no_try_and_is_found_again(risky: Risky) -> None:
    house = risky.house
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        assert pays(house, line, terminal, card)
        risky.security.stop(signal.SIGKILL)
        for _ in range(5):
            started = time.monotonic()
            reply = line.exchange(terminal, terminal.purchase(house.now, card, 100, pin="0000"))
            assert (reply.code, reply.mac_ok) == ("91", None)
            assert time.monotonic() - started < 2.0
        assert line.exchange(terminal, terminal.key_exchange(house.now)).code == "91"
        assert line.exchange(terminal, terminal.echo(house.now)).approved
        assert house.tries(card) == 0
        risky.security = risky.start_hsm()
        wait_for(lambda: pays(house, line, terminal, card), 10.0)


def test_case_22_a_hung_hsm_is_91_within_its_limit(risky: Risky) -> None:
    house = risky.house
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        risky.security.process.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            reply = line.exchange(terminal, terminal.purchase(house.now, card, 100))
            assert reply.code == "91"
            assert time.monotonic() - started < 7.0  # the stage gives the HSM 5 seconds
        finally:
            risky.security.process.send_signal(signal.SIGCONT)
        wait_for(lambda: pays(house, line, terminal, card), 10.0)
        assert house.balance(card) <= WON - 100


def test_a_dead_database_is_91_within_the_limit_and_is_found_again(risky: Risky) -> None:
    house = risky.house
    with house.line() as line:
        terminal, card, unmet = house.till(line), house.card(), house.card()
        assert pays(house, line, terminal, card)
        assert kill_postgres(house.stage.directory / "db") > 1
        started = time.monotonic()
        known = terminal.purchase(house.now, card, 200)
        unknown = terminal.purchase(house.now, unmet, 200)
        line.send(known)
        line.send(unknown)
        replies = [terminal.receive(line.receive()) for _ in range(2)]
        assert {(reply.code, reply.mac_ok) for reply in replies} == {("91", True)}
        assert time.monotonic() - started < BOOKS_LIMIT_S
        stranger = house.till()
        assert line.exchange(stranger, stranger.sign_on(house.now)).code == "91"
        start_postgres(house.stage.url)
        house.stage.engine.dispose()
        wait_for(lambda: pays(house, line, terminal, card), 10.0)
        assert line.exchange(terminal, terminal.repeat_of(known)).approved
        assert line.exchange(terminal, terminal.repeat_of(unknown)).approved
        assert house.balance(unmet) == WON - 200
        house.ready(line, stranger)


def test_a_payment_waits_for_a_database_that_comes_back_soon(risky: Risky) -> None:
    house = risky.house
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        assert pays(house, line, terminal, card)
        kill_postgres(house.stage.directory / "db")
        line.send(terminal.purchase(house.now, card, 300))
        start_postgres(house.stage.url)
        house.stage.engine.dispose()
        assert terminal.receive(line.receive()).approved
        assert house.balance(card) == WON - 400


def test_a_hung_database_is_91_within_the_limit_for_all_who_wait(risky: Risky) -> None:
    house = risky.house
    directory = house.stage.directory / "db"
    with house.line() as line:
        terminal = house.till(line)
        strangers = [house.till() for _ in range(4)]
        card = house.card()
        signal_postgres(directory, signal.SIGSTOP)
        started = time.monotonic()
        try:
            line.send(terminal.purchase(house.now, card, 100))
            for stranger in strangers:
                line.send(stranger.sign_on(house.now))
            codes = [terminal.receive(line.receive(30.0)).code for _ in range(5)]
            elapsed = time.monotonic() - started
        finally:
            signal_postgres(directory, signal.SIGCONT)
        assert set(codes) == {"91"}
        assert elapsed < HUNG_LIMIT_S
        wait_for(lambda: pays(house, line, terminal, card), 15.0)
        assert line.exchange(strangers[0], strangers[0].sign_on(house.now)).approved


def test_a_database_that_hangs_in_the_lane_is_91_and_the_repeat_books_once(risky: Risky) -> None:
    house = risky.house
    directory = house.stage.directory / "db"
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        assert line.exchange(terminal, terminal.purchase(house.now, card, 100)).approved  # now it is known
        payload = terminal.purchase(house.now, card, 700)
        signal_postgres(directory, signal.SIGSTOP)
        started = time.monotonic()
        try:
            line.send(payload)
            code = terminal.receive(line.receive(30.0)).code
            elapsed = time.monotonic() - started
        finally:
            signal_postgres(directory, signal.SIGCONT)
        assert code == "91"
        assert elapsed < 20.0  # a batch's limit, then the retries'
        wait_for(lambda: line.exchange(terminal, terminal.repeat_of(payload)).approved, 20.0)
        assert house.balance(card) == WON - 800
