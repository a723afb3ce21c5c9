"""What a switch must not forget about days, batches, shared wallets and nonsense, one test a case."""

import threading
import time

import pytest
from sqlalchemy import text

from switch.domain.payment import Kind
from switch.wire.framing import frame
from switch.wire.message import decode
from tests.integration.switch.house import WON, House
from tests.integration.switch.messages import payment
from tests.support.wire_client import ClosedByPeerError


def test_case_26_both_sides_of_a_cutover_carry_the_business_date_of_the_request(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        with house.at("2026-11-18T23:59:59+09:00"):
            paid = terminal.purchase(house.now, card, 1_000)
            first = line.ask(paid)
            assert terminal.receive(first).business_mmdd == "1118"
        with house.at("2026-11-19T00:00:01+09:00"):
            # Its repeat comes after the cutover: the same date, the same bytes.
            assert line.ask(terminal.repeat_of(paid)) == first
            assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).business_mmdd == "1119"
        dates = [str(row["business_date"]) for row in house.payments(terminal)]
        assert dates == ["2026-11-18", "2026-11-19"]


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
def test_case_28_two_cards_of_one_wallet_spend_no_won_twice(house: House, pause_s: float) -> None:
    card = house.card()
    other = house.second_card(card)
    outcomes: list[str] = []

    def spend(pan: str) -> None:
        with house.line() as line:
            terminal = house.till(line)
            for _ in range(8):
                outcomes.append(line.exchange(terminal, terminal.purchase(house.now, pan, 50_000)).code)
                time.sleep(pause_s)

    threads = [threading.Thread(target=spend, args=(pan,)) for pan in (card, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count("00") == WON // 50_000
    assert set(outcomes) == {"00", "51"}
    assert house.balance(card) == 0


def test_case_28_a_card_blocked_between_hold_and_completion_is_honoured(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        held = payment(terminal, house.now, "0100", card, 10_000)
        assert line.exchange(terminal, held).approved
        house.card_act("lost", card)
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "41"
        assert (
            line.exchange(terminal, payment(terminal, house.now, "0220", card, 9_000, original=held)).code
            == "00"
        )
        assert house.balance(card) == WON - 9_000


def test_case_29_a_reversal_restores_lots_and_limits(house: House) -> None:
    with house.line() as line:
        terminal, card = house.till(line), house.card()
        assert line.exchange(terminal, terminal.topup(house.now, card, 30_000)).approved
        before = wallet_of(house, card)
        paid = terminal.purchase(house.now, card, WON + 10_000)  # it takes from both lots
        assert line.exchange(terminal, paid).approved
        assert wallet_of(house, card) != before
        assert line.exchange(terminal, terminal.reversal(house.now, paid)).code == "00"
        assert wallet_of(house, card) == before


def wallet_of(house: House, card: str) -> list[tuple[object, ...]]:
    """Lots, the month's and the day's counters, and what is accrued, as the books have them."""
    where = "wallet_id = (SELECT wallet_id FROM member WHERE member_id = :m)"
    accrued = (
        "SELECT coalesce(sum(CASE WHEN credit = 211 THEN won ELSE -won END), 0) FROM entry "
        f"WHERE (credit = 211 OR debit = 211) AND {where}"
    )
    with house.stage.engine.connect() as connection:
        found: list[tuple[object, ...]] = []
        for query in (
            f"SELECT lot_no, balance FROM lot WHERE {where} ORDER BY lot_no",
            f"SELECT month_spent, month_basis, day_spent, holds FROM wallet WHERE {where}",
            accrued,
        ):
            found += [tuple(row) for row in connection.execute(text(query), {"m": house.member(card)})]
        return found


def test_case_30_nonsense_is_declined_before_any_lock_is_taken(house: House) -> None:
    with house.line() as line, house.stage.engine.connect() as connection:
        terminal, card = house.till(line), house.card()
        # The wallet is locked by somebody else: whoever asked for its lock would wait.
        connection.execute(
            text(
                "SELECT 1 FROM wallet WHERE wallet_id = "
                "(SELECT wallet_id FROM member WHERE member_id = :m) FOR UPDATE"
            ),
            {"m": house.member(card)},
        )
        cases = (
            (payment(terminal, house.now, "0200", card, 0), "13", None),
            (payment(terminal, house.now, "0200", card, 1_000, f13="1017"), "12", None),
        )
        for payload, code, field in cases:
            reply = line.exchange(terminal, payload, 3.0)
            assert (reply.code, reply.refused_field) == (code, field)
        plain = payment(terminal, house.now, "0200", card, 1_000)
        for old, new, field in (
            (b"410", b"840", "049"),  # another currency
            (b"1118", b"0230", "013"),  # no day of any year
        ):
            mangled = plain.replace(old, new)
            assert mangled != plain
            answer = decode(line.ask(mangled, 3.0))
            assert answer.fields[39] == "30"
            assert answer.fields[44] in (field, "007")
        connection.rollback()
        assert house.payments(terminal) == []
        most = payment(terminal, house.now, "0200", card, 999_999_999_999)
        assert line.exchange(terminal, most).code in ("51", "61")


def test_case_31_what_cannot_be_read_closes_its_own_line_only(house: House) -> None:
    with house.line() as bystander:
        other, card = house.till(bystander), house.card()
        with house.line() as line:
            terminal = house.till(line)
            good = payment(terminal, house.now, "0200", card, 1_000)
            # Legible, and of no kind that is known: answered with 30.
            unknown = line.ask(b"0600" + good[4:])
            assert unknown.startswith(b"0610")
            assert b"111830" in unknown  # DE13, then DE39
            assert unknown.endswith(b"03000")  # DE44: the MTI itself
            # A length within the message that lies: answered with 30 and the field's number.
            lying = bytearray(good)
            lying[20:22] = b"99"  # of the card number
            assert decode(line.ask(bytes(lying))).fields[39] == "30"
            assert line.exchange(terminal, terminal.echo(house.now)).approved
        for nonsense in (
            frame(b"not a message at all"),
            frame(good[:4] + b"ZZZZZZZZZZZZZZZZ" + good[20:]),  # a bitmap of no digits
            b"\x00\x00",  # a frame without anything in it
            b"\xff\xff" + good,  # longer than any message
        ):
            with house.line() as line:
                line.raw(nonsense)
                with pytest.raises(ClosedByPeerError):
                    line.receive(5.0)
            assert bystander.exchange(other, other.purchase(house.now, card, 10)).approved
    assert all(row["kind"] == Kind.PURCHASE for row in house.payments(other))
