"""Payments and what takes them back, over TCP: answers, echoes, balances, and what the books hold."""

import pytest

from switch.wire.framing import frame
from switch.wire.message import decode
from tests.integration.switch.house import WON, House

ECHOED = (7, 11, 12, 13, 37, 41, 42)


def test_a_purchase_is_approved_macced_and_booked_once(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        reply = line.exchange(
            terminal, terminal.purchase(house.now, card, 12_345, pin="4711", rrn="AB1234567890")
        )
        assert (reply.mti, reply.code, reply.mac_ok) == ("0210", "00", True)
        assert reply.business_mmdd == "1118"
        assert reply.rrn == "AB1234567890"
        assert reply.cashback == 1_234
        assert reply.balances is not None
        assert (reply.balances.ledger, reply.balances.available) == (WON - 12_345, WON - 12_345)
        [booked] = house.payments(terminal)
        assert (booked["amount"], booked["approved"], booked["approval"]) == (12_345, 12_345, reply.approval)
        assert house.balance(card) == WON - 12_345


def test_every_answer_gives_the_echo_fields_back_unchanged(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000, rrn="RRN000000001")
        for payload in (
            paid,
            terminal.inquiry(house.now, card, rrn="RRN000000002"),
            terminal.topup(house.now, card, 10_000, rrn="RRN000000003"),
            terminal.refund(house.now, paid, 1_000, rrn="RRN000000004"),
            terminal.purchase(house.now, "9410619999999996", 1_000, rrn="RRN000000005"),
            terminal.purchase(house.now, card, 0, rrn="RRN000000006"),
            terminal.reversal(house.now, paid, rrn="RRN000000007"),
            terminal.reversal(house.now, paid, advice=False, rrn="RRN000000008"),
        ):
            sent, got = decode(payload).fields, decode(line.ask(payload)).fields
            assert {n: got.get(n) for n in ECHOED} == {n: sent.get(n) for n in ECHOED}
            assert got[3] == sent[3]
            assert got[49] == "410"


def test_inquiry_moves_nothing_and_tells_both_balances(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        reply = line.exchange(terminal, terminal.inquiry(house.now, card))
        assert reply.approved
        assert reply.balances is not None
        assert (reply.balances.ledger, reply.balances.available) == (WON, WON)
        assert house.balance(card) == WON


def test_topup_refund_and_reversal_move_the_money_there_and_back(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        loaded = terminal.topup(house.now, card, 30_000)
        assert line.exchange(terminal, loaded).approved
        assert house.balance(card) == WON + 30_000
        paid = terminal.purchase(house.now, card, 20_000)
        assert line.exchange(terminal, paid).approved
        assert line.exchange(terminal, terminal.refund(house.now, paid, 5_000)).approved
        assert house.balance(card) == WON + 15_000
        assert line.exchange(terminal, terminal.refund(house.now, paid, 15_001)).code == "13"
        assert line.exchange(terminal, terminal.reversal(house.now, paid)).approved
        assert house.balance(card) == WON + 30_000
        assert line.exchange(terminal, terminal.reversal(house.now, loaded, advice=False)).approved
        assert house.balance(card) == WON


def test_refund_of_an_unknown_original_is_25(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        never_sent = terminal.purchase(house.now, card, 5_000)
        assert line.exchange(terminal, terminal.refund(house.now, never_sent, 5_000)).code == "25"
        assert house.balance(card) == WON


def test_reversal_before_its_original_refuses_the_original(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000)
        reply = line.exchange(terminal, terminal.reversal(house.now, paid))
        assert (reply.mti, reply.code) == ("0430", "00")
        assert line.exchange(terminal, paid).code == "12"
        assert line.exchange(terminal, terminal.repeat_of(paid)).code == "12"
        assert house.balance(card) == WON


def test_a_doubled_reversal_is_answered_alike_and_posted_once(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000)
        assert line.exchange(terminal, paid).approved
        back = terminal.reversal(house.now, paid)
        first = line.ask(back)
        assert line.ask(terminal.repeat_of(back)) == first
        assert line.ask(terminal.repeat_of(back)) == first
        another = line.exchange(terminal, terminal.reversal(house.now, paid))
        assert another.code == "00"
        assert house.balance(card) == WON
        assert len(house.payments(terminal)) == 3


@pytest.mark.parametrize("advice", [True, False])
def test_a_reversal_racing_its_original_nets_to_zero(house: House, advice: bool) -> None:
    card = house.card()
    with house.line() as line:
        terminal = house.till(line)
        for number in range(20):
            paid = terminal.purchase(house.now, card, 5_000)
            pair = [frame(paid), frame(terminal.reversal(house.now, paid, advice=advice))]
            line.raw(b"".join(pair[:: -1 if number % 2 else 1]))
            codes = {reply.mti: reply.code for reply in (terminal.receive(line.receive()) for _ in pair)}
            assert codes.pop("0210") in ("00", "12")
            assert list(codes.values()) == ["00"]
        assert house.balance(card) == WON


def test_reversal_with_another_amount_moves_no_money(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000)
        assert line.exchange(terminal, paid).approved
        assert line.exchange(terminal, terminal.reversal(house.now, paid, amount=4_000)).code == "00"
        assert house.balance(card) == WON - 5_000
        assert house.payments(terminal)[-1]["outcome"] == 6  # an exception, for a person to look at


def test_reversal_of_a_declined_payment_credits_nothing(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        declined = terminal.purchase(house.now, card, WON + 1)
        assert line.exchange(terminal, declined).code == "51"
        assert line.exchange(terminal, terminal.reversal(house.now, declined)).code == "00"
        assert house.balance(card) == WON


def test_a_repeat_gets_the_same_bytes_even_after_a_restart(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 7_000, pin="4711")
        first = line.ask(paid)
        assert terminal.receive(first).approved
        repeat = terminal.repeat_of(paid)
        assert line.ask(repeat) == first
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved
        assert line.ask(repeat) == first
        assert line.ask(paid) == first
    assert house.restart() == 0
    with house.line() as line:
        assert line.ask(repeat) == first
    assert house.balance(card) == WON - 8_000


def test_a_repeated_decline_stays_declined_when_money_has_come(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, WON + 10_000)
        first = line.ask(paid)
        assert terminal.receive(first).code == "51"
        assert line.exchange(terminal, terminal.topup(house.now, card, 20_000)).approved
        assert line.ask(terminal.repeat_of(paid)) == first


def test_the_same_key_with_another_amount_or_card_is_94(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 7_000)
        first = line.ask(paid)
        assert terminal.receive(first).approved
        fields = decode(paid).fields
        changed = terminal.seal("0201", {**fields, 4: "000000007001"})
        reply = line.exchange(terminal, changed)
        assert (reply.code, reply.approval, reply.mac_ok) == ("94", None, True)
        assert line.ask(paid) == first
        assert house.balance(card) == WON - 7_000


def test_the_same_stan_on_another_day_is_another_payment(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 1_000)
        assert line.exchange(terminal, paid).approved
        yesterday = terminal.seal("0200", {**decode(paid).fields, 13: "1117"})
        assert line.exchange(terminal, yesterday).approved
        assert house.balance(card) == WON - 2_000


def test_doubled_requests_in_one_piece_are_booked_once(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 3_000)
        repeat = terminal.repeat_of(paid)
        line.raw(b"".join(len(p).to_bytes(2, "big") + p for p in (paid, repeat, paid, repeat)))
        answers = {line.receive() for _ in range(4)}
        assert len(answers) == 1
        assert house.balance(card) == WON - 3_000
