"""Every metric we expose, as a table for docs/metrics.md: its name, type, labels, buckets and meaning.

Made from the instruments themselves; a test holds the document against it.
"""

from collections.abc import Iterator

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from metrics import instruments
from metrics.exposition import Figures
from metrics.sampling import Sample, Seen

_ALL = Sample(
    deliveries={("", "", ""): 0},
    unsent={("", ""): 0},
    told={"": 0.0},
    contacts={("", ""): 0},
    to_case={"": 0.0},
    promise_due=0.0,
    notice_due=0.0,
    hearing_due={"": 0.0},
    hearing_left={"": 0.0},
    cases={"open": 1},
)


def catalogue() -> str:
    """The table, as Markdown."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|", *sorted(_lines())]
    return "\n".join(lines) + "\n"


def _lines() -> Iterator[str]:
    for one in vars(instruments).values():
        if isinstance(one, MetricWrapperBase):
            name = one._name + ("_total" if one._type == "counter" else "")
            meaning = one._documentation
            if isinstance(one, Histogram):
                bounds = ", ".join(f"{bound:g}" for bound in one._upper_bounds if bound != float("inf"))
                meaning += f" Buckets: {bounds}."
            yield _line(name, one._type, one._labelnames, meaning)
    for family in Figures(Seen(0.0, _ALL)).collect():
        labels = tuple(family.samples[0].labels)
        where = "each process" if "database_" in family.name or "figures_told" in family.name else "one process"
        yield _line(family.name, family.type, labels, f"{family.documentation} Told by {where}.")


def _line(name: str, kind: str | None, labels: tuple[str, ...], meaning: str) -> str:
    return f"| `{name}` | {kind} | {', '.join(labels)} | {meaning} |"
