"""The text that Prometheus reads: this process's instruments and the database's figures, side by side.

It renders; it measures nothing itself and speaks no HTTP.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metrics.sampling import Sample

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(sample: Sample | None) -> bytes:
    """The page at `/metrics`. Without a sample (the database is away) the process still tells how it fares."""
    figures = CollectorRegistry(auto_describe=False)
    figures.register(_Figures(sample))
    return generate_latest(REGISTRY) + generate_latest(figures)


class _Figures(Collector):
    def __init__(self, sample: Sample | None) -> None:
        self._sample = sample

    def collect(self) -> Iterable[Metric]:
        yield _gauge("stormdesk_database_up", "Whether the database answered.", float(self._sample is not None))
        if self._sample is not None:
            yield from _families(self._sample)


def _families(sample: Sample) -> Iterator[Metric]:
    deliveries = GaugeMetricFamily("stormdesk_deliveries", "Deliveries in the database.", labels=["channel", "state"])
    for labels, count in sorted(sample.deliveries.items()):
        deliveries.add_metric(labels, count)
    yield deliveries
    oldest = GaugeMetricFamily("stormdesk_oldest_unsent_seconds", "Age of the oldest unsent one.", labels=["channel"])
    for channel in ("mail", "sms"):
        oldest.add_metric([channel], sample.oldest_unsent_seconds.get(channel, 0.0))
    yield oldest
    contacts = GaugeMetricFamily("stormdesk_contacts", "Contacts in the database.", labels=["state"])
    for state in ("received", "resolved"):
        contacts.add_metric([state], sample.contacts.get(state, 0))
    yield contacts
    yield _gauge("stormdesk_live_cases", "Cases that have not been merged into another.", sample.live_cases)
    if sample.collapse_ratio is not None:
        yield _gauge("stormdesk_collapse_ratio", "Resolved contacts per live case.", sample.collapse_ratio)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
