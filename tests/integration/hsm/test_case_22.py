"""Case 22 with a whole switch: an HSM slow, down or at its limit is 91 or 96, never 55; it recovers alone."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from switch.wire.message import decode
from terminal_sim.terminal import Terminal
from tests.integration.hsm_harness import hsm_process
from tests.integration.switch.house import House
from tests.support.killing import own_directory
from tests.support.stage import Program, start_switch, wait_for
from tests.support.wire_client import Line

UNAVAILABLE = {"91", "96"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with own_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def house(directory: Path) -> Iterator[House]:
    with hsm_process(directory) as process:
        house = House(directory, process.port, people=8, shops=16)
        yield house
        house.close()


@contextmanager
def switch_with(
    house: House, name: str, first: int, *others: int, timeout_s: float = 1.0
) -> Iterator[Program]:
    """A second switch on the same books with HSMs of its own."""
    standby = ", ".join(f'"127.0.0.1:{port}"' for port in others)
    changes = [
        (
            f"port = {house.hsm_port}\ntimeout_s = 5.0",
            f"port = {first}\ntimeout_s = {timeout_s}\nstandby = [{standby}]",
        )
    ]
    program = start_switch(house.configure(name, changes))
    try:
        yield program
    finally:
        program.stop()


def pay(house: House, line: Line, terminal: Terminal, card: str, pin: str = "4711") -> str:
    return line.exchange(terminal, terminal.purchase(house.now, card, 100, pin=pin)).code


def test_case_22_two_hsms_one_is_killed_or_frozen_and_no_payment_is_declined(
    house: House, directory: Path
) -> None:
    with (
        hsm_process(directory) as first,
        hsm_process(directory) as second,
        switch_with(house, "pair", first.port, second.port) as switch,
        house.line(switch.port) as line,
    ):
        terminal, card = house.till(line), house.card()
        assert {pay(house, line, terminal, card) for _ in range(5)} == {"00"}
        first.send(signal.SIGSTOP)
        started = time.monotonic()
        assert {pay(house, line, terminal, card) for _ in range(10)} == {"00"}
        assert time.monotonic() - started < 3.0
        first.send(signal.SIGCONT)
        first.kill()
        assert {pay(house, line, terminal, card) for _ in range(10)} == {"00"}
        assert house.tries(card) == 0


def test_case_22_one_hsm_frozen_is_91_with_a_wrong_pin_too_and_counts_no_try(
    house: House, directory: Path
) -> None:
    with (
        hsm_process(directory) as only,
        switch_with(house, "one", only.port) as switch,
        house.line(switch.port) as line,
    ):
        terminal, card = house.till(line), house.card()
        assert pay(house, line, terminal, card) == "00"
        only.send(signal.SIGSTOP)
        started = time.monotonic()
        for _ in range(2):
            assert pay(house, line, terminal, card, pin="0000") in UNAVAILABLE
        assert time.monotonic() - started < 3.0
        only.send(signal.SIGCONT)
        assert house.tries(card) == 0
        wait_for(lambda: pay(house, line, terminal, card) == "00", 10.0)


@pytest.mark.parametrize("over", ["wait", "refuse"])
def test_case_22_an_hsm_at_its_licence_costs_payments_and_never_a_pin_try(
    house: House, directory: Path, over: str
) -> None:
    pace = f'[pace]\nrate_max = 60\nover = "{over}"\nqueue_max = {4_096 if over == "wait" else 0}\n'
    with (
        hsm_process(directory, pace) as capped,
        switch_with(house, f"capped-{over}", capped.port) as switch,
        house.line() as easy,
        house.line(switch.port) as line,
    ):
        tills = [house.till(easy) for _ in range(4)]
        card = house.card()
        sent = [
            (terminal, terminal.purchase(house.now, card, 100, pin="4711"))
            for terminal in tills
            for _ in range(20)
        ]
        started = time.monotonic()
        for _, payload in sent:
            line.send(payload)
            time.sleep(0.01)  # far more than the HSM can take, and not all at once
        codes: Counter[str] = Counter()
        # A payment that is booked and whose answer finds no MAC has no answer: its terminal repeats it.
        while sum(codes.values()) < len(sent) and time.monotonic() - started < 2.5:
            try:
                codes[decode(line.receive(0.5)).fields[39]] += 1
            except TimeoutError:
                continue
        assert set(codes) <= {"00"} | UNAVAILABLE
        if over == "wait":  # one that refuses at once may leave nothing to anybody
            assert codes["00"] > 10
        assert sum(codes[code] for code in UNAVAILABLE) > 0
        assert house.tries(card) == 0
        time.sleep(1.0)
        with house.line(switch.port) as again:
            assert pay(house, again, tills[0], card) == "00"  # by itself, as soon as the flood is over
