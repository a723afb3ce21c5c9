"""Attacks by guessing, from a terminal that has good keys: PINs, card numbers, and what time tells."""

import statistics
import time

from tests.attack.fort import Fort
from tests.integration.switch.house import WON, with_check_digit
from tests.integration.switch.messages import reversal

TIMED = 30


def test_pins_are_guessed(fort: Fort) -> None:
    """Three tries and the card is closed; the right PIN does not open it again, other terminals neither."""
    with fort.under("PIN enumeration", "55, 55, 75 and 75 from then on") as attack, fort.line() as line:
        card = fort.card()
        codes: list[str] = []
        for number in range(3):
            terminal = fort.till(line)
            for pin in range(4):
                payload = terminal.purchase(fort.now, card, 1_000, pin=f"{1000 + number * 4 + pin}")
                codes.append(line.exchange(terminal, payload).code)
                attack.tried()
        right = terminal.purchase(fort.now, card, 1_000, pin="4711")
        codes.append(line.exchange(terminal, right).code)
        attack.tried()
        assert codes[:3] == ["55", "55", "75"]
        assert set(codes[3:]) == {"75"}
        assert fort.balance(card) == WON


def test_card_numbers_are_guessed(fort: Fort) -> None:
    """Card numbers tried one after another: the terminal is stopped long before it finds one."""
    with fort.under("PAN enumeration", "14, then 58 for the terminal") as attack, fort.line() as line:
        terminal, card = fort.till(line), fort.card()
        codes = []
        for number in range(300):
            unknown = with_check_digit(f"941061{700_000_000 + number:09d}")
            codes.append(line.exchange(terminal, terminal.inquiry(fort.now, unknown)).code)
            attack.tried()
        assert codes[:40] == ["14"] * 40
        assert set(codes[40:]) == {"58"}
        assert line.exchange(terminal, terminal.inquiry(fort.now, card)).code == "58"
        other = fort.till(line)
        assert line.exchange(other, other.inquiry(fort.now, card)).approved
        attack.tried(2)


def test_card_numbers_are_guessed_by_reversals(fort: Fort) -> None:
    """Reversals are heard when payments no longer are, but not for ever: they name cards too."""
    with fort.under("PAN enumeration by 0420", "14, then 58 for these too") as attack, fort.line() as line:
        terminal, card = fort.till(line), fort.card()
        asked = terminal.purchase(fort.now, card, 1_000)
        codes = []
        for number in range(240):
            unknown = with_check_digit(f"941061{710_000_000 + number:09d}")
            codes.append(line.exchange(terminal, reversal(terminal, fort.now, asked, f2=unknown)).code)
            attack.tried()
        assert codes == ["14"] * 200 + ["58"] * 40


def test_the_expiry_of_a_card_is_guessed(fort: Fort) -> None:
    """Whoever has a card's number and tries its expiry is stopped as whoever tries numbers."""
    with fort.under("expiry enumeration", "54, then 58 for the terminal") as attack, fort.line() as line:
        terminal, card = fort.till(line), fort.card()
        codes = []
        for month in range(60):
            payload = terminal.purchase(
                fort.now, card, 1_000, expiry=f"{26 + month // 12}{month % 12 + 1:02d}"
            )
            codes.append(line.exchange(terminal, payload).code)
            attack.tried()
        assert codes == ["54"] * 40 + ["58"] * 20


def test_what_time_tells(fort: Fort) -> None:
    """An unknown card and a wrong PIN have codes of their own, so time can tell no more than they do.

    What must not differ is what the codes hide: how much of a PIN is right.
    """
    with fort.under("timing", "no difference between wrong PINs") as attack, fort.line() as line:
        unknown = with_check_digit("941061799999999")
        taken: dict[str, list[float]] = {"unknown card": [], "first digit right": [], "all wrong": []}
        cards = {name: [fort.card() for _ in range(TIMED)] for name in taken}
        terminals = {name: fort.till(line) for name in taken}
        for number in range(TIMED):
            for name, pan, pin in (
                ("unknown card", unknown, "0000"),
                ("first digit right", cards["first digit right"][number], "4000"),
                ("all wrong", cards["all wrong"][number], "0000"),
            ):
                payload = terminals[name].purchase(fort.now, pan, 100, pin=pin)
                started = time.perf_counter()
                code = line.exchange(terminals[name], payload).code
                taken[name].append(time.perf_counter() - started)
                assert code == ("14" if name == "unknown card" else "55")
                attack.tried()
        medians = {name: statistics.median(times) * 1000 for name, times in taken.items()}
        attack.note = ", ".join(f"{name} {ms:.1f} ms" for name, ms in medians.items())
        near, far = medians["first digit right"], medians["all wrong"]
        assert abs(near - far) < max(1.5, 0.5 * far)
