"""A journal read as payments, its batch totals, and how it is held against the switch's books."""

from datetime import UTC, datetime

import pytest

from hsm_sim.crypto.mac import RetailMac
from switch.wire.message import decode, encode_for_mac
from switch.wire.request import reply_fields, reply_mti
from terminal_sim.batch import close_message, detail_messages, next_batch
from terminal_sim.compare import HostPayment, compare, journals_of
from terminal_sim.journal import batch_totals, read_journal
from terminal_sim.keys import tmk
from terminal_sim.session import SessionKeys
from terminal_sim.terminal import Terminal, TerminalError

NOW = datetime(2026, 11, 21, 3, 15, tzinfo=UTC)  # 12:15 in Korea
PAN = "9410619058273149"
KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")


@pytest.fixture
def terminal() -> Terminal:
    made = Terminal("T0000001", "M1", tmk(1, "T0000001"))
    made._keys = SessionKeys(KEY, KEY)
    made.batch_no = 7
    return made


def answer(terminal: Terminal, payload: bytes, code: str = "00", amount: int | None = None) -> None:
    """The host's answer to a message, read by its terminal."""
    message = decode(payload)
    fields = reply_fields(message, code=code, rrn=f"{message.fields[11]:>012}")
    if amount is not None:
        fields[4] = f"{amount:012d}"
    body = encode_for_mac(reply_mti(message.mti), fields)
    terminal.receive(body + RetailMac(KEY).mac(body).hex().upper().encode())


def paid(terminal: Terminal, won: int, code: str = "00", amount: int | None = None) -> bytes:
    payload = terminal.purchase(NOW, PAN, won)
    answer(terminal, payload, code, amount)
    return payload


def row(stan: int, kind: str, won: int, code: str = "00", **facts: int) -> HostPayment:
    approved = facts.get("approved", won if code == "00" else 0)
    return HostPayment(
        *(
            "T0000001",
            f"{stan:06d}",
            kind,
            "2026-11-21",
            "121500",
            won,
            approved,
            facts.get("returned", 0),
            code,
        )
    )


def differences(terminal: Terminal, *host: HostPayment) -> list[str]:
    return compare(journals_of([terminal]), host).differences


def test_a_repeat_is_its_payment_and_a_reversal_takes_it_back(terminal: Terminal) -> None:
    first = terminal.purchase(NOW, PAN, 5_000)
    repeat = terminal.repeat_of(first)
    answer(terminal, repeat)
    undo = terminal.reversal(NOW, first, replacement=2_000)
    answer(terminal, undo)
    payment, reversal = read_journal(terminal.journal, decode)
    assert (payment.kind, payment.mti, payment.code, payment.approved, payment.left) == (
        *("purchase", "0200", "00", 5_000),
        2_000,
    )
    assert (reversal.kind, reversal.replacement, payment.reversed) == ("reversal", 2_000, True)
    assert (payment.day, payment.time, payment.batch_no) == ("1121", "121500", 7)


def test_a_reversal_without_number_and_time_is_of_the_payment_with_its_rrn(terminal: Terminal) -> None:
    tea, cake = paid(terminal, 5_000), paid(terminal, 5_000)
    rrn = read_journal(terminal.journal, decode)[1].rrn
    undo = terminal.reversal(NOW, tea, hidden=frozenset({"stan", "time"}), rrn=rrn)
    answer(terminal, undo)
    assert [line.left for line in read_journal(terminal.journal, decode)[:2]] == [5_000, 0]
    assert cake != tea


def test_a_reversal_after_the_completion_takes_the_completion_back(terminal: Terminal) -> None:
    hold = terminal.preauth(NOW, PAN, 4_000)
    answer(terminal, hold)
    answer(terminal, terminal.complete(NOW, hold, 3_000))
    answer(terminal, terminal.reversal(NOW, hold))
    held, completed, _ = read_journal(terminal.journal, decode)
    assert (held.left, completed.left, completed.taken_back) == (4_000, 0, 3_000)


def test_the_totals_of_a_batch_count_what_was_told(terminal: Terminal) -> None:
    tea, _, feast = paid(terminal, 5_000), paid(terminal, 9_000, "51"), paid(terminal, 30_000, "10", 20_000)
    answer(terminal, terminal.reversal(NOW, feast))
    answer(terminal, terminal.refund(NOW, tea, 1_000))
    hold = terminal.preauth(NOW, PAN, 4_000)
    answer(terminal, hold)
    answer(terminal, terminal.void(NOW, hold))  # gives back what no merchant had
    answer(terminal, terminal.offline(NOW, PAN, 700))
    terminal.purchase(NOW, PAN, 600)  # no answer
    totals = batch_totals(read_journal(terminal.journal, decode), 7)
    assert (totals.debits, totals.debit_won, totals.debits_reversed, totals.debit_reversed_won) == (
        *(3, 25_700, 1),
        20_000,
    )
    assert (totals.credits, totals.credit_won, totals.net) == (1, 1_000, -4_700)
    fields = decode(close_message(terminal, NOW)).fields
    assert (fields[76], fields[88], fields[97]) == (f"{3:010d}", f"{25_700:016d}", f"D{4_700:016d}")
    details = [decode(one).fields for one in detail_messages(terminal, NOW)]
    assert [int(one[4]) for one in details] == [5_000, 0, 1_000, 700]
    assert [one[48].endswith("LB0011") for one in details] == [False, False, False, True]
    next_batch(terminal)
    assert batch_totals(read_journal(terminal.journal, decode), terminal.batch_no).debits == 0


def test_a_terminal_without_batches_closes_none(terminal: Terminal) -> None:
    terminal.batch_no = 0
    with pytest.raises(TerminalError, match="keeps no batches"):
        close_message(terminal, NOW)


def test_books_that_agree(terminal: Terminal) -> None:
    tea = paid(terminal, 5_000)
    paid(terminal, 9_000, "51")
    paid(terminal, 8_000, "63")  # refused at the door: the switch keeps nothing of it
    answer(terminal, terminal.reversal(NOW, tea))
    lost = terminal.purchase(NOW, PAN, 700)
    answer(terminal, terminal.reversal(NOW, lost))
    host = (
        *(row(1, "purchase", 5_000, returned=5_000), row(2, "purchase", 9_000, "51")),
        *(row(4, "reversal", 5_000), row(5, "purchase", 700, returned=700), row(6, "reversal", 700)),
    )
    assert differences(terminal, *host) == []


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ((), "was approved, the switch has none"),
        ((row(1, "purchase", 5_000, "51"),), "was answered 00, the switch has 51"),
        ((row(1, "purchase", 6_000),), "stands at the switch with 6,000 won"),
        ((row(1, "purchase", 5_000, returned=1_000),), "leaves 5,000 won, at the switch 4,000"),
    ],
)
def test_books_that_differ(terminal: Terminal, host: tuple[HostPayment, ...], told: str) -> None:
    paid(terminal, 5_000)
    (found,) = differences(terminal, *host)
    assert found == f"T0000001: purchase 000001 of 5,000 won {told}"


def test_money_that_only_the_switch_knows_of(terminal: Terminal) -> None:
    terminal.purchase(NOW, PAN, 5_000)
    unanswered, unknown = differences(terminal, row(1, "purchase", 5_000), row(9, "topup", 100))
    assert unanswered.endswith("got no answer, and the switch holds 5,000 won for it")
    assert unknown == "T0000001: the switch has topup 000009 of 100 won, its terminal knows of none"


def test_a_full_journal_cannot_be_compared() -> None:
    terminal = Terminal("T0000001", "M1", tmk(1, "T0000001"), journal_max=1)
    terminal.purchase(NOW, PAN, 5_000)
    with pytest.raises(ValueError, match="journal is full"):
        journals_of([terminal])
