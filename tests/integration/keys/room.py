"""What a switch has of keys – look-ups, directory, keyring, network desk – on real books and a real HSM port.

A `Room` stands for one process: two of them on one ground are two switches, a new one is a restart.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from hsm_sim.crypto.lmk import TEST_LMK
from hsm_sim.crypto.pinblock import account_part
from hsm_sim.crypto.pvv import pin_verification_value
from hsm_sim.crypto.tdes import Tdes, odd_parity
from switch.domain.calendar import SEOUL
from switch.domain.request import PinCheck
from switch.hsm.client import HsmClient
from switch.service.directory import Directory
from switch.service.keymarks import KeyMarks
from switch.service.keyring import Keyring, Session
from switch.service.network import NetworkDesk
from switch.service.refused import RefusedError
from switch.service.vault import VaultKeeper
from switch.store.keystore import TerminalAt, add_terminals
from switch.store.lookup import CardRef, Lookup
from switch.wire.message import decode, encode
from switch.wire.request import Network, Payment, parse_request, reply_mti
from terminal_sim.dukpt import AesStore, TdesStore, base_key, initial_serial
from terminal_sim.keys import base_key_under_lmk, tmk, tmk_check_value, tmk_under_lmk
from terminal_sim.terminal import Terminal
from tests.support.postgres import Database
from tests.support.stage import PIN, PVK, SEED, pan

NOON = datetime(2026, 11, 20, 12, tzinfo=SEOUL)
GRACE_S = 900
HOURS = 24
PVK_TEXT = TEST_LMK.encrypt("002", "U", odd_parity(PVK))
CARD = pan(1)
CARD_REF = CardRef(
    1, 1, 1, 1, 3112, "1", pin_verification_value(Tdes(odd_parity(PVK)), account_part(CARD), "1", PIN), "card"
)


class Ground:
    """The books, the HSM and the time that rooms share."""

    def __init__(self, database: Database, hsm: HsmClient, key_file: Path) -> None:
        self.database = database
        self.engine = database.engine()
        self.hsm = hsm
        self.key_file = key_file
        self.now = NOON
        self._rooms: list[Room] = []

    async def close(self) -> None:
        for room in self._rooms:
            await room.close()

    def wait(self, **span: int) -> None:
        self.now += timedelta(**span)

    def room(self) -> "Room":
        room = Room(self)
        self._rooms.append(room)
        return room

    def terminal(self, name: str = "T0000001", **facts: Any) -> Terminal:
        """A terminal in the books and as a machine; `facts` go into its row."""
        key = tmk(SEED, name)
        row = TerminalAt(1, tmk_under_lmk(key), tmk_check_value(key), **facts)
        with self.engine.begin() as connection:
            add_terminals(connection, {name: row}, self.now)
        return Terminal(name, "SHOP000001", key)

    def derived(self, mode: str, name: str = "T0000001", **options: Any) -> Terminal:
        """A terminal with derived unique keys."""
        base, serial = base_key(SEED, mode), initial_serial(name, mode)
        row = TerminalAt(1, "", "", key_mode=mode, bdk=base_key_under_lmk(SEED, mode), ksn_id=serial)
        with self.engine.begin() as connection:
            add_terminals(connection, {name: row}, self.now)
        store = AesStore(base, serial) if mode == "dukpt_aes" else TdesStore(base, serial)
        return Terminal(name, "SHOP000001", b"", dukpt=store, **options)

    def row(self, name: str = "T0000001") -> Any:
        with self.engine.connect() as connection:
            found = connection.execute(text("SELECT * FROM terminal WHERE terminal_id = :t"), {"t": name})
            return found.one()

    def acts(self, name: str = "T0000001") -> list[str]:
        with self.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT act FROM key_audit WHERE subject = :t ORDER BY audit_no"), {"t": name}
            )
            return [row[0] for row in rows]


class Room:
    """One process."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._hsm = ground.hsm
        self.lookup = Lookup(ground.database.conninfo)
        self.marks = KeyMarks(self.lookup)
        self.directory = Directory(self.lookup, VaultKeeper(ground.key_file), lambda: 1)
        self.keyring = Keyring(self._hsm, self.directory, self.marks, lambda: ground.now, grace_s=GRACE_S)
        self.network = NetworkDesk(
            self._hsm, self.lookup, self.directory, lambda: ground.now, session_hours=HOURS, grace_s=GRACE_S
        )

    async def close(self, *, killed: bool = False) -> None:
        """Stop it as an operator does, or as a power cut."""
        if not killed:
            await self.marks.close()
        elif self.marks._task is not None:
            self.marks._task.cancel()
        await self.lookup.close()

    async def open(self, payload: bytes) -> Session:
        """Whose message it is. Raises RefusedError."""
        message = decode(payload)
        request = parse_request(message)
        terminal = await self.directory.terminal(request.terminal_id)
        assert terminal is not None
        return await self.keyring.open(
            terminal,
            payload[: message.mac_input_len],
            message.mac,
            request.ksn,
            repeat=request.repeat,
            ended=isinstance(request, Network) and request.function == "key_exchange",
        )

    async def verdict(self, payload: bytes) -> str:
        """`ok`, or why a message is refused."""
        try:
            await self.open(payload)
        except RefusedError as refused:
            return refused.reason
        return "ok"

    async def ask(self, payload: bytes) -> bytes:
        """The answer to an 0800. Raises RefusedError."""
        message = decode(payload)
        request = parse_request(message)
        assert isinstance(request, Network)
        terminal = await self.directory.terminal(request.terminal_id)
        assert terminal is not None
        session = await self.open(payload) if message.mac is not None else None
        fields = await self.network.answer(message, request, terminal, session)
        return encode(reply_mti(message.mti), fields)

    async def exchange(self, terminal: Terminal) -> bytes:
        """The answer to a key exchange, which the terminal has not read yet."""
        return await self.ask(terminal.key_exchange(self._ground.now))

    async def pin(self, payload: bytes, session: Session | None = None) -> PinCheck | None:
        """What the HSM says of a payment's PIN."""
        request = parse_request(decode(payload))
        assert isinstance(request, Payment)
        assert request.pin_block is not None
        session = session or await self.open(payload)
        return await self.keyring.pin(
            session, request.pin_block, request.pin_format, request.pan, CARD_REF, PVK_TEXT
        )
