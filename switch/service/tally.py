"""Counters and histograms for the hot path: plain numbers of one thread, told to Prometheus when it asks.

The client library's own take a lock and a label look-up for every observation, which is a tenth of what a
payment costs here. These are written by the event loop only; a scrape may read them one observation late.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class _Series:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Histogram(Collector):
    """Seconds (or sizes) by bucket, with at most one label."""

    def __init__(self, name: str, about: str, edges: Sequence[float], label: str | None = None) -> None:
        self._name, self._about, self._label = name, about, label
        self._edges = tuple(edges)
        self._series: dict[str, _Series] = {}
        REGISTRY.register(self)

    def observe(self, value: float, label: str = "") -> None:
        """Count one observation."""
        series = self._series.get(label)
        if series is None:
            series = self._series[label] = _Series(len(self._edges))
        series.counts[bisect_left(self._edges, value)] += 1
        series.total += value

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What Prometheus asks for."""
        family = HistogramMetricFamily(self._name, self._about, labels=[self._label] if self._label else [])
        for label, series in list(self._series.items()):
            seen = 0
            buckets: list[tuple[str, float]] = []
            for edge, count in zip((*self._edges, float("inf")), series.counts, strict=True):
                seen += count
                buckets.append(("+Inf" if edge == float("inf") else str(edge), seen))
            family.add_metric([label] if self._label else [], buckets, sum_value=series.total)
        yield family


class Counter(Collector):
    """How often something happened, by a fixed number of labels."""

    def __init__(self, name: str, about: str, labels: Sequence[str] = ()) -> None:
        self._name, self._about, self._labels = name, about, list(labels)
        self._counts: dict[tuple[str, ...], int] = {} if labels else {(): 0}
        REGISTRY.register(self)

    def inc(self, *labels: str, by: int = 1) -> None:
        """Count `by` more."""
        self._counts[labels] = self._counts.get(labels, 0) + by

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What Prometheus asks for."""
        family = CounterMetricFamily(self._name.removesuffix("_total"), self._about, labels=self._labels)
        for labels, count in list(self._counts.items()):
            family.add_metric(list(labels), count)
        yield family
