"""What services call: a client whose every method is a host command (see calls) and gives a future.

    hsm = HsmClient("127.0.0.1", 1500)
    await hsm.start()
    mac = await hsm.generate_mac(tak, b"...")

Every future ends: with its result, HsmRefused (the HSM said no) or HsmUnavailable (it said nothing).
"""

import asyncio
from typing import Any, Final

from switch.hsm.calls import HsmCalls
from switch.hsm.link import Counters, HsmLink, HsmUnavailable, Observer, Parser

CONNECTIONS_MAX: Final = 64
IN_FLIGHT_MAX: Final = 32_768  # per client; half of the headers there are


class HsmClient(HsmCalls):
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

    # --- what carries a command (see switch.hsm.calls) -----------------------------------------------------

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
