"""What a switch must not forget about clocks, keys and lines, one test a case. Case 22 is in test_faults."""

import time

import pytest

from hsm_sim.crypto.pinblock import account_part, encode_format0
from hsm_sim.crypto.tdes import Tdes
from switch.domain.payment import Kind
from switch.wire.framing import frame
from switch.wire.message import decode
from tests.integration.switch.house import WON, House
from tests.integration.switch.messages import payment
from tests.support.wire_client import ClosedByPeerError


@pytest.mark.parametrize(
    ("now", "mmdd", "code", "day"),
    [
        ("2026-11-18T12:00:00+09:00", "1119", "00", "2026-11-19"),  # a clock that is a little ahead
        ("2026-11-18T12:00:00+09:00", "1120", "12", None),
        ("2026-11-18T12:00:00+09:00", "1018", "00", "2026-10-18"),  # an old one, still plausible
        ("2026-11-18T12:00:00+09:00", "1017", "12", None),
        ("2027-01-01T00:10:00+09:00", "1231", "00", "2026-12-31"),  # the year has rolled meanwhile
        ("2026-12-31T23:59:50+09:00", "0101", "00", "2027-01-01"),
        ("2028-03-01T09:00:00+09:00", "0229", "00", "2028-02-29"),
        ("2027-03-01T09:00:00+09:00", "0229", "12", None),
    ],
)
def test_case_19_the_year_is_inferred_and_what_is_implausible_refused(
    house: House, now: str, mmdd: str, code: str, day: str | None
) -> None:
    with house.at(now), house.line() as line:
        terminal, card = house.till(line), house.card()
        reply = line.exchange(terminal, payment(terminal, house.now, "0200", card, 1_000, f13=mmdd))
        assert reply.code == code
        booked = [str(row["local_day"]) for row in house.payments(terminal)]
        assert booked == ([day] if day else [])


def test_case_20_a_wrong_mac_has_no_effect_and_counts_no_pin_try(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 1_000, pin="0000")
        broken = paid[:-1] + (b"0" if paid[-1:] != b"0" else b"1")
        reply = line.exchange(terminal, broken)
        assert (reply.code, reply.mac_ok) == ("63", None)
        assert house.tries(card) == 0
        assert house.payments(terminal) == []


def test_case_20_a_pin_under_a_key_out_of_step_has_its_own_code_and_counts_no_try(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        block = Tdes(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")).encrypt(
            encode_format0("4711", account_part(card))
        )
        for _ in range(4):
            foreign = payment(terminal, house.now, "0200", card, 1_000, f52=block.hex().upper())
            assert line.exchange(terminal, foreign).code == "81"
        assert house.tries(card) == 0
        assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000, pin="4711")).approved


def test_case_21_a_lost_answer_to_a_key_exchange_does_not_lock_the_terminal_out(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        for _ in range(3):
            line.ask(terminal.key_exchange(house.now))  # its answer is lost on the way
            reply = line.exchange(terminal, terminal.purchase(house.now, card, 1_000, pin="4711"))
            assert (reply.code, reply.mac_ok) == ("00", True)
        crossing = terminal.purchase(house.now, card, 1_000, pin="4711")
        assert line.exchange(terminal, terminal.key_exchange(house.now)).approved
        assert line.exchange(terminal, crossing).approved  # it was on its way while the keys changed
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000, pin="4711")).approved
        assert house.balance(card) == WON - 5_000
        assert house.tries(card) == 0


def test_case_23_a_reversal_gives_no_pin_try_back_and_only_an_operator_unblocks(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        for number, code in enumerate(("55", "55", "75"), 1):
            wrong = terminal.purchase(house.now, card, 1_000, pin="0000")
            assert line.exchange(terminal, wrong).code == code
            assert line.exchange(terminal, terminal.reversal(house.now, wrong)).code == "00"
            assert house.tries(card) == number
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000, pin="4711")).code == "75"
        house.card_act("unblock", card)
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000, pin="4711")).approved


def test_case_24_before_sign_on_payments_are_declined_and_reversals_taken(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 2_000)
        assert line.exchange(terminal, paid).approved
        assert line.exchange(terminal, terminal.sign_off(house.now)).approved
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "58"
        assert line.exchange(terminal, terminal.reversal(house.now, paid)).code == "00"
        assert house.balance(card) == WON
        assert [row["kind"] for row in house.payments(terminal)] == [Kind.PURCHASE, Kind.REVERSAL]


def test_case_25_half_a_frame_dies_with_its_line_and_the_newest_line_speaks(house: House) -> None:
    with house.line() as old:
        terminal, card = house.till(old), house.card()
        paid = terminal.purchase(house.now, card, 2_000)
        old.raw(frame(paid)[:-20])
        with house.line() as new:
            assert new.exchange(terminal, paid).approved  # a whole frame of its own, not the old one's rest
            assert house.balance(card) == WON - 2_000
            # The old line has lost its terminal: it is closed, or answers for it no more.
            try:
                late = old.exchange(terminal, terminal.purchase(house.now, card, 3_000), 5.0)
                assert late.code != "00"
            except (ClosedByPeerError, ConnectionError, BrokenPipeError):
                pass
            time.sleep(0.2)
            assert house.balance(card) == WON - 2_000
            assert new.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved
    assert len(house.payments(terminal)) == 2


def test_case_32_every_answer_echoes_what_identifies_its_request(house: House) -> None:
    echoed = (7, 11, 12, 13, 37, 41, 42)
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000, rrn="RRN000000321")
        held = payment(terminal, house.now, "0100", card, 5_000, f37="RRN000000322")
        for payload in (
            paid,
            held,
            payment(terminal, house.now, "0220", card, 4_000, original=held, f37="RRN000000323"),
            terminal.refund(house.now, paid, 1_000, rrn="RRN000000324"),
            terminal.reversal(house.now, paid, rrn="RRN000000325"),
            terminal.reversal(house.now, paid, advice=False, rrn="RRN000000326"),
            terminal.echo(house.now),
            terminal.sign_on(house.now),
            payment(terminal, house.now, "0200", "9410619999999996", 1_000, f37="RRN000000327"),
            payment(terminal, house.now, "0200", card, 0, f37="RRN000000328"),
        ):
            sent, got = decode(payload).fields, decode(line.ask(payload)).fields
            assert {n: got.get(n) for n in echoed} == {n: sent.get(n) for n in echoed}
