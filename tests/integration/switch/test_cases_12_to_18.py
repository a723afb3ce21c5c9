"""What a switch must not forget about repeats, holds and answers that come too late, one test a case."""

import signal

from switch.domain.payment import Kind, Outcome
from switch.wire.message import decode
from tests.integration.switch.house import WON, House
from tests.integration.switch.messages import payment, reversal
from tests.support.stage import start_switch, wait_for


def test_case_12_a_repeat_gets_the_stored_answer_and_a_different_one_94(house: House) -> None:
    card, stranger = house.card(), house.card()
    with house.line() as line:
        terminal = house.till(line)
        paid = terminal.purchase(house.now, card, 7_000)
        first = line.ask(paid)
        reply = terminal.receive(first)
        assert reply.approved
        assert line.ask(terminal.repeat_of(paid)) == first
        assert line.ask(paid) == first
        fields = decode(paid).fields
        dearer = terminal.seal("0200", {**fields, 4: f"{7_001:012d}"})
        elsewhere = terminal.seal("0200", {**fields, 2: stranger})
        assert line.exchange(terminal, dearer).code == "94"
        assert line.exchange(terminal, elsewhere).code == "94"
    assert house.restart() == 0
    # The terminal dials in again a little later; what it sends now is of before, and the books are asked.
    with house.at("2026-11-18T12:00:05+09:00"), house.line() as line:
        again = line.exchange(terminal, terminal.repeat_of(paid))
        assert (again.code, again.approval) == ("00", reply.approval)
        assert line.exchange(terminal, dearer).code == "94"
        assert line.exchange(terminal, elsewhere).code == "94"
    assert house.balance(card) == WON - 7_000
    assert house.balance(stranger) == WON


def test_case_13_the_same_stan_on_another_day_or_after_a_wrap_is_a_new_payment(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        stan = f"{terminal.stan + 1:06d}"
        moments = (
            "2026-11-18T12:00:00+09:00",
            "2026-11-18T18:00:00+09:00",  # wrapped within the day
            "2026-11-19T12:00:00+09:00",
        )
        for number, moment in enumerate(moments, 1):
            with house.at(moment):
                paid = payment(terminal, house.now, "0200", card, 1_000, f11=stan)
                assert line.exchange(terminal, paid).approved
                assert house.balance(card) == WON - 1_000 * number


def test_case_14_the_terminals_reversal_wins_over_an_answer_that_came_too_late(house: House) -> None:
    card = house.card()
    with house.line() as line:
        terminal = house.till(line)
        paid = terminal.purchase(house.now, card, 9_000)
        line.send(paid)
        line.reset()  # the terminal has given up: the answer reaches nobody
    with house.line() as line:
        assert line.exchange(terminal, terminal.reversal(house.now, paid)).code == "00"
        assert house.balance(card) == WON
        # Whichever was first: nothing of it can be held any more.
        assert line.exchange(terminal, terminal.repeat_of(paid)).code in ("00", "12")
        assert house.balance(card) == WON


def test_case_15_a_crash_between_commit_and_reply_loses_no_answer(house: House) -> None:
    card = house.card()
    with house.line() as line:
        terminal = house.till(line)
        paid = terminal.purchase(house.now, card, 9_000, pin="4711")
        line.send(paid)
        wait_for(lambda: house.balance(card) == WON - 9_000)
        house.switch.process.send_signal(signal.SIGKILL)
        house.switch.process.wait(10)
        line.reset()
    [booked] = house.payments(terminal)
    house.switch = start_switch(house.configure())
    with house.line() as line:
        again = line.exchange(terminal, terminal.repeat_of(paid))
        assert (again.code, again.approval) == ("00", booked["approval"])
    assert house.balance(card) == WON - 9_000


def test_case_16_a_part_is_approved_only_for_a_terminal_that_can_and_all_of_it_comes_back(
    house: House,
) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        too_much = payment(terminal, house.now, "0200", card, WON + 10_000)
        assert line.exchange(terminal, too_much).code == "51"
        paid = payment(terminal, house.now, "0200", card, WON + 10_000, private={"PA": "1"})
        reply = line.exchange(terminal, paid)
        assert (reply.code, reply.fields[4]) == ("10", f"{WON:012d}")
        assert house.balance(card) == 0
        back = reversal(terminal, house.now, paid)  # it names what was asked for
        assert line.exchange(terminal, back).code == "00"
        assert house.balance(card) == WON


def test_case_17_an_advice_above_without_or_after_its_hold_is_taken_and_marked(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        held = payment(terminal, house.now, "0100", card, 10_000)
        assert line.exchange(terminal, held).approved
        above = payment(terminal, house.now, "0220", card, 15_000, original=held)
        assert line.exchange(terminal, above).code == "00"
        assert house.balance(card) == WON - 15_000
        never = payment(terminal, house.now, "0100", card, 20_000)  # it never arrives
        without = payment(terminal, house.now, "0220", card, 20_000, original=never)
        assert line.exchange(terminal, without).code == "00"
        assert house.balance(card) == WON - 35_000
        late = payment(terminal, house.now, "0100", card, 30_000)
        assert line.exchange(terminal, late).approved
        with house.at("2026-12-10T12:00:00+09:00"):
            assert line.exchange(terminal, terminal.sign_on(house.now)).approved
            assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
            after = payment(terminal, house.now, "0220", card, 30_000, original=late)
            assert line.exchange(terminal, after).code == "00"
        assert house.balance(card) == WON - 65_000
        marked = [row for row in house.payments(terminal) if row["kind"] == Kind.PURCHASE]
        assert [row["approved"] for row in marked] == [15_000, 20_000, 30_000]
        for day, count in (("2026-11-18", 2), ("2026-12-10", 1)):
            told = house.command("payment", "exceptions", "--date", day, "--json")
            assert [row["terminal"] for row in told].count(terminal.terminal_id) == count


def test_case_18_a_doubled_completion_is_acknowledged_and_posted_once(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        held = payment(terminal, house.now, "0100", card, 10_000)
        assert line.exchange(terminal, held).approved
        assert house.balance(card) == WON
        done = payment(terminal, house.now, "0220", card, 8_000, original=held)
        first = line.ask(done)
        assert terminal.receive(first).code == "00"
        assert line.ask(terminal.repeat_of(done)) == first
        another = payment(terminal, house.now, "0220", card, 8_000, original=held)  # with a STAN of its own
        assert line.exchange(terminal, another).code == "00"
        assert house.balance(card) == WON - 8_000
        rows = [row for row in house.payments(terminal) if row["kind"] == Kind.PURCHASE]
        assert [row["approved"] for row in rows] == [8_000, 0]
        assert rows[1]["outcome"] in (Outcome.EXCEPTION, Outcome.ACKNOWLEDGED)
