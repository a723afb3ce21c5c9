"""The state of the HSMs on the metrics page, read when the page is asked for: payments pay nothing for it."""

from collections.abc import Iterable

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from switch.hsm.pool import HsmPool


class HsmCollector(Collector):
    """Turns a pool's counters into metrics. All figures count from the start of the process."""

    def __init__(self, pool: HsmPool) -> None:
        self._pool = pool

    def collect(self) -> Iterable[Metric]:
        """One family for each thing that is counted."""
        pool, counters = self._pool, self._pool.counters
        state = GaugeMetricFamily(
            "dure_hsm_state", "0 no connection, 1 silent, 2 other LMK, 3 well", labels=["hsm"]
        )
        active = GaugeMetricFamily("dure_hsm_active", "1: this HSM is asked", labels=["hsm"])
        failovers = CounterMetricFamily("dure_hsm_failovers", "Times that this HSM took over", labels=["hsm"])
        timeouts = CounterMetricFamily("dure_hsm_timeouts", "Commands without answer in time", labels=["hsm"])
        for site in pool.sites:
            state.add_metric([site.address], site.state)
            active.add_metric([site.address], site is pool.active)
            failovers.add_metric([site.address], site.taken_over)
            timeouts.add_metric([site.address], site.timeouts)
        yield from (state, active, failovers, timeouts)
        yield GaugeMetricFamily(
            "dure_hsm_in_flight", "Commands at an HSM or waiting for one", counters.in_flight
        )
        for name, told, value in (
            ("dure_hsm_refused", "Commands refused at once: too many in flight, or no HSM", counters.refused),
            ("dure_hsm_moved", "Commands that another HSM was asked instead", counters.moved),
            ("dure_hsm_late", "Answers that came after their time", counters.late),
            ("dure_hsm_reconnects", "Connections made again", counters.reconnects),
        ):
            yield CounterMetricFamily(name, told, value=value)


def show_hsm(pool: HsmPool) -> None:
    """Puts the pool on this process's metrics page."""
    prometheus_client.REGISTRY.register(HsmCollector(pool))
