"""Attacks with what was overheard: frames sent again, MACs stripped or cut, amounts and cards altered."""

import random

from switch.wire.framing import frame
from switch.wire.message import decode, encode
from tests.attack.fort import Fort, code_of
from tests.attack.test_bytes import shoot
from tests.integration.switch.messages import payment, reversal

SEED = 7


def test_replayed_frames(fort: Fort) -> None:
    """Recorded payments, reversals and network messages, sent again over other lines: answered as then."""
    with fort.under("replayed frames", "the stored answer, nothing booked again") as attack:
        with fort.line() as line:
            terminal, card = fort.till(line), fort.card()
            recorded = []
            for won in (1_000, 2_000, 3_000):
                paid = terminal.purchase(fort.now, card, won, pin="4711")
                recorded.append((paid, line.ask(paid)))
                attack.paid(won)
            back = reversal(terminal, fort.now, recorded[0][0])
            recorded.append((back, line.ask(back)))
            attack.paid(-1_000)
        for _ in range(25):
            for payload, answer in recorded:
                attack.tried()
                assert shoot(fort.switch.port, frame(payload)) == [answer]
        attack.tried()
        for payload, answer in recorded:
            assert shoot(fort.switch.port, frame(payload) * 5, 5) == [answer] * 5


def test_stripped_and_cut_macs(fort: Fort) -> None:
    with fort.under("MACs stripped, cut, guessed", "63 or a closed line") as attack:
        with fort.line() as line:
            terminal, card = fort.till(line), fort.card()
            genuine = payment(terminal, fort.now, "0200", card, 1_000)
        fields = decode(genuine).fields
        bare = encode("0200", fields)
        chance = random.Random(SEED)
        guesses = [genuine[:-16] + f"{chance.getrandbits(64):016X}".encode() for _ in range(200)]
        guesses += [genuine[:-16] + genuine[-16:-8] + b"00000000", genuine[:-16] + b"0" * 16]
        cut = [genuine[:-number] for number in range(1, 17)]
        for payload in (bare, *guesses, *cut):
            attack.tried()
            for answer in shoot(fort.switch.port, frame(payload)):
                assert code_of(answer) in ("30", "63")
        assert fort.payments(terminal) == []


def test_altered_contents_under_a_genuine_mac(fort: Fort) -> None:
    """Every digit of amount, card, terminal, merchant, time and type: the MAC covers all of them."""
    with fort.under("altered contents", "63, 30 or 58, nothing booked") as attack:
        with fort.line() as line:
            terminal, card = fort.till(line), fort.card()
            genuine = payment(terminal, fort.now, "0200", card, 1_000)
        for place in range(len(genuine) - 16):
            for digit in (b"1", b"7"):
                if genuine[place : place + 1] == digit:
                    continue
                altered = genuine[:place] + digit + genuine[place + 1 :]
                attack.tried()
                for answer in shoot(fort.switch.port, frame(altered)):
                    assert code_of(answer) not in ("00", "10")
        assert fort.payments(terminal) == []


def test_one_terminals_message_in_anothers_name(fort: Fort) -> None:
    """A good MAC of one terminal is worth nothing under another's name, nor at another's merchant."""
    with fort.under("another terminal's name", "63 or 03") as attack, fort.line() as line:
        mine, card = fort.till(line), fort.card()
        other = fort.till(line)
        stolen_name = payment(mine, fort.now, "0200", card, 1_000, f41=other.terminal_id)
        assert decode(line.ask(stolen_name)).fields[39] == "63"
        stolen_shop = payment(mine, fort.now, "0200", card, 1_000, f42=other.merchant_id.ljust(15))
        assert decode(line.ask(stolen_shop)).fields[39] == "03"
        attack.tried(2)


def test_sign_off_by_a_stranger(fort: Fort) -> None:
    """Whoever has no key cannot take a terminal out of service."""
    with fort.under("sign-off without a MAC", "63; the terminal goes on") as attack, fort.line() as line:
        terminal, card = fort.till(line), fort.card()
        genuine = decode(terminal.sign_off(fort.now)).fields
        attack.tried()
        [answer] = shoot(fort.switch.port, frame(encode("0800", genuine)))
        assert decode(answer).fields[39] == "63"
        assert line.exchange(terminal, terminal.purchase(fort.now, card, 1_000)).approved
        attack.paid(1_000)
