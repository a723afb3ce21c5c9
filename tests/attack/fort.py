"""A whole installation under attack, with an honest witness beside it.

Every attack says what it expects, counts its inputs, and is watched: a terminal that has nothing to do with
it goes on paying over a line of its own (a failure there is a connection harmed), and the books must have
moved by exactly what honest payments moved (anything else is money moved wrongly).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import text

from switch.service.proofs import run as prove
from switch.wire.dialect import CODECS
from switch.wire.message import MessageError
from tests.integration.switch.house import House
from tests.support.wire_client import ClosedByPeerError

WITNESS_WON = 10
UNKNOWN_KIND = "30"


def code_of(answer: bytes, dialect: str = "ascii") -> str:
    """DE39 of an answer. To a kind of message that is not known the answer is of no known kind either: 30."""
    try:
        return CODECS[dialect].decode(answer).fields[39]
    except MessageError:
        return UNKNOWN_KIND


class Attack(msgspec.Struct):
    """One attack as it went."""

    name: str
    expects: str
    inputs: int = 0
    harmed: int = 0
    wrong: int = 0
    honest: int = 0
    note: str = ""

    def tried(self, inputs: int = 1) -> None:
        """Count what was sent."""
        self.inputs += inputs

    def paid(self, won: int) -> None:
        """An honest payment that is part of the attack: its money is meant to move (negative: back)."""
        self.honest += won


class Fort(House):
    """The installation: plain ASCII, and BCD with TPDU, each on a listener of its own."""

    def __init__(self, directory: Path, hsm_port: int) -> None:
        super().__init__(directory, hsm_port, people=200, shops=120)
        self.attacks: list[Attack] = []
        self._line = self.line()
        self._card = self.card()
        self._till = self.till(self._line)

    @property
    def bcd_port(self) -> int:
        """The listener that speaks BCD behind a TPDU."""
        return int(self.switch.told["listening"][1]["port"])

    def configure(self, name: str = "switch", changes: Sequence[tuple[str, str]] = ()) -> Path:
        """As the house does it, with bounds small enough to be reached and a second dialect."""
        bounds = (
            "in_flight_max = 64\nidle_s = 3\nhalf_frame_s = 1\nframe_max = 2048\nconnections_max = 400\n"
            'unread_max = 65536\n[[listener]]\nport = 0\ndialect = "bcd"\ntpdu = true\n'
        )
        limits = "[limits]\nprobes_max = 40\nprobes_window_s = 600\n[lanes]"
        return super().configure(name, [("in_flight_max = 4096", bounds), ("[lanes]", limits), *changes])

    @contextmanager
    def under(self, name: str, expects: str) -> Iterator[Attack]:
        """Watch an attack: the witness pays before, and after; the books are counted."""
        attack = Attack(name, expects)
        self.attacks.append(attack)
        self.witness(attack)
        before = self.money()
        yield attack
        self.witness(attack)
        attack.honest += WITNESS_WON if not attack.harmed else 0
        moved = before - self.money()
        attack.wrong += abs(moved - attack.honest)
        proof = prove(self.stage.engine)
        if not proof.ok:
            attack.wrong += 1
        assert attack.inputs > 0
        assert attack.harmed == 0
        assert attack.wrong == 0

    def witness(self, attack: Attack) -> None:
        """The honest terminal pays; once more over a new line if its own was idle too long."""
        for fresh in (False, True):
            if fresh:
                self._line.close()
                self._line = self.line()
            try:
                payload = self._till.purchase(self.now, self._card, WITNESS_WON)
                reply = self._line.exchange(self._till, payload, 10.0)
            except (ClosedByPeerError, OSError):
                continue
            if not (reply.approved and reply.mac_ok):
                attack.harmed += 1
            return
        attack.harmed += 1

    def money(self) -> int:
        """Won in all lots."""
        with self.stage.engine.connect() as connection:
            return int(connection.execute(text("SELECT sum(balance) FROM lot")).scalar_one())
