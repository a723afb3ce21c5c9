"""One HSM or several that hold the same LMK: which one is asked, and when another takes over.

The first address that is well is asked. When its connection goes, or it is silent while something is asked,
the next one takes over, with the commands that have no answer yet: every host command may be asked twice. It
comes back after some good probes in a row, so one that comes and goes does no harm. With a single address
nothing is probed but a connection that is long idle.
"""

import asyncio
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import structlog

from switch.hsm import commands
from switch.hsm.commands import HsmRefused
from switch.hsm.link import HsmLink
from switch.hsm.waiting import Counters, HsmUnavailable, Observer, Parser, Waiting

CONNECTIONS_MAX: Final = 64
IN_FLIGHT_MAX: Final = 32_768  # per client; half of the headers there are
STANDBY_MAX: Final = 7
PROBE_EVERY_S: Final = 1.0
GOOD_PROBES: Final = 3  # in a row, before one that failed is asked again
IDLE_PROBE_S: Final = 60.0  # devices close connections that say nothing for minutes

_log = structlog.get_logger()


class SiteState(IntEnum):
    """How one HSM is. Only a WELL one is asked, unless there is none."""

    DOWN = 0
    SILENT = 1  # connected, and does not answer in time; or not yet known to do so
    OTHER_LMK = 2  # answers under another LMK: every key of ours would be refused
    WELL = 3


class Site:
    """One HSM of a pool with its connections, for the metrics page. Read it, change nothing."""

    def __init__(self, address: str, links: list[HsmLink]) -> None:
        self.address = address
        self.links = links
        self.state = SiteState.DOWN
        self.taken_over = 0  # times that it became the one that is asked
        self.good_probes_wanted = 1

    @property
    def timeouts(self) -> int:
        """Commands that it did not answer in time."""
        return sum(link.timeouts for link in self.links)

    @property
    def connected(self) -> bool:
        """Whether at least one connection stands."""
        return any(link.ready.is_set() for link in self.links)

    def ready_link(self) -> HsmLink | None:
        """A connection that stands, or None."""
        return next((link for link in self.links if link.ready.is_set()), None)


class HsmPool:
    """The connections to all HSMs. Make it within the running loop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        standby: Sequence[tuple[str, int]] = (),
        timeout_s: float = 1.0,
        in_flight_max: int = 4096,
        connections: int = 1,
        observe: Observer | None = None,
    ) -> None:
        """`connections` to each address; `in_flight_max` commands in all, at an HSM or waiting.

        `observe(command, seconds)` is called for every reply. Raises ValueError on bad limits.
        """
        if not 0 < in_flight_max <= IN_FLIGHT_MAX:
            raise ValueError(f"in_flight_max is 1 to {IN_FLIGHT_MAX}, not {in_flight_max}")
        if not 0 < connections <= CONNECTIONS_MAX:
            raise ValueError(f"connections is 1 to {CONNECTIONS_MAX}, not {connections}")
        if timeout_s <= 0:
            raise ValueError("timeout_s is above 0 seconds")
        if len(standby) > STANDBY_MAX:
            raise ValueError(f"at most {STANDBY_MAX} standby addresses")
        self.counters = Counters()
        self._in_flight_max = in_flight_max
        self._timeout_s = timeout_s
        self.sites: list[Site] = []
        for site_host, site_port in ((host, port), *standby):
            links = [
                HsmLink(
                    site_host,
                    site_port,
                    timeout_s=timeout_s,
                    counters=self.counters,
                    observe=observe,
                    owner=self,
                    window_max=in_flight_max,
                )
                for _ in range(connections)
            ]
            self.sites.append(Site(f"{site_host}:{site_port}", links))
        self._single = len(self.sites) == 1
        self._site_of = {link: site for site in self.sites for link in site.links}
        self._active = self.sites[0]
        self._links = self._active.links
        self._turn = 0
        self._lmk_check_value: str | None = None
        self._good_probes = dict.fromkeys(self.sites, 0)
        self._ready = asyncio.Event()
        self._prober: asyncio.Task[None] | None = None
        self._probes: set[asyncio.Task[None]] = set()
        self._closing = False

    # --- life ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begins to connect and goes on by itself for ever; an absent HSM is no error here."""
        for site in self.sites:
            for link in site.links:
                link.open()
        self._prober = asyncio.get_running_loop().create_task(self._probe_all(), name="hsm-probes")

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns once a connection stands. Raises HsmUnavailable after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            raise HsmUnavailable(f"the HSM could not be reached within {timeout_s} s") from None

    async def close(self) -> None:
        """Ends all connections; whatever is in flight fails with HsmUnavailable."""
        self._closing = True
        tasks = [task for task in (self._prober, *self._probes) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._site_of))

    @property
    def active(self) -> Site:
        """The HSM that is asked now."""
        return self._active

    @property
    def connected(self) -> bool:
        """Whether at least one connection stands."""
        return self._ready.is_set()

    @property
    def in_flight(self) -> int:
        """Commands without an answer yet, at an HSM or waiting for their turn."""
        return self.counters.in_flight

    @property
    def sent(self) -> int:
        """Commands asked so far."""
        return self.counters.sent

    @property
    def failed(self) -> int:
        """Commands that ended without a result."""
        return self.counters.failed

    @property
    def timeouts(self) -> int:
        """Commands without an answer in time."""
        return self.counters.timeouts

    # --- asking --------------------------------------------------------------------------------------------

    def _send(self, request: bytes, parser: Parser) -> "asyncio.Future[Any]":
        """Asks one command. The future never stays open: it has a result, HsmRefused or HsmUnavailable."""
        links = self._links
        link = links[0] if len(links) == 1 else self._next(links)
        if self.counters.in_flight >= self._in_flight_max:
            return link.refuse(f"{self._in_flight_max} commands are in flight, the limit of this client")
        return link.send(request, parser)

    def _next(self, links: list[HsmLink]) -> HsmLink:
        """The next link in turn that stands, or the next at all."""
        for _ in links:
            self._turn = (self._turn + 1) % len(links)
            if links[self._turn].ready.is_set():
                break
        return links[self._turn]

    # --- what the links tell -------------------------------------------------------------------------------

    def up(self, link: HsmLink) -> None:
        """A connection stands: of an only HSM it is used at once, of several the HSM is probed first."""
        self._ready.set()
        site = self._site_of[link]
        if self._single or (site is self.sites[0] and self._lmk_check_value is None):
            self._set(site, SiteState.WELL)
        elif site.state is SiteState.DOWN:
            self._set(site, SiteState.SILENT)
        if not self._single:
            probe = asyncio.get_running_loop().create_task(self._probe(site, link))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    def down(self, link: HsmLink, left: list[Waiting]) -> list[Waiting]:
        """A connection is gone: its commands go to another one, those that have not moved before."""
        site = self._site_of[link]
        if not any(one.connected for one in self.sites):
            self._ready.clear()
        if not site.connected:
            self._failed(site, SiteState.DOWN)
        other = None if self._closing else self._active.ready_link()
        if other is None:
            return left
        moving = [one for one in left if not one.moved and not one.future.done()]
        other.take(moving)
        return [one for one in left if one.future.done() or one not in moving]

    def silent(self, link: HsmLink) -> None:
        """Too little comes back: another HSM takes over, if one is well, with what is in flight."""
        site = self._site_of[link]
        if self._single or site.state is not SiteState.WELL:
            return
        if not any(one.state is SiteState.WELL for one in self.sites if one is not site):
            return
        self._failed(site, SiteState.SILENT)
        other = self._active.ready_link()
        if other is not None:
            for silent in site.links:
                other.take(silent.give_up())

    def _failed(self, site: Site, state: SiteState) -> None:
        self._good_probes[site] = 0
        site.good_probes_wanted = GOOD_PROBES
        self._set(site, state)

    def _set(self, site: Site, state: SiteState) -> None:
        if state is site.state:
            return
        site.state = state
        if not self._single and not self._closing:
            _log.info("hsm_state", hsm=site.address, state=state.name.lower())
        choice = next((one for one in self.sites if one.state is SiteState.WELL), None) or next(
            (one for one in self.sites if one.state is SiteState.SILENT), None
        )
        if choice is None or choice is self._active or self._closing:
            return
        _log.warning("hsm_taken_over", by=choice.address, was=self._active.address)
        choice.taken_over += 1
        self._active = choice
        self._links = choice.links

    # --- probing -------------------------------------------------------------------------------------------

    async def _probe_all(self) -> None:
        every_s = IDLE_PROBE_S if self._single else PROBE_EVERY_S
        sent = 0
        while True:
            await asyncio.sleep(every_s)
            if self._single and self.counters.sent != sent:
                sent = self.counters.sent
                continue
            pairs = [(site, site.ready_link()) for site in self.sites]
            await asyncio.gather(*(self._probe(site, link) for site, link in pairs if link is not None))

    async def _probe(self, site: Site, link: HsmLink) -> None:
        """Asks one HSM for its LMK; what it says, or does not say, decides whether it is well."""
        try:
            found = await link.probe(commands.diagnostics(), commands.parse_diagnostics)
        except (HsmUnavailable, HsmRefused):
            self._good_probes[site] = 0
            if not self._single and site.state is SiteState.WELL and site is not self._active:
                self._failed(site, SiteState.SILENT)
            return
        if self._single:
            return
        if self._lmk_check_value is None:
            if site is not self.sites[0] and self.sites[0].connected:
                return  # the first address says which LMK is ours, as long as it is there
            self._lmk_check_value = found.lmk_check_value
        if found.lmk_check_value != self._lmk_check_value:
            if site.state is not SiteState.OTHER_LMK:
                _log.error("hsm_other_lmk", hsm=site.address, why="it cannot read our keys: load our LMK")
            self._failed(site, SiteState.OTHER_LMK)
            return
        self._good_probes[site] += 1
        nobody_well = all(one.state is not SiteState.WELL for one in self.sites)
        if site.connected and (nobody_well or self._good_probes[site] >= site.good_probes_wanted):
            self._set(site, SiteState.WELL)
