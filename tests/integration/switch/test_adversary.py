"""Tricks of terminals, merchants and thieves, each over a real socket: what they gain is nothing."""

import time

from sqlalchemy import text

from switch.domain.holds import HOLDS_MAX
from switch.wire.message import decode, encode
from terminal_sim.keys import tmk
from terminal_sim.terminal import Terminal
from tests.integration.switch.house import SHOPS, WON, House
from tests.integration.switch.messages import named, payment, reversal
from tests.support.stage import SEED

CROWD = 6_000


def crowd(house: House, terminal_id: str, many: int) -> None:
    """As many more payments of a terminal's last one, written straight into the books."""
    names = "bucket, local_day, local_time, terminal_id, kind, wallet_id, card_no, merchant_no, programme_no"
    with house.stage.engine.begin() as connection:
        columns = [
            row[0]
            for row in connection.execute(
                text(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = 'payment'"
                    " AND is_generated = 'NEVER' ORDER BY ordinal_position"
                )
            )
        ]
        assert {name.strip() for name in names.split(",")} <= set(columns)
        chosen = ", ".join(
            "n" if name == "stan" else "seq + n" if name == "seq" else name for name in columns
        )
        connection.execute(
            text(
                f"INSERT INTO payment ({', '.join(columns)}) SELECT {chosen}"
                " FROM (SELECT * FROM payment WHERE terminal_id = :t LIMIT 1) p,"
                " generate_series(100000, 99999 + :many) AS n"
            ),
            {"t": terminal_id, "many": many},
        )
        connection.execute(
            text(
                "UPDATE wallet SET seq = seq + 200000 WHERE wallet_id ="
                " (SELECT wallet_id FROM payment WHERE terminal_id = :t LIMIT 1)"
            ),
            {"t": terminal_id},
        )


def test_a_vague_reversal_of_a_crowded_wallet_does_not_stop_the_lane(house: House) -> None:
    """DE90 without a STAN means any of thousands of payments: nobody else may feel the search."""
    card = house.card()
    with house.line() as line:
        terminal = house.till(line)
        asked = terminal.inquiry(house.now, card)
        assert line.exchange(terminal, asked).approved
        crowd(house, terminal.terminal_id, CROWD)
        paid = terminal.purchase(house.now, card, 1_000)
        assert line.exchange(terminal, paid).approved
        vague = reversal(
            terminal, house.now, paid, f90=named(paid, stan=0, transmission="0" * 10, mti="0000")
        )
        started = time.perf_counter()
        assert line.exchange(terminal, vague).code == "00"
        assert time.perf_counter() - started < 1.0
        assert house.balance(card) == WON


def test_holds_of_one_wallet_are_bounded(house: House) -> None:
    """A wallet with thousands of one-won holds would be slow for ever: beyond a number they are declined."""
    card = house.card()
    with house.line() as line:
        terminal = house.till(line)
        codes = [
            line.exchange(terminal, payment(terminal, house.now, "0100", card, 1)).code
            for _ in range(HOLDS_MAX + 2)
        ]
        assert codes == ["00"] * HOLDS_MAX + ["61"] * 2
        assert line.exchange(terminal, terminal.purchase(house.now, card, WON - HOLDS_MAX)).approved


def test_a_completion_that_was_reversed_is_not_acknowledged_in_silence(house: House) -> None:
    """The completion was taken back; when it comes again under another STAN, somebody must look."""
    card = house.card()
    with house.line() as line:
        terminal = house.till(line)
        held = payment(terminal, house.now, "0100", card, 10_000)
        assert line.exchange(terminal, held).approved
        done = payment(terminal, house.now, "0220", card, 10_000, original=held)
        assert line.exchange(terminal, done).code == "00"
        assert line.exchange(terminal, reversal(terminal, house.now, done)).code == "00"
        assert house.balance(card) == WON
        again = payment(terminal, house.now, "0220", card, 10_000, original=held)
        assert line.exchange(terminal, again).code == "00"
        assert house.balance(card) == WON
        stored = house.payments(terminal)[-1]
        assert stored["reason"] == 2  # exception


def test_a_terminal_of_a_merchant_that_came_a_moment_ago_asks_for_the_date(house: House) -> None:
    """Reference data of before the merchant are still in force: the answer must come all the same."""
    house.stage.shops(SHOPS + 1, terminals_each=1)
    with house.line() as line:
        terminal = Terminal(f"T{SHOPS:04d}000", f"SHOP{SHOPS:06d}", tmk(SEED, f"T{SHOPS:04d}000"))
        asked = encode("0800", decode(terminal.cutover(house.now)).fields)
        reply = decode(line.ask(asked, 5.0))
        assert reply.fields[39] == "00"
        assert reply.fields[15] == "1118"


def test_what_was_recorded_takes_no_line_away(house: House) -> None:
    """A stranger sends a terminal's old message over a newer line: the terminal goes on over its own."""
    card = house.card()
    with house.line() as line, house.line() as stranger:
        terminal = house.till(line)
        paid = terminal.purchase(house.now, card, 1_000)
        first = line.ask(paid)
        assert stranger.ask(paid) == first
        assert line.exchange(terminal, terminal.purchase(house.now, card, 2_000)).approved


def test_a_recorded_sign_off_closes_no_shop(house: House) -> None:
    with house.line() as line, house.line() as stranger:
        terminal, card = house.till(line), house.card()
        off = terminal.sign_off(house.now)
        assert decode(line.ask(off)).fields[39] == "00"
        assert line.exchange(terminal, terminal.sign_on(house.now)).approved
        stranger.ask(off)
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).approved


def test_nobody_moves_money_of_a_payment_that_is_not_his(house: House) -> None:
    """Another terminal of the shop, another shop, another member's card: each names a payment and a hold that
    exist, and none of them is theirs."""
    card, other_card = house.card(), house.card()
    with house.line() as line:
        terminal = house.till(line)
        neighbour = house.ready(line, house.till(extra=1))
        stranger = house.till(line)
        for thief in (neighbour, stranger):
            for _ in range(20):  # so that no number of theirs is one of the terminal's
                thief.inquiry(house.now, card)
        paid, held = (
            terminal.purchase(house.now, card, 10_000),
            payment(terminal, house.now, "0100", card, 5_000),
        )
        for payload in (paid, held):
            assert line.exchange(terminal, payload).approved
        for thief, pan in ((neighbour, card), (stranger, card), (terminal, other_card)):
            for code, won, of in (
                ("200000", 10_000, paid),
                ("020000", 10_000, paid),
                ("020000", 5_000, held),
            ):
                asked = payment(thief, house.now, "0200", pan, won, code=code, original=of)
                assert line.exchange(thief, asked).code == "25"
            more = payment(thief, house.now, "0100", pan, 1_000, original=held)
            assert line.exchange(thief, more).code == "25"
            fields = decode(reversal(terminal, house.now, paid)).fields
            shop = {2: pan, 41: thief.terminal_id, 42: decode(more).fields[42]}
            for replacement in ({}, {95: f"{1:012d}" + "0" * 30}):
                taken = thief.seal(
                    "0420", {**fields, **shop, **replacement, 11: f"{900_000 + len(replacement)}"}
                )
                assert line.exchange(thief, taken).code == "00"  # taken note of
        assert house.balance(card) == WON - 10_000
        assert house.balance(other_card) == WON
        # The hold stands all the same: exactly what is free can be spent, and not a won more.
        free = WON - 15_000
        assert line.exchange(terminal, terminal.purchase(house.now, card, free + 1)).code == "51"
        assert line.exchange(terminal, terminal.purchase(house.now, card, free)).approved


def test_a_message_dated_tomorrow_ends_no_hold(house: House) -> None:
    card = house.card()
    with house.line() as line:
        terminal, other = house.till(line), house.till(line)
        held = payment(terminal, house.now, "0100", card, WON)
        assert line.exchange(terminal, held).approved
        with house.at("2026-11-25T12:00:00+09:00"):  # its last day
            early = payment(other, house.now, "0200", card, 1_000, f13="1126")
            assert line.exchange(other, early).code == "51"
            done = payment(terminal, house.now, "0220", card, WON, original=held)
            assert line.exchange(terminal, done).code == "00"
        assert house.balance(card) == 0
