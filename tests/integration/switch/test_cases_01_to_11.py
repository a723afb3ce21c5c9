"""What a switch must not forget about reversals, one test a case."""

import random

import pytest
from sqlalchemy import text

from switch.domain.payment import Kind, Outcome
from switch.wire.framing import frame
from tests.integration.switch.house import WON, House
from tests.integration.switch.messages import named, payment, reversal

NEXT_DAY = "2026-11-19T09:30:00+09:00"


def entries(house: House, card: str) -> int:
    """How many entries a card's wallet has."""
    with house.stage.engine.connect() as connection:
        query = (
            "SELECT count(*) FROM entry WHERE wallet_id = (SELECT wallet_id FROM member WHERE member_id = :m)"
        )
        return int(connection.execute(text(query), {"m": house.member(card)}).scalar_one())


def exceptions(house: House, terminal_id: str) -> list[dict[str, object]]:
    with house.stage.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT * FROM payment WHERE terminal_id = :t AND outcome = :o"),
            {"t": terminal_id, "o": int(Outcome.EXCEPTION)},
        )
        return [dict(row._mapping) for row in rows]


def test_case_01_a_reversal_before_its_original_leaves_a_tombstone(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000)
        reply = line.exchange(terminal, terminal.reversal(house.now, paid))
        assert (reply.mti, reply.code) == ("0430", "00")
        assert line.exchange(terminal, paid).code == "12"
        assert house.balance(card) == WON
        assert house.restart() == 0
    with house.line() as line:
        assert line.exchange(terminal, terminal.repeat_of(paid)).code == "12"
        assert house.balance(card) == WON


def test_case_02_a_reversal_that_never_matches_is_acknowledged_and_listed(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        never_sent = terminal.purchase(house.now, card, 5_000)
        before = entries(house, card)
        assert line.exchange(terminal, terminal.reversal(house.now, never_sent)).code == "00"
        assert entries(house, card) == before
        assert house.balance(card) == WON
        listed = house.command("payment", "exceptions", "--date", "2026-11-18", "--json")
        assert any(row["terminal"] == terminal.terminal_id for row in listed)


def test_case_03_a_repeated_advice_is_answered_alike_and_not_posted(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000)
        assert line.exchange(terminal, paid).approved
        back = terminal.reversal(house.now, paid)
        first = line.ask(back)
        posted = entries(house, card)
        assert line.ask(terminal.repeat_of(back)) == first
        assert line.ask(terminal.repeat_of(back)) == first
        assert entries(house, card) == posted
        assert house.balance(card) == WON


@pytest.mark.parametrize("seed", [1, 2])
def test_case_04_a_reversal_racing_its_original_nets_to_zero(house: House, seed: int) -> None:
    chance = random.Random(seed)
    card = house.card()
    with house.line() as line:
        terminal = house.till(line)
        for _ in range(25):
            paid = terminal.purchase(house.now, card, chance.randint(1, 50_000))
            pair = [frame(paid), frame(terminal.reversal(house.now, paid))]
            chance.shuffle(pair)
            line.raw(b"".join(pair))
            codes = {reply.mti: reply.code for reply in (terminal.receive(line.receive()) for _ in pair)}
            assert codes["0430"] == "00"
            assert codes["0210"] in ("00", "12")
        assert house.balance(card) == WON


def test_case_05_a_reversal_of_a_declined_payment_credits_nothing(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        declined = terminal.purchase(house.now, card, WON + 1)
        assert line.exchange(terminal, declined).code == "51"
        before = entries(house, card)
        assert line.exchange(terminal, terminal.reversal(house.now, declined)).code == "00"
        assert entries(house, card) == before
        assert house.balance(card) == WON


def test_case_06_without_stan_and_time_the_rrn_and_amount_must_match_one_payment_only(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000, rrn="RRN000000061")
        other = terminal.purchase(house.now, card, 5_000, rrn="RRN000000062")
        for payload in (paid, other):
            assert line.exchange(terminal, payload).approved
        blind = named(paid, stan=0, transmission="0" * 10)
        unknown = reversal(terminal, house.now, paid, f90=blind, f37="RRN000000069")
        assert line.exchange(terminal, unknown).code == "00"
        assert house.balance(card) == WON - 10_000
        back = reversal(terminal, house.now, paid, f90=blind, f37="RRN000000061")
        assert line.exchange(terminal, back).code == "00"
        assert house.balance(card) == WON - 5_000
        # Two payments of one amount and no RRN: an exception, never a guess.
        third = terminal.purchase(house.now, card, 5_000, rrn="RRN000000063")
        assert line.exchange(terminal, third).approved
        guess = reversal(terminal, house.now, paid, f90=blind)
        assert line.exchange(terminal, guess).code == "00"
        assert house.balance(card) == WON - 10_000
        assert exceptions(house, terminal.terminal_id)


def test_case_07_another_amount_without_de95_is_an_exception(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000)
        assert line.exchange(terminal, paid).approved
        before = entries(house, card)
        assert line.exchange(terminal, terminal.reversal(house.now, paid, amount=4_000)).code == "00"
        assert entries(house, card) == before
        assert len(exceptions(house, terminal.terminal_id)) == 1


def test_case_08_de95_is_the_amount_that_stands_instead(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 10_000)
        assert line.exchange(terminal, paid).approved
        assert line.exchange(terminal, reversal(terminal, house.now, paid, replacement=4_000)).code == "00"
        assert house.balance(card) == WON - 4_000
        # Above what remains: nothing moves.
        line.exchange(terminal, reversal(terminal, house.now, paid, replacement=5_000))
        assert house.balance(card) == WON - 4_000
        # In full after a part: the remainder only.
        assert line.exchange(terminal, terminal.reversal(house.now, paid)).code == "00"
        assert house.balance(card) == WON
        assert line.exchange(terminal, terminal.reversal(house.now, paid)).code == "00"
        assert house.balance(card) == WON


def test_case_09_a_reversal_after_completion_is_a_refund(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        held = payment(terminal, house.now, "0100", card, 10_000)
        assert line.exchange(terminal, held).approved
        done = payment(terminal, house.now, "0220", card, 8_000, original=held)
        reply = line.exchange(terminal, done)
        assert (reply.mti, reply.code) == ("0230", "00")
        assert house.balance(card) == WON - 8_000
        assert line.exchange(terminal, reversal(terminal, house.now, held)).code == "00"
        assert house.balance(card) == WON
        kinds = {row["kind"]: row for row in house.payments(terminal)}
        assert kinds[Kind.REVERSAL]["approved"] == 8_000
        assert kinds[Kind.PURCHASE]["outcome"] == Outcome.RETURNED


def test_case_10_a_reversal_on_the_next_day_posts_then_and_names_the_day_of_its_original(
    house: House,
) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        paid = terminal.purchase(house.now, card, 5_000)
        assert line.exchange(terminal, paid).business_mmdd == "1118"
        with house.at(NEXT_DAY):
            reply = line.exchange(terminal, terminal.reversal(house.now, paid))
        assert (reply.code, reply.business_mmdd) == ("00", "1119")
        assert house.balance(card) == WON
        [back] = [row for row in house.payments(terminal) if row["kind"] == Kind.REVERSAL]
        assert str(back["business_date"]) == "2026-11-19"
        assert '"day":20261118' in str(back["detail"])
