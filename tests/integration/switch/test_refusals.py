"""What is refused, with which code, and that a refusal at the door leaves nothing in the books."""

import pytest

from switch.wire.message import decode
from tests.integration.switch.house import WON, House, with_check_digit


def test_wrong_mac_is_63_counts_no_pin_try_and_books_nothing(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        payload = terminal.purchase(house.now, card, 1_234, pin="0000")
        last = b"0" if payload[-1:] != b"0" else b"1"
        reply = line.exchange(terminal, payload[:-1] + last)
        assert (reply.code, reply.mac_ok) == ("63", None)
        altered = payload.replace(b"000000001234", b"000000001235")
        assert altered != payload
        assert line.exchange(terminal, altered).code == "63"
        assert house.tries(card) == 0
        assert house.payments(terminal) == []
        assert line.exchange(terminal, payload).code == "55"


def test_a_missing_mac_is_63_once_the_terminal_has_keys(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        terminal.forget_keys()
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "63"
        assert house.payments(terminal) == []


def test_wrong_pins_are_counted_and_the_third_blocks(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()

        def pay(pin: str) -> str:
            return line.exchange(terminal, terminal.purchase(house.now, card, 1_000, pin=pin)).code

        assert (pay("0000"), house.tries(card)) == ("55", 1)
        assert (pay("4711"), house.tries(card)) == ("00", 0)  # the right PIN forgives
        assert (pay("0000"), house.tries(card)) == ("55", 1)
        assert (pay("1111"), house.tries(card)) == ("55", 2)
        assert (pay("2222"), house.tries(card)) == ("75", 3)
        assert (pay("4711"), house.tries(card)) == ("75", 3)
        assert house.balance(card) == WON - 1_000


def test_a_repeated_wrong_pin_is_one_try_and_its_reversal_gives_none_back(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        wrong = terminal.purchase(house.now, card, 1_000, pin="0000")
        first = line.ask(wrong)
        assert line.ask(terminal.repeat_of(wrong)) == first
        assert house.tries(card) == 1
        assert line.exchange(terminal, terminal.reversal(house.now, wrong)).code == "00"
        assert house.tries(card) == 1


def test_pin_blocks_that_cannot_be_read_are_81_and_no_try(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        fields = decode(terminal.purchase(house.now, card, 1_000)).fields
        for garbage in ("0000000000000000", "FFFFFFFFFFFFFFFF", "0123456789ABCDEF"):
            reply = line.exchange(terminal, terminal.seal("0200", {**fields, 52: garbage}))
            assert (reply.code, reply.mac_ok) == ("81", True)
        other = house.card()
        block = terminal.pin_block("4711", other)  # made for another card
        reply = line.exchange(terminal, terminal.seal("0200", {**fields, 52: block}))
        assert reply.code in ("55", "81")
        assert house.tries(card) == (1 if reply.code == "55" else 0)


def test_unknown_card_is_14(house: House) -> None:
    with house.line() as line:
        terminal = house.till(line)
        unknown = with_check_digit("941061" + "8" * 9)
        reply = line.exchange(terminal, terminal.purchase(house.now, unknown, 1_000))
        assert (reply.code, reply.mac_ok) == ("14", True)
        assert line.exchange(terminal, terminal.purchase(house.now, "4012345678909", 1_000)).code == "14"
        assert house.payments(terminal) == []


def test_unknown_merchant_and_a_terminal_of_another_merchant_are_03(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        fields = decode(terminal.purchase(house.now, card, 1_000)).fields
        for merchant in (
            "NOSUCHSHOP",
            "SHOP000000" if terminal.merchant_id != "SHOP000000" else "SHOP000001",
        ):
            sealed = terminal.seal("0200", {**fields, 42: merchant.ljust(15)})
            assert line.exchange(terminal, sealed).code == "03"
        assert house.payments(terminal) == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({4: "0" * 12}, "13", None),
        ({49: "840"}, "30", 49),
        ({13: "0230"}, "30", 13),
        ({13: "1332"}, "30", 13),
        ({13: "0901"}, "12", None),  # long ago, or far ahead
        ({12: "240000"}, "30", 12),
        ({3: "990000"}, "12", None),
        ({48: "ZZ001x"}, "30", 48),
        ({48: "CH0"}, "30", 48),
        ({48: "CH004fax!"}, "30", 48),
        ({14: "2001"}, "54", None),
    ],
)
def test_values_that_cannot_be_right(
    house: House, changes: dict[int, str], code: str, field: int | None
) -> None:
    with house.line() as line:
        terminal = house.till(line)
        fields = decode(terminal.purchase(house.now, house.card(), 1_000)).fields
        before = house.count("entry")
        reply = line.exchange(terminal, terminal.seal("0200", {**fields, **changes}))
        assert (reply.code, reply.refused_field) == (code, field)
        assert {n: reply.fields[n] for n in (7, 11, 41, 42)} == {n: fields[n] for n in (7, 11, 41, 42)}
        assert house.count("entry") == before


def test_a_missing_field_and_a_field_too_many_are_named(house: House) -> None:
    with house.line() as line:
        terminal = house.till(line)
        fields = decode(terminal.purchase(house.now, house.card(), 1_000)).fields
        without = {n: v for n, v in fields.items() if n != 22}
        assert line.exchange(terminal, terminal.seal("0200", without)).refused_field == 22
        assert line.exchange(terminal, terminal.seal("0200", {**fields, 15: "1118"})).refused_field == 15
        assert house.payments(terminal) == []


@pytest.mark.parametrize(
    ("number", "expiry", "state", "code"),
    [
        (700_000_001, "2610", "active", "54"),
        (700_000_002, "3112", "blocked", "62"),
        (700_000_003, "3112", "lost", "41"),
        (700_000_004, "3112", "stolen", "43"),
    ],
)
def test_cards_that_may_not_pay(house: House, number: int, expiry: str, state: str, code: str) -> None:
    card = house.special_card(number, expiry=expiry, state=state)
    with house.line() as line:
        terminal = house.till(line)
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == code


def test_a_card_of_another_programme_is_57(house: House) -> None:
    card = house.special_card(700_000_009, programme="ontong")
    with house.line() as line:
        terminal = house.till(line)
        reply = line.exchange(terminal, terminal.purchase(house.now, card, 1_000))
        assert (reply.code, reply.mac_ok) == ("57", True)
        assert house.payments(terminal) == []


def test_limits_and_empty_cards(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        assert line.exchange(terminal, terminal.purchase(house.now, card, WON + 1)).code == "51"
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000_001)).code in ("51", "61")
        assert line.exchange(terminal, terminal.topup(house.now, card, 2_000_001)).code == "61"
        assert line.exchange(terminal, terminal.purchase(house.now, card, 999_999_999_999)).code in (
            "51",
            "61",
        )
        assert house.balance(card) == WON
