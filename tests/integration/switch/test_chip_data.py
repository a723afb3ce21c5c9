"""What is kept of a chip's data: what it signed, and nothing that shows the card."""

from collections.abc import Iterator

import pytest

from hsm_sim.crypto.lmk import TEST_LMK
from switch.wire.emv import STORED_TAGS, parse_icc
from terminal_sim.card import SimCard
from tests.attack.cards import IMK, ISSUER
from tests.integration.switch.house import House
from tests.support.stage import PIN, Program, start_switch
from tests.support.wire_client import Line


@pytest.fixture(scope="module")
def reader(house: House) -> Iterator[Program]:
    """A switch on the same books that checks chips."""
    imk = TEST_LMK.encrypt("109", "U", IMK)
    switch = start_switch(house.configure("chips", [("[lanes]", f'imk = "{imk}"\n[lanes]')]))
    yield switch
    switch.stop()


def test_a_chips_signature_is_kept_and_its_track_and_number_are_not(house: House, reader: Program) -> None:
    with Line(reader.port) as line:
        terminal, pan = house.till(line), house.card()
        shown = SimCard(pan, "3112", PIN, ISSUER).present("chip", 1_000, house.now)
        track = f"{pan}D3112201".ljust(26, "F")
        more = f"5713{track}000000000000"[: 4 + 2 * 0x13] + f"5A08{pan}" + "5F2003" + b"KIM".hex().upper()
        shown["icc"] = f"{shown['icc']}{more}"
        reply = line.exchange(terminal, terminal.purchase(house.now, pan, 1_000, **shown))
        assert reply.approved
        [booked] = house.payments(terminal)
        assert pan not in str(booked)
        [told] = house.command("payment", "list", "--terminal", terminal.terminal_id, "--json")
        kept = parse_icc(told["detail"]["chip"])
        assert {"9F26", "9F36", "9F10"} <= kept.keys() <= STORED_TAGS
        assert not kept.keys() & {"57", "5A", "5F20", "9F6B"}


def test_a_declined_cryptogram_is_kept_too(house: House, reader: Program) -> None:
    with Line(reader.port) as line:
        terminal, pan = house.till(line), house.card()
        card = SimCard(pan, "3112", PIN, ISSUER)
        shown = card.present("chip", 1_000, house.now, wrong_cryptogram=True)
        reply = line.exchange(terminal, terminal.purchase(house.now, pan, 1_000, **shown))
        assert (reply.code, 55 in reply.fields) == ("05", False)
        [told] = house.command("payment", "list", "--terminal", terminal.terminal_id, "--json")
        assert parse_icc(told["detail"]["chip"])["9F26"] == parse_icc(shown["icc"] or "")["9F26"]
