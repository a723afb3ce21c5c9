"""A terminal's batch over a real line: in balance, differing, uploaded, repeated, and what comes after."""

import subprocess
import threading
import time
from typing import Any

import pytest
from sqlalchemy import text

from switch.wire.batch import IN_BALANCE, OUT_OF_BALANCE
from switch.wire.message import decode
from terminal_sim.batch import close_message, detail_messages
from terminal_sim.terminal import Reply, Terminal
from tests.integration.switch.house import House
from tests.support.stage import BIN
from tests.support.wire_client import Line


def till(house: House, line: Line) -> Terminal:
    """A terminal that keeps batches, in its first."""
    terminal = house.till(line)
    terminal.batch_no = 1
    return terminal


def pay(house: House, line: Line, terminal: Terminal, card: str, won: int) -> bytes:
    paid = terminal.purchase(house.now, card, won)
    assert line.exchange(terminal, paid).approved
    return paid


def close(house: House, line: Line, terminal: Terminal, *, off_by: int = 0) -> Reply:
    return line.exchange(terminal, close_message(terminal, house.now, off_by=off_by))


def upload(house: House, line: Line, terminal: Terminal) -> None:
    for detail in detail_messages(terminal, house.now):
        assert line.exchange(terminal, detail).code == "00"


def batch(house: House, terminal: Terminal, batch_no: int = 1) -> dict[str, Any]:
    with house.stage.engine.connect() as connection:
        row = connection.execute(
            text("SELECT * FROM terminal_batch WHERE terminal_id = :t AND batch_no = :n"),
            {"t": terminal.terminal_id, "n": batch_no},
        ).one()
        return dict(row._mapping)


def differences(house: House, terminal: Terminal) -> list[tuple[Any, ...]]:
    with house.stage.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT what, processing, stan, host_won, terminal_won FROM terminal_batch_difference "
                "WHERE terminal_id = :t ORDER BY line"
            ),
            {"t": terminal.terminal_id},
        )
        return [tuple(row) for row in rows]


def day_of_a_till(house: House, line: Line) -> Terminal:
    """Debits, a credit, a reversal, an offline payment, a completion, a void, and what no batch counts."""
    terminal, card = till(house, line), house.card()
    paid = pay(house, line, terminal, card, 30_000)
    again = pay(house, line, terminal, card, 5_000)
    undone = pay(house, line, terminal, card, 7_000)
    assert line.exchange(terminal, terminal.refund(house.now, paid, 12_000)).approved
    assert line.exchange(terminal, terminal.reversal(house.now, again)).code == "00"
    assert line.exchange(terminal, terminal.void(house.now, undone)).approved
    assert line.exchange(terminal, terminal.offline(house.now, card, 2_000)).approved
    assert line.exchange(terminal, terminal.topup(house.now, card, 10_000)).approved
    assert line.exchange(terminal, terminal.inquiry(house.now, card)).approved
    assert line.exchange(terminal, terminal.purchase(house.now, card, 90_000_000)).code in ("51", "61")
    return terminal


def test_totals_that_agree_close_the_batch(house: House) -> None:
    with house.line() as line:
        terminal = day_of_a_till(house, line)
        reply = close(house, line, terminal)
        assert (reply.code, reply.fields[66], reply.business_mmdd) == ("00", IN_BALANCE, "1118")
        totals = {n: int(reply.fields[n]) for n in (*range(74, 78), *range(86, 90))}
        assert totals == {74: 2, 75: 0, 76: 4, 77: 1, 86: 19_000, 87: 0, 88: 44_000, 89: 5_000}
        assert reply.fields[97] == f"D{20_000:016d}"
        row = batch(house, terminal)
        assert (row["state"], row["differences"], row["details"]) == ("closed", 0, 0)
        assert row["closed_at"] is not None
        assert (row["debit_won"], row["host_debit_won"]) == (44_000, 44_000)


def test_a_closed_batch_takes_no_more_payments_and_the_next_one_does(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        pay(house, line, terminal, card, 1_000)
        assert close(house, line, terminal).code == "00"
        assert line.exchange(terminal, terminal.purchase(house.now, card, 1_000)).code == "12"
        terminal.batch_no = 2
        pay(house, line, terminal, card, 2_000)
        reply = close(house, line, terminal)
        assert (reply.code, int(reply.fields[88])) == ("00", 2_000)
        terminal.batch_no = 400_000  # a slip: it closes an empty batch, and the next number is not locked out
        assert close(house, line, terminal).code == "00"
        terminal.batch_no = 3
        pay(house, line, terminal, card, 3_000)
    assert house.restart() == 0
    with house.line() as line:
        pay(house, line, terminal, card, 3_000)


def test_case_27_a_repeated_close_gets_the_stored_answer_even_after_a_restart(house: House) -> None:
    with house.line() as line:
        terminal = day_of_a_till(house, line)
        message = close_message(terminal, house.now)
        first = line.ask(message)
        assert line.ask(terminal.repeat_of(message)) == first
        assert line.ask(message) == first
    house.restart()
    with house.line() as line, house.at("2026-11-19T09:00:00+09:00"):
        assert line.ask(terminal.repeat_of(message)) == first  # its business date too
        new = close(house, line, terminal)  # the same totals under another STAN
        stored = terminal.receive(first)
        assert {n: new.fields[n] for n in (15, 39, 66, 88, 97)} == {
            n: stored.fields[n] for n in (15, 39, 66, 88, 97)
        }
        assert close(house, line, terminal, off_by=1_000).code == "94"
        assert batch(house, terminal)["debit_won"] == 44_000


def test_case_27_a_close_waits_for_what_its_terminal_has_under_way(house: House) -> None:
    with house.line() as line, house.stage.engine.connect() as other:
        terminal, card = till(house, line), house.card()
        paid = pay(house, line, terminal, card, 9_000)
        lock = text(
            "SELECT 1 FROM wallet WHERE wallet_id = "
            "(SELECT wallet_id FROM member WHERE member_id = :m) FOR UPDATE"
        )
        other.execute(lock, {"m": house.member(card)})  # the reversal cannot be booked yet
        line.send(terminal.reversal(house.now, paid))
        time.sleep(0.3)
        threading.Timer(0.7, other.rollback).start()
        started = time.monotonic()
        line.send(close_message(terminal, house.now))
        replies = {message.mti: message for message in (decode(line.receive()), decode(line.receive()))}
        assert time.monotonic() - started > 0.5
        assert replies["0430"].fields[39] == "00"
        # By then the books have the reversal; the terminal that had no answer yet counted the payment.
        assert (replies["0510"].fields[39], int(replies["0510"].fields[89])) == ("95", 9_000)


def test_out_of_balance_upload_and_repeat_where_only_the_sums_were_wrong(house: House) -> None:
    with house.line() as line:
        terminal = day_of_a_till(house, line)
        reply = close(house, line, terminal, off_by=1_000)
        assert (reply.code, reply.fields[66], int(reply.fields[88])) == ("95", OUT_OF_BALANCE, 44_000)
        assert batch(house, terminal)["state"] == "open_differs"
        assert close(house, line, terminal, off_by=1_000).code == "95"  # nothing has been uploaded
        details = detail_messages(terminal, house.now)
        for detail in details:
            first = line.ask(detail)
            assert terminal.receive(first).code == "00"
            assert line.ask(terminal.repeat_of(detail)) == first
        assert batch(house, terminal)["details"] == len(details) == 6
        reply = close(house, line, terminal, off_by=1_000)
        assert (reply.code, reply.fields[66]) == ("00", IN_BALANCE)
        assert differences(house, terminal) == []
        assert batch(house, terminal)["state"] == "closed"


def test_differences_of_records_are_kept_and_the_batch_closes(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        pay(house, line, terminal, card, 10_000)
        lost = terminal.purchase(house.now, card, 3_000)
        line.ask(lost)  # its answer never reaches the till, which forgets to reverse
        reply = close(house, line, terminal)
        assert (reply.code, reply.fields[66]) == ("95", OUT_OF_BALANCE)
        (detail,) = detail_messages(terminal, house.now)
        fields = decode(detail).fields
        invented = terminal.seal(
            "0320",
            fields | {11: "900001", 4: f"{4_000:012d}", 90: "0200900001" + fields[90][10:], 48: "BN0011"},
        )
        other = terminal.seal("0320", fields | {4: f"{9_000:012d}", 11: "900002"})
        assert line.exchange(terminal, invented).code == "00"
        assert line.exchange(terminal, other).code == "00"  # it has the last one's mark
        assert line.exchange(terminal, detail).code == "94"  # the same record with another amount
        reply = close(house, line, terminal)
        assert (reply.code, reply.fields[66]) == ("00", OUT_OF_BALANCE)
        stan, lost_stan = int(fields[90][4:10]), int(decode(lost).fields[11])
        assert sorted(differences(house, terminal)) == [
            ("amount_differs", "000000", stan, 10_000, 9_000),
            ("host_lacks", "000000", 900_001, 0, 4_000),
            ("terminal_lacks", "000000", lost_stan, 3_000, 0),
        ]
        row = batch(house, terminal)
        assert (row["state"], row["differences"], row["uploaded"]) == ("closed_differs", 3, True)
        assert line.exchange(terminal, terminal.repeat_of(detail)).code == "94"
        late = terminal.seal("0320", fields | {90: "0200900009" + fields[90][10:], 11: "900009"})
        assert line.exchange(terminal, late).code == "12"
        again = close(house, line, terminal)
        assert (again.code, again.fields[66]) == ("00", OUT_OF_BALANCE)


def test_a_payment_whose_answer_was_lost_and_that_was_reversed_does_not_unbalance(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        pay(house, line, terminal, card, 10_000)
        lost = terminal.purchase(house.now, card, 3_000)
        line.ask(lost)
        assert line.exchange(terminal, terminal.reversal(house.now, lost)).code == "00"
        reply = close(house, line, terminal)
        assert (reply.code, int(reply.fields[76]), int(reply.fields[77])) == ("00", 2, 1)


def test_a_terminal_that_has_nothing_to_upload_closes_with_its_second_close(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        line.ask(terminal.purchase(house.now, card, 3_000))
        assert close(house, line, terminal).code == "95"
        assert detail_messages(terminal, house.now) == []
        reply = close(house, line, terminal)
        assert (reply.code, reply.fields[66]) == ("00", OUT_OF_BALANCE)
        assert [one[0] for one in differences(house, terminal)] == ["terminal_lacks"]


def test_an_empty_batch_closes(house: House) -> None:
    with house.line() as line:
        reply = close(house, line, till(house, line))
        assert (reply.code, reply.fields[66], reply.fields[97]) == ("00", IN_BALANCE, f"C{0:016d}")


def test_a_hold_counts_when_it_is_completed(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        given_up = terminal.preauth(house.now, card, 8_000)
        assert line.exchange(terminal, given_up).approved
        assert line.exchange(terminal, terminal.void(house.now, given_up)).approved
        held = terminal.preauth(house.now, card, 20_000)
        assert line.exchange(terminal, held).approved
        assert line.exchange(terminal, terminal.complete(house.now, held, 15_000)).approved
        reply = close(house, line, terminal)
        assert {n: int(reply.fields[n]) for n in (74, 76, 88)} == {74: 0, 76: 1, 88: 15_000}
        assert reply.code == "00"


def test_details_that_nobody_asked_for_are_refused(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        pay(house, line, terminal, card, 1_000)
        (detail,) = detail_messages(terminal, house.now)
        assert line.exchange(terminal, detail).code == "12"


def test_only_the_terminals_own_merchant_closes_its_batch(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        pay(house, line, terminal, card, 1_000)
        fields = decode(close_message(terminal, house.now)).fields
        foreign = terminal.seal("0500", fields | {42: "SHOP000039".ljust(15)})
        assert line.exchange(terminal, foreign).code == "03"


@pytest.mark.parametrize(("field", "value"), [(97, f"C{1:016d}"), (48, "CH003pos"), (48, "BN0010")])
def test_a_close_that_cannot_be_read_names_its_field(house: House, field: int, value: str) -> None:
    with house.line() as line:
        terminal = till(house, line)
        fields = decode(close_message(terminal, house.now)).fields
        reply = line.exchange(terminal, terminal.seal("0500", fields | {field: value}))
        assert (reply.code, reply.refused_field) == ("30", field)


def test_an_operator_sees_how_batches_stand_and_what_changed_after_their_close(house: House) -> None:
    with house.line() as line:
        terminal, card = till(house, line), house.card()
        paid = pay(house, line, terminal, card, 10_000)
        line.ask(terminal.purchase(house.now, card, 3_000))
        assert close(house, line, terminal).code == "95"
        whose = ("batches", "--terminal", terminal.terminal_id, "--json")
        (view,) = house.command(*whose)
        assert (view["state"], view["batch_no"], view["closed_at"]) == ("open_differs", 1, "")
        upload(house, line, terminal)
        assert close(house, line, terminal).code == "00"
        one = house.command(*whose, "--batch", "1")
        assert (one["batch"]["state"], one["batch"]["changed_after_close"]) == ("closed_differs", False)
        assert [(d["what"], d["kind"], d["host_won"]) for d in one["differences"]] == [
            ("terminal_lacks", "purchase", 3_000)
        ]
        assert line.exchange(terminal, terminal.reversal(house.now, paid)).code == "00"
        assert line.exchange(terminal, terminal.offline(house.now, card, 1_000)).approved
        (view,) = house.command(*whose)
        assert view["changed_after_close"]
        assert (view["host"]["debits"], view["told"]["debit_won"]) == (2, 10_000)
        differing = house.command("batches", "--date", "2026-11-18", "--differing", "--json")
        assert view in differing
        assert {one["state"] for one in differing} <= {"open_differs", "closed_differs"}


def test_the_command_says_what_it_cannot_do(house: House) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        config = str(house.stage.directory / "switch.toml")
        command = [str(BIN / "dure-switch"), "--config", config, "batches", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    for arguments, words in (
        (("--batch", "1"), "--terminal"),
        (("--terminal", "NOBODY", "--batch", "1"), "no batch 1"),
        (("--date", "yesterday"), "YYYY-MM-DD"),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert words in done.stderr
    with house.line() as line:
        terminal = day_of_a_till(house, line)
        assert close(house, line, terminal).code == "00"
    whole, one = run("--last", "1"), run("--terminal", terminal.terminal_id, "--batch", "1")
    assert terminal.terminal_id in whole.stdout
    assert "39,000" in whole.stdout  # what stands of the debits
    assert "44,000" in one.stdout
    assert one.stdout.rstrip().endswith("Differences: none")
