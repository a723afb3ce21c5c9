"""Sign-on, sign-off, echo and key exchange over TCP, and what a terminal without them may do."""

import time

from switch.wire.message import decode
from tests.integration.switch.house import House


def test_echo_and_sign_on_give_back_what_was_sent(house: House) -> None:
    with house.line() as line:
        terminal = house.till()
        for build in (terminal.echo, terminal.sign_on, terminal.key_exchange, terminal.sign_off):
            payload = build(house.now)
            answer = line.ask(payload)
            sent, got = decode(payload), decode(answer)
            assert got.mti == "0810"
            assert got.fields[39] == "00"
            assert {n: got.fields[n] for n in (7, 11, 12, 13, 41, 70)} == {
                n: sent.fields[n] for n in (7, 11, 12, 13, 41, 70)
            }
            assert (got.mac is None) == (sent.mac is None)  # an answer has one where its request had one
            assert terminal.receive(answer).mac_ok in (None, True)


def test_a_repeated_sign_on_is_answered_alike(house: House) -> None:
    with house.line() as line:
        terminal = house.till()
        payload = terminal.sign_on(house.now)
        first = line.ask(payload)
        assert line.ask(terminal.repeat_of(payload)) == first


def test_payment_before_sign_on_is_refused_and_not_booked(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(), house.card()
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "58"
        assert line.exchange(terminal, terminal.key_exchange(house.now)).code == "00"
        reply = line.exchange(terminal, terminal.purchase(house.now, card, 1_000))
        assert reply.code == "58"
        assert reply.mac_ok is True
        assert house.payments(terminal) == []


def test_reversals_are_taken_after_sign_off_and_payments_are_not(house: House) -> None:
    with house.line() as line:
        card = house.card()
        before = house.balance(card)
        terminal = house.till(line)
        paid = terminal.purchase(house.now, card, 2_000)
        assert line.exchange(terminal, paid).approved
        assert line.exchange(terminal, terminal.sign_off(house.now)).approved
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "58"
        reply = line.exchange(terminal, terminal.reversal(house.now, paid))
        assert (reply.mti, reply.code, reply.mac_ok) == ("0430", "00", True)
        assert house.balance(card) == before


def test_a_new_connection_takes_a_terminal_over_and_others_stay(house: House) -> None:
    """A concentrator's line carries many terminals: it loses the one that has dialled in itself."""
    with house.line() as one, house.line() as two:
        terminal, other, card = house.till(one), house.till(one), house.card()
        assert one.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved
        assert one.exchange(other, other.purchase(house.now, card, 1_000)).approved
        assert two.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved
        assert one.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "58"
        assert one.exchange(other, other.purchase(house.now, card, 1_000)).approved


def test_another_switch_of_the_same_books_knows_the_keys_of_a_terminal(house: House) -> None:
    with (
        house.other_switch("beside", "in_flight_max = 64") as beside,
        house.line() as line,
        house.line(beside.port) as other,
    ):
        terminal, card = house.till(line), house.card()
        assert other.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved
        time.sleep(1.1)  # it reads a terminal whose MAC fails again at most once a second
        assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
        reply = other.exchange(terminal, terminal.purchase(house.now, card, 1_000))
        assert (reply.code, reply.mac_ok) == ("00", True)


def test_unknown_terminal_gets_58_for_everything(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        terminal.terminal_id = "NOBODY01"
        for payload in (
            terminal.sign_on(house.now),
            terminal.key_exchange(house.now),
            terminal.purchase(house.now, card, 1_000),
        ):
            reply = line.exchange(terminal, payload)
            assert (reply.code, reply.mac_ok) == ("58", None)
        assert house.payments(terminal) == []
