"""Two sets of session keys on real books: exchanges lost, late and repeated, two switches, restarts."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from hsm_sim.crypto.lmk import TEST_LMK
from switch.domain.request import PinCheck
from switch.hsm.commands import HsmRefused
from switch.service import metrics
from switch.service.keywatch import KeyWatch
from switch.service.refused import RefusedError
from switch.store.keystore import put_master_keys
from switch.wire.message import decode
from switch.wire.private import decode_private
from terminal_sim.terminal import Terminal
from tests.integration.keys.room import CARD, GRACE_S, NOON, Ground, Room

FORMS = pytest.mark.parametrize("form", ["x917", "block"])


def told(answer: bytes) -> dict[str, str]:
    return decode_private(decode(answer).fields[48])


async def ready(ground: Ground, room: Room, form: str = "x917") -> Terminal:
    terminal = ground.terminal(key_form=form)
    assert terminal.receive(await room.exchange(terminal)).approved
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    return terminal


@FORMS
async def test_session_keys_reach_the_terminal_with_their_end(ground: Ground, form: str) -> None:
    room = ground.room()
    terminal = ground.terminal(key_form=form)
    answer = await room.exchange(terminal)
    private = told(answer)
    assert private["KX"] == "20261121030000"  # noon in Seoul, a day later, as UTC
    assert (private["TM"][0] == "X") == (form == "x917")
    assert terminal.receive(answer).approved  # it unwraps both and compares the check values
    paid = terminal.purchase(ground.now, CARD, 1_000, pin="4711")
    session = await room.open(paid)
    assert await room.pin(paid, session) is PinCheck.OK
    body = b"what the reply says"
    assert await room.keyring.seal(session, body) == await ground.hsm.generate_mac(session.tak, body)
    assert ground.acts() == ["session_keys"]


@FORMS
async def test_lost_answers_of_exchanges_change_nothing_for_the_terminal(ground: Ground, form: str) -> None:
    room = ground.room()
    terminal = await ready(ground, room, form)
    first = told(await room.exchange(terminal))
    ground.wait(seconds=10)
    again = told(await room.exchange(terminal))  # neither reaches it
    assert (first["KP"], first["KM"]) == (again["KP"], again["KM"])  # the same set, offered again
    ground.wait(hours=3)
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    assert terminal.receive(await room.exchange(terminal)).approved
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    assert ground.acts() == ["session_keys", "session_keys", "session_keys_again", "session_keys_again"]


@FORMS
async def test_a_storm_of_exchanges_in_a_terminals_name_costs_one(ground: Ground, form: str) -> None:
    """An exchange needs no MAC: whoever asks again and again gets the same answer, and leaves no trace."""
    room = ground.room()
    terminal = await ready(ground, room, form)
    answers = [told(one) for one in await asyncio.gather(*(room.exchange(terminal) for _ in range(50)))]
    answers += [told(await room.exchange(terminal)) for _ in range(50)]
    assert all(one == answers[0] for one in answers)
    assert ground.acts() == ["session_keys"] * 2
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    assert terminal.receive(await room.exchange(terminal)).approved
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    assert told(await room.exchange(terminal)) != answers[0]  # the set is in use: another is offered


async def test_the_set_of_before_has_its_grace_and_no_more(ground: Ground) -> None:
    room = ground.room()
    terminal = await ready(ground, room)
    in_flight = [terminal.purchase(ground.now, CARD, 1_000, pin="4711") for _ in range(3)]
    assert terminal.receive(await room.exchange(terminal)).approved
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    session = await room.open(in_flight[0])
    assert session.tak == ground.row().tak_old  # its answer goes under the keys that it knows
    assert await room.pin(in_flight[0], session) is PinCheck.OK
    ground.wait(seconds=GRACE_S - 1)
    assert await room.verdict(in_flight[1]) == "ok"
    ground.wait(seconds=1)
    assert await room.verdict(in_flight[2]) == "mac_failure"
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"


async def test_a_pin_under_the_other_set_is_read_and_one_under_no_set_counts_no_try(ground: Ground) -> None:
    room = ground.room()
    terminal = await ready(ground, room)
    under_old = terminal.purchase(ground.now, CARD, 1_000, pin="4711")
    wrong = terminal.purchase(ground.now, CARD, 1_000, pin="4712")
    assert terminal.receive(await room.exchange(terminal)).approved
    again = terminal.repeat_of(under_old)  # a MAC under the new set, its PIN still under the old one
    assert await room.pin(again) is PinCheck.OK
    assert await room.pin(terminal.repeat_of(wrong)) is PinCheck.WRONG
    ground.wait(seconds=GRACE_S)
    assert await room.pin(terminal.repeat_of(under_old)) is None


async def test_a_set_ends_and_an_exchange_under_it_is_still_possible(ground: Ground) -> None:
    room = ground.room()
    terminal = await ready(ground, room)
    ground.wait(hours=24)
    late = terminal.purchase(ground.now, CARD, 1_000)
    assert await room.verdict(late) == "mac_failure"
    sealed = terminal.seal("0800", decode(terminal.key_exchange(ground.now)).fields)
    assert decode(sealed).mac is not None
    assert terminal.receive(await room.ask(sealed)).approved
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    assert await room.verdict(late) == "mac_failure"  # what has ended is not the set of before


async def test_over_a_restart_and_a_power_cut_both_sets_stand(ground: Ground) -> None:
    room = ground.room()
    terminal = await ready(ground, room)
    under_old = [terminal.purchase(ground.now, CARD, 1_000) for _ in range(2)]
    assert terminal.receive(await room.exchange(terminal)).approved
    await room.close(killed=True)
    after = ground.room()
    assert await after.verdict(under_old[0]) == "ok"
    assert await after.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    await after.close()  # writes down that the new set is in use
    assert ground.row().keys_seen
    ground.wait(seconds=GRACE_S)
    last = ground.room()
    assert await last.verdict(under_old[1]) == "mac_failure"
    assert await last.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"


async def test_use_of_a_set_is_written_down_soon_and_a_lost_note_is_made_again(ground: Ground) -> None:
    room = ground.room()
    terminal = ground.terminal()
    assert terminal.receive(await room.exchange(terminal)).approved
    assert not ground.row().keys_seen
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    await room.close(killed=True)  # within a tenth of a second: the note is lost
    other = ground.room()
    assert await other.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    for _ in range(100):
        await asyncio.sleep(0.02)
        if ground.row().keys_seen:
            break
    assert ground.row().keys_seen


async def test_two_switches_give_one_terminal_keys_at_a_time(ground: Ground) -> None:
    one, two = ground.room(), ground.room()
    terminal = await ready(ground, one)
    assert await two.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"  # both have read it
    answers = await asyncio.gather(one.exchange(terminal), two.exchange(terminal))
    assert len({told(answer)["KM"] for answer in answers}) == 1
    for answer in answers:  # whichever it takes, it is the one
        assert terminal.receive(answer).approved
        for room in (one, two):
            assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"


async def test_a_set_given_at_one_switch_works_at_once_at_the_other(ground: Ground) -> None:
    one, two = ground.room(), ground.room()
    terminal = await ready(ground, one)
    assert await two.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    assert terminal.receive(await one.exchange(terminal)).approved
    assert await two.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    # The other switch has never seen this set in use: it must not offer it again as if it were unused.
    assert terminal.receive(await one.exchange(terminal)).approved
    assert await one.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    await one.marks.close()
    before = ground.row().tak
    assert terminal.receive(await two.exchange(terminal)).approved
    assert ground.row().tak != before
    assert ground.row().tak_old == before


async def test_a_master_key_under_a_new_lmk_is_read_when_the_one_at_hand_is_refused(ground: Ground) -> None:
    """After a key ceremony every master key is loaded anew, and no payment comes that would say so."""
    room = ground.room()
    terminal = ground.terminal()
    good = ground.row().tmk
    with ground.engine.begin() as connection:
        connection.execute(text("UPDATE terminal SET tmk = :bad"), {"bad": "U" + "1" * 32})
    with pytest.raises(HsmRefused):
        await room.exchange(terminal)
    with ground.engine.begin() as connection:
        connection.execute(text("UPDATE terminal SET tmk = :good"), {"good": good})
    assert terminal.receive(await room.exchange(terminal)).approved
    assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"


async def test_who_has_keys_must_prove_itself_to_sign_off_and_others_need_not(ground: Ground) -> None:
    room = ground.room()
    terminal = ground.terminal()
    assert terminal.receive(await room.ask(terminal.sign_on(ground.now))).approved
    assert terminal.receive(await room.ask(terminal.sign_off(ground.now))).approved  # nothing to prove with
    assert terminal.receive(await room.exchange(terminal)).approved
    impostor = Terminal(terminal.terminal_id, "SHOP000001", b"\x01" * 16)
    with pytest.raises(RefusedError, match="mac_failure"):
        await room.ask(impostor.sign_off(ground.now))
    assert terminal.receive(await room.ask(terminal.sign_off(ground.now))).approved
    proven = terminal.sign_off(ground.now)
    with pytest.raises(RefusedError, match="mac_failure"):
        await room.ask(proven[:-1] + (b"1" if proven.endswith(b"0") else b"0"))


async def test_a_master_key_that_is_a_key_block_carries_session_keys(ground: Ground) -> None:
    room = ground.room()
    terminal = ground.terminal(key_form="block")
    zmk = (await ground.hsm.generate_key("000")).lmk
    made = await ground.hsm.generate_key("002", scheme="S", usage="K0", under_zmk=zmk, exported_scheme="R")
    assert made.exported is not None
    block = await ground.hsm.import_key("002", made.exported, zmk=zmk)
    with ground.engine.begin() as connection:
        put_master_keys(connection, {terminal.terminal_id: (block.key, block.check_value)}, ground.now)
    clear = TEST_LMK.decrypt_block(block.key)[1]
    terminal = Terminal(terminal.terminal_id, "SHOP000001", clear)
    for _ in range(2):  # a new set, and the same again
        assert terminal.receive(await room.exchange(terminal)).approved
    paid = terminal.purchase(ground.now, CARD, 1_000, pin="4711")
    assert await room.pin(paid) is PinCheck.OK


async def test_terminals_whose_keys_end_are_counted(ground: Ground) -> None:
    room = ground.room()
    for number, hours in enumerate((0, 10, 23)):
        terminal = ground.terminal(f"T000000{number}")
        ground.now = NOON + timedelta(hours=hours)
        assert terminal.receive(await room.exchange(terminal)).approved
    ground.now = NOON + timedelta(hours=33)
    watch = KeyWatch(ground.engine, lambda: ground.now, warn_hours=2, master_days=1)
    watch.start()
    shown = {}
    for _ in range(100):
        await asyncio.sleep(0.02)
        shown = {
            state: metrics.TERMINAL_KEYS.labels(state)._value.get()
            for state in ("ended", "ending", "master_old")
        }
        if shown["master_old"]:
            break
    await watch.stop()
    assert shown == {"ended": 1, "ending": 1, "master_old": 2}


async def test_a_longer_end_told_at_one_switch_holds_at_the_other(ground: Ground) -> None:
    one, two = ground.room(), ground.room()
    terminal = await ready(ground, one)
    await one.exchange(terminal)  # lost; this switch knows the new set with its first end
    ground.wait(hours=8)
    assert terminal.receive(await two.exchange(terminal)).approved  # the same set, good for longer
    assert await two.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
    await one.exchange(terminal)  # lost again: it must not shorten the set that the terminal holds
    ground.wait(hours=17)
    for room in (one, two):
        assert await room.verdict(terminal.purchase(ground.now, CARD, 1_000)) == "ok"
