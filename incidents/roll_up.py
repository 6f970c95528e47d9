"""From the states of all components to one headline, by the rules of the Statuspage v2 API. Pure.

The headline depends on how many components are affected, not only on the worst one. Source:
https://support.atlassian.com/statuspage/docs/top-level-status-and-incident-impact-calculations/
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from incidents.lifecycle import STATUSES, ComponentStatus, Impact

Indicator = Literal["none", "minor", "major", "critical", "maintenance"]


@dataclass(frozen=True, slots=True)
class Headline:
    """The roll-up in the API's own words; the page says it in the reader's language."""

    indicator: Indicator
    description: str


ALL_GOOD = Headline("none", "All Systems Operational")
_BY_IMPACT: dict[Impact, Headline] = {
    "none": ALL_GOOD,
    "minor": Headline("minor", "Minor Service Outage"),
    "major": Headline("major", "Partial System Outage"),
    "critical": Headline("critical", "Major System Outage"),
}


def roll_up(statuses: Iterable[ComponentStatus], open_impacts: Iterable[Impact] = ()) -> Headline:
    """The headline over all components (group rows left out); the first rule that fits wins.

    While every component works but an incident is open, the worst impact of the open incidents speaks.
    """
    count = Counter(statuses)
    total = count.total()

    def every(status: ComponentStatus) -> bool:
        return total > 0 and count[status] == total

    rules = (
        (every("major_outage"), Headline("critical", "Major System Outage")),
        (count["major_outage"] > 0 or every("partial_outage"), Headline("major", "Partial System Outage")),
        (count["partial_outage"] > 0, Headline("minor", "Minor Service Outage")),
        (every("degraded_performance"), Headline("minor", "Degraded System Service")),
        (count["degraded_performance"] > 0, Headline("minor", "Partially Degraded Service")),
        (count["under_maintenance"] > 0, Headline("maintenance", "Service Under Maintenance")),
    )
    return next((headline for fits, headline in rules if fits), _BY_IMPACT[worst_impact(open_impacts)])


def impact_of(statuses: Iterable[ComponentStatus]) -> Impact:
    """How bad an incident is, from the states of the components it names: their headline, as if there were no others.

    Planned work harms nobody who was told of it.
    """
    indicator = roll_up(statuses).indicator
    return "none" if indicator == "maintenance" else indicator


def worst(statuses: Iterable[ComponentStatus]) -> ComponentStatus:
    """The worst of some statuses; operational when there are none."""
    return max(statuses, key=STATUSES.index, default="operational")


def worst_impact(impacts: Iterable[Impact]) -> Impact:
    """The worst of some impacts; none when there are none."""
    return max(impacts, key=tuple(_BY_IMPACT).index, default="none")
