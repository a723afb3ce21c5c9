"""Terminals with a key for every message (DUKPT, TDES and AES): serial numbers are taken once and kept."""

import asyncio

import pytest

from switch.domain.request import PinCheck
from switch.service.refused import RefusedError
from switch.wire.message import decode
from switch.wire.request import parse_request
from tests.integration.keys.room import CARD, Ground

pytestmark = pytest.mark.parametrize(
    ("mode", "pin_format"), [("dukpt_tdes", "0"), ("dukpt_tdes", "3"), ("dukpt_aes", "4")]
)


async def written(ground: Ground, counter: int) -> None:
    for _ in range(100):
        if ground.row().ksn_counter == counter:
            return
        await asyncio.sleep(0.02)
    assert ground.row().ksn_counter == counter


async def test_messages_pins_and_answers(ground: Ground, mode: str, pin_format: str) -> None:
    room = ground.room()
    terminal = ground.derived(mode, pin_format=pin_format)
    for pin, verdict in (("4711", PinCheck.OK), ("4712", PinCheck.WRONG), ("4711", PinCheck.OK)):
        paid = terminal.purchase(ground.now, CARD, 1_000, pin=pin)
        session = await room.open(paid)
        assert await room.pin(paid, session) is verdict
        body = b"an answer, to the byte"
        assert len(await room.keyring.seal(session, body)) == 16
    terminal.pin_format = pin_format
    altered = terminal.purchase(ground.now, CARD, 1_000).replace(b"000000001000", b"000000009000")
    assert await room.verdict(altered) == "mac_failure"


async def test_a_serial_number_that_came_is_refused_but_for_a_repeat(
    ground: Ground, mode: str, pin_format: str
) -> None:
    room = ground.room()
    terminal = ground.derived(mode, pin_format=pin_format)
    paid = terminal.purchase(ground.now, CARD, 1_000)
    assert await room.verdict(paid) == "ok"
    assert await room.verdict(paid) == "key_serial_replayed"
    # A repeat is made by the terminal itself, under the same key as its original.
    repeat = terminal.repeat_of(paid)
    assert [await room.verdict(repeat), await room.verdict(repeat)] == ["ok", "ok"]
    both = await asyncio.gather(*(room.verdict(one) for one in [terminal.purchase(ground.now, CARD, 1)] * 2))
    assert sorted(both) == ["key_serial_replayed", "ok"]  # of two at a time, one is the first


async def test_messages_that_overtake_each_other_pass_once_each(
    ground: Ground, mode: str, pin_format: str
) -> None:
    room = ground.room()
    terminal = ground.derived(mode, pin_format=pin_format)
    sent = [terminal.purchase(ground.now, CARD, 1_000) for _ in range(8)]
    for one in (sent[3], sent[0], sent[7], sent[5]):
        assert await room.verdict(one) == "ok"
        assert await room.verdict(one) == "key_serial_replayed"
    assert set(await asyncio.gather(*(room.verdict(sent[n]) for n in (1, 2, 4, 6)))) == {"ok"}


async def test_over_a_restart_no_serial_number_comes_again(
    ground: Ground, mode: str, pin_format: str
) -> None:
    room = ground.room()
    terminal = ground.derived(mode, pin_format=pin_format)
    sent = [terminal.purchase(ground.now, CARD, 1_000) for _ in range(4)]
    for one in sent[:3]:
        assert await room.verdict(one) == "ok"
    counter = int(parse_request(decode(sent[2])).ksn[-6:], 16) & 0x1FFFFF  # type: ignore[index]
    await written(ground, counter)
    await room.close(killed=True)
    after = ground.room()
    assert {await after.verdict(one) for one in sent[:3]} == {"key_serial_replayed"}
    assert await after.verdict(sent[3]) == "ok"


async def test_another_identity_or_no_serial_number_is_refused(
    ground: Ground, mode: str, pin_format: str
) -> None:
    room = ground.room()
    terminal = ground.derived(mode, pin_format=pin_format)
    other = ground.derived(mode, "T0000002", pin_format=pin_format)
    other.terminal_id = terminal.terminal_id  # its own keys, another's name
    assert await room.verdict(other.purchase(ground.now, CARD, 1_000)) == "mac_failure"
    with pytest.raises(RefusedError, match="invalid_transaction"):
        await room.exchange(terminal)  # there is nothing to exchange
    with pytest.raises(RefusedError, match="mac_failure"):
        await room.ask(terminal.sign_off(ground.now)[:-4] + b"0000")
    assert terminal.receive(await room.ask(terminal.sign_off(ground.now))).code == "00"


async def test_a_counter_that_no_terminal_has_is_a_wrong_mac(
    ground: Ground, mode: str, pin_format: str
) -> None:
    room = ground.room()
    terminal = ground.derived(mode, pin_format=pin_format)
    paid = terminal.purchase(ground.now, CARD, 1_000)
    ksn = parse_request(decode(paid)).ksn or ""
    assert await room.verdict(paid.replace(ksn.encode(), ksn[:-5].encode() + b"FFFFF")) == "mac_failure"
