"""Sign-on, sign-off, echo and key exchange over TCP, and what a terminal without them may do."""

import time

from switch.wire.message import decode
from tests.integration.switch.house import House


def test_echo_and_sign_on_give_back_what_was_sent(house: House) -> None:
    with house.line() as line:
        terminal = house.till()
        for build in (terminal.echo, terminal.sign_on, terminal.key_exchange, terminal.sign_off):
            payload = build(house.now)
            sent, got = decode(payload).fields, decode(line.ask(payload))
            assert got.mti == "0810"
            assert got.fields[39] == "00"
            assert {n: got.fields[n] for n in (7, 11, 12, 13, 41, 70)} == {
                n: sent[n] for n in (7, 11, 12, 13, 41, 70)
            }
            assert got.mac is None


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


def test_the_old_mac_key_is_refused_after_an_exchange_and_the_new_one_works(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        under_old_key = terminal.purchase(house.now, card, 1_000)
        assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
        reply = line.exchange(terminal, under_old_key)
        assert (reply.code, reply.mac_ok) == ("63", None)
        assert house.payments(terminal) == []
        reply = line.exchange(terminal, terminal.purchase(house.now, card, 1_000))
        assert (reply.code, reply.mac_ok) == ("00", True)


def test_a_lost_key_exchange_reply_does_not_lock_the_terminal_out(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        line.ask(terminal.key_exchange(house.now))  # the terminal never reads it
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "63"
        assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved


def test_two_connections_may_carry_one_terminal(house: House) -> None:
    with house.line() as one, house.line() as two:
        terminal, card = house.till(one), house.card()
        assert two.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved
        assert one.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved


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


def test_a_repeat_with_a_pin_under_the_old_session_key_gets_the_stored_answer(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 1_000, pin="4711")
        first = terminal.receive(line.ask(paid))
        assert first.approved
        assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
        again = line.exchange(terminal, terminal.repeat_of(paid))
        assert (again.code, again.approval, again.mac_ok) == ("00", first.approval, True)
        new = terminal.purchase(house.now, card, 1_000, pin="4711")
        assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
        unbooked = line.exchange(terminal, terminal.repeat_of(new))
        assert unbooked.code == "81"  # nothing is known of it, and its PIN cannot be read any more
        assert house.tries(card) == 0
        assert len(house.payments(terminal)) == 1
