"""The headline over all components: the table of the Statuspage reference, row by row."""

from typing import Any

import pytest

from incidents.roll_up import roll_up, worst, worst_impact


@pytest.mark.parametrize(
    ("statuses", "indicator", "description"),
    [
        (["major_outage", "major_outage"], "critical", "Major System Outage"),
        (["major_outage"], "critical", "Major System Outage"),
        (["partial_outage", "major_outage"], "major", "Partial System Outage"),  # Atlassian's own sample
        (["major_outage", "operational"], "major", "Partial System Outage"),
        (["partial_outage", "partial_outage"], "major", "Partial System Outage"),
        (["partial_outage", "operational"], "minor", "Minor Service Outage"),
        (["degraded_performance", "degraded_performance"], "minor", "Degraded System Service"),
        (["degraded_performance", "operational"], "minor", "Partially Degraded Service"),
        (["degraded_performance", "under_maintenance"], "minor", "Partially Degraded Service"),
        (["under_maintenance", "operational"], "maintenance", "Service Under Maintenance"),
        (["under_maintenance"], "maintenance", "Service Under Maintenance"),
        (["operational"], "none", "All Systems Operational"),
        ([], "none", "All Systems Operational"),
    ],
)
def test_the_first_rule_that_fits_wins(statuses: Any, indicator: str, description: str) -> None:
    headline = roll_up(statuses)
    assert (headline.indicator, headline.description) == (indicator, description)


@pytest.mark.parametrize(("impacts", "indicator"), [(["none"], "none"), (["minor", "critical"], "critical")])
def test_an_open_incident_speaks_while_every_component_works(impacts: Any, indicator: str) -> None:
    assert roll_up(["operational"], impacts).indicator == indicator


def test_the_worst_of_several() -> None:
    assert worst(["operational", "degraded_performance", "under_maintenance"]) == "degraded_performance"
    assert worst([]) == "operational"
    assert worst_impact([]) == "none"
