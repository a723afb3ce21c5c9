"""The other end for tests of the terminal: a TCP server that speaks the wire and approves everything."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hsm_sim.crypto.kcv import check_value
from hsm_sim.crypto.lmk import wrap
from hsm_sim.crypto.mac import RetailMac
from hsm_sim.crypto.tdes import odd_parity
from switch.wire.framing import Framer, frame
from switch.wire.message import Message, decode, encode, encode_for_mac
from switch.wire.private import Balances
from switch.wire.request import reply_fields, reply_mti

TMK_OF = Callable[[str], bytes]


class Counter:
    """Answers after the message specification. `mute`: STANs that get no answer; `spoil`: give wrong MACs."""

    def __init__(self, tmk_of: TMK_OF) -> None:
        self.tmk_of = tmk_of
        self.macs: dict[str, RetailMac] = {}
        self.seen: list[Message] = []
        self.mute: set[str] = set()
        self.spoil = False
        self.generation = 0

    def answer(self, payload: bytes) -> bytes | None:
        message = decode(payload)
        self.seen.append(message)
        if message.fields[11] in self.mute:
            return None
        terminal = message.fields[41]
        if message.mti.startswith("08"):
            private = self.session_keys(terminal) if message.fields[70] == "101" else None
            return encode("0810", reply_fields(message, code="00", private=private))
        mac = self.macs.get(terminal)
        if mac is None:
            return encode(reply_mti(message.mti), reply_fields(message, code="58"))
        if message.mac != mac.mac(payload[: message.mac_input_len]).hex().upper():
            return encode(reply_mti(message.mti), reply_fields(message, code="63"))
        fields = reply_fields(message, code="00", rrn="632612000123", business_mmdd="1121")
        if message.mti[1] == "2":
            granted = int(message.fields.get(4, "0")) // 10
            fields = reply_fields(
                message,
                code="00",
                rrn="632612000123",
                business_mmdd="1121",
                approval="A00001",
                private={"CB": str(granted)},
                balances=Balances(90_000, 80_000),
            )
        body = encode_for_mac(reply_mti(message.mti), fields)
        made = bytes(8) if self.spoil else mac.mac(body)
        return body + made.hex().upper().encode()

    def session_keys(self, terminal: str) -> dict[str, str]:
        self.generation += 1
        tmk = self.tmk_of(terminal)
        seed = hashlib.sha256(f"{terminal}/{self.generation}".encode()).digest()
        pin_key, mac_key = odd_parity(seed[:16]), odd_parity(seed[16:])
        self.macs[terminal] = RetailMac(mac_key)
        return {
            "TP": wrap(tmk, "X", pin_key),
            "TM": wrap(tmk, "X", mac_key),
            "KP": check_value(pin_key),
            "KM": check_value(mac_key),
        }

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        """Listens on a free port, gives its number."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        while data := await reader.read(65536):
            answers = [self.answer(payload) for payload in framer.feed(data)]
            writer.write(b"".join(frame(a) for a in answers if a is not None))
        writer.close()
