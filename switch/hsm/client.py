"""What services call: one method per host command, each giving a future of its result.

    hsm = HsmClient("127.0.0.1", 1500)
    await hsm.start()
    mac = await hsm.generate_mac(tak, b"...")

Every future ends: with its result, HsmRefused (the HSM said no) or HsmUnavailable (it said nothing).
"""

import asyncio
from typing import Any, Final

from switch.hsm import commands
from switch.hsm.commands import Diagnostics, GeneratedKey, KeyResult, PinResult
from switch.hsm.link import Counters, HsmLink, HsmUnavailable, Observer, Parser

CONNECTIONS_MAX: Final = 64
IN_FLIGHT_MAX: Final = 32_768  # per client; half of the headers there are


class HsmClient:
    """A client for one HSM over one or more connections. Make it within the running loop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float = 1.0,
        in_flight_max: int = 4096,
        connections: int = 1,
        observe: Observer | None = None,
    ) -> None:
        """`observe(command, seconds)` is called for every reply. Raises ValueError on bad limits."""
        if not 0 < in_flight_max <= IN_FLIGHT_MAX:
            raise ValueError(f"in_flight_max is 1 to {IN_FLIGHT_MAX}, not {in_flight_max}")
        if not 0 < connections <= CONNECTIONS_MAX:
            raise ValueError(f"connections is 1 to {CONNECTIONS_MAX}, not {connections}")
        if timeout_s <= 0:
            raise ValueError("timeout_s is above 0 seconds")
        self.counters = Counters()
        self._in_flight_max = in_flight_max
        self._links = [
            HsmLink(host, port, timeout_s=timeout_s, counters=self.counters, observe=observe)
            for _ in range(connections)
        ]
        self._turn = 0

    # --- life ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to connect and goes on by itself for ever; an absent HSM is no error here."""
        for link in self._links:
            link.open()

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns once a connection stands. Raises HsmUnavailable after `timeout_s`."""
        waits = [asyncio.ensure_future(link.ready.wait()) for link in self._links]
        done, pending = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        if not done:
            raise HsmUnavailable(f"the HSM could not be reached within {timeout_s} s")

    async def close(self) -> None:
        """Ends all connections; whatever is in flight fails with HsmUnavailable."""
        await asyncio.gather(*(link.close() for link in self._links))

    @property
    def connected(self) -> bool:
        """Whether at least one connection stands."""
        return any(link.ready.is_set() for link in self._links)

    @property
    def in_flight(self) -> int:
        return self.counters.in_flight

    @property
    def sent(self) -> int:
        return self.counters.sent

    @property
    def failed(self) -> int:
        return self.counters.failed

    @property
    def timeouts(self) -> int:
        return self.counters.timeouts

    # --- commands ------------------------------------------------------------------------------------------

    def diagnostics(self) -> "asyncio.Future[Diagnostics]":
        """NC: the LMK's check value and the firmware."""
        return self._send(commands.diagnostics(), commands.parse_diagnostics)

    def echo(self, data: bytes) -> "asyncio.Future[bytes]":
        """B2: the same bytes back."""
        return self._send(commands.echo(data), commands.parse_echo)

    def generate_key(
        self,
        key_type: str,
        *,
        under_tmk: str | None = None,
        under_zmk: str | None = None,
        exported_scheme: str = "X",
        scheme: str = "U",
    ) -> "asyncio.Future[GeneratedKey]":
        """A0: a new key under the LMK and, if one is named, under a TMK or ZMK (given as its key text)."""
        if under_tmk is not None and under_zmk is not None:
            raise ValueError("name a TMK or a ZMK to export under, not both")
        request = commands.generate_key(
            key_type,
            scheme=scheme,
            under=under_tmk if under_tmk is not None else under_zmk,
            under_tmk=under_tmk is not None,
            exported_scheme=exported_scheme,
        )
        return self._send(request, commands.parse_generated_key)

    def import_key(
        self, key_type: str, key: str, *, zmk: str, scheme: str = "U"
    ) -> "asyncio.Future[KeyResult]":
        """A6: a key that came under a ZMK, now under the LMK."""
        return self._send(
            commands.import_key(key_type, key, zmk=zmk, scheme=scheme), commands.parse_imported_key
        )

    def export_key(
        self, key_type: str, key: str, *, under: str, under_tmk: bool = False, scheme: str = "X"
    ) -> "asyncio.Future[KeyResult]":
        """A8: a key of ours under a ZMK, or under a TMK if `under_tmk`."""
        request = commands.export_key(key_type, key, under=under, under_tmk=under_tmk, scheme=scheme)
        return self._send(request, commands.parse_exported_key)

    def check_value(self, key_type: str, key: str) -> "asyncio.Future[str]":
        """BU: the key's check value, 6 hex digits."""
        return self._send(commands.check_value(key_type, key), commands.parse_check_value)

    def verify_pin(
        self, tpk: str, pvk: str, pin_block_hex: str, account12: str, pvki: str, pvv: str
    ) -> "asyncio.Future[PinResult]":
        """DC: a format 0 PIN block under a TPK against a PVV.

        `account12` is the 12 rightmost PAN digits without the check digit. Parity errors of the keys are
        HsmRefused (10 the TPK, 11 the PVK).
        """
        request = commands.verify_pin(tpk, pvk, pin_block_hex, account12, pvki, pvv)
        return self._send(request, commands.parse_pin_result)

    def generate_mac(self, tak: str, data: bytes) -> "asyncio.Future[str]":
        """M6: the X9.19 MAC of up to 32,000 bytes, 16 upper-case hex digits."""
        return self._send(commands.generate_mac(tak, data), commands.parse_mac)

    def verify_mac(self, tak: str, data: bytes, mac_hex: str) -> "asyncio.Future[bool]":
        """M8: whether the 16-digit MAC belongs to the data."""
        return self._send(commands.verify_mac(tak, data, mac_hex), commands.parse_mac_verified)

    def generate_cvv(self, cvk: str, pan: str, expiry: str, service_code: str) -> "asyncio.Future[str]":
        """CW: the 3-digit card verification value. `expiry` 4 digits in the card's order."""
        return self._send(commands.generate_cvv(cvk, pan, expiry, service_code), commands.parse_cvv)

    def verify_cvv(
        self, cvk: str, cvv: str, pan: str, expiry: str, service_code: str
    ) -> "asyncio.Future[bool]":
        """CY: whether the card verification value is right."""
        return self._send(
            commands.verify_cvv(cvk, cvv, pan, expiry, service_code), commands.parse_cvv_verified
        )

    def _send(self, request: bytes, parser: Parser) -> "asyncio.Future[Any]":
        link = self._link()
        if self.counters.in_flight >= self._in_flight_max:
            return link.refuse(f"{self._in_flight_max} commands are in flight, the limit of this client")
        return link.send(request, parser)

    def _link(self) -> HsmLink:
        """The next link in turn that stands, or the next at all."""
        links = self._links
        if len(links) == 1:
            return links[0]
        for _ in links:
            self._turn = (self._turn + 1) % len(links)
            if links[self._turn].ready.is_set():
                break
        return links[self._turn]
