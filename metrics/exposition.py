"""The text that Prometheus reads: this process's instruments and, from one process, the database's figures.

It renders; it measures nothing itself and speaks no HTTP.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from metrics.sampling import Sample, Seen

__all__ = ["CONTENT_TYPE", "Figures", "exposition"]

# What there can be of each, so that a figure that is nought is there too.
_CHANNELS = ("mail", "sms", "webhook")


def exposition(seen: Seen) -> bytes:
    """The page at `/metrics`. Without its database the process still tells how it fares."""
    figures = CollectorRegistry(auto_describe=False)
    figures.register(Figures(seen))
    return generate_latest(REGISTRY) + generate_latest(figures)


class Figures(Collector):
    """The figures of `seen` as Prometheus knows them."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        seconds, sample = self._seen.seconds, self._seen.sample
        yield _gauge("stormdesk_database_up", "Whether the database answered this process.", seconds is not None)
        if seconds is not None:
            yield _gauge("stormdesk_database_answer_seconds", "How long the database took to answer.", seconds)
        yield _gauge(
            "stormdesk_figures_told", "1 in the one process that tells the database's figures.", sample is not None
        )
        if sample is not None:
            yield from _sending(sample)
            yield from _promised(sample)
            yield from _contacts(sample)
            yield from _cases(sample)


def _sending(sample: Sample) -> Iterator[Metric]:
    yield _family(
        "stormdesk_deliveries", "Deliveries on record.", ("channel", "state", "reason_class"), sample.deliveries
    )
    yield _family("stormdesk_unsent_deliveries", "Deliveries that have not ended.", ("channel", "waits"), sample.unsent)
    oldest = {(one,): sample.oldest_unsent_seconds.get(one, 0.0) for one in _CHANNELS}
    yield _family("stormdesk_oldest_unsent_seconds", "Age of the oldest unsent delivery.", ("channel",), oldest)
    yield _family(
        "stormdesk_latest_update_told_seconds",
        "From the latest update's publication until the first, half, 95 % and the last of those told had it.",
        ("reached",),
        _single(sample.told),
    )


def _promised(sample: Sample) -> Iterator[Metric]:
    yield _gauge("stormdesk_open_incidents", "Incidents that are not over.", sample.open_incidents)
    states = {(one,): sample.promises.get(one, 0) for one in ("standing", "kept", "missed")}
    yield _family("stormdesk_promises", "Promised times of a next update.", ("state",), states)
    if sample.promise_due is not None:
        yield _gauge(
            "stormdesk_promise_due_seconds", "Until the next promised update; negative: it is late.", sample.promise_due
        )
    if sample.notice_due is not None:
        yield _gauge(
            "stormdesk_first_notice_due_seconds",
            "Until the first word about an incident is due of which none was said; negative: it is late.",
            sample.notice_due,
        )
    yield _family(
        "stormdesk_hearing_due_seconds",
        "Until half, 95 % and the last must have heard of an incident of which they have not; negative: it is late.",
        ("reached",),
        _single(sample.hearing_due),
    )
    yield _family(
        "stormdesk_hearing_left_seconds",
        "What was left of the time in which people must hear when half, 95 % and the last had, or is by now: the least "
        "of the incidents of the last day and those that are open.",
        ("reached",),
        _single(sample.hearing_left),
    )


def _contacts(sample: Sample) -> Iterator[Metric]:
    yield _family("stormdesk_contacts", "Contacts on record.", ("channel", "state"), sample.contacts)
    yield _family(
        "stormdesk_contact_to_case_seconds",
        "From its receipt until a contact is in its case, of the last quarter of an hour.",
        ("reached",),
        _single(sample.to_case),
    )
    yield _gauge("stormdesk_unanswered_late", "Contacts past the time of a first answer.", sample.unanswered_late)
    yield _gauge(
        "stormdesk_oldest_unanswered_seconds", "Age of the oldest unanswered contact.", sample.oldest_unanswered_seconds
    )


def _cases(sample: Sample) -> Iterator[Metric]:
    cases = {(one,): sample.cases.get(one, 0) for one in ("open", "closed")}
    yield _family("stormdesk_cases", "Live cases.", ("state",), cases)
    if sample.collapse_ratio is not None:
        yield _gauge("stormdesk_collapse_ratio", "Resolved contacts per live case.", sample.collapse_ratio)
    yield _gauge("stormdesk_grey_pairs", "Pairs of cases that wait for a person to say who is who.", sample.grey_pairs)
    yield _gauge("stormdesk_joins_undone", "Joined cases that were taken apart again.", sample.joins_undone)
    claims = {(one,): sample.claims.get(one, 0) for one in ("open", "overdue", "decided", "withdrawn")}
    yield _family("stormdesk_claims", "Claims; the overdue are open too.", ("state",), claims)


def _single(values: Mapping[str, float]) -> dict[tuple[str, ...], float]:
    return {(name,): value for name, value in values.items()}


def _family(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=float(value))
