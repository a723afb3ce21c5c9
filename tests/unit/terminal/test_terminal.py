from datetime import UTC, datetime

import pytest

from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.pinblock import account_part, decode_format0
from hsm_sim.crypto.tdes import Tdes, has_odd_parity
from switch.wire.message import decode, encode
from switch.wire.private import Balances
from switch.wire.request import Payment, Reversal, parse_request
from terminal_sim.keys import tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.terminal import STAN_MAX, Terminal, TerminalError
from tests.unit.terminal.counter import Counter

NOW = datetime(2026, 11, 21, 15, 30, 59, tzinfo=UTC)  # in Korea already the 22nd
PAN = "9410619058273149"


@pytest.fixture
def counter() -> Counter:
    return Counter(lambda terminal: tmk(1, terminal))


@pytest.fixture
def terminal(counter: Counter) -> Terminal:
    terminal = Terminal("T0000001", "M00042", tmk(1, "T0000001"))
    for payload in (terminal.sign_on(NOW), terminal.key_exchange(NOW)):
        terminal.receive(answered(counter, payload))
    return terminal


def answered(counter: Counter, payload: bytes) -> bytes:
    answer = counter.answer(payload)
    assert answer is not None
    return answer


def test_master_keys_come_from_the_seed() -> None:
    key = tmk(7, "T0000001")
    assert key == tmk(7, "T0000001")
    assert len({key, tmk(8, "T0000001"), tmk(7, "T0000002")}) == 3
    assert len(key) == 16
    assert has_odd_parity(key)
    assert TEST_LMK.decrypt("002", tmk_under_lmk(key)) == key
    assert tmk_check_value(key) == check_value(key)


def test_a_purchase_as_the_switch_sees_it(terminal: Terminal) -> None:
    payload = terminal.purchase(NOW, PAN, 17_400, pin="1234", channel="online", order_id="A-1", expiry="2912")
    payment = parse_request(decode(payload))
    assert isinstance(payment, Payment)
    assert (payment.kind, payment.amount, payment.channel, payment.order_id) == (
        "purchase",
        17_400,
        "online",
        "A-1",
    )
    assert (payment.transmission, payment.local_time, payment.local_mmdd) == ("1121153059", 3059, 1122)
    assert (payment.terminal_id, payment.merchant_id, payment.stan) == ("T0000001", "M00042", 3)


def test_an_answered_purchase(terminal: Terminal, counter: Counter) -> None:
    reply = terminal.receive(answered(counter, terminal.purchase(NOW, PAN, 17_400)))
    assert (reply.code, reply.approved, reply.mac_ok, reply.approval) == ("00", True, True, "A00001")
    assert (reply.cashback, reply.balances, reply.business_mmdd) == (1_740, Balances(90_000, 80_000), "1121")
    assert reply.rrn == "632612000123"
    assert terminal.journal[-1].reply is reply


def test_the_pin_block_is_of_this_pin_card_and_session(terminal: Terminal, counter: Counter) -> None:
    payment = parse_request(decode(terminal.purchase(NOW, PAN, 1_000, pin="8052")))
    assert isinstance(payment, Payment)
    keys = counter.session_keys("T0000001")
    counter.generation -= 2
    first = counter.session_keys("T0000001")
    assert first != keys
    key = Tdes(tmk(1, "T0000001")).decrypt(bytes.fromhex(first["TP"][1:]))
    clear = Tdes(key).decrypt(bytes.fromhex(payment.pin_block or ""))
    assert decode_format0(clear, account_part(PAN)) == "8052"


def test_a_wrong_mac_is_seen_at_both_ends(terminal: Terminal, counter: Counter) -> None:
    good = terminal.purchase(NOW, PAN, 1_000)
    spoiled = good[:-1] + (b"0" if good[-1:] != b"0" else b"1")
    refusal = terminal.receive(answered(counter, spoiled))
    assert (refusal.code, refusal.mac_ok) == ("63", None)
    counter.spoil = True
    assert terminal.receive(answered(counter, terminal.purchase(NOW, PAN, 1_000))).mac_ok is False


def test_before_the_key_exchange_nothing_is_sealed(counter: Counter) -> None:
    terminal = Terminal("T0000009", "M1", tmk(1, "T0000009"))
    payload = terminal.purchase(NOW, PAN, 1_000)
    assert decode(payload).mac is None
    assert terminal.receive(answered(counter, payload)).code == "58"
    with pytest.raises(TerminalError, match="key exchange"):
        terminal.purchase(NOW, PAN, 1_000, pin="1234")


def test_a_reversal_copies_its_original(terminal: Terminal) -> None:
    payment = terminal.purchase(NOW, PAN, 9_900)
    later = NOW.replace(hour=16)
    reversal = parse_request(decode(terminal.reversal(later, payment, rrn="632612000123")))
    assert isinstance(reversal, Reversal)
    assert (reversal.advice, reversal.amount, reversal.kind) == (True, 9_900, "purchase")
    assert (reversal.local_time, reversal.local_mmdd, reversal.transmission) == (3059, 1122, "1121163059")
    assert (reversal.original.mti, reversal.original.stan, reversal.stan) == ("0200", 3, 4)
    assert reversal.original.transmission == "1121153059"
    request = parse_request(decode(terminal.reversal(later, payment, advice=False, amount=1)))
    assert isinstance(request, Reversal)
    assert (request.advice, request.amount) == (False, 1)


def test_the_reversal_of_a_repeat_names_the_first_message(terminal: Terminal) -> None:
    repeat = terminal.repeat_of(terminal.purchase(NOW, PAN, 9_900))
    reversal = parse_request(decode(terminal.reversal(NOW, repeat)))
    assert isinstance(reversal, Reversal)
    assert reversal.original.mti == "0200"


def test_a_refund_names_the_purchase(terminal: Terminal) -> None:
    payment = parse_request(decode(terminal.refund(NOW, terminal.purchase(NOW, PAN, 9_900), 5_000)))
    assert isinstance(payment, Payment)
    assert (payment.kind, payment.amount, payment.pan) == ("refund", 5_000, PAN)
    assert payment.original is not None
    assert payment.original.stan == 3


def test_topup_and_inquiry(terminal: Terminal, counter: Counter) -> None:
    for payload in (terminal.topup(NOW, PAN, 50_000), terminal.inquiry(NOW, PAN)):
        assert terminal.receive(answered(counter, payload)).approved


def test_a_repeat_changes_nothing_but_the_type_and_the_mac(terminal: Terminal) -> None:
    for payload, mti in (
        (terminal.purchase(NOW, PAN, 1_000, pin="1234"), "0201"),
        (terminal.reversal(NOW, terminal.purchase(NOW, PAN, 1_000)), "0421"),
        (terminal.sign_on(NOW), "0801"),
    ):
        first, repeat = decode(payload), decode(terminal.repeat_of(payload))
        assert repeat.mti == mti
        assert repeat.fields == first.fields
        assert mti == "0801" or repeat.mac != first.mac


def test_a_reply_from_before_a_key_exchange_still_verifies(terminal: Terminal, counter: Counter) -> None:
    late = answered(counter, terminal.purchase(NOW, PAN, 1_000))
    terminal.receive(answered(counter, terminal.key_exchange(NOW)))
    assert terminal.receive(late).mac_ok is True
    assert terminal.receive(answered(counter, terminal.purchase(NOW, PAN, 1_000))).mac_ok is True
    terminal.receive(answered(counter, terminal.key_exchange(NOW)))
    assert terminal.receive(late).mac_ok is False


def test_keys_that_do_not_fit_are_not_taken(terminal: Terminal, counter: Counter) -> None:
    reply = decode(answered(counter, terminal.key_exchange(NOW)))
    wrong_check = reply.fields | {48: reply.fields[48][:-6] + "000000"}
    with pytest.raises(TerminalError, match="check value"):
        terminal.receive(encode("0810", wrong_check))
    with pytest.raises(TerminalError, match="no usable"):
        terminal.receive(encode("0810", reply.fields | {48: "TP003XAB"}))
    stranger = Terminal("T0000001", "M00042", tmk(2, "T0000001"))
    with pytest.raises(TerminalError):
        stranger.receive(encode("0810", reply.fields))
    assert not stranger.has_keys


def test_signing_on_and_off(terminal: Terminal, counter: Counter) -> None:
    assert terminal.signed_on
    terminal.receive(answered(counter, terminal.echo(NOW)))
    assert terminal.signed_on
    terminal.receive(answered(counter, terminal.sign_off(NOW)))
    assert not terminal.signed_on
    terminal.forget_keys()
    assert not terminal.has_keys


def test_the_stan_goes_round() -> None:
    terminal = Terminal("T1", "M1", tmk(1, "T1"), stan=STAN_MAX - 1)
    stans = [decode(terminal.echo(NOW)).fields[11] for _ in range(2)]
    assert stans == ["999999", "000001"]
    assert terminal.terminal_id == "T1      "


def test_what_is_no_reply(terminal: Terminal) -> None:
    with pytest.raises(TerminalError, match="cannot be read"):
        terminal.receive(b"nonsense")
    with pytest.raises(TerminalError, match="not a reply"):
        terminal.receive(terminal.echo(NOW))


def test_nothing_printed_shows_the_card(terminal: Terminal, counter: Counter) -> None:
    reply = terminal.receive(answered(counter, terminal.purchase(NOW, PAN, 1_000, pin="8052")))
    shown = f"{terminal!r} {reply!r} {list(terminal.journal)!r}"
    assert PAN not in shown
    assert "8052" not in shown
    assert tmk(1, "T0000001").hex() not in shown


def test_the_journal_is_bounded() -> None:
    terminal = Terminal("T1", "M1", tmk(1, "T1"), journal_max=3)
    for _ in range(5):
        terminal.echo(NOW)
    assert [exchange.key[1:7] for exchange in terminal.journal] == ["000003", "000004", "000005"]
    silent = Terminal("T1", "M1", tmk(1, "T1"), journal_max=0)
    silent.echo(NOW)
    assert len(silent.journal) == 0
